//! The model file as written: names and optional fields, before any check.

use super::encoder::{RawEncoder, RawRelative};
use super::{Latent, LatentForm};
use crate::yaml::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

/// A transformer with a decoder, and an encoder in front of it where it has one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "cosim model")]
pub(super) struct RawModel {
    /// Name on the command line: lower case, digits, dashes, dots.
    #[schemars(with = "String")]
    pub id: Spanned<String>,
    /// Name as its makers write it.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// Citation of the configuration: repository and file, or paper and table.
    #[schemars(with = "String")]
    pub source: Spanned<String>,
    /// Rows of the token embedding, padding rows included.
    #[schemars(with = "u64")]
    pub vocabulary: Spanned<u64>,
    /// Width of the residual stream.
    #[schemars(with = "u64")]
    pub hidden: Spanned<u64>,
    /// Number of decoder layers.
    #[schemars(with = "u64")]
    pub layers: Spanned<u64>,
    /// Longest sequence, in tokens.
    #[schemars(with = "u64")]
    pub max_context: Spanned<u64>,
    /// Self-attention of every layer.
    pub attention: RawAttention,
    /// How positions enter.
    pub position: RawPosition,
    /// Feed-forward network of every layer.
    pub ffn: RawFfn,
    /// Experts in place of the feed-forward network, which then is that of the dense layers.
    pub experts: Option<RawExperts>,
    /// Normalization.
    pub norm: RawNorm,
    /// `sequential`, which is the default, or `parallel: {norms: 1}`.
    #[schemars(with = "Option<RawBlock>")]
    pub block: Option<Spanned<RawBlock>>,
    /// From the last hidden state to logits.
    pub head: RawHead,
    /// From tokens to the first hidden state.
    pub embedding: Option<RawEmbedding>,
    /// An encoder in front of the decoder; none where absent.
    pub encoder: Option<RawEncoder>,
}

/// Self-attention.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAttention {
    /// Query heads.
    #[schemars(with = "u64")]
    pub heads: Spanned<u64>,
    /// Key-value heads; equal to `heads` for multi-head attention.
    #[schemars(with = "u64")]
    pub kv_heads: Spanned<u64>,
    /// Elements per head; hidden / heads where absent.
    #[schemars(with = "Option<u64>")]
    pub head_dim: Option<Spanned<u64>>,
    /// Query, key and value projections have a bias.
    #[serde(default)]
    pub qkv_bias: bool,
    /// The key projection has one too where the others do; true where absent.
    #[serde(default = "yes")]
    pub k_bias: bool,
    /// The output projection has a bias.
    #[serde(default)]
    pub out_bias: bool,
    /// Norm of queries and keys: `true` per head with one gain for all, `own-head` per head with gains
    /// of its own, `row` over all heads.
    #[serde(default)]
    pub qk_norm: RawQkNorm,
    /// Factor of q k^T; 1 / sqrt(head_dim) where absent.
    #[schemars(with = "Option<f64>")]
    pub scale: Option<Spanned<f64>>,
    /// tanh cap of the scores.
    #[schemars(with = "Option<f64>")]
    pub softcap: Option<Spanned<f64>>,
    /// A learned score per head joins the softmax.
    #[serde(default)]
    pub sinks: bool,
    /// Multi-head latent attention: widths of the latents and of a head's value.
    #[schemars(with = "Option<RawLatent>")]
    pub latent: Option<Spanned<RawLatent>>,
    /// Pattern over layers, repeated: a number of tokens, or `full`. `[full]` where absent.
    #[schemars(with = "Option<Vec<RawWindow>>")]
    pub windows: Option<Spanned<Vec<RawWindow>>>,
}

fn yes() -> bool {
    true
}

/// Norm of queries and keys.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected true, false, `own-head` or `row`")]
pub(super) enum RawQkNorm {
    /// Per head with one gain, or none.
    Flag(bool),
    /// Another form.
    Named(QkNormName),
}

impl Default for RawQkNorm {
    fn default() -> Self {
        Self::Flag(false)
    }
}

/// Another form of the norm of queries and keys.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum QkNormName {
    /// Per head, each with gains of its own.
    OwnHead,
    /// Over all heads.
    Row,
}

/// Multi-head latent attention.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLatent {
    /// Width of the queries' latent; queries are projected at once where absent.
    pub query: Option<u64>,
    /// Width of the latent of keys and values, which the cache keeps.
    pub key_value: u64,
    /// Elements of a head's value.
    pub value: u64,
}

impl RawLatent {
    pub(super) fn read(self) -> Latent {
        let Self { query, key_value, value } = self;
        Latent { query, key_value, value, form: LatentForm::Auto }
    }
}

/// What a layer's queries see.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a window in tokens, or `full`")]
pub(super) enum RawWindow {
    /// The last so many keys, the query's own included.
    Tokens(u64),
    /// All keys.
    Named(Full),
}

/// All keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Full {
    /// No window.
    Full,
}

/// How positions enter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawPosition {
    /// Rotary embedding of queries and keys.
    Rope(Box<RawRope>),
    /// A learned vector per position.
    Learned(RawLearned),
    /// Scores fall with distance.
    Alibi,
    /// Scores rise with the key's position by a bias that is rounded to bf16 and scaled with them (Falcon).
    AlibiBf16,
    /// Queries also meet a projected encoding of the distance (Transformer-XL).
    TransformerXl,
    /// A learned bias per head and bucket of distances.
    Relative(RawRelative),
}

/// Rotary embedding.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRope {
    /// Base of the angles.
    #[schemars(with = "f64")]
    pub theta: Spanned<f64>,
    /// Rotated elements of each head; head_dim where absent.
    #[schemars(with = "Option<u64>")]
    pub rotary_dim: Option<Spanned<u64>>,
    /// Which elements form a pair.
    pub pairing: RawPairing,
    /// Change of the angles for longer contexts.
    #[schemars(with = "Option<RawScaling>")]
    pub scaling: Option<Spanned<RawScaling>>,
    /// Base of the angles in layers with a window, which are not scaled; theirs too where absent.
    #[schemars(with = "Option<f64>")]
    pub local_theta: Option<Spanned<f64>>,
}

/// Which elements form a rotated pair.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawPairing {
    /// Element i with i + rotary_dim / 2.
    Half,
    /// Element 2i with 2i + 1.
    Interleaved,
}

/// Rotary angles for longer contexts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "the fields have the names of model::RopeScaling, which documents them"
)]
pub(super) enum RawScaling {
    /// Llama 3.1.
    Llama3 { factor: f64, low_freq_factor: f64, high_freq_factor: f64, original_context: u64 },
    /// Positions divided by a factor.
    Linear { factor: f64 },
    /// YaRN.
    Yarn {
        factor: f64,
        original_context: u64,
        beta_fast: f64,
        beta_slow: f64,
        attention_factor: f64,
        /// The ramp of frequencies begins and ends at whole dimensions.
        #[serde(default = "truncated")]
        truncate: bool,
    },
    /// LongRoPE (Phi-3): a divisor for each frequency, within the trained context and beyond.
    Longrope { short: Vec<f64>, long: Vec<f64>, original_context: u64, attention_factor: f64 },
    /// A divisor for each frequency.
    Table { divisors: Vec<f64> },
}

fn truncated() -> bool {
    true
}

/// A learned table of positions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLearned {
    /// Rows, offset rows included.
    #[schemars(with = "u64")]
    pub positions: Spanned<u64>,
    /// Row of position 0; 0 where absent.
    #[serde(default)]
    pub offset: u64,
}

/// Feed-forward network.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFfn {
    /// Width between the projections.
    #[schemars(with = "u64")]
    pub inner: Spanned<u64>,
    /// The non-linearity.
    pub activation: RawActivation,
    /// A second projection gates the first (SwiGLU, GeGLU).
    pub gated: bool,
    /// The projections have biases.
    #[serde(default)]
    pub bias: bool,
}

/// Mixture of experts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExperts {
    /// Experts to choose from.
    #[schemars(with = "u64")]
    pub count: Spanned<u64>,
    /// Experts per token.
    #[schemars(with = "u64")]
    pub active: Spanned<u64>,
    /// Width between the projections of an expert; that of `ffn` where absent.
    #[schemars(with = "Option<u64>")]
    pub inner: Option<Spanned<u64>>,
    /// Width of a network that every token passes beside its experts.
    #[schemars(with = "Option<u64>")]
    pub shared: Option<Spanned<u64>>,
    /// From the router's logits to scores.
    pub scoring: RawScoring,
    /// The weights of a token's experts are divided by their sum.
    pub normalise: bool,
    /// Groups of experts to choose first.
    #[schemars(with = "Option<RawGroups>")]
    pub groups: Option<Spanned<RawGroups>>,
    /// Factor of the weights; 1 where absent.
    #[schemars(with = "Option<f64>")]
    pub scaling: Option<Spanned<f64>>,
    /// A bias per expert that only the choice sees.
    #[serde(default)]
    pub correction: bool,
    /// The router has a bias.
    #[serde(default)]
    pub router_bias: bool,
    /// Bound on both inputs of the gate, with 1 added to the second.
    #[schemars(with = "Option<f64>")]
    pub limit: Option<Spanned<f64>>,
    /// Leading layers with the dense network; 0 where absent.
    #[schemars(with = "Option<u64>")]
    pub dense_layers: Option<Spanned<u64>>,
}

/// How logits of a router become scores.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawScoring {
    /// Softmax over all experts, then the largest.
    Softmax,
    /// The largest, then softmax over them.
    TopKSoftmax,
    /// Sigmoid of each logit.
    Sigmoid,
}

/// Groups of experts, of which a token chooses first.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGroups {
    /// Groups; divides the experts.
    pub count: u64,
    /// Groups that a token may choose experts of.
    pub active: u64,
    /// A group is as good as the sum of so many of its best experts.
    pub best: u64,
}

/// Element-wise non-linearity.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawActivation {
    /// x sigmoid(x).
    Silu,
    /// GELU by its sigmoid approximation, x sigmoid(1.702 x).
    GeluSigmoid,
    /// GELU by its tanh approximation.
    GeluTanh,
    /// GELU by the error function.
    GeluErf,
    /// max(x, 0).
    Relu,
}

/// Normalization, wherever one stands.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNorm {
    /// RMS norm or layer norm.
    pub kind: RawNormKind,
    /// Added to the variance.
    #[schemars(with = "f64")]
    pub epsilon: Spanned<f64>,
    /// The weight multiplies as 1 + w.
    #[serde(default)]
    pub unit_offset: bool,
    /// A bias is added; must be given for layer norm, cannot be true for RMS norm.
    #[schemars(with = "Option<bool>")]
    pub bias: Option<Spanned<bool>>,
    /// Before attention and feed-forward network; true where absent.
    #[serde(default = "yes")]
    pub pre: bool,
    /// Behind attention and feed-forward network.
    #[schemars(with = "Option<bool>")]
    pub post: Option<Spanned<bool>>,
}

/// Statistic of a normalization.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawNormKind {
    /// Root mean square.
    Rms,
    /// Mean and variance.
    Layer,
}

/// How a layer joins attention and feed-forward network.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum RawBlock {
    /// One after the other.
    Sequential,
    /// Side by side on the same residual.
    Parallel {
        /// 1: one norm for both; 2: one each.
        norms: u64,
    },
}

/// From the last hidden state to logits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHead {
    /// The weight is the token embedding.
    pub tied: bool,
    /// A bias per vocabulary entry.
    #[serde(default)]
    pub bias: bool,
    /// Factor of the normed hidden state before the product.
    #[schemars(with = "Option<f64>")]
    pub scale: Option<Spanned<f64>>,
    /// tanh cap of the logits.
    #[schemars(with = "Option<f64>")]
    pub softcap: Option<Spanned<f64>>,
}

/// From tokens to the first hidden state.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEmbedding {
    /// Factor of the embedding: a number, or `sqrt-hidden`.
    #[schemars(with = "Option<RawScale>")]
    pub scale: Option<Spanned<RawScale>>,
    /// A norm stands behind it.
    #[serde(default)]
    pub norm: bool,
}

/// Factor of the embedding.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number, or `sqrt-hidden`")]
pub(super) enum RawScale {
    /// This number.
    Number(f64),
    /// By formula.
    Named(SqrtHidden),
}

/// Factor by formula.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SqrtHidden {
    /// The square root of `hidden`.
    SqrtHidden,
}
