//! Decoder layers: how norm, attention, feed-forward network and residual are wired.

use super::Wiring;
use crate::graph::{GraphError, NodeId};
use crate::model::architecture::Block;
use crate::op::Add;
use crate::tensor::Dim;
use std::ops::Range;

impl Wiring<'_> {
    /// All layers: the leading dense ones of a mixture of experts, then the others.
    pub(super) fn layers(&mut self, x: NodeId) -> Result<NodeId, GraphError> {
        let dense = self.arch.experts.map_or(0, |experts| experts.dense_layers);
        let x = self.stretch(x, 0..dense)?;
        self.stretch(x, dense..self.arch.layers)
    }

    /// Layers that are alike but for their windows: the window pattern as the body of a repeated
    /// region, and what is left of the pattern behind it.
    fn stretch(&mut self, x: NodeId, layers: Range<u64>) -> Result<NodeId, GraphError> {
        let pattern = self.arch.attention.windows.len().max(1) as u64;
        let length = layers.end - layers.start;
        let (whole, rest) = (length / pattern, length % pattern);
        let x = if whole > 0 { self.region(x, layers.start, (whole, pattern))? } else { x };
        if rest > 0 { self.region(x, layers.end - rest, (1, rest)) } else { Ok(x) }
    }

    /// `count` times `layers` layers, from layer `first` on.
    fn region(
        &mut self,
        x: NodeId,
        first: u64,
        (count, layers): (u64, u64),
    ) -> Result<NodeId, GraphError> {
        let entry = self.builder.enter("layers", count, layers, x);
        let mut x = entry;
        for layer in 0..layers {
            self.builder.layer(layer);
            x = self.layer(x, first + layer)?;
        }
        self.builder.leave(entry, x)
    }

    pub(super) fn layer(&mut self, x: NodeId, layer: u64) -> Result<NodeId, GraphError> {
        let window = self.arch.attention.window(layer);
        let width = self.arch.hidden;
        match self.arch.block {
            Block::Sequential => {
                let normed = self.pre("attn.norm", x)?;
                let delta = self.attention(normed, window)?;
                let delta = self.post("attn.post_norm", delta)?;
                let x = self.builder.apply(
                    "attn.add",
                    Add { rows: Dim::Tokens, width },
                    &[x, delta],
                )?;
                let x = match self.arch.encoder {
                    Some(_) => self.cross(x)?,
                    None => x,
                };
                let normed = self.pre("ffn.norm", x)?;
                let delta = self.feed_forward(normed, layer)?;
                let delta = self.post("ffn.post_norm", delta)?;
                self.builder.apply("ffn.add", Add { rows: Dim::Tokens, width }, &[x, delta])
            }
            Block::Parallel { norms } => {
                let for_attention = self.norm("attn.norm", x, Dim::Tokens, (1, width))?;
                let for_ffn = if norms > 1 {
                    self.norm("ffn.norm", x, Dim::Tokens, (1, width))?
                } else {
                    for_attention
                };
                let attention = self.attention(for_attention, window)?;
                let ffn = self.feed_forward(for_ffn, layer)?;
                let delta = self.builder.apply(
                    "block.merge",
                    Add { rows: Dim::Tokens, width },
                    &[attention, ffn],
                )?;
                self.builder.apply("block.add", Add { rows: Dim::Tokens, width }, &[x, delta])
            }
        }
    }

    /// The layer's experts, or its dense network.
    fn feed_forward(&mut self, x: NodeId, layer: u64) -> Result<NodeId, GraphError> {
        match self.arch.experts_of(layer) {
            Some(experts) => self.experts(x, &experts),
            None => self.ffn("ffn", x, self.arch.ffn.inner),
        }
    }

    /// The norm before a sub-layer, where the model has one.
    fn pre(&mut self, name: &str, x: NodeId) -> Result<NodeId, GraphError> {
        match self.arch.norm.pre {
            true => self.norm(name, x, Dim::Tokens, (1, self.arch.hidden)),
            false => Ok(x),
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
