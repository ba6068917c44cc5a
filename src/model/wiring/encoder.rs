//! The encoder: its input, its layers, and what it leaves for the decoder.

use super::attention::Seen;
use super::{BuildOptions, Wiring};
use crate::graph::{Graph, GraphError, NodeId, Source};
use crate::model::architecture::{Activation, Architecture, Encoder, EncoderInput, Position};
use crate::model::output::Output;
use crate::op::{self, Activate, Add, Buckets, Conv1d, Embedding, ScoreBias};
use crate::tensor::{Dim, Mask, Role, Stripe, TensorType, WeightKind};

/// Taps of the convolutions of an audio stem.
const TAPS: u64 = 3;
/// Frames for each position: the stride of the second convolution.
const FRAMES: u64 = 2;

impl Architecture {
    /// The graph of the encode step, which runs once for each input; `None` without an encoder. Its
    /// result is the encoder's last hidden state, and it keeps the keys and values that each decoder
    /// layer attends to, where there is a decoder.
    ///
    /// # Errors
    /// As [`Architecture::graph`].
    pub fn encoder_graph(&self, options: &BuildOptions) -> Result<Option<Graph>, GraphError> {
        let Some(encoder) = self.encoder else { return Ok(None) };
        let mut wiring = Wiring::new(self, options);
        let x = match encoder.input {
            EncoderInput::Tokens => wiring.source_tokens()?,
            EncoderInput::Audio { mel_bins } => wiring.stem(mel_bins, encoder.max_source)?,
        };
        let x = wiring.encoder_layers(x, &encoder)?;
        let x = wiring.norm("encoder.norm", x, Dim::Tokens, (1, self.hidden))?;
        if options.output != Output::Encoded {
            wiring.cross_cache(x)?;
        }
        Ok(Some(wiring.builder.finish(&[x], &options.fusions())))
    }
}

impl Wiring<'_> {
    /// Rows of the decoder's embedding.
    fn source_tokens(&mut self) -> Result<NodeId, GraphError> {
        let (vocabulary, width) = (self.arch.vocabulary, self.arch.hidden);
        let ids = TensorType { rows: Dim::Tokens, width: 1, role: Role::TokenIds };
        let ids = self.builder.source("encoder.token_ids", Source::Input, ids);
        let table = self.weight("embed.tokens.weight", WeightKind::Embedding, vocabulary, width);
        let embedding = Embedding { vocabulary, width, first: 0, scale: self.arch.embedding.scale };
        self.builder.apply("encoder.embed.tokens", embedding, &[ids, table])
    }

    /// Mel frames through two convolutions, with a table of positions added.
    fn stem(&mut self, mel_bins: u64, positions: u64) -> Result<NodeId, GraphError> {
        let width = self.arch.hidden;
        let frames = TensorType::activation(Dim::Frames(FRAMES), mel_bins);
        let frames = self.builder.source("encoder.mel", Source::Input, frames);
        let first = (FRAMES, 1);
        let x = self.convolution("encoder.conv1", frames, (mel_bins, width), first)?;
        let x = self.convolution("encoder.conv2", x, (width, width), (1, FRAMES))?;
        let kind = WeightKind::Position;
        let table = self.weight("encoder.embed.positions.weight", kind, positions, width);
        let position = op::Position { positions, offset: 0, width, stripe: Stripe::ALL };
        let rows = self.builder.apply("encoder.embed.positions", position, &[table])?;
        self.builder.apply("encoder.embed.add", Add { rows: Dim::Tokens, width }, &[x, rows])
    }

    /// A convolution over time with GELU behind it.
    fn convolution(
        &mut self,
        name: &str,
        x: NodeId,
        (inputs, outputs): (u64, u64),
        (per_token, stride): (u64, u64),
    ) -> Result<NodeId, GraphError> {
        let (kind, taps) = (WeightKind::Convolution, TAPS * inputs);
        let weight = self.weight(&format!("{name}.weight"), kind, outputs, taps);
        let bias = self.weight(&format!("{name}.bias"), WeightKind::Bias, 1, outputs);
        let op = Conv1d { per_token, inputs, outputs, kernel: TAPS, stride };
        let y = self.builder.apply(name, op, &[x, weight, bias])?;
        let rows = if per_token == 1 { Dim::Tokens } else { Dim::Frames(per_token) };
        let gelu = Activate::new(rows, outputs, Activation::GeluErf);
        self.builder.apply(format!("{name}.activation"), gelu, &[y])
    }

    fn encoder_layers(&mut self, x: NodeId, encoder: &Encoder) -> Result<NodeId, GraphError> {
        self.bias_table("encoder.attn.scores.weight");
        let width = self.arch.hidden;
        let entry = self.builder.enter("encoder.layers", encoder.layers, 1, x);
        let normed = self.norm("encoder.attn.norm", entry, Dim::Tokens, (1, width))?;
        let delta = self.encoder_attention(normed)?;
        let x = self.builder.apply(
            "encoder.attn.add",
            Add { rows: Dim::Tokens, width },
            &[entry, delta],
        )?;
        let normed = self.norm("encoder.ffn.norm", x, Dim::Tokens, (1, width))?;
        let delta = self.ffn("encoder.ffn", normed, self.arch.ffn.inner)?;
        let x =
            self.builder.apply("encoder.ffn.add", Add { rows: Dim::Tokens, width }, &[x, delta])?;
        self.builder.leave(entry, x)
    }

    /// Every position sees every other; as many key heads as query heads.
    fn encoder_attention(&mut self, x: NodeId) -> Result<NodeId, GraphError> {
        let (a, width) = (self.arch.attention.clone(), self.arch.hidden);
        let shape = (width, a.q_width());
        let q = self.project("encoder.attn.q", x, shape, a.qkv_bias)?;
        let k = self.project("encoder.attn.k", x, shape, a.qkv_bias && a.k_bias)?;
        let v = self.project("encoder.attn.v", x, shape, a.qkv_bias)?;
        let bias = match self.arch.position {
            Position::Relative { buckets: count, max_distance } => {
                Some(ScoreBias::Relative(Buckets { count, max_distance, bidirectional: true }))
            }
            _ => None,
        };
        let seen = Seen { kv_heads: a.heads, mask: Mask::Full, bias };
        let out = self.attend("encoder.attn", &seen, [q, k, v])?;
        self.project("encoder.attn.out", out, (a.q_width(), width), a.out_bias)
    }
}
