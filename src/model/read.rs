//! A model file to an [`Architecture`]: defaults that are mathematics, then the checks.

use super::check::{Refusal, check, head_dim};
use super::encoder::RawEncoder;
use super::raw::{
    QkNormName, RawActivation, RawAttention, RawBlock, RawExperts, RawGroups, RawModel, RawNorm,
    RawNormKind, RawPairing, RawPosition, RawQkNorm, RawScale, RawScaling, RawScoring, RawWindow,
};
use super::{
    Activation, Architecture, Attention, Block, Embedding, Experts, Ffn, Groups, Head, Norm,
    NormKind, Pairing, Position, QkNorm, RopeScaling, Scoring,
};
use crate::diagnostic::Diagnostic;
use crate::yaml::{Position as Line, Source, Spanned};

impl Architecture {
    /// Reads a model file (`workloads/models/*.yaml`).
    ///
    /// # Errors
    /// Malformed YAML, an unknown or missing field, or sizes that do not fit together; each with
    /// its place.
    pub fn from_yaml(source: &Source) -> Result<Self, Diagnostic> {
        let raw: RawModel = source.parse().map_err(without_spans)?;
        let model = convert(&raw);
        model.and_then(|m| check(&m).map(|()| m)).map_err(|refusal| {
            let line = place(&raw, refusal.field).unwrap_or_default();
            Diagnostic::new(refusal.message).at(source.place(line)).hint_opt(refusal.hint)
        })
    }
}

/// The parser's path without the step into [`Spanned`], which no field of a model file is named.
fn without_spans(mut refusal: Diagnostic) -> Diagnostic {
    if let Some((path, rest)) = refusal.message.split_once(": ") {
        refusal.message = format!("{}: {rest}", path.replace(".value", ""));
    }
    refusal
}

fn convert(raw: &RawModel) -> Result<Architecture, Refusal> {
    let hidden = raw.hidden.value;
    let attention = attention(hidden, &raw.attention)?;
    Ok(Architecture {
        id: raw.id.value.clone(),
        name: raw.name.value.clone(),
        source: raw.source.value.clone(),
        vocabulary: raw.vocabulary.value,
        hidden,
        layers: raw.layers.value,
        max_context: raw.max_context.value,
        position: position(attention.head_dim, &raw.position),
        attention,
        ffn: Ffn {
            inner: raw.ffn.inner.value,
            activation: activation(raw.ffn.activation),
            gated: raw.ffn.gated,
            bias: raw.ffn.bias,
        },
        experts: raw.experts.as_ref().map(|e| experts(raw.ffn.inner.value, e)),
        norm: norm(&raw.norm)?,
        block: match raw.block.as_ref().map(|b| b.value) {
            None | Some(RawBlock::Sequential) => Block::Sequential,
            Some(RawBlock::Parallel { norms }) => Block::Parallel { norms },
        },
        head: Head {
            tied: raw.head.tied,
            bias: raw.head.bias,
            scale: raw.head.scale.as_ref().map(|s| s.value),
            softcap: raw.head.softcap.as_ref().map(|c| c.value),
        },
        embedding: Embedding {
            scale: embedding_scale(raw).map(|s| match s.value {
                RawScale::Number(scale) => scale,
                RawScale::Named(_) => (hidden as f64).sqrt(),
            }),
            norm: raw.embedding.as_ref().is_some_and(|e| e.norm),
        },
        encoder: raw.encoder.as_ref().map(RawEncoder::read),
    })
}

fn embedding_scale(raw: &RawModel) -> Option<&Spanned<RawScale>> {
    raw.embedding.as_ref()?.scale.as_ref()
}

fn attention(hidden: u64, raw: &RawAttention) -> Result<Attention, Refusal> {
    let heads = raw.heads.value;
    let head_dim = head_dim(hidden, heads, raw.head_dim.as_ref().map(|d| d.value))?;
    let window = |w: &RawWindow| match w {
        RawWindow::Tokens(tokens) => Some(*tokens),
        RawWindow::Named(_) => None,
    };
    Ok(Attention {
        heads,
        kv_heads: raw.kv_heads.value,
        head_dim,
        qkv_bias: raw.qkv_bias,
        k_bias: raw.k_bias,
        out_bias: raw.out_bias,
        qk_norm: match raw.qk_norm {
            RawQkNorm::Flag(false) => QkNorm::None,
            RawQkNorm::Flag(true) => QkNorm::Head,
            RawQkNorm::Named(QkNormName::OwnHead) => QkNorm::OwnHead,
            RawQkNorm::Named(QkNormName::Row) => QkNorm::Row,
        },
        scale: raw.scale.as_ref().map_or(1.0 / (head_dim as f64).sqrt(), |s| s.value),
        softcap: raw.softcap.as_ref().map(|c| c.value),
        sinks: raw.sinks,
        latent: raw.latent.as_ref().map(|l| l.value.read()),
        windows: match &raw.windows {
            Some(windows) => windows.value.iter().map(window).collect(),
            None => vec![None],
        },
    })
}

fn position(head_dim: u64, raw: &RawPosition) -> Position {
    match raw {
        RawPosition::Rope(rope) => Position::Rope {
            theta: rope.theta.value,
            rotary_dim: rope.rotary_dim.as_ref().map_or(head_dim, |d| d.value),
            pairing: match rope.pairing {
                RawPairing::Half => Pairing::Half,
                RawPairing::Interleaved => Pairing::Interleaved,
            },
            scaling: rope.scaling.as_ref().map(|s| scaling(&s.value)),
            local_theta: rope.local_theta.as_ref().map(|t| t.value),
        },
        RawPosition::Learned(learned) => {
            Position::Learned { positions: learned.positions.value, offset: learned.offset }
        }
        RawPosition::Alibi => Position::Alibi,
        RawPosition::AlibiBf16 => Position::AlibiBf16,
        RawPosition::TransformerXl => Position::TransformerXl,
        RawPosition::Relative(relative) => relative.read(),
    }
}

fn scaling(raw: &RawScaling) -> RopeScaling {
    match raw.clone() {
        RawScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context }
        }
        RawScaling::Linear { factor } => RopeScaling::Linear { factor },
        RawScaling::Yarn {
            factor,
            original_context,
            beta_fast,
            beta_slow,
            attention_factor,
            truncate,
        } => RopeScaling::Yarn {
            factor,
            original_context,
            beta_fast,
            beta_slow,
            attention_factor,
            truncate,
        },
        RawScaling::Longrope { short, long, original_context, attention_factor } => {
            RopeScaling::LongRope { short, long, original_context, attention_factor }
        }
        RawScaling::Table { divisors } => RopeScaling::Table { divisors },
    }
}

fn experts(dense_inner: u64, raw: &RawExperts) -> Experts {
    Experts {
        count: raw.count.value,
        active: raw.active.value,
        inner: raw.inner.as_ref().map_or(dense_inner, |i| i.value),
        shared: raw.shared.as_ref().map(|s| s.value),
        scoring: match raw.scoring {
            RawScoring::Softmax => Scoring::Softmax,
            RawScoring::TopKSoftmax => Scoring::TopKSoftmax,
            RawScoring::Sigmoid => Scoring::Sigmoid,
        },
        normalise: raw.normalise,
        groups: raw.groups.as_ref().map(|g| {
            let RawGroups { count, active, best } = g.value;
            Groups { count, active, best }
        }),
        scaling: raw.scaling.as_ref().map_or(1.0, |s| s.value),
        correction: raw.correction,
        router_bias: raw.router_bias,
        limit: raw.limit.as_ref().map(|l| l.value),
        dense_layers: raw.dense_layers.as_ref().map_or(0, |d| d.value),
    }
}

fn activation(raw: RawActivation) -> Activation {
    match raw {
        RawActivation::Silu => Activation::Silu,
        RawActivation::GeluSigmoid => Activation::GeluSigmoid,
        RawActivation::GeluTanh => Activation::GeluTanh,
        RawActivation::GeluErf => Activation::GeluErf,
        RawActivation::Relu => Activation::Relu,
    }
}

fn norm(raw: &RawNorm) -> Result<Norm, Refusal> {
    let bias = raw.bias.as_ref().map(|b| b.value);
    if raw.kind == RawNormKind::Layer && bias.is_none() {
        return Err(Refusal {
            field: "norm",
            message: "a layer norm needs `bias: true` or `bias: false`".to_owned(),
            hint: Some("layer norms of GPT, OPT and Falcon have a bias".to_owned()),
        });
    }
    Ok(Norm {
        kind: match raw.kind {
            RawNormKind::Rms => NormKind::Rms,
            RawNormKind::Layer => NormKind::Layer,
        },
        epsilon: raw.epsilon.value,
        unit_offset: raw.unit_offset,
        bias: bias.unwrap_or(false),
        pre: raw.pre,
        post: raw.post.as_ref().is_some_and(|p| p.value),
    })
}

/// Where a field stands, by the path that [`check`] names.
fn place(raw: &RawModel, field: &str) -> Option<Line> {
    let a = &raw.attention;
    let (rope, learned) = match &raw.position {
        RawPosition::Rope(rope) => (Some(rope), None),
        RawPosition::Learned(learned) => (None, Some(learned)),
        RawPosition::Alibi
        | RawPosition::AlibiBf16
        | RawPosition::TransformerXl
        | RawPosition::Relative(_) => (None, None),
    };
    match field {
        "id" => Some(Line::from(&raw.id)),
        "name" => Some(Line::from(&raw.name)),
        "source" => Some(Line::from(&raw.source)),
        "vocabulary" => Some(Line::from(&raw.vocabulary)),
        "hidden" => Some(Line::from(&raw.hidden)),
        "layers" => Some(Line::from(&raw.layers)),
        "max_context" => Some(Line::from(&raw.max_context)),
        "attention.heads" => Some(Line::from(&a.heads)),
        "attention.kv_heads" => Some(Line::from(&a.kv_heads)),
        "attention.head_dim" => a.head_dim.as_ref().map(Line::from),
        "attention.scale" => a.scale.as_ref().map(Line::from),
        "attention.softcap" => a.softcap.as_ref().map(Line::from),
        "attention.latent" => a.latent.as_ref().map(Line::from),
        "attention.windows" => a.windows.as_ref().map(Line::from),
        "position.rope.theta" => rope.map(|r| Line::from(&r.theta)),
        "position.rope.local_theta" => rope.and_then(|r| r.local_theta.as_ref()).map(Line::from),
        "position.rope.rotary_dim" => {
            rope.and_then(|r| r.rotary_dim.as_ref()).or(a.head_dim.as_ref()).map(Line::from)
        }
        "position.rope.scaling" => rope.and_then(|r| r.scaling.as_ref()).map(Line::from),
        "position.learned.positions" => learned.map(|l| Line::from(&l.positions)),
        "ffn.inner" => Some(Line::from(&raw.ffn.inner)),
        field if field.starts_with("experts.") => expert_place(raw.experts.as_ref()?, field),
        "norm" | "norm.epsilon" => Some(Line::from(&raw.norm.epsilon)),
        "norm.bias" => raw.norm.bias.as_ref().map(Line::from),
        "norm.post" => raw.norm.post.as_ref().map(Line::from),
        "block" => raw.block.as_ref().map(Line::from),
        "head.scale" => raw.head.scale.as_ref().map(Line::from),
        field if field.starts_with("encoder.") => raw.encoder.as_ref()?.place(field),
        field if field.starts_with("position.relative.") => match &raw.position {
            RawPosition::Relative(relative) => relative.place(field),
            _ => None,
        },
        "head.softcap" => raw.head.softcap.as_ref().map(Line::from),
        "embedding.scale" => embedding_scale(raw).map(Line::from),
        _ => None,
    }
}

/// Where a field of the experts stands.
fn expert_place(raw: &RawExperts, field: &str) -> Option<Line> {
    match field {
        "experts.count" => Some(Line::from(&raw.count)),
        "experts.active" => Some(Line::from(&raw.active)),
        "experts.inner" => raw.inner.as_ref().map(Line::from),
        "experts.shared" => raw.shared.as_ref().map(Line::from),
        "experts.groups" => raw.groups.as_ref().map(Line::from),
        "experts.scaling" => raw.scaling.as_ref().map(Line::from),
        "experts.limit" => raw.limit.as_ref().map(Line::from),
        "experts.dense_layers" => raw.dense_layers.as_ref().map(Line::from),
        _ => None,
    }
}
