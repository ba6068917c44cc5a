//! What attention is over: sequences, heads, and how queries and keys are stored.

/// Attention of `batch` sequences whose last `queries` positions ask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attended {
    /// Sequences.
    pub batch: f64,
    /// Queries per sequence.
    pub queries: f64,
    /// Keys per sequence, those of the queries included.
    pub keys: f64,
    /// Query heads.
    pub heads: f64,
    /// Heads of keys and values.
    pub kv_heads: f64,
    /// Elements of a head.
    pub head_dim: f64,
    /// Bytes per element of queries and results.
    pub element: f64,
    /// Bytes per element of keys and values.
    pub kv_element: f64,
    /// Bytes in use between two launches on the same ones beside the operands; infinite where all are
    /// new each time.
    pub beside: f64,
}

impl Attended {
    /// Bytes of queries and results.
    pub fn query_bytes(&self) -> f64 {
        2.0 * self.batch * self.queries * self.heads * self.head_dim * self.element
    }

    /// Bytes of keys and values.
    pub fn kv_bytes(&self) -> f64 {
        2.0 * self.batch * self.keys * self.kv_heads * self.head_dim * self.kv_element
    }

    /// Bytes of queries, results, keys and values.
    pub fn bytes(&self) -> f64 {
        self.query_bytes() + self.kv_bytes()
    }
}
