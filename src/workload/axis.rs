//! What a sweep varies: a dotted path and the values it takes, each checked once.

use super::acceptance::Acceptance;
use super::cache::{CacheSetting, parse_offload};
use super::parallel::{Degree, DegreeSetting};
use super::speculative::{Drafter, Gamma};
use super::technique::{ATTENTION, FUSION, named, parse_routing, with_kv, with_sparsity};
use crate::diagnostic::{Diagnostic, clip};
use crate::dtype::{Lookup, Scheme};
use crate::hardware::RawHardware;
use crate::model::{AttentionKernel, FusionSet, HeadForm, LatentForm, WindowForm};
use crate::op::Routing;
use crate::tensor::Offload;

/// One value of an axis.
#[derive(Debug, Clone)]
pub enum Setting {
    /// Another model.
    Model(String),
    /// Other key-value heads.
    Heads(HeadForm),
    /// Another window.
    Window(WindowForm),
    /// Another form of latent attention.
    Latent(LatentForm),
    /// Another quantization scheme.
    Quant(Scheme),
    /// Another KV cache format on top of the scheme.
    KvFormat(String),
    /// Another layout of the KV cache.
    Cache(CacheSetting),
    /// Another part in host memory.
    Offload(Offload),
    /// Other zeros in the weights on top of the scheme.
    Sparsity(String),
    /// Another drafter, or none.
    Drafter(Option<Drafter>),
    /// Another number of drafted tokens.
    Gamma(Gamma),
    /// Another acceptance rate.
    Acceptance(Acceptance),
    /// Another degree of parallelism.
    Parallel(DegreeSetting),
    /// Another attention kernel.
    Attention(AttentionKernel),
    /// Other fusions.
    Fusion(FusionSet),
    /// Another spread of tokens over experts.
    Routing(Routing),
    /// Another batch.
    Batch(u64),
    /// Another prompt length.
    Prompt(u64),
    /// Another output length.
    Output(u64),
    /// A change of the hardware profile.
    Hardware(Box<RawHardware>),
}

/// A path with its values.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Dotted path, for instance `traffic.batch` or `hardware.memory.dram.bandwidth`.
    pub path: String,
    /// Values as written, with what they mean.
    pub values: Vec<(String, Setting)>,
}

/// Paths that are neither below `hardware.` nor those of a layout of the cache or of a degree.
const PATHS: &[&str] = &[
    "model",
    "heads",
    "window",
    "mla",
    "quant",
    "sparsity",
    "attention",
    "fusion",
    "routing",
    "kv_cache.format",
    "offload",
    "speculative.draft",
    "speculative.gamma",
    "speculative.acceptance",
    "traffic.batch",
    "traffic.prompt",
    "traffic.output",
];

/// All paths that are not below `hardware.`.
fn paths() -> Vec<&'static str> {
    let degrees = Degree::ALL.map(Degree::path);
    [PATHS, &CacheSetting::PATHS, &degrees].concat()
}

impl Axis {
    /// An axis from a path and its values as text; `origin` names the file or argument, `lookup` reads
    /// scheme files.
    ///
    /// # Errors
    /// An unknown path, no value, or a value that does not fit the path.
    pub fn new(
        path: &str,
        values: Vec<String>,
        origin: &str,
        lookup: Lookup<'_>,
    ) -> Result<Self, Diagnostic> {
        if values.is_empty() {
            let message = format!("{origin}: `{}` has no value to sweep over", clip(path));
            return Err(Diagnostic::new(message).hint("for instance traffic.batch=1,8,64"));
        }
        let read = |text: String| {
            let setting = setting(path, &text, origin, lookup)?;
            Ok((text, setting))
        };
        let values: Result<_, Diagnostic> = values.into_iter().map(read).collect();
        Ok(Self { path: path.to_owned(), values: values? })
    }

    /// An axis from `path=v1,v2,...`; a value may be a range `1..64` or `8..64:8`, ends included.
    ///
    /// # Errors
    /// As [`Self::new`], and text without `=`.
    pub fn parse(text: &str, lookup: Lookup<'_>) -> Result<Self, Diagnostic> {
        let Some((path, values)) = text.split_once('=') else {
            let message = format!("--set {}: expected path=value", clip(text));
            return Err(Diagnostic::new(message).hint("for instance --set traffic.batch=1,8,64"));
        };
        let values = expand_values(values)?;
        Self::new(path.trim(), values, &format!("--set {}", clip(text)), lookup)
    }

    /// Whether the values change traffic only, so that plan and machine stay.
    pub fn is_traffic(&self) -> bool {
        self.path.starts_with("traffic.")
    }

    /// Whether the values change the hardware.
    pub fn is_hardware(&self) -> bool {
        self.path.starts_with("hardware.")
    }
}

fn setting(
    path: &str,
    text: &str,
    origin: &str,
    lookup: Lookup<'_>,
) -> Result<Setting, Diagnostic> {
    if let Some(inner) = path.strip_prefix("hardware.") {
        let raw = RawHardware::from_path(inner, text, origin)?;
        return Ok(Setting::Hardware(Box::new(raw)));
    }
    let missing = || Diagnostic::unknown("path", path, paths());
    if !paths().contains(&path) {
        return Err(missing());
    }
    if let Some(degree) = DegreeSetting::parse(path, text)? {
        return Ok(Setting::Parallel(degree));
    }
    if let Some(cache) = CacheSetting::parse(path, text)? {
        return Ok(Setting::Cache(cache));
    }
    let count = || {
        text.parse::<u64>().ok().filter(|n| *n > 0).ok_or_else(|| {
            let found = clip(text);
            let message =
                format!("{origin}: {path} is `{found}`; expected a whole number of at least 1");
            Diagnostic::new(message).hint("for instance traffic.batch=1,8,64")
        })
    };
    Ok(match path {
        "traffic.batch" => Setting::Batch(count()?),
        "traffic.prompt" => Setting::Prompt(count()?),
        "traffic.output" => Setting::Output(count()?),
        "model" => Setting::Model(text.to_owned()),
        "heads" => Setting::Heads(text.parse()?),
        "window" => Setting::Window(text.parse()?),
        "mla" => Setting::Latent(text.parse()?),
        "quant" => Setting::Quant(Scheme::load(text, lookup)?),
        "sparsity" => {
            with_sparsity(&Scheme::sixteen_bit(), text)?;
            Setting::Sparsity(text.to_owned())
        }
        "kv_cache.format" => {
            with_kv(&Scheme::sixteen_bit(), text)?;
            Setting::KvFormat(text.to_owned())
        }
        "offload" => Setting::Offload(parse_offload(text)?),
        "speculative.draft" => Setting::Drafter(Drafter::parse(text)?),
        "speculative.gamma" => Setting::Gamma(text.parse()?),
        "speculative.acceptance" => Setting::Acceptance(text.replace('/', ",").parse()?),
        "attention" => Setting::Attention(named(text, path, ATTENTION)?),
        "routing" => Setting::Routing(parse_routing(text)?),
        "fusion" => Setting::Fusion(named(text, path, FUSION)?),
        _ => return Err(missing()),
    })
}

/// Most values that one argument may expand to.
const MAX_VALUES: u64 = 1_000_000;

/// `1,8,64` and ranges: `1..4` is 1, 2, 3, 4; `8..32:8` is 8, 16, 24, 32.
///
/// # Errors
/// A range whose step is 0, whose end is below its start, or that is absurdly long.
pub fn expand_values(text: &str) -> Result<Vec<String>, Diagnostic> {
    let mut values = vec![];
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let Some((from, to, step)) = range(part) else {
            values.push(part.to_owned());
            continue;
        };
        let room = MAX_VALUES.saturating_sub(values.len() as u64);
        if step == 0 || to < from || (to - from) / step >= room {
            let message = format!("`{}` is not a range of at most {MAX_VALUES} values", clip(part));
            return Err(Diagnostic::new(message).hint("for instance 1..64, or 8..64:8"));
        }
        values.extend((from..=to).step_by(step as usize).map(|n| n.to_string()));
    }
    Ok(values)
}

fn range(part: &str) -> Option<(u64, u64, u64)> {
    let (from, rest) = part.split_once("..")?;
    let (to, step) = rest.split_once(':').unwrap_or((rest, "1"));
    Some((from.parse().ok()?, to.parse().ok()?, step.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_their_ends() {
        assert_eq!(expand_values("1,8..24:8,64").expect("valid"), ["1", "8", "16", "24", "64"]);
        assert!(expand_values("9..1").is_err());
        assert!(expand_values("0..18446744073709551615").is_err());
        assert_eq!(expand_values("bf16, w4a16").expect("valid"), ["bf16", "w4a16"]);
    }
}
