//! What drafts from the model's own hidden state: Medusa heads and multi-token-prediction modules.

use super::{BuildOptions, Wiring};
use crate::graph::{Graph, GraphError, Source};
use crate::model::architecture::{Activation, Architecture};
use crate::op::{Activate, Add, Embedding, MatMul, Sample, Select};
use crate::tensor::{Dim, Role, TensorType, WeightKind};

impl Architecture {
    /// One Medusa head: `softmax(W2 (silu(W1 h) + h))` with `W1: [D, D]` and `W2: [V, D]`, on the
    /// last hidden state `h` of each sequence (Cai et al., arXiv 2401.10774, section 2.1.1).
    ///
    /// # Errors
    /// None for a checked architecture.
    pub fn medusa_head(&self, options: &BuildOptions) -> Result<Graph, GraphError> {
        let mut wiring = Wiring::new(self, options);
        let (width, vocabulary) = (self.hidden, self.vocabulary);
        let hidden = TensorType::activation(Dim::Tokens, width);
        let hidden = wiring.builder.source("hidden", Source::Input, hidden);
        let inner = wiring.project("medusa.block", hidden, (width, width), false)?;
        let silu = Activate::new(Dim::Tokens, width, Activation::Silu);
        let inner = wiring.builder.apply("medusa.silu", silu, &[inner])?;
        let x = wiring.builder.apply(
            "medusa.add",
            Add { rows: Dim::Tokens, width },
            &[hidden, inner],
        )?;
        let x = wiring.builder.apply("medusa.select", Select { width }, &[x])?;
        let head = wiring.weight("medusa.logits.weight", WeightKind::Head, vocabulary, width);
        let rows = Dim::Logits;
        let product = MatMul { rows, inputs: width, outputs: vocabulary, bias: false };
        let logits = wiring.builder.apply("medusa.logits", product, &[x, head])?;
        let sample = Sample { vocabulary, sampler: crate::op::Sampler::Greedy };
        let token = wiring.builder.apply("medusa.sample", sample, &[logits])?;
        Ok(wiring.builder.finish(&[token], &options.fusions()))
    }

    /// One multi-token-prediction module: `M [norm(h); norm(embed(token))]` with `M: [D, 2 D]`, a
    /// layer of the model, then the shared head (DeepSeek-V3, arXiv 2412.19437, section 2.2).
    ///
    /// The product with the concatenation is two products and their sum. Embedding, final norm and
    /// head are the model's own and carry its names; the rest lies in a layer behind the model's.
    ///
    /// # Errors
    /// None for a checked architecture.
    pub fn mtp_module(&self, options: &BuildOptions) -> Result<Graph, GraphError> {
        let mut wiring = Wiring::new(self, options);
        let (width, vocabulary) = (self.hidden, self.vocabulary);
        let hidden = TensorType::activation(Dim::Tokens, width);
        let hidden = wiring.builder.source("hidden", Source::Input, hidden);
        let ids = TensorType { rows: Dim::Tokens, width: 1, role: Role::TokenIds };
        let ids = wiring.builder.source("token_ids", Source::Input, ids);
        let kind = WeightKind::Embedding;
        let table = wiring.weight("embed.tokens.weight", kind, vocabulary, width);
        let embedding = Embedding { vocabulary, width, first: 0, scale: self.embedding.scale };
        let token = wiring.builder.apply("embed.tokens", embedding, &[ids, table])?;
        wiring.builder.layer(self.layers);
        let hidden = wiring.norm("mtp.hidden_norm", hidden, Dim::Tokens, (1, width))?;
        let token = wiring.norm("mtp.token_norm", token, Dim::Tokens, (1, width))?;
        let hidden = wiring.project("mtp.from_hidden", hidden, (width, width), false)?;
        let token = wiring.project("mtp.from_token", token, (width, width), false)?;
        let x = wiring.builder.apply(
            "mtp.merge",
            Add { rows: Dim::Tokens, width },
            &[hidden, token],
        )?;
        let x = wiring.layer(x, self.layers)?;
        wiring.builder.layer(0);
        let normed = wiring.last_hidden(x)?;
        let token = wiring.head(normed, table, options.sampler)?;
        Ok(wiring.builder.finish(&[token], &options.fusions()))
    }
}
