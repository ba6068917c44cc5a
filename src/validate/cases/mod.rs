//! Cases of operators. To add one: a file here, a row in the list below.

mod activation;
pub mod attention;
mod cache_format;
#[cfg(test)]
mod check;
mod codes;
mod dequantize;
mod dtype;
mod evaluate;
mod grouped_matmul;
mod kv_append;
mod layer;
mod matmul;
mod norm;
mod packed;
mod quantize;
mod random;
mod rope;
mod routing;
mod sampling;
mod softmax;
mod varlen;
mod verification;

pub use activation::ActivationCase;
pub use attention::Attention;
pub use cache_format::{CacheFormat, CacheScales};
pub use codes::Codes;
pub use dequantize::DequantizeCase;
pub use dtype::Dtype;
pub use grouped_matmul::GroupedMatMulCase;
pub use kv_append::KvAppendCase;
pub use layer::{LayerCase, LayerKeys};
pub use matmul::MatMulCase;
pub use norm::NormCase;
pub use packed::Packed;
pub use quantize::QuantizeCase;
pub use rope::RopeCase;
pub use routing::{RoutingCase, Scores as RoutingScores};
pub use sampling::SamplingCase;
pub use softmax::SoftmaxCase;
pub use varlen::VarlenCase;
pub use verification::VerificationCase;

use super::Case;
use serde::{Deserialize, Serialize};

macro_rules! cases {
    ($($(#[$doc:meta])* $key:ident = $command:literal: $name:ident;)*) => {
        /// A case on the command line: the arguments are the keys of `case.yaml`.
        #[derive(Debug, Clone, PartialEq, clap::Subcommand)]
        pub enum Chosen {
            $($(#[$doc])* #[command(name = $command)] $name(To<$name>),)*
        }

        impl Chosen {
            /// The case as a file has it, and the folder to write.
            pub fn into_file(self) -> (CaseFile, std::path::PathBuf) {
                match self {
                    $(Self::$name(to) => {
                        (CaseFile { $key: Some(to.case), ..CaseFile::default() }, to.out)
                    })*
                }
            }
        }

        /// `case.yaml`: one operator, by name, with its parameters.
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct CaseFile {
            $(
                $(#[$doc])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $key: Option<$name>,
            )*
            /// One layer of a model; its arrays lie beside the file
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub layer: Option<LayerKeys>,
        }

        impl CaseFile {
            /// Names of all that there are cases of.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($key),)* "layer"];

            /// The cases of operators in the file; right is one, or none beside a layer.
            pub fn cases(self) -> Vec<Box<dyn Case>> {
                let mut found: Vec<Box<dyn Case>> = vec![];
                $(if let Some(case) = self.$key { found.push(Box::new(case)); })*
                found
            }
        }
    };
}

cases! {
    /// Attention: MHA, GQA, MQA; prefill, chunks, decode
    attention = "attention": Attention;
    /// Attention of packed sequences of other lengths each
    varlen_attention = "varlen-attention": VarlenCase;
    /// Matrix product of any pair of formats
    matmul = "matmul": MatMulCase;
    /// Codes and scales of numbers
    quantize = "quantize": QuantizeCase;
    /// Numbers that codes and scales stand for
    dequantize = "dequantize": DequantizeCase;
    /// New keys and values into a paged cache
    kv_append = "kv-append": KvAppendCase;
    /// Rotary position embedding of queries or keys
    rope = "rope": RopeCase;
    /// RMS or layer norm of tokens or heads
    norm = "norm": NormCase;
    /// Activation function, gated or not
    activation = "activation": ActivationCase;
    /// Softmax of rows
    softmax = "softmax": SoftmaxCase;
    /// Routing of tokens to experts
    routing = "routing": RoutingCase;
    /// Projection of tokens by their experts
    grouped_matmul = "grouped-matmul": GroupedMatMulCase;
    /// Choice of the next token
    sampling = "sampling": SamplingCase;
    /// Verification of drafted tokens
    verification = "verification": VerificationCase;
}

/// A case and where it is written.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct To<C: clap::Args> {
    /// The case.
    #[command(flatten)]
    pub case: C,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    pub out: std::path::PathBuf,
}
