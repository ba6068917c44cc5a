//! The arguments that name one case: model, device, request, techniques.

use super::cache::CacheArgs;
use super::catalog;
use super::error::Error;
use super::fidelity::{FidelityArgs, Times};
use super::files;
use super::parallel::ParallelArgs;
use crate::cost::speculative::Speculated;
use crate::cost::{Estimator, Memory, Request};
use crate::diagnostic::{Diagnostic, clip};
use crate::dtype::Scheme;
use crate::graph::shard::Parallel;
use crate::hardware::{Fidelity, Hardware, Machine};
use crate::mapping::{Plan, check_overrides};
use crate::model::{Architecture, AttentionKernel, BuildOptions, FusionSet, Graphs, WhatIf};
use crate::op::{Routing, Sampler};
use crate::units::{Bytes, DollarsPerHour};
use crate::workload::checked_parallel;
use clap::{ArgGroup, Args, ValueEnum};
use std::str::FromStr;

/// One phase alone.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum PhaseArg {
    /// The prompt at once.
    Prefill,
    /// One decode step.
    Decode,
}

/// Which attention kernel.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum AttentionArg {
    /// Scores stay on chip.
    Flash,
    /// Scores are written to memory.
    Naive,
}

/// A model with the techniques that shape its graph.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// Model id, model YAML or Hugging Face config.json
    #[arg(long)]
    pub model: String,
    /// Other key-value heads than the model's: mha, mqa, gqa-8
    #[arg(long, value_name = "FORM")]
    pub heads: Option<String>,
    /// Another window than the model's, in every layer: tokens, or full
    #[arg(long, value_name = "TOKENS")]
    pub window: Option<String>,
    /// Form of latent attention: auto (expanded prefill, absorbed decode), expanded, absorbed
    #[arg(long, value_name = "FORM")]
    pub mla: Option<String>,
    /// Quantization scheme: 16bit, bf16, fp8, w8a8, w8a8-static, w4a16-g128, w4a16-g128-kv8, q4_k_m, ...;
    /// or a scheme file. Trained with it (QAT) or quantized after (PTQ) costs the same
    #[arg(long, default_value = "16bit")]
    pub quant: String,
    /// Zeros in the weights of projections: 2:4, or a density such as 0.5; dense takes them back
    #[arg(long, value_name = "2:4|DENSITY")]
    pub sparsity: Option<String>,
    /// Attention kernel
    #[arg(long, value_enum, default_value = "flash")]
    pub attention: AttentionArg,
    /// Every operator a kernel of its own (the attention kernel stays)
    #[arg(long)]
    pub no_fusion: bool,
    /// How tokens spread over experts: uniform, or zipf:S for popularity rank^-S
    #[arg(long, default_value = "uniform")]
    pub routing: Routing,
}

/// A request on a device.
#[derive(Debug, Clone, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["prompt", "phase"])))]
pub struct CaseArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Device id or profile YAML
    #[arg(long)]
    pub hardware: String,
    /// Sequences processed together
    #[arg(long, allow_negative_numbers = true, value_parser = positive)]
    pub batch: u64,
    /// Prompt tokens per sequence
    #[arg(long, allow_negative_numbers = true, value_parser = positive, requires = "output")]
    pub prompt: Option<u64>,
    /// Generated tokens per sequence
    #[arg(long, allow_negative_numbers = true, value_parser = positive, requires = "prompt")]
    pub output: Option<u64>,
    /// One phase alone, at --context
    #[arg(long, value_enum, requires = "context")]
    pub phase: Option<PhaseArg>,
    /// Tokens attended to: the prompt of a prefill; cached tokens and the new one of a decode step
    #[arg(long, allow_negative_numbers = true, value_parser = positive, requires = "phase")]
    pub context: Option<u64>,
    #[command(flatten)]
    pub parallel: ParallelArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
    #[command(flatten)]
    pub fidelity: FidelityArgs,
    /// Efficiencies 1, overheads 0
    #[arg(long)]
    pub ideal: bool,
    /// Change a field of the profile: hardware.memory.dram.bandwidth=x2
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub settings: Vec<String>,
    /// Named price of the profile [default: cloud-low, else cloud-hyperscaler]
    #[arg(long)]
    pub price: Option<String>,
    /// Times even where the memory does not suffice
    #[arg(long)]
    pub allow_oom: bool,
}

/// Everything that an estimate is computed from.
pub struct Case {
    pub architecture: Architecture,
    pub hardware: Hardware,
    pub machine: Machine,
    pub graphs: Graphs,
    pub plan: Plan,
    pub request: Request,
    pub price: Result<(String, DollarsPerHour), String>,
    pub options: BuildOptions,
    pub allow_oom: bool,
    pub speculated: Option<Speculated>,
    /// What kernels are mapped with, or why they take the roofline's times.
    pub times: Times,
}

impl ModelArgs {
    /// The scheme.
    pub fn scheme(&self) -> Result<Scheme, Diagnostic> {
        let scheme = Scheme::load(&self.quant, &files::read).map_err(|mut d| {
            if d.place.is_none() {
                d.message = format!("--quant: {}", d.message);
            }
            d
        })?;
        let Some(sparsity) = &self.sparsity else { return Ok(scheme) };
        scheme.with_sparsity(sparsity).map_err(|e| {
            let hint = "`dense`, `2:4`, or a density such as 0.5";
            Diagnostic::new(format!("--sparsity {}: {}", clip(sparsity), e.why)).hint(hint)
        })
    }

    /// The model, with its attention changed where that is asked for.
    pub fn architecture(&self) -> Result<Architecture, Diagnostic> {
        let change = WhatIf {
            heads: parsed("--heads", self.heads.as_deref())?,
            window: parsed("--window", self.window.as_deref())?,
            latent: parsed("--mla", self.mla.as_deref())?,
        };
        catalog::architecture(&self.model)?.what_if(&change)
    }

    /// How the graph is built.
    pub fn options(&self) -> BuildOptions {
        let attention = match self.attention {
            AttentionArg::Flash => AttentionKernel::Flash,
            AttentionArg::Naive => AttentionKernel::Naive,
        };
        let fusions = if self.no_fusion { FusionSet::None } else { FusionSet::Default };
        let sampler = Sampler::Greedy;
        BuildOptions {
            attention,
            fusions,
            sampler,
            routing: self.routing,
            ..BuildOptions::default()
        }
    }
}

fn parsed<T: FromStr<Err = Diagnostic>>(
    flag: &str,
    text: Option<&str>,
) -> Result<Option<T>, Diagnostic> {
    let Some(text) = text else { return Ok(None) };
    text.parse().map(Some).map_err(|mut d: Diagnostic| {
        d.message = format!("{flag}: {}", d.message);
        d
    })
}

impl CaseArgs {
    /// Reads, checks and compiles everything that the arguments name.
    pub fn load(&self) -> Result<Case, Error> {
        self.load_as(self.parallel.wanted(), self.batch)
    }

    /// The same on other devices and with another batch.
    pub fn load_as(&self, parallel: Parallel, batch: u64) -> Result<Case, Error> {
        let scheme = self.model.scheme()?;
        let architecture = self.model.architecture()?;
        let settings = hardware_settings(&self.settings)?;
        let fidelity = if self.ideal { Fidelity::Ideal } else { Fidelity::Realistic };
        let (hardware, machine) = catalog::machine(&self.hardware, &settings, fidelity)?;
        let graphs = architecture.graphs(&self.model.options())?;
        let parallel = checked_parallel(parallel, &architecture)?;
        check_overrides(graphs.parts().map(|(_, graph)| graph), &scheme)?;
        let placement = self.cache.placement()?;
        let plan = Plan::parallel(graphs.parts(), &scheme, parallel)?.placed(placement);
        let price = named_price(&machine, self.price.as_deref())?;
        let request = self.request(&plan)?.with_batch(batch);
        let allow_oom = self.allow_oom;
        let plain = catalog::plain(&self.hardware, &machine, !settings.is_empty())?;
        let times = self.fidelity.times(&machine, &plain)?;
        Ok(Case {
            architecture,
            hardware,
            machine,
            graphs,
            plan,
            request,
            price,
            options: self.model.options(),
            allow_oom,
            speculated: None,
            times,
        })
    }

    fn request(&self, plan: &Plan) -> Result<Request, Error> {
        let batch = self.batch;
        let request = match (self.phase, self.prompt, self.output, self.context) {
            (None, Some(prompt), Some(output), _) => Request::Generation { batch, prompt, output },
            (Some(PhaseArg::Prefill), .., Some(context)) => Request::Prefill { batch, context },
            (Some(PhaseArg::Decode), .., Some(context)) => Request::Decode { batch, context },
            _ => {
                let message = "expected --prompt with --output, or --phase with --context";
                return Err(Diagnostic::new(message).into());
            }
        };
        request.steps(&plan.footprint)?;
        Ok(request)
    }
}

impl Case {
    /// What the request's encoder keeps for cross-attention on the stage that needs most, by the memory of
    /// each; `None` without an encoder.
    pub fn cross_kv(&self, stages: &[Memory]) -> Option<Bytes> {
        let each = self.plan.footprints().zip(stages);
        let (footprint, _) =
            each.reduce(|most, s| if s.1.total() > most.1.total() { s } else { most })?;
        let source = self.request.source(Some(footprint.start()?));
        Some(footprint.cross_kv(self.requests() as f64, source))
    }

    /// The device, and of several how many there are and how they share the work.
    pub fn devices(&self) -> String {
        let (name, parallel) = (&self.hardware.name, &self.plan.parallel);
        match parallel.devices() {
            1 => name.to_string(),
            n => format!("{n} x {name} ({parallel})"),
        }
    }

    /// Requests that the sequences of a replica belong to.
    pub fn requests(&self) -> u64 {
        let held = self.plan.parallel.replica_batch(self.request.batch());
        self.plan.placement.layout.requests(held)
    }

    /// The plan bound to the machine.
    pub fn estimator(&self) -> Result<Estimator<'_>, Error> {
        let estimator = Estimator::new(&self.plan, &self.machine)?;
        Ok(match self.times.silicon() {
            Some(silicon) => estimator.on(silicon),
            None => estimator,
        })
    }
}

/// The hourly price by name, or the reason that there is none; an unknown name is an error.
pub fn named_price(
    machine: &Machine,
    name: Option<&str>,
) -> Result<Result<(String, DollarsPerHour), String>, Error> {
    match machine.price(name) {
        Ok(price) => Ok(Ok((price.name.to_string(), price.price.value))),
        Err(reason) if name.is_some() => Err(Diagnostic::from(reason).into()),
        Err(reason) => Ok(Err(reason.to_string())),
    }
}

/// `hardware.path=value` arguments as (path, value).
pub fn hardware_settings(settings: &[String]) -> Result<Vec<(String, String)>, Diagnostic> {
    let split = |text: &String| {
        let pair = text.split_once('=').and_then(|(path, value)| {
            let path = path.trim().strip_prefix("hardware.")?;
            Some((path.to_owned(), value.trim().to_owned()))
        });
        pair.ok_or_else(|| {
            Diagnostic::new(format!("--set {}: expected hardware.path=value", clip(text)))
                .hint("for instance --set hardware.memory.dram.bandwidth=x2; other paths belong to `cosim sweep`")
        })
    };
    settings.iter().map(split).collect()
}

/// A whole number of at least 1.
pub fn positive(text: &str) -> Result<u64, String> {
    match text.trim().parse::<u64>() {
        Ok(0) => Err("expected at least 1".to_owned()),
        Ok(n) => Ok(n),
        Err(_) => Err("expected a whole number of at least 1".to_owned()),
    }
}
