//! Random models and steps.

use cosim::model::{
    Activation, Architecture, Attention, AttentionKernel, Block, BuildOptions, Embedding, Encoder,
    EncoderInput, Experts, Ffn, FusionSet, Groups, Head, Latent, LatentForm, Norm, NormKind,
    Pairing, Position, QkNorm, RopeScaling, Scoring,
};
use cosim::tensor::{Group, Step};
use proptest::option::of;
use proptest::prelude::*;
use std::ops::Range;

/// From where to where the extents of a random model lie.
#[derive(Debug, Clone)]
pub struct Extents {
    pub layers: Range<u64>,
    pub hidden: Range<u64>,
    pub vocabulary: Range<u64>,
    pub inner: Range<u64>,
    pub kv_heads: Range<u64>,
    /// Query heads per key head.
    pub group: Range<u64>,
    /// Half the elements of a head.
    pub half_dim: Range<u64>,
    pub window: Range<u64>,
    /// Most experts per group.
    pub experts: u64,
    /// Rows of a learned position table.
    pub positions: u64,
}

/// Models that the executor runs in no time.
pub fn tiny() -> Extents {
    Extents {
        layers: 1..5,
        hidden: 2..7,
        vocabulary: 2..12,
        inner: 1..8,
        kv_heads: 1..3,
        group: 1..4,
        half_dim: 1..4,
        window: 1..9,
        experts: 4,
        positions: 64,
    }
}

/// Models of the size of real ones.
pub fn large() -> Extents {
    Extents {
        layers: 1..100,
        hidden: 64..9000,
        vocabulary: 500..260_000,
        inner: 64..30_000,
        kv_heads: 1..33,
        group: 1..9,
        half_dim: 8..129,
        window: 1..6000,
        experts: 64,
        positions: 40_000,
    }
}

fn attention(e: &Extents) -> impl Strategy<Value = Attention> + use<> {
    let heads = (e.kv_heads.clone(), e.group.clone(), e.half_dim.clone());
    let windows = prop::collection::vec(of(e.window.clone()), 1..4);
    let norms = vec![QkNorm::None, QkNorm::Head, QkNorm::OwnHead];
    let flags = (prop::array::uniform3(any::<bool>()), prop::sample::select(norms));
    (heads, flags, of(Just(50.0)), windows).prop_map(
        |((kv_heads, group, half), ([qkv_bias, out_bias, sinks], qk_norm), softcap, windows)| {
            Attention {
                heads: kv_heads * group,
                kv_heads,
                head_dim: 2 * half,
                qkv_bias,
                k_bias: true,
                out_bias,
                qk_norm,
                scale: 1.0 / (2.0 * half as f64).sqrt(),
                softcap,
                sinks,
                latent: None,
                windows,
            }
        },
    )
}

/// Learned positions, a bias by distance, keys of distances, or a rotation of some of a head's elements.
fn position(positions: u64) -> impl Strategy<Value = (u64, Position)> {
    let scaling = prop_oneof![Just(None), Just(Some(RopeScaling::Linear { factor: 2.0 }))];
    let pairing = prop_oneof![Just(Pairing::Half), Just(Pairing::Interleaved)];
    (0..5u8, 1..200u64, 0..3u64, pairing, scaling, of(Just(100.0))).prop_map(
        move |(kind, part, offset, pairing, scaling, local)| {
            let position = match kind {
                0 => Position::Learned { positions, offset },
                1 => Position::Alibi,
                2 => Position::TransformerXl,
                3 => Position::AlibiBf16,
                _ => Position::Rope {
                    theta: 1e4,
                    rotary_dim: 0,
                    pairing,
                    scaling,
                    local_theta: local,
                },
            };
            (part, position)
        },
    )
}

fn ffn(inner: Range<u64>) -> impl Strategy<Value = Ffn> {
    let activation = prop_oneof![
        Just(Activation::Silu),
        Just(Activation::GeluTanh),
        Just(Activation::GeluErf),
        Just(Activation::Relu)
    ];
    (inner, activation, any::<bool>(), any::<bool>())
        .prop_map(|(inner, activation, gated, bias)| Ffn { inner, activation, gated, bias })
}

/// Experts of any kind; the first layers are dense where there are several.
fn experts(e: &Extents) -> impl Strategy<Value = Experts> + use<> {
    let scoring =
        prop_oneof![Just(Scoring::Softmax), Just(Scoring::TopKSoftmax), Just(Scoring::Sigmoid)];
    let sizes =
        (1..=e.experts, 1..4u64, any::<prop::sample::Index>(), any::<prop::sample::Index>());
    let flags = prop::array::uniform5(any::<bool>());
    (sizes, e.inner.clone(), of(e.inner.clone()), scoring, flags, 0..3u64).prop_map(
        |((size, groups, kept, active), inner, shared, scoring, flags, dense_layers)| {
            let [grouped, normalise, correction, router_bias, limited] = flags;
            let kept = 1 + kept.index(groups as usize) as u64;
            let reachable = size * if grouped { kept } else { groups };
            Experts {
                count: size * groups,
                active: 1 + active.index(reachable.min(8) as usize) as u64,
                inner,
                shared,
                scoring,
                normalise,
                groups: grouped.then_some(Groups { count: groups, active: kept, best: 1 }),
                scaling: if normalise { 2.5 } else { 1.0 },
                correction,
                router_bias,
                limit: limited.then_some(0.5),
                dense_layers,
            }
        },
    )
}

fn norm() -> impl Strategy<Value = Norm> {
    let kind = prop_oneof![Just(NormKind::Rms), Just(NormKind::Layer)];
    (kind, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(kind, unit_offset, bias, post)| Norm {
            kind,
            epsilon: 1e-5,
            unit_offset,
            bias,
            pre: true,
            post,
        },
    )
}

/// Any model within the extents.
pub fn architectures(e: &Extents) -> impl Strategy<Value = Architecture> + use<> {
    let block = prop_oneof![
        2 => Just(Block::Sequential),
        1 => (1..3u64).prop_map(|norms| Block::Parallel { norms })
    ];
    let head = (any::<bool>(), any::<bool>(), of(Just(30.0)))
        .prop_map(|(tied, bias, softcap)| Head { tied, bias, scale: None, softcap });
    let sizes = (e.layers.clone(), e.hidden.clone(), e.vocabulary.clone());
    let network = (ffn(e.inner.clone()), of(experts(e)));
    let parts = (attention(e), position(e.positions), network, norm());
    let embedding =
        (of(Just(2.0)), any::<bool>()).prop_map(|(scale, norm)| Embedding { scale, norm });
    (sizes, parts, block, head, embedding).prop_map(
        |(
            (layers, hidden, vocabulary),
            (attention, position, network, norm),
            block,
            head,
            embedding,
        )| {
            let (mut ffn, mut experts) = network;
            if let Some(experts) = &mut experts {
                experts.dense_layers = experts.dense_layers.min(layers - 1);
                if experts.dense_layers == 0 {
                    ffn.inner = experts.inner;
                }
                if !ffn.gated || experts.shared.is_some() || experts.dense_layers > 0 {
                    experts.limit = None;
                }
            }
            let (part, mut position) = position;
            let (mut attention, mut hidden) = (attention, hidden);
            if position == Position::TransformerXl {
                attention.windows = vec![None];
                hidden = 2 * hidden.div_ceil(2);
            }
            if let Position::Rope { rotary_dim, .. } = &mut position {
                *rotary_dim = 2 * (1 + part % (attention.head_dim / 2));
            }
            Architecture {
                id: "random".into(),
                name: "random".into(),
                source: "proptest".into(),
                vocabulary,
                hidden,
                layers,
                max_context: 40_000,
                attention,
                position,
                ffn,
                experts,
                norm,
                block,
                head,
                embedding,
                encoder: None,
            }
        },
    )
}

/// Any model with latent attention within the extents, in one of its forms.
pub fn latents(e: &Extents) -> impl Strategy<Value = Architecture> + use<> {
    let widths = (of(1..5u64), 1..5u64, 1..5u64, 1..3u64, 1..4u64);
    let pairing = prop_oneof![Just(Pairing::Half), Just(Pairing::Interleaved)];
    (architectures(e), widths, pairing, any::<bool>()).prop_map(
        |(model, (query, key_value, value, turned, own), pairing, expanded)| {
            let form = if expanded { LatentForm::Expanded } else { LatentForm::Absorbed };
            let (heads, head_dim) = (model.attention.heads, 2 * turned + own);
            Architecture {
                attention: Attention {
                    kv_heads: heads,
                    head_dim,
                    qkv_bias: false,
                    out_bias: false,
                    qk_norm: QkNorm::None,
                    softcap: None,
                    sinks: false,
                    latent: Some(Latent { query, key_value, value, form }),
                    windows: vec![None],
                    ..model.attention
                },
                position: Position::Rope {
                    theta: 1e4,
                    rotary_dim: 2 * turned,
                    pairing,
                    scaling: None,
                    local_theta: None,
                },
                ..model
            }
        },
    )
}

/// Any model with an encoder within the extents: of tokens as in T5, or of audio as in Whisper.
pub fn encoder_decoders(e: &Extents) -> impl Strategy<Value = Architecture> + use<> {
    let positions = e.positions;
    let stack = (e.layers.clone(), 1..4u64, 1..5u64, 2..9u64, 1..5u64);
    let flags = (any::<bool>(), any::<bool>(), of(Just(0.5)));
    (architectures(e), stack, flags).prop_map(
        move |(model, (layers, start_tokens, mel_bins, half, beyond), (audio, k_bias, scale))| {
            let buckets = 2 * half;
            let (input, position) = if audio {
                let position = Position::Learned { positions, offset: 0 };
                (EncoderInput::Audio { mel_bins }, position)
            } else {
                let position = Position::Relative { buckets, max_distance: half + beyond };
                (EncoderInput::Tokens, position)
            };
            let max_source = positions;
            Architecture {
                position,
                attention: Attention {
                    k_bias,
                    qk_norm: QkNorm::None,
                    sinks: false,
                    ..model.attention
                },
                experts: None,
                norm: Norm { post: false, ..model.norm },
                block: Block::Sequential,
                head: Head { scale, ..model.head },
                embedding: Embedding { norm: false, ..model.embedding },
                encoder: Some(Encoder { layers, max_source, start_tokens, input }),
                ..model
            }
        },
    )
}

/// Steps of groups with up to these many sequences, new and past tokens.
pub fn steps(count: u64, new: u64, past: u64) -> impl Strategy<Value = Step> {
    let group = (1..=count, 1..=new, 0..=past);
    prop::collection::vec(group, 1..4).prop_map(|groups| {
        let groups =
            groups.into_iter().map(|(count, new, past)| Group { count, new, past, source: 0 });
        Step::mixed(groups).expect("valid")
    })
}

/// Every attention kernel with every set of fusions.
pub fn all_options() -> Vec<BuildOptions> {
    let kernels = [AttentionKernel::Flash, AttentionKernel::Naive];
    let options = kernels.into_iter().flat_map(|attention| {
        let fusions = [FusionSet::Default, FusionSet::None];
        fusions.map(|fusions| BuildOptions { attention, fusions, ..BuildOptions::default() })
    });
    options.collect()
}
