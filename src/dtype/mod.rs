//! Number formats: what one element costs in bits, how groups of elements share scales, and the
//! schemes that say which format weights, activations and KV cache take.
//!
//! A format here is a name, a width and a kind; which chip has an engine for it is the hardware
//! profile's affair, and which bytes move is the cost model's.

mod block;
mod file;
mod format;
mod gguf;
mod overrides;
mod scaled;
mod scheme;
mod sparsity;
mod storage;

pub use block::Block;
pub use file::{Lookup, RawScheme};
pub use format::{Format, FormatKind};
pub use gguf::{MIXES, Mix, ModelFacts, Part, Weight};
pub use overrides::{Layers, Override};
pub use scaled::{Group, Packing, Scaled};
pub use scheme::{Compute, ParseSchemeError, Scheme};
pub use sparsity::{Index, Sparse, Sparsity};
pub use storage::Storage;

/// The JSON Schema of scheme files.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(RawScheme).to_value()
}
