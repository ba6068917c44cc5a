//! From an [`Architecture`] to the graph of its step.
//!
//! Node names follow `attn.q`, `ffn.up`, `head.logits`; a weight is its reader's name with
//! `.weight` or `.bias` behind it.

mod attention;
mod cross;
mod encoder;
mod experts;
mod ffn;
mod heads;
mod latent;
mod layer;

use super::architecture::{Architecture, Norm, Position};
use super::output::Output;
use crate::graph::fusion::{DEFAULT, FLASH, Fusion};
use crate::graph::{Builder, Graph, GraphError, NodeId, Source};
use crate::op::{
    self, Activate, Activation, Add, Embedding, MatMul, Routing, Sample, Sampler, Select,
};
use crate::tensor::{Dim, Role, Stripe, TensorType, WeightKind};

/// Which attention kernel runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttentionKernel {
    /// Scores and probabilities are written to memory and read back.
    Naive,
    /// They stay on chip.
    Flash,
}

impl AttentionKernel {
    /// Name in files and results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::Flash => "flash",
        }
    }
}

/// Whether the default fusions apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FusionSet {
    /// All of [`DEFAULT`].
    Default,
    /// None: every operator is a kernel of its own, attention as its kernel says.
    None,
}

impl FusionSet {
    /// Name in files and results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::None => "none",
        }
    }
}

/// How a model's step becomes a graph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BuildOptions {
    /// Attention kernel.
    pub attention: AttentionKernel,
    /// Fusions.
    pub fusions: FusionSet,
    /// How tokens are chosen.
    pub sampler: Sampler,
    /// How tokens spread over experts.
    pub routing: Routing,
    /// What the graphs end in.
    pub output: Output,
}

impl Default for BuildOptions {
    fn default() -> Self {
        let (attention, fusions) = (AttentionKernel::Flash, FusionSet::Default);
        let (sampler, routing) = (Sampler::Greedy, Routing::Uniform);
        Self { attention, fusions, sampler, routing, output: Output::Logits }
    }
}

impl BuildOptions {
    /// The fusions that apply, in order.
    fn fusions(&self) -> Vec<&'static Fusion> {
        let default: &[&Fusion] = match self.fusions {
            FusionSet::Default => DEFAULT,
            FusionSet::None => &[],
        };
        let flash: &[&Fusion] = match self.attention {
            AttentionKernel::Flash => &[FLASH],
            AttentionKernel::Naive => &[],
        };
        [flash, default].concat()
    }
}

impl Architecture {
    /// The graph of one step of this model's decoder.
    ///
    /// # Errors
    /// None for a checked architecture; a wiring that does not type is reported, not hidden.
    pub fn graph(&self, options: &BuildOptions) -> Result<Graph, GraphError> {
        let mut wiring = Wiring::new(self, options);
        let (x, table) = wiring.embed()?;
        wiring.bias_table("attn.scores.weight");
        let x = wiring.layers(x)?;
        let normed = wiring.last_hidden(x)?;
        let result = match options.output {
            Output::Logits => wiring.head(normed, table, options.sampler)?,
            Output::Hidden | Output::Encoded => normed,
        };
        Ok(wiring.builder.finish(&[result], &options.fusions()))
    }
}

/// A graph under construction for one architecture.
struct Wiring<'a> {
    builder: Builder,
    arch: &'a Architecture,
    options: &'a BuildOptions,
    /// Table of the learned bias of the stack under construction; `None` without one.
    bias: Option<NodeId>,
}

impl<'a> Wiring<'a> {
    fn new(arch: &'a Architecture, options: &'a BuildOptions) -> Self {
        Self { builder: Builder::new(), arch, options, bias: None }
    }

    /// The table of learned biases that all layers of the stack read, where the model has one.
    fn bias_table(&mut self, name: &str) {
        let (rows, heads) = (self.arch.position.buckets(), self.arch.attention.heads);
        self.bias = (rows > 0).then(|| self.weight(name, WeightKind::Position, rows, heads));
    }

    fn weight(&mut self, name: &str, kind: WeightKind, rows: u64, width: u64) -> NodeId {
        self.builder.source(name, Source::Weight, TensorType::weight(kind, rows, width))
    }

    /// `x w (+ b)` with weights named after the node.
    fn project(
        &mut self,
        name: &str,
        x: NodeId,
        (inputs, outputs): (u64, u64),
        bias: bool,
    ) -> Result<NodeId, GraphError> {
        let kind = WeightKind::Projection;
        let mut operands = vec![x, self.weight(&format!("{name}.weight"), kind, outputs, inputs)];
        if bias {
            operands.push(self.weight(&format!("{name}.bias"), WeightKind::Bias, 1, outputs));
        }
        self.builder.apply(name, MatMul { rows: Dim::Tokens, inputs, outputs, bias }, &operands)
    }

    /// The architecture's norm over rows of `groups` heads of `width` elements.
    fn norm(
        &mut self,
        name: &str,
        x: NodeId,
        rows: Dim,
        groups: (u64, u64),
    ) -> Result<NodeId, GraphError> {
        self.norm_of(name, x, rows, (groups, false))
    }

    /// The same over the heads of tokens, where each has a gain of its own if need be.
    fn head_norm(
        &mut self,
        name: &str,
        x: NodeId,
        groups: (u64, u64),
        own_gain: bool,
    ) -> Result<NodeId, GraphError> {
        self.norm_of(name, x, Dim::Tokens, (groups, own_gain))
    }

    fn norm_of(
        &mut self,
        name: &str,
        x: NodeId,
        rows: Dim,
        ((groups, width), own_gain): ((u64, u64), bool),
    ) -> Result<NodeId, GraphError> {
        let gains = if own_gain { groups * width } else { width };
        let Norm { kind, epsilon, unit_offset, bias, .. } = self.arch.norm;
        let mut operands =
            vec![x, self.weight(&format!("{name}.weight"), WeightKind::Norm, 1, gains)];
        if bias {
            operands.push(self.weight(&format!("{name}.bias"), WeightKind::Bias, 1, gains));
        }
        let norm = op::Norm { kind, rows, groups, width, epsilon, unit_offset, bias, own_gain };
        self.builder.apply(name, norm, &operands)
    }

    /// Token embedding, with learned positions added where the model has them; also the table.
    fn embed(&mut self) -> Result<(NodeId, NodeId), GraphError> {
        let (vocabulary, width) = (self.arch.vocabulary, self.arch.hidden);
        let ids = TensorType { rows: Dim::Tokens, width: 1, role: Role::TokenIds };
        let ids = self.builder.source("token_ids", Source::Input, ids);
        let table = self.weight("embed.tokens.weight", WeightKind::Embedding, vocabulary, width);
        let scale = self.arch.embedding.scale;
        let embedding = Embedding { vocabulary, width, first: 0, scale };
        let x = self.builder.apply("embed.tokens", embedding, &[ids, table])?;
        let x = match self.arch.embedding.norm {
            true => self.norm("embed.norm", x, Dim::Tokens, (1, width))?,
            false => x,
        };
        let Position::Learned { positions, offset } = self.arch.position else {
            return Ok((x, table));
        };
        let rows = self.weight("embed.positions.weight", WeightKind::Position, positions, width);
        let op = op::Position { positions, offset, width, stripe: Stripe::ALL };
        let positions = self.builder.apply("embed.positions", op, &[rows])?;
        let x =
            self.builder.apply("embed.add", Add { rows: Dim::Tokens, width }, &[x, positions])?;
        Ok((x, table))
    }

    /// Final norm of the rows that get logits.
    fn last_hidden(&mut self, x: NodeId) -> Result<NodeId, GraphError> {
        let hidden = self.arch.hidden;
        let last = self.builder.apply("head.select", Select { width: hidden }, &[x])?;
        self.norm("head.norm", last, Dim::Logits, (1, hidden))
    }

    /// Head and sampling on the normed rows that get logits.
    fn head(
        &mut self,
        normed: NodeId,
        table: NodeId,
        sampler: Sampler,
    ) -> Result<NodeId, GraphError> {
        let (vocabulary, hidden) = (self.arch.vocabulary, self.arch.hidden);
        let head = self.arch.head;
        let weight = if head.tied {
            table
        } else {
            self.weight("head.logits.weight", WeightKind::Head, vocabulary, hidden)
        };
        let normed = match head.scale {
            Some(scale) => {
                let function = Activation::Scale(scale);
                let scale = Activate::new(Dim::Logits, hidden, function);
                self.builder.apply("head.scale", scale, &[normed])?
            }
            None => normed,
        };
        let mut operands = vec![normed, weight];
        if head.bias {
            operands.push(self.weight("head.logits.bias", WeightKind::Bias, 1, vocabulary));
        }
        let (inputs, outputs, bias) = (hidden, vocabulary, head.bias);
        let product = MatMul { rows: Dim::Logits, inputs, outputs, bias };
        let mut logits = self.builder.apply("head.logits", product, &operands)?;
        if let Some(cap) = head.softcap {
            let function = Activation::SoftCap(cap);
            let cap = Activate::new(Dim::Logits, vocabulary, function);
            logits = self.builder.apply("head.softcap", cap, &[logits])?;
        }
        let mut operands = vec![logits];
        if sampler != Sampler::Greedy {
            let uniform = TensorType::activation(Dim::Logits, 1);
            operands.push(self.builder.source("uniform", Source::Input, uniform));
        }
        self.builder.apply("head.sample", Sample { vocabulary, sampler }, &operands)
    }
}
