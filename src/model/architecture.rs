pub use crate::op::{Activation, NormKind, Pairing, RopeScaling};
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    pub id: String, pub name: String, pub source: String,
    pub vocabulary: u64, pub hidden: u64, pub layers: u64, pub max_context: u64,
    pub attention: Attention, pub position: Position, pub ffn: Ffn, pub norm: Norm,
    pub block: Block, pub head: Head, pub embedding: Embedding,
}
#[derive(Debug, Clone, PartialEq)]
pub struct Attention { pub heads: u64, pub kv_heads: u64, pub head_dim: u64, pub qkv_bias: bool, pub out_bias: bool,
    pub qk_norm: bool, pub scale: f64, pub softcap: Option<f64>, pub windows: Vec<Option<u64>> }
#[derive(Debug, Clone, PartialEq)]
pub enum Position { Rope { theta: f64, rotary_dim: u64, pairing: Pairing, scaling: Option<RopeScaling> }, Learned { positions: u64, offset: u64 } }
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ffn { pub inner: u64, pub activation: Activation, pub gated: bool, pub bias: bool }
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm { pub kind: NormKind, pub epsilon: f64, pub unit_offset: bool, pub bias: bool, pub post: bool }
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Block { Sequential, Parallel { norms: u64 } }
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Head { pub tied: bool, pub bias: bool, pub softcap: Option<f64> }
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Embedding { pub scale: Option<f64> }
