//! Decoder layers: how norm, attention, feed-forward network and residual are wired.

use super::Wiring;
use crate::graph::{GraphError, NodeId};
use crate::model::architecture::Block;
use crate::op::Add;
use crate::tensor::Dim;

impl Wiring<'_> {
    /// All layers: the window pattern as the body of a repeated region, and what is left of the
    /// pattern behind it.
    pub(super) fn layers(&mut self, x: NodeId) -> Result<NodeId, GraphError> {
        let pattern = self.arch.attention.windows.len().max(1) as u64;
        let (whole, rest) = (self.arch.layers / pattern, self.arch.layers % pattern);
        let x = if whole > 0 { self.region(x, whole, pattern)? } else { x };
        if rest > 0 { self.region(x, 1, rest) } else { Ok(x) }
    }

    fn region(&mut self, x: NodeId, count: u64, layers: u64) -> Result<NodeId, GraphError> {
        let entry = self.builder.enter("layers", count, layers, x);
        let mut x = entry;
        for layer in 0..layers {
            self.builder.layer(layer);
            let window = self.arch.attention.windows.get(layer as usize).copied().flatten();
            x = self.layer(x, window)?;
        }
        self.builder.leave(entry, x)
    }

    pub(super) fn layer(&mut self, x: NodeId, window: Option<u64>) -> Result<NodeId, GraphError> {
        let width = self.arch.hidden;
        match self.arch.block {
            Block::Sequential => {
                let normed = self.norm("attn.norm", x, Dim::Tokens, (1, width))?;
                let delta = self.attention(normed, window)?;
                let delta = self.post("attn.post_norm", delta)?;
                let x = self.builder.apply("attn.add", Add { width }, &[x, delta])?;
                let normed = self.norm("ffn.norm", x, Dim::Tokens, (1, width))?;
                let delta = self.ffn(normed)?;
                let delta = self.post("ffn.post_norm", delta)?;
                self.builder.apply("ffn.add", Add { width }, &[x, delta])
            }
            Block::Parallel { norms } => {
                let for_attention = self.norm("attn.norm", x, Dim::Tokens, (1, width))?;
                let for_ffn = if norms > 1 {
                    self.norm("ffn.norm", x, Dim::Tokens, (1, width))?
                } else {
                    for_attention
                };
                let attention = self.attention(for_attention, window)?;
                let ffn = self.ffn(for_ffn)?;
                let delta = self.builder.apply("block.merge", Add { width }, &[attention, ffn])?;
                self.builder.apply("block.add", Add { width }, &[x, delta])
            }
        }
    }

    /// The norm behind a sub-layer, where the model has one (Gemma 2).
    fn post(&mut self, name: &str, delta: NodeId) -> Result<NodeId, GraphError> {
        match self.arch.norm.post {
            true => self.norm(name, delta, Dim::Tokens, (1, self.arch.hidden)),
            false => Ok(delta),
        }
    }
}
