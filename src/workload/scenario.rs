//! The checked scenario.

use super::axis::{Axis, Setting, expand_values};
use super::cache::{CacheChoice, offload};
use super::parallel::{Degree, DegreeSetting};
use super::raw::{RawParallel, RawScenario, RawSpeculative, Scalar};
use super::speculative::{Drafter, Gamma, Speculative};
use super::technique::{ATTENTION, FUSION, choice, parse_routing, with_kv, with_sparsity};
use crate::diagnostic::Diagnostic;
use crate::dtype::{Lookup, Scheme};
use crate::graph::shard::Parallel;
use crate::model::{AttentionKernel, FusionSet, WhatIf};
use crate::op::Routing;
use crate::tensor::{Offload, Placement};
use crate::yaml::{Position, Source, Spanned};
use std::str::FromStr;

/// Batch and lengths of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Sequences processed together.
    pub batch: u64,
    /// Prompt tokens per sequence.
    pub prompt: u64,
    /// Generated tokens per sequence.
    pub output: u64,
}

/// What is run: a model under techniques, with traffic, and the axes to vary.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Name, for report folders.
    pub name: String,
    /// What it stands for.
    pub description: String,
    /// Model id or path.
    pub model: String,
    /// Changes of its attention.
    pub what_if: WhatIf,
    /// Quantization scheme, the KV cache's format included.
    pub scheme: Scheme,
    /// The KV cache's format where it was chosen apart from the scheme; another scheme keeps it.
    pub kv_format: Option<String>,
    /// How the KV cache is laid out.
    pub cache: CacheChoice,
    /// What lies in host memory.
    pub offload: Offload,
    /// Zeros in the weights where they were chosen apart from the scheme; another scheme keeps them.
    pub sparsity: Option<String>,
    /// Speculative decoding.
    pub speculative: Speculative,
    /// How devices share the work.
    pub parallel: Parallel,
    /// Attention kernel.
    pub attention: AttentionKernel,
    /// Fusions.
    pub fusions: FusionSet,
    /// How tokens spread over experts.
    pub routing: Routing,
    /// Traffic.
    pub traffic: Traffic,
    /// What to vary, in the order given.
    pub axes: Vec<Axis>,
}

impl Scenario {
    /// Reads and checks a scenario file; `lookup` reads the scheme files that it names.
    ///
    /// # Errors
    /// Malformed YAML, a missing or unknown name, a zero length, or a sweep over a path that does
    /// not exist.
    pub fn parse(source: &Source, lookup: Lookup<'_>) -> Result<Self, Diagnostic> {
        let raw: RawScenario = source.parse()?;
        let mut scenario = Self::check(&raw, source, lookup)?;
        for (path, values) in &raw.sweep {
            let at = |d: Diagnostic| d.at(source.place(Position::from(values)));
            let mut texts = vec![];
            for value in &values.value {
                texts.extend(expand_values(&value.0).map_err(at)?);
            }
            scenario.axes.push(Axis::new(path, texts, &source.name, lookup).map_err(at)?);
        }
        Ok(scenario)
    }

    /// Applies a setting; a hardware change leaves the scenario as it is.
    ///
    /// # Errors
    /// A KV cache format that does not go with the scheme.
    pub fn set(&mut self, setting: &Setting) -> Result<(), Diagnostic> {
        match setting {
            Setting::Model(model) => self.model.clone_from(model),
            Setting::Heads(form) => self.what_if.heads = Some(*form),
            Setting::Window(form) => self.what_if.window = Some(*form),
            Setting::Latent(form) => self.what_if.latent = Some(*form),
            Setting::Quant(scheme) => {
                let with_kv = self.kv_format.as_ref().map(|format| with_kv(scheme, format));
                let scheme = with_kv.unwrap_or_else(|| Ok(scheme.clone()))?;
                let with_zeros = self.sparsity.as_ref().map(|s| with_sparsity(&scheme, s));
                self.scheme = with_zeros.unwrap_or(Ok(scheme))?;
            }
            Setting::Sparsity(sparsity) => {
                self.scheme = with_sparsity(&self.scheme, sparsity)?;
                self.sparsity = Some(sparsity.clone());
            }
            Setting::KvFormat(format) => {
                self.scheme = with_kv(&self.scheme, format)?;
                self.kv_format = Some(format.clone());
            }
            Setting::Cache(setting) => self.cache.set(*setting),
            Setting::Offload(offload) => self.offload = *offload,
            Setting::Drafter(drafter) => {
                self.speculative.drafter.clone_from(drafter);
                self.speculative.place = None;
            }
            Setting::Gamma(gamma) => self.speculative.gamma = *gamma,
            Setting::Acceptance(rate) => self.speculative.acceptance = Some(rate.clone()),
            Setting::Parallel(set) => set.apply(&mut self.parallel),
            Setting::Attention(kernel) => self.attention = *kernel,
            Setting::Fusion(fusions) => self.fusions = *fusions,
            Setting::Routing(routing) => self.routing = *routing,
            Setting::Batch(n) => self.traffic.batch = *n,
            Setting::Prompt(n) => self.traffic.prompt = *n,
            Setting::Output(n) => self.traffic.output = *n,
            Setting::Hardware(_) => {}
        }
        Ok(())
    }

    /// Where cache and weights lie.
    ///
    /// # Errors
    /// A block size of a contiguous cache, or a reservation of a paged one.
    pub fn placement(&self) -> Result<Placement, Diagnostic> {
        Ok(Placement { layout: self.cache.layout()?, offload: self.offload })
    }

    fn check(raw: &RawScenario, source: &Source, lookup: Lookup<'_>) -> Result<Self, Diagnostic> {
        let missing = |field: &str, example: &str| {
            Diagnostic::new(format!("{}: missing field `{field}`", source.name))
                .hint(format!("for instance `{example}`"))
        };
        let model = raw.model.as_ref().ok_or_else(|| missing("model", "model: llama-3-8b"))?;
        let traffic = raw
            .traffic
            .as_ref()
            .ok_or_else(|| missing("traffic", "traffic: {batch: 8, prompt: 1024, output: 256}"))?;
        let number = |field: &Option<Spanned<u64>>, name: &str| -> Result<u64, Diagnostic> {
            let value = field
                .as_ref()
                .ok_or_else(|| missing(&format!("traffic.{name}"), &format!("{name}: 256")))?;
            if value.value > 0 {
                return Ok(value.value);
            }
            let message = format!("traffic.{name} is 0; expected at least 1");
            Err(Diagnostic::new(message).at(source.place(Position::from(value))))
        };
        Ok(Self {
            name: name(raw, source)?,
            description: raw.description.clone().unwrap_or_default(),
            model: model.value.clone(),
            what_if: what_if(raw, source)?,
            speculative: speculative(raw, source)?,
            scheme: scheme(raw, source, lookup)?,
            sparsity: raw.sparsity.as_ref().map(|text| text.value.0.clone()),
            kv_format: raw
                .kv_cache
                .as_ref()
                .and_then(|kv| Some(kv.format.as_ref()?.value.0.clone())),
            cache: CacheChoice::read(raw.kv_cache.as_ref(), source)?,
            offload: offload(raw.offload.as_ref(), source)?,
            attention: choice(raw.attention.as_ref(), "attention", ATTENTION, source)?,
            fusions: choice(raw.fusion.as_ref(), "fusion", FUSION, source)?,
            routing: routing(raw, source)?,
            traffic: Traffic {
                batch: number(&traffic.batch, "batch")?,
                prompt: number(&traffic.prompt, "prompt")?,
                output: number(&traffic.output, "output")?,
            },
            parallel: parallel(raw, source)?,
            axes: vec![],
        })
    }
}

fn what_if(raw: &RawScenario, source: &Source) -> Result<WhatIf, Diagnostic> {
    fn read<T: FromStr<Err = Diagnostic>>(
        text: Option<(&str, Position)>,
        source: &Source,
    ) -> Result<Option<T>, Diagnostic> {
        let Some((text, at)) = text else { return Ok(None) };
        text.parse().map(Some).map_err(|d: Diagnostic| d.at(source.place(at)))
    }
    let heads = raw.heads.as_ref().map(|h| (h.value.as_str(), Position::from(h)));
    let window = raw.window.as_ref().map(|w| (w.value.0.as_str(), Position::from(w)));
    let latent = raw.mla.as_ref().map(|m| (m.value.as_str(), Position::from(m)));
    Ok(WhatIf {
        heads: read(heads, source)?,
        window: read(window, source)?,
        latent: read(latent, source)?,
    })
}

fn speculative(raw: &RawScenario, source: &Source) -> Result<Speculative, Diagnostic> {
    let mapping = match &raw.speculative {
        None | Some(RawSpeculative::Named(_)) => return Ok(Speculative::NONE),
        Some(RawSpeculative::Choice(mapping)) => mapping,
    };
    let place = |text: &Spanned<Scalar>| source.place(Position::from(text));
    let at = |text: &Spanned<Scalar>, d: Diagnostic| d.at(place(text));
    let drafter = Drafter::parse(&mapping.draft.value.0).map_err(|d| at(&mapping.draft, d))?;
    let gamma = mapping
        .gamma
        .as_ref()
        .map_or(Ok(Gamma::Auto), |text| text.value.0.parse().map_err(|d| at(text, d)))?;
    let rate = &mapping.acceptance;
    let acceptance = rate.value.0.replace('/', ",").parse().map_err(|d| at(rate, d))?;
    let place = place(&mapping.draft);
    let choice = Speculative { drafter, gamma, acceptance: Some(acceptance), place };
    choice.checked().map_err(|d| at(&mapping.draft, d))?;
    Ok(choice)
}

fn scheme(raw: &RawScenario, source: &Source, lookup: Lookup<'_>) -> Result<Scheme, Diagnostic> {
    let base = match &raw.quant {
        None => Scheme::sixteen_bit(),
        Some(text) => {
            let at = |d: Diagnostic| match d.place {
                Some(_) => d,
                None => d.at(source.place(Position::from(text))),
            };
            Scheme::load(&text.value, lookup).map_err(at)?
        }
    };
    let base = match &raw.sparsity {
        None => base,
        Some(text) => with_sparsity(&base, &text.value.0)
            .map_err(|d| d.at(source.place(Position::from(text))))?,
    };
    let Some(kv) = raw.kv_cache.as_ref().and_then(|kv| kv.format.as_ref()) else {
        return Ok(base);
    };
    with_kv(&base, &kv.value.0).map_err(|d| d.at(source.place(Position::from(kv))))
}

fn routing(raw: &RawScenario, source: &Source) -> Result<Routing, Diagnostic> {
    let Some(text) = &raw.routing else { return Ok(Routing::Uniform) };
    parse_routing(&text.value).map_err(|d| d.at(source.place(Position::from(text))))
}

fn parallel(raw: &RawScenario, source: &Source) -> Result<Parallel, Diagnostic> {
    let mut parallel = Parallel::ONE;
    let Some(RawParallel::Degrees(written)) = &raw.parallel else { return Ok(parallel) };
    let fields = [
        (Degree::Tensor, &written.tp),
        (Degree::Context, &written.cp),
        (Degree::Pipeline, &written.pp),
        (Degree::Expert, &written.ep),
        (Degree::Data, &written.dp),
        (Degree::Sequence, &written.sp),
        (Degree::MicroBatches, &written.micro_batches),
    ];
    for (degree, field) in fields {
        let Some(text) = field else { continue };
        let at = |d: Diagnostic| d.at(source.place(Position::from(text)));
        DegreeSetting::read(degree, &text.value.0).map_err(at)?.apply(&mut parallel);
    }
    Ok(parallel)
}

/// The name, which is a folder's name too: it must not lead out of the folder of reports.
fn name(raw: &RawScenario, source: &Source) -> Result<String, Diagnostic> {
    let name = raw.name.as_ref().map_or_else(|| stem(&source.name), |n| n.value.clone());
    let legal = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
    let begins = name.starts_with(char::is_alphanumeric);
    if begins && !name.ends_with([' ', '.']) && name.chars().all(legal) && name.len() <= 64 {
        return Ok(name);
    }
    let clipped = crate::diagnostic::clip(&name);
    let place = raw.name.as_ref().and_then(|n| source.place(Position::from(n)));
    let message = format!("`{clipped}` does not name a scenario");
    let hint = "up to 64 letters, digits, dashes, underscores, dots or spaces, as in `name: chat`";
    Err(Diagnostic::new(message).at(place).hint(hint))
}

fn stem(name: &str) -> String {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    file.split_once('.').map_or(file, |(stem, _)| stem).to_owned()
}
