//! The weights of a model from its files: safetensors in Hugging Face's layouts, and GGUF.
//!
//! A file's directory is read at once, a tensor when it is asked for.

mod assemble;
mod checkpoint;
mod decode;
mod found;
mod gguf;
mod source;

pub use checkpoint::{Checkpoint, WeightError};
pub use gguf::architecture;
pub use source::{Given, Weights};
