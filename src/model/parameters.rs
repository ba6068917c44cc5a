//! Parameter counts in closed form.
//!
//! With h = hidden, q = heads * head_dim, k = kv_heads * head_dim, f = inner, per layer:
//! projections h(q + 2k) + qh; feed-forward 2hf, gated 3hf; each norm h. A tied head is counted
//! once, as embedding. A layer of E experts of inner width f' has E times the network and a router
//! h E. A decoder layer behind an encoder has two attentions and three norms. Positions as in
//! Transformer-XL have a projection hq. Buffers (causal masks, rotary frequencies) are not parameters.

use super::{Architecture, Block, Encoder, EncoderInput, Experts, Latent};

/// How many parameters a model has, by place; all in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Parameters {
    /// Token embedding: vocabulary x hidden.
    pub embedding: u128,
    /// Learned positions: rows x hidden; of a learned bias buckets x heads; 0 with rotary positions.
    pub positions: u128,
    /// One decoder layer, with its cross-attention; in a mixture of experts, one with experts.
    pub layer: LayerParameters,
    /// One of the leading layers of a mixture of experts that are dense.
    pub dense_layer: LayerParameters,
    /// Number of layers.
    pub layers: u64,
    /// The norm behind the embedding, bias included; 0 where there is none.
    pub embedding_norm: u128,
    /// How many of them lead as dense ones.
    pub dense_layers: u64,
    /// The norm before the head, bias included.
    pub final_norm: u128,
    /// Head weight (0 where tied) and bias.
    pub head: u128,
    /// The encoder: input, positions, layers and the norm behind them; 0 without one.
    pub encoder: u128,
    /// Everything, tied tensors once.
    pub total: u128,
    /// What one token passes: all but the experts that it is not routed to.
    pub active: u128,
}

/// Parameters of one decoder layer, in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct LayerParameters {
    /// Query, key, value, output and position projection weights, and the scores of sinks.
    pub attention: u128,
    /// Feed-forward weights: of the dense network, or of all experts and the shared network.
    pub ffn: u128,
    /// Weights of the router, which scores the experts.
    pub router: u128,
    /// Norm weights, those of queries and keys included.
    pub norms: u128,
    /// Biases of projections, norms and the router.
    pub biases: u128,
    /// Of all of these, those of experts that one token is not routed to.
    pub idle: u128,
}

impl LayerParameters {
    /// All parameters of the layer.
    pub fn total(&self) -> u128 {
        self.attention + self.ffn + self.router + self.norms + self.biases
    }
}

impl Architecture {
    /// Norms over `hidden` in one layer, before and behind the sublayers.
    pub fn norms_per_layer(&self) -> u64 {
        let before = match self.block {
            Block::Sequential if !self.norm.pre => 0,
            Block::Sequential => 2,
            Block::Parallel { norms } => norms,
        };
        before + if self.norm.post { 2 } else { 0 }
    }

    /// Parameter counts in closed form.
    pub fn parameters(&self) -> Parameters {
        let [hidden, vocabulary] = [self.hidden, self.vocabulary].map(u128::from);
        let positions = match self.position {
            super::Position::Rope { .. }
            | super::Position::Alibi
            | super::Position::AlibiBf16
            | super::Position::TransformerXl => 0,
            super::Position::Relative { buckets, .. } => {
                u128::from(buckets) * u128::from(self.attention.heads)
            }
            super::Position::Learned { positions, .. } => u128::from(positions) * hidden,
        };
        let embedding = vocabulary * hidden;
        let layer = self.layer_parameters(self.experts);
        let dense_layer = self.layer_parameters(None);
        let (layers, dense_layers) = (self.layers, self.experts.map_or(0, |e| e.dense_layers));
        let others = u128::from(layers.saturating_sub(dense_layers));
        let final_norm = hidden + when(self.norm.bias, hidden);
        let head = when(!self.head.tied, embedding) + when(self.head.bias, vocabulary);
        let embedding_norm = when(self.embedding.norm, final_norm);
        let in_layers = u128::from(dense_layers) * dense_layer.total() + others * layer.total();
        let around = embedding + positions + embedding_norm;
        let encoder = self.encoder.map_or(0, |encoder| self.encoder_parameters(&encoder));
        let total = around + in_layers + final_norm + head + encoder;
        let active = total - others * layer.idle;
        Parameters {
            embedding,
            positions,
            layer,
            dense_layer,
            layers,
            dense_layers,
            embedding_norm,
            final_norm,
            head,
            encoder,
            total,
            active,
        }
    }

    fn layer_parameters(&self, experts: Option<Experts>) -> LayerParameters {
        let hidden = u128::from(self.hidden);
        let kv = u128::from(self.attention.kv_heads) * u128::from(self.attention.head_dim);
        let norms = u128::from(self.norms_per_layer()) * hidden;
        let q = u128::from(self.attention.heads) * u128::from(self.attention.head_dim);
        let projected = self.position == super::Position::TransformerXl;
        let positions = when(projected, hidden * q);
        let sinks = when(self.attention.sinks, u128::from(self.attention.heads));
        let network = match experts {
            None => {
                let (ffn, biases) = self.network(self.ffn.inner);
                LayerParameters { ffn, biases, ..LayerParameters::default() }
            }
            Some(experts) => self.expert_parameters(&experts),
        };
        let cross = u128::from(self.encoder.is_some());
        let norms = norms + cross * hidden;
        let (attention, biases) = self.projections(kv);
        let (attention, latents) = match self.attention.latent {
            None => (attention, 0),
            Some(latent) => self.latent_parameters(&latent),
        };
        LayerParameters {
            attention: (1 + cross) * attention + positions + sinks,
            norms: norms + latents + self.qk_gains(),
            biases: network.biases
                + (1 + cross) * biases
                + when(self.norm.bias, norms + latents + self.qk_gains()),
            ..network
        }
    }

    /// Gains of the norms of queries and keys.
    fn qk_gains(&self) -> u128 {
        let a = &self.attention;
        let gains = |heads| u128::from(a.qk_norm.gains(heads, a.head_dim));
        gains(a.heads) + gains(a.kv_heads)
    }

    /// Weights of one latent attention, and of the norms of its latents. With a head's `t` rotated
    /// and `d` own elements, values of `v`, latents `q'` and `c`: `q' (h + H (t + d)) + h (c + t) + H c (d +
    /// v) + H v h`, and norms `q' + c`.
    fn latent_parameters(&self, latent: &Latent) -> (u128, u128) {
        let a = &self.attention;
        let [hidden, heads, head_dim, kept, value] =
            [self.hidden, a.heads, a.head_dim, latent.key_value, latent.value].map(u128::from);
        let turned = match self.position {
            super::Position::Rope { rotary_dim, .. } => u128::from(rotary_dim),
            _ => 0,
        };
        let (queries, norm) = match latent.query.map(u128::from) {
            None => (hidden * heads * head_dim, 0),
            Some(width) => (width * (hidden + heads * head_dim), width),
        };
        let own = head_dim.saturating_sub(turned);
        let keys = hidden * (kept + turned) + heads * kept * (own + value);
        (queries + keys + heads * value * hidden, norm + kept)
    }

    /// Weights and biases of one attention with `kv` elements of keys per token.
    fn projections(&self, kv: u128) -> (u128, u128) {
        let (hidden, a) = (u128::from(self.hidden), &self.attention);
        let q = u128::from(a.heads) * u128::from(a.head_dim);
        let biases = when(a.qkv_bias, q + kv + when(a.k_bias, kv)) + when(a.out_bias, hidden);
        (hidden * (q + 2 * kv) + q * hidden, biases)
    }

    /// Input, positions, multi-head layers with two norms each, and the norm behind them. An audio
    /// stem has two convolutions of 3 taps with biases, and a table of positions.
    fn encoder_parameters(&self, encoder: &Encoder) -> u128 {
        let (hidden, a) = (u128::from(self.hidden), &self.attention);
        let input = match encoder.input {
            EncoderInput::Tokens => u128::from(self.position.buckets()) * u128::from(a.heads),
            EncoderInput::Audio { mel_bins } => {
                let convolutions = 3 * hidden * (u128::from(mel_bins) + hidden) + 2 * hidden;
                convolutions + u128::from(encoder.max_source) * hidden
            }
        };
        let norm = hidden + when(self.norm.bias, hidden);
        let (attention, network) =
            (self.projections(u128::from(a.q_width())), self.network(self.ffn.inner));
        let layer = attention.0 + attention.1 + network.0 + network.1 + 2 * norm;
        input + u128::from(encoder.layers) * layer + norm
    }

    /// Weights and biases of one feed-forward network.
    fn network(&self, inner: u64) -> (u128, u128) {
        let (hidden, inner) = (u128::from(self.hidden), u128::from(inner));
        let into_inner: u128 = if self.ffn.gated { 2 } else { 1 };
        let biases = when(self.ffn.bias, into_inner * inner + hidden);
        ((into_inner + 1) * hidden * inner, biases)
    }

    /// Router, experts and shared network of one layer.
    fn expert_parameters(&self, experts: &Experts) -> LayerParameters {
        let [hidden, count, active] = [self.hidden, experts.count, experts.active].map(u128::from);
        let (weights, biases) = self.network(experts.inner);
        let shared = experts.shared.map_or((0, 0), |inner| self.network(inner));
        LayerParameters {
            ffn: count * weights + shared.0,
            router: hidden * count,
            biases: count * biases
                + shared.1
                + when(experts.router_bias, count)
                + when(experts.correction, count),
            idle: count.saturating_sub(active) * (weights + biases),
            ..LayerParameters::default()
        }
    }
}

/// `count` where the tensor exists, else 0.
fn when(exists: bool, count: u128) -> u128 {
    if exists { count } else { 0 }
}

#[cfg(test)]
mod tests {
    use crate::model::load_bundled;

    /// Totals of the published checkpoints, tied tensors once and no buffers: what the sum of the
    /// tensors' shapes gives for the configuration that each bundled file cites.
    const TOTALS: &[(&str, u128)] = &[
        ("llama-2-7b", 6_738_415_616),
        ("llama-2-13b", 13_015_864_320),
        ("llama-2-70b", 68_976_648_192),
        ("llama-3-8b", 8_030_261_248),
        ("llama-3-70b", 70_553_706_496),
        ("llama-3.1-8b", 8_030_261_248),
        ("llama-3.1-405b", 405_853_388_800),
        ("mistral-7b", 7_241_732_096),
        ("mixtral-8x7b", 46_702_792_704),
        ("deepseek-v2-lite", 15_706_484_224),
        ("deepseek-v3", 671_026_419_200),
        ("qwen2.5-7b", 7_615_616_512),
        ("qwen2.5-72b", 72_706_203_648),
        ("qwen3-8b", 8_190_735_360),
        ("qwen3-30b-a3b", 30_532_122_624),
        ("qwen3-235b-a22b", 235_093_634_560),
        ("qwen3-32b", 32_762_123_264),
        ("gemma-2-9b", 9_241_705_984),
        ("phi-3-mini", 3_821_079_552),
        ("falcon-7b", 6_921_720_704),
        ("falcon-40b", 41_303_293_952),
        ("gemma-3-27b", 27_009_346_304),
        ("falcon-180b", 179_522_565_120),
        ("bloom-176b", 176_247_271_424),
        ("gpt-oss-20b", 20_914_757_184),
        ("gpt-oss-120b", 116_829_156_672),
        ("gpt2", 124_439_808),
        ("gpt2-medium", 354_823_168),
        ("gpt2-large", 774_030_080),
        ("gpt2-xl", 1_557_611_200),
        ("gpt-j-6b", 6_050_882_784),
        ("opt-13b", 12_853_473_280),
        ("opt-66b", 65_719_701_504),
        ("smollm2-135m", 134_515_008),
        ("t5-small", 60_506_624),
        ("t5-base", 222_903_552),
        ("t5-large", 737_668_096),
        ("t5-v1.1-large", 783_150_080),
        ("t5-v1.1-xxl", 11_135_332_352),
        ("whisper-large-v3", 1_543_490_560),
    ];

    /// Models without a public checkpoint, with the billions that their papers name.
    const ROUNDED: &[(&str, u128)] = &[
        ("gpt-3-175b", 175),
        ("opt-175b", 175),
        ("chinchilla-70b", 70),
        ("chinchilla-4b-draft", 4),
    ];

    #[test]
    fn totals_are_the_published_ones() {
        for (id, total) in TOTALS {
            let model = load_bundled(id).expect("bundled");
            assert_eq!(model.parameters().total, *total, "{id}");
        }
    }

    #[test]
    fn unpublished_totals_round_to_the_papers() {
        for (id, billions) in ROUNDED {
            let total = load_bundled(id).expect("bundled").parameters().total;
            assert_eq!((total + 500_000_000) / 1_000_000_000, *billions, "{id}: {total}");
        }
    }

    /// Sizes of Chinchilla's smaller siblings, in millions, with layers, heads of 128 and hidden
    /// (Hoffmann et al., arXiv 2203.15556, table A9): what says that relative positions have a
    /// projection and that the head is tied. Without the one they were 7 % smaller, without the
    /// other 4 % larger.
    #[test]
    fn relative_positions_give_the_sizes_of_chinchillas_family() {
        let mut model = load_bundled("chinchilla-70b").expect("bundled");
        for (millions, layers, heads, hidden) in
            [(632, 19, 12, 1536), (1266, 22, 16, 2048), (2007, 28, 18, 2304), (2298, 26, 20, 2560)]
        {
            (model.layers, model.hidden, model.ffn.inner) = (layers, hidden, 4 * hidden);
            (model.attention.heads, model.attention.kv_heads) = (heads, heads);
            let found = model.parameters().total as f64 / 1e6;
            assert!((found / f64::from(millions) - 1.0).abs() < 0.002, "{millions}M: {found}M");
        }
    }

    #[test]
    fn every_bundled_model_has_a_known_total() {
        let known =
            |id: &str| TOTALS.iter().any(|t| t.0 == id) || ROUNDED.iter().any(|r| r.0 == id);
        assert!(crate::model::bundled::ids().all(known));
        assert_eq!(TOTALS.len() + ROUNDED.len(), crate::model::bundled::ids().count());
    }

    #[test]
    fn parts_add_up_and_a_tied_head_is_counted_once() {
        let mut model = load_bundled("gpt2").expect("bundled");
        let p = model.parameters();
        assert_eq!(p.embedding, 50257 * 768);
        assert_eq!(p.positions, 1024 * 768);
        assert_eq!(p.layer.total(), 12 * 768 * 768 + 13 * 768);
        assert_eq!(p.head, 0);
        model.head.tied = false;
        assert_eq!(model.parameters().total - p.total, p.embedding);
    }

    /// Active parameters as the makers round them: Mixtral 12.9B (arXiv 2401.04088), Qwen3 3.3B and
    /// 22B (arXiv 2505.09388).
    #[test]
    fn active_parameters_round_to_the_published() {
        for (id, billions) in
            [("mixtral-8x7b", 12.9), ("qwen3-30b-a3b", 3.3), ("qwen3-235b-a22b", 22.2)]
        {
            let active = load_bundled(id).expect("bundled").parameters().active as f64 / 1e9;
            assert!((active - billions).abs() < 0.06, "{id}: {active}");
        }
        let dense = load_bundled("llama-2-7b").expect("bundled").parameters();
        assert_eq!(dense.active, dense.total);
    }
}
