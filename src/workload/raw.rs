//! The scenario file as written; every field optional, so that one file can overlay another.

use crate::yaml::Spanned;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// A scenario as YAML has it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawScenario {
    /// Name of the scenario, used for its report folder.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// What it stands for.
    pub description: Option<String>,
    /// Model id, or path of a model YAML.
    #[schemars(with = "Option<String>")]
    pub model: Option<Spanned<String>>,
    /// Other key-value heads than the model's: `mha`, `mqa`, `gqa-8`.
    #[schemars(with = "Option<String>")]
    pub heads: Option<Spanned<String>>,
    /// Another window than the model's, in every layer: tokens, or `full`.
    #[schemars(with = "Option<String>")]
    pub window: Option<Spanned<Scalar>>,
    /// Form of latent attention: `auto`, `expanded`, `absorbed`.
    #[schemars(with = "Option<String>")]
    pub mla: Option<Spanned<String>>,
    /// Quantization scheme, for instance `w4a16-g128-kv8`, or the path of a scheme file.
    #[schemars(with = "Option<String>")]
    pub quant: Option<Spanned<String>>,
    /// Zeros in the weights of projections: `dense`, `2:4`, or a density such as 0.5.
    #[schemars(with = "Option<String>")]
    pub sparsity: Option<Spanned<Scalar>>,
    /// Attention kernel: `flash` or `naive`.
    #[schemars(with = "Option<String>")]
    pub attention: Option<Spanned<String>>,
    /// Fusions: `default` or `none`.
    #[schemars(with = "Option<String>")]
    pub fusion: Option<Spanned<String>>,
    /// How tokens spread over experts: `uniform`, or `zipf:S` for popularity rank^-S.
    #[schemars(with = "Option<String>")]
    pub routing: Option<Spanned<String>>,
    /// KV cache.
    pub kv_cache: Option<RawKvCache>,
    /// What lies in host memory: `none`, `kv`, `weights` or `kv+weights`.
    #[schemars(with = "Option<String>")]
    pub offload: Option<Spanned<Scalar>>,
    /// Speculative decoding: `none`, or who drafts, how much, and how often it is accepted.
    pub speculative: Option<RawSpeculative>,
    /// How devices share the work: `none`, or degrees of parallelism.
    pub parallel: Option<RawParallel>,
    /// Batch and lengths.
    pub traffic: Option<RawTraffic>,
    /// What to vary: dotted path to values.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, Vec<serde_json::Value>>")]
    pub sweep: IndexMap<String, Spanned<Vec<Scalar>>>,
}

/// Speculative decoding as YAML has it: `none`, or a drafter.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum RawSpeculative {
    /// `none`: plain decoding.
    Named(String),
    /// A drafter.
    Choice(Box<RawDraft>),
}

impl<'de> Deserialize<'de> for RawSpeculative {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(SpeculativeVisitor)
    }
}

/// Reads the fields of a drafter where they stand, so that they keep their places.
struct SpeculativeVisitor;

impl<'de> Visitor<'de> for SpeculativeVisitor {
    type Value = RawSpeculative;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`none`, or {draft, gamma, acceptance}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        match text {
            "none" => Ok(RawSpeculative::Named(text.to_owned())),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        RawDraft::deserialize(MapAccessDeserializer::new(map))
            .map(|draft| RawSpeculative::Choice(Box::new(draft)))
    }
}

/// A drafter as YAML has it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawDraft {
    /// Draft model, `prompt-lookup`, `medusa:HEADS` or `mtp:MODULES`.
    #[schemars(with = "String")]
    pub draft: Spanned<Scalar>,
    /// Tokens drafted in a loop, or `auto`, which is the default.
    #[schemars(with = "Option<String>")]
    pub gamma: Option<Spanned<Scalar>>,
    /// Acceptance rate, or one for each position: `0.8/0.7/0.6`.
    #[schemars(with = "String")]
    pub acceptance: Spanned<Scalar>,
}

/// Parallelism as YAML has it: `none`, or degrees.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum RawParallel {
    /// `none`: one device.
    Named(String),
    /// Degrees.
    Degrees(Box<RawDegrees>),
}

/// Degrees of parallelism as YAML has them; 1 where nothing is written.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawDegrees {
    /// Devices that each layer is cut over.
    #[schemars(with = "Option<u64>")]
    pub tp: Option<Spanned<Scalar>>,
    /// Groups of devices that the positions of a sequence are dealt to.
    #[schemars(with = "Option<u64>")]
    pub cp: Option<Spanned<Scalar>>,
    /// Stages that the layers are cut into.
    #[schemars(with = "Option<u64>")]
    pub pp: Option<Spanned<Scalar>>,
    /// Groups of devices that experts are dealt to: of the TP devices, beyond those over the replicas.
    #[schemars(with = "Option<u64>")]
    pub ep: Option<Spanned<Scalar>>,
    /// Replicas that the batch is cut over.
    #[schemars(with = "Option<u64>")]
    pub dp: Option<Spanned<Scalar>>,
    /// Whether the residual stream between the TP devices lies in shares of the tokens: `on` or `off`.
    #[schemars(with = "Option<String>")]
    pub sp: Option<Spanned<Scalar>>,
    /// Micro-batches that follow each other through the stages; as many as stages by default.
    #[schemars(with = "Option<u64>")]
    pub micro_batches: Option<Spanned<Scalar>>,
}

impl<'de> Deserialize<'de> for RawParallel {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(ParallelVisitor)
    }
}

/// Reads degrees where they stand, so that they keep their places.
struct ParallelVisitor;

impl<'de> Visitor<'de> for ParallelVisitor {
    type Value = RawParallel;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`none`, or {tp, cp, pp, ep, dp, sp, micro_batches}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        match text {
            "none" => Ok(RawParallel::Named(text.to_owned())),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        RawDegrees::deserialize(MapAccessDeserializer::new(map))
            .map(|degrees| RawParallel::Degrees(Box::new(degrees)))
    }
}

/// KV cache as YAML has it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawKvCache {
    /// Number format: `16`, `8` (int8), `4` (int4) or `fp8`; overrides the scheme's.
    #[schemars(with = "Option<String>")]
    pub format: Option<Spanned<Scalar>>,
    /// `contiguous`, `paged`, or `paged:16` with the block size; contiguous by default.
    #[schemars(with = "Option<String>")]
    pub layout: Option<Spanned<Scalar>>,
    /// Tokens of a KV block of a paged cache; 16 by default.
    #[schemars(with = "Option<u64>")]
    pub block_size: Option<Spanned<Scalar>>,
    /// What a contiguous cache reserves for a request: `max:2048`, `pow2` or `oracle`, which is the
    /// default.
    #[schemars(with = "Option<String>")]
    pub reserve: Option<Spanned<Scalar>>,
    /// First tokens that all prompts have in common, held and prefilled once; with a paged cache.
    #[schemars(with = "Option<u64>")]
    pub shared_prefix: Option<Spanned<Scalar>>,
    /// Sequences of the batch that go on from one prompt, each on its own; with a paged cache.
    #[schemars(with = "Option<u64>")]
    pub samples: Option<Spanned<Scalar>>,
    /// Sequences of the batch that are the beams of one prompt's search; with a paged cache.
    #[schemars(with = "Option<u64>")]
    pub beams: Option<Spanned<Scalar>>,
}

/// Traffic as YAML has it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTraffic {
    /// Sequences processed together.
    #[schemars(with = "Option<u64>")]
    pub batch: Option<Spanned<u64>>,
    /// Prompt tokens per sequence.
    #[schemars(with = "Option<u64>")]
    pub prompt: Option<Spanned<u64>>,
    /// Generated tokens per sequence.
    #[schemars(with = "Option<u64>")]
    pub output: Option<Spanned<u64>>,
}

/// A string or number, kept as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar(pub String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(Self)
    }
}

impl RawScenario {
    /// This scenario with the fields that `over` sets replaced.
    pub fn overlaid(mut self, over: Self) -> Self {
        fn replace<T>(base: &mut Option<T>, over: Option<T>) {
            if over.is_some() {
                *base = over;
            }
        }
        replace(&mut self.name, over.name);
        replace(&mut self.description, over.description);
        replace(&mut self.model, over.model);
        replace(&mut self.heads, over.heads);
        replace(&mut self.window, over.window);
        replace(&mut self.mla, over.mla);
        replace(&mut self.quant, over.quant);
        replace(&mut self.sparsity, over.sparsity);
        replace(&mut self.attention, over.attention);
        replace(&mut self.fusion, over.fusion);
        replace(&mut self.routing, over.routing);
        replace(&mut self.offload, over.offload);
        replace(&mut self.speculative, over.speculative);
        replace(&mut self.parallel, over.parallel);
        if let Some(kv) = over.kv_cache {
            let base = self.kv_cache.get_or_insert_default();
            replace(&mut base.format, kv.format);
            replace(&mut base.layout, kv.layout);
            replace(&mut base.block_size, kv.block_size);
            replace(&mut base.reserve, kv.reserve);
            replace(&mut base.shared_prefix, kv.shared_prefix);
            replace(&mut base.samples, kv.samples);
            replace(&mut base.beams, kv.beams);
        }
        if let Some(traffic) = over.traffic {
            let base = self.traffic.get_or_insert_default();
            replace(&mut base.batch, traffic.batch);
            replace(&mut base.prompt, traffic.prompt);
            replace(&mut base.output, traffic.output);
        }
        self.sweep.extend(over.sweep);
        self
    }
}
