//! Cross-attention: keys and values that an encoder leaves, and the decoder's look at them.

use super::Wiring;
use super::attention::Seen;
use crate::graph::{GraphError, NodeId, Source};
use crate::op::{Add, KvAppend};
use crate::tensor::{Dim, Mask, TensorType};

impl Wiring<'_> {
    /// Keys and values of every decoder layer from the encoder's result `x: [source, D]`, computed
    /// once and kept (A42): a region with the decoder's layers that hands on what it was entered with.
    pub(super) fn cross_cache(&mut self, x: NodeId) -> Result<(), GraphError> {
        let a = self.arch.attention.clone();
        let (kv_heads, head_dim, mask) = (a.kv_heads, a.head_dim, Mask::Cross);
        let shape = (self.arch.hidden, a.kv_width());
        self.builder.first_layer(0);
        let x = self.builder.enter("cross", self.arch.layers, 1, x);
        let k = self.project("cross.k", x, shape, a.qkv_bias && a.k_bias)?;
        let v = self.project("cross.v", x, shape, a.qkv_bias)?;
        let append = KvAppend { kv_heads, head_dim, mask };
        self.builder.apply("cross.append_k", append.clone(), &[k])?;
        self.builder.apply("cross.append_v", append, &[v])?;
        self.builder.leave(x, x)?;
        Ok(())
    }

    /// `x + attention(norm x)` over the keys and values that the encoder left.
    pub(super) fn cross(&mut self, x: NodeId) -> Result<NodeId, GraphError> {
        let (a, width) = (self.arch.attention.clone(), self.arch.hidden);
        let (kv_heads, mask) = (a.kv_heads, Mask::Cross);
        let normed = self.norm("cross.norm", x, Dim::Tokens, (1, width))?;
        let q = self.project("cross.q", normed, (width, a.q_width()), a.qkv_bias)?;
        let kept = TensorType::keys(kv_heads, a.head_dim, mask);
        let [keys, values] = ["cross.append_k.past", "cross.append_v.past"]
            .map(|name| self.builder.source(name, Source::Cache, kept));
        let seen = Seen { kv_heads, mask, bias: None };
        let out = self.attend("cross", &seen, [q, keys, values])?;
        let delta = self.project("cross.out", out, (a.q_width(), width), a.out_bias)?;
        self.builder.apply("cross.add", Add { width }, &[x, delta])
    }
}
