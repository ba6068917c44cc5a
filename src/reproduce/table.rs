//! What a reproduction is made of: figures, and how their published values are read.

use crate::diagnostic::Diagnostic;
use crate::yaml::Source;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One published figure and its simulated counterpart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What it measures, in which set-up: `Llama-2-7B Q4_K_M: file size`.
    pub what: String,
    /// Unit of both values; empty for ratios and counts.
    pub unit: String,
    /// As published.
    pub published: Option<f64>,
    /// As simulated.
    pub simulated: Option<f64>,
    /// Why they differ, or why one of them is missing; else empty.
    pub remark: String,
}

impl Figure {
    /// A pair of values.
    pub fn new(what: impl Into<String>, unit: &str, published: f64, simulated: f64) -> Self {
        Self {
            what: what.into(),
            unit: unit.to_owned(),
            published: Some(published),
            simulated: Some(simulated),
            remark: String::new(),
        }
    }

    /// A simulated value that the paper does not give.
    pub fn beside(what: impl Into<String>, unit: &str, simulated: f64) -> Self {
        Self { published: None, ..Self::new(what, unit, 0.0, simulated) }
    }

    /// A published value that cannot follow from the published set-up, and the reason.
    pub fn out_of_reach(what: impl Into<String>, unit: &str, published: f64, why: &str) -> Self {
        Self { simulated: None, ..Self::new(what, unit, published, 0.0) }.remark(why)
    }

    /// The same figure with a remark.
    pub fn remark(self, remark: impl Into<String>) -> Self {
        Self { remark: remark.into(), ..self }
    }

    /// Simulated over published, where both are known and positive.
    pub fn ratio(&self) -> Option<f64> {
        let (published, simulated) = (self.published?, self.simulated?);
        (published > 0.0 && simulated > 0.0).then(|| simulated / published)
    }
}

/// The figures of one paper.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Reproduction {
    /// The figures, in the paper's order.
    pub figures: Vec<Figure>,
    /// What was assumed, what was fitted and on which figure.
    pub remarks: Vec<String>,
}

/// The rows of a CSV with a header line that the program carries.
///
/// # Errors
/// A row that is not of type `T`; the file and line are named.
pub fn rows<T: DeserializeOwned>(name: &str, text: &str) -> Result<Vec<T>, Diagnostic> {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(text.as_bytes());
    let source = Source::new(format!("src/reproduce/data/{name}"), text);
    let read =
        |row: csv::Result<T>| row.map_err(|e| Diagnostic::new(format!("{}: {e}", source.name)));
    reader.deserialize().map(read).collect()
}
