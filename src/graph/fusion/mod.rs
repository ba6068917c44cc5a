//! Fusions: which operators run as one kernel, so that values between them stay on chip.
//!
//! A fusion only marks nodes; operators, types and meaning are untouched, and a graph without its
//! marks evaluates to the same values. To add one: a file here and a name in a list below.

mod add_norm;
mod dispatch;
mod flash;
mod gate_up;
mod gather;
mod qkv;
mod quantize;
mod rope_kv_append;

use super::Graph;
use super::node::NodeId;
use crate::op::Op;

/// A rule that groups operators.
#[derive(Debug)]
pub struct Fusion {
    /// Name of the kernels that it makes, behind the nodes' common prefix.
    pub name: &'static str,
    /// The groups found in a graph; each a set of operators that run as one kernel, the one that
    /// gives the kernel its prefix first.
    pub find: fn(&Graph) -> Vec<Vec<NodeId>>,
}

/// Applied unless `--no-fusion` (A5).
pub const DEFAULT: &[&Fusion] = &[
    &gate_up::GATED,
    &gate_up::PLAIN,
    &gate_up::BIASED,
    &rope_kv_append::ROTARY,
    &rope_kv_append::PLAIN,
    &add_norm::FUSION,
    &quantize::NORM,
    &qkv::FUSION,
    &dispatch::FUSION,
    &gather::FUSION,
];

/// Scores, softmax and weighted sum as one kernel: what FlashAttention is to the cost model.
pub const FLASH: &Fusion = &flash::FUSION;

impl Fusion {
    /// Marks every group whose members are not fused yet.
    pub(super) fn apply(&self, graph: &mut Graph) {
        for mut group in (self.find)(graph) {
            let Some(&lead) = group.first() else { continue };
            group.sort_unstable();
            group.dedup();
            if group.len() < 2 || group.iter().any(|&n| graph.node(n).fused.is_some()) {
                continue;
            }
            let name = match graph.node(lead).name.rsplit_once('.') {
                Some((prefix, _)) => format!("{prefix}.{}", self.name),
                None => self.name.to_owned(),
            };
            let quantizes = group.iter().any(|&n| matches!(graph.op(n), Some(Op::Quantize(_))));
            let name = if quantizes { format!("{name}+quantize") } else { name };
            for &node in &group {
                graph.dag[node.0].fused = Some((name.clone(), group[0]));
            }
        }
    }
}
