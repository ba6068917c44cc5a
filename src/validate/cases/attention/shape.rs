//! Extents, mask and scale of a case of attention.

use super::Attention;
use crate::tensor::{Mask, Step, StepError};
use crate::validate::Layout;

impl Attention {
    /// Positions of a sequence.
    pub fn keys(&self) -> u64 {
        self.kv_seq.unwrap_or(self.seq.saturating_add(130))
    }

    pub(super) fn step(&self) -> Result<Step, StepError> {
        match self.non_causal {
            true => Step::prefill(self.batch, self.seq)?.with_source(self.keys()),
            false => Step::chunked(self.batch, self.seq, self.keys() - self.seq),
        }
    }

    /// The operators' mask.
    pub const fn mask(&self) -> Mask {
        match self.window {
            _ if self.non_causal => Mask::Cross,
            Some(window) => Mask::Sliding { window },
            None => Mask::Causal,
        }
    }

    /// Elements of a value's head.
    pub fn value_dim(&self) -> u64 {
        self.value_dim.unwrap_or(self.head_dim)
    }

    /// What scores are multiplied with.
    pub fn scale(&self) -> f64 {
        self.scale.unwrap_or_else(|| self.usual_scale())
    }

    /// `1 / sqrt(head_dim)`.
    pub(super) fn usual_scale(&self) -> f64 {
        1.0 / (self.head_dim as f64).sqrt()
    }

    /// Extents of queries.
    pub const fn query_shape(&self) -> [u64; 4] {
        [self.batch, self.seq, self.heads, self.head_dim]
    }

    /// Extents of the output.
    pub fn out_shape(&self) -> [u64; 4] {
        [self.batch, self.seq, self.heads, self.value_dim()]
    }

    /// Elements of the output.
    pub(super) fn out_elements(&self) -> usize {
        self.out_shape().iter().product::<u64>() as usize
    }

    /// Extents of keys.
    pub fn key_shape(&self) -> [u64; 4] {
        [self.batch, self.keys(), self.kv_heads, self.head_dim]
    }

    /// Extents of values.
    pub fn value_shape(&self) -> [u64; 4] {
        [self.batch, self.keys(), self.kv_heads, self.value_dim()]
    }

    pub(in super::super) fn layout(
        &self,
        name: &str,
        says: &'static str,
        shape: [u64; 4],
    ) -> Layout {
        let [batch, tokens, heads, dim] = shape;
        let (of_tokens, of_heads) = match name {
            "q" | "out" => ("token", "head"),
            _ => ("position", "key head"),
        };
        let axes = [("sequence", batch), (of_tokens, tokens), (of_heads, heads), ("element", dim)];
        Layout::new(name, says, axes, self.dtype.stored())
    }

    /// Rows of the output: the heads of every new token.
    pub(super) fn rows(&self) -> std::ops::Range<usize> {
        0..(self.batch * self.seq * self.heads) as usize
    }
}
