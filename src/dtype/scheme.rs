//! Uniform quantization schemes and the names they are written with.
//!
//! `16bit` | `fp32` | `tf32` | `bf16` | `fp16` | `fp8` | `fp8-e5m2` | `int8` | `int4` |
//! `mxfp4` | `mxfp6` | `mxfp8` | `nvfp4` | `gptq-4bit` | `awq-4bit` | a GGUF mix such as `q4_k_m` |
//! `w<F>a<F>`, where F is 2, 3, 4, 8, 16, `fp8`, `bf16`, `mxfp4`, `q4_k`..., then any of `-g<N>`
//! (weights in groups of N), `-pc`, `-pt` (one scale per channel, per tensor), `-zp` (weights with
//! zero points), `-act` (GPTQ's order of activations), `-static` (activations with a scale known before,
//! not one per token), `-kv<F>` (KV cache, 2, 4, 8, `fp8`, `q8_0` or 16), `-kv<F>-pc` (its scales per
//! channel), `-s2:4` and `-s<D>` (projections 2:4 sparse, or with a density of D), `-experts` (projections
//! other than the experts' stay plain, as in gpt-oss's checkpoints: `wmxfp4a16-experts`).
//!
//! A scheme says how numbers are stored and multiplied at inference. How the numbers were found makes no
//! difference to that: quantization-aware training (QAT) costs what post-training quantization (PTQ)
//! costs under the same scheme.

use super::block::Block;
use super::format::Format;
use super::gguf::{MIXES, Mix, Part, Weight};
use super::overrides::Override;
use super::sparsity::{Sparse, Sparsity};
use super::storage::{Group, Packing, Scaled, Storage};
use std::fmt;

/// The format that matrices are multiplied in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compute {
    /// bf16 where the device has it, else fp16 (A15).
    Native16,
    /// This one.
    Exact(Format),
}

/// Which format weights, activations and KV cache take, uniformly over the model.
///
/// Projections take `weights`; embedding, head, norms and biases stay in the high-precision
/// format `plain`, as GPTQ, AWQ and vLLM's fp8 checkpoints have them (A8).
#[derive(Debug, Clone, PartialEq)]
pub struct Scheme {
    name: String,
    /// What it is read from; the name, unless it has overrides.
    base: String,
    overrides: Vec<Override>,
    /// Storage of projection weights.
    pub weights: Storage,
    /// Storage of the activations that enter a projection. Scales per row or block are found as the
    /// values come (A60); one for the tensor is known before.
    pub activations: Storage,
    /// Storage of the KV cache; a row is one head of one token.
    pub kv: Storage,
    /// Storage of everything else.
    pub plain: Storage,
    /// The GGUF mix that says what each weight takes, in place of `weights` and `plain`.
    pub mix: Option<Mix>,
    /// Of the projections, only those of routed experts take `weights` and `activations`.
    pub experts_only: bool,
    /// What projections are multiplied in.
    pub projection: Compute,
    /// What attention, head and element-wise work are computed in.
    pub high: Compute,
}

/// A scheme name that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown quantization scheme `{name}`: {why}")]
pub struct ParseSchemeError {
    /// The name as given.
    pub name: String,
    /// Which part, and why.
    pub why: String,
    /// What would be right.
    pub hint: String,
}

const NO_FORMAT: &str = "it does not start with a format or w<bits>a<bits>";

/// Longest name of a scheme, in bytes.
const LONGEST_NAME: usize = 64;

/// Examples that messages and completion offer.
const EXAMPLES: &[&str] = &[
    "16bit",
    "bf16",
    "fp16",
    "fp32",
    "tf32",
    "fp8",
    "fp8-e5m2",
    "w8a8",
    "w8a8-static",
    "w8a16",
    "w4a16",
    "w4a16-g128",
    "w4a16-g128-kv8",
    "w4a16-g128-zp",
    "bf16-kv8",
    "fp8-kvfp8",
    "int8",
    "int4",
    "mxfp4",
    "mxfp8",
    "nvfp4",
    "wmxfp4a16",
    "wmxfp4a16-experts",
    "wnvfp4a16",
    "gptq-4bit-g128",
    "awq-4bit-g128",
    "q4_k_m",
    "q2_k@2023",
    "16bit-s2:4",
];

impl Scheme {
    /// Names worth offering.
    pub const fn examples() -> &'static [&'static str] {
        EXAMPLES
    }

    /// The default: 16-bit everywhere, bf16 where native, else fp16.
    pub fn sixteen_bit() -> Self {
        Self::uniform("16bit", Storage::plain(Format::Bf16), Compute::Native16)
    }

    /// The name it was written with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same scheme with the KV cache in another format.
    ///
    /// # Errors
    /// A format that no cache takes.
    pub fn with_kv(&self, format: &str) -> Result<Self, ParseSchemeError> {
        self.flagged(|flag| flag.starts_with("kv"), &format!("-kv{format}"))
    }

    /// The same scheme with other zeros in the weights of projections: `2:4`, a density, or `dense`.
    /// Overrides keep theirs.
    ///
    /// # Errors
    /// What is no sparsity, and weights whose layout has no place for it.
    pub fn with_sparsity(&self, sparsity: &str) -> Result<Self, ParseSchemeError> {
        if sparsity == "dense" {
            return self.flagged(is_sparsity, "");
        }
        let kept = sparsity.parse::<Sparsity>().map_err(|why| ParseSchemeError {
            name: crate::diagnostic::clip(sparsity),
            why,
            hint: "`dense`, `2:4`, or a density such as 0.5".to_owned(),
        })?;
        let flag = format!("-s{kept}");
        self.flagged(is_sparsity, &flag)
    }

    /// The same scheme without the flags that `removed` holds for, and with another.
    fn flagged(
        &self,
        removed: impl Fn(&str) -> bool,
        added: &str,
    ) -> Result<Self, ParseSchemeError> {
        let change = |name: &str| {
            let others: Vec<&str> = name.split('-').filter(|flag| !removed(flag)).collect();
            format!("{}{added}", others.join("-"))
        };
        let base = change(&join_formats(&self.base)).replace("_e", "-e").replace("_pc", "-pc");
        let scheme: Self = base.parse()?;
        if self.overrides.is_empty() {
            return Ok(scheme);
        }
        Ok(scheme.with_overrides(change(&self.name), self.overrides.clone()))
    }

    /// The same scheme under another name, with other schemes for some tensors; the last that is for
    /// a tensor holds.
    pub fn with_overrides(self, name: String, overrides: Vec<Override>) -> Self {
        Self { name, overrides, ..self }
    }

    /// What some tensors take in place of the scheme's own formats.
    pub fn overrides(&self) -> &[Override] {
        &self.overrides
    }

    /// The scheme of a tensor by name, which is a projection or not, in a layer of a model with so
    /// many layers.
    pub fn of_tensor(
        &self,
        name: &str,
        projection: bool,
        layer: Option<u64>,
        layers: u64,
    ) -> &Self {
        let found = self
            .overrides
            .iter()
            .rev()
            .find(|o| o.is_for_tensor(name, projection) && o.is_for_layer(layer, layers));
        found.map_or(self, |o| &o.scheme)
    }

    /// Whether projections read quantized activations, which needs a native engine.
    pub fn quantizes_activations(&self) -> bool {
        self.activations.is_scaled()
    }

    fn uniform(name: &str, storage: Storage, compute: Compute) -> Self {
        Self {
            name: name.to_owned(),
            base: name.to_owned(),
            overrides: vec![],
            weights: storage,
            activations: storage,
            kv: storage,
            plain: storage,
            mix: None,
            experts_only: false,
            projection: compute,
            high: compute,
        }
    }

    fn base(token: &str) -> Option<Self> {
        let token = match token {
            "int8" => "w8a16",
            "int4" => "w4a16",
            "fp8" | "fp8-e4m3" => "wfp8afp8",
            "fp8-e5m2" => "wfp8-e5m2afp8-e5m2",
            "mxfp4" => "wmxfp4amxfp4",
            "mxfp6" => "wmxfp6amxfp6",
            "mxfp8" => "wmxfp8amxfp8",
            "nvfp4" => "wnvfp4anvfp4",
            other => other,
        };
        match token {
            "16bit" => return Some(Self::sixteen_bit()),
            "fp32" | "tf32" | "bf16" | "fp16" => {
                let format = Format::from_name(token)?;
                return Some(Self::uniform(token, Storage::plain(format), Compute::Exact(format)));
            }
            _ => {}
        }
        if let Some(mix) = Mix::from_name(token) {
            return Some(Self { mix: Some(mix), ..Self::sixteen_bit() });
        }
        if let Some(weights) = packed(token) {
            return Some(Self { weights, ..Self::sixteen_bit() });
        }
        let (weight, activation) = token.strip_prefix('w')?.rsplit_once('a')?;
        let (weight, activation) = (element(weight)?, element(activation)?);
        // A product runs in the activations' format, so weights are at most as wide.
        if weight.bits() > activation.bits() {
            return None;
        }
        let high = match activation {
            Element::Format(f) if !f.is_scaled() => Compute::Exact(f),
            _ => Compute::Native16,
        };
        let plain = match high {
            Compute::Exact(f) => Storage::plain(f),
            Compute::Native16 => Storage::plain(Format::Bf16),
        };
        let mut scheme = Self::uniform("", plain, high);
        scheme.weights = match weight {
            Element::Native16 => plain,
            Element::Format(format) => weight_storage(format),
            Element::Block(block) => Storage::Block(block),
        };
        match activation {
            Element::Format(format) if format.is_scaled() => {
                scheme.activations = Storage::scaled(format, Format::Fp32, Group::Row);
                scheme.projection = Compute::Exact(format);
            }
            // At the element's rate (A22).
            Element::Block(block) => {
                scheme.activations = Storage::Block(block);
                scheme.projection = Compute::Exact(block.element()?);
            }
            _ => {}
        }
        Some(scheme)
    }

    fn apply(&mut self, flag: &str) -> Result<(), String> {
        let quantized = self.mix.is_none() && self.weights != self.plain;
        let scaled = match &mut self.weights {
            Storage::Scaled(scaled) if self.mix.is_none() => Some(scaled),
            _ => None,
        };
        let group = match flag {
            "pc" => Some(Group::Row),
            "pt" => Some(Group::Tensor),
            _ => None,
        };
        match (flag, scaled) {
            ("zp", Some(scaled)) => scaled.zero_point = true,
            ("zp", None) => return Err("`-zp` needs weights with scales of groups".to_owned()),
            ("act", Some(Scaled { packing: packing @ Packing::Gptq { .. }, .. })) => {
                *packing = Packing::Gptq { act_order: true };
            }
            ("act", _) => return Err("`-act` goes with gptq".to_owned()),
            ("experts", _) if quantized => self.experts_only = true,
            ("experts", _) => return Err("`-experts` needs quantized weights".to_owned()),
            (flag, _) if is_sparsity(flag) => {
                let kept: Sparsity = flag[1..].parse().map_err(|e| format!("`-{flag}`: {e}"))?;
                let sparse = Sparse::of(&self.weights, kept).filter(|_| self.mix.is_none());
                let why = || format!("`-{flag}` needs weights in plain formats or dense groups");
                self.weights = Storage::Sparse(sparse.ok_or_else(why)?);
            }
            ("static", _) => match &mut self.activations {
                Storage::Scaled(scaled) => scaled.group = Group::Tensor,
                _ => return Err("`-static` needs int8 or fp8 activations".to_owned()),
            },
            ("pc" | "pt", scaled) => match (scaled, group) {
                (Some(scaled), Some(group)) => scaled.group = group,
                _ => return Err(format!("`-{flag}` needs weights with scales of groups")),
            },
            (_, scaled) => {
                let groups = scaled.is_some();
                return self.apply_number(flag, groups);
            }
        }
        Ok(())
    }

    /// A group size or a KV format.
    fn apply_number(&mut self, flag: &str, groups: bool) -> Result<(), String> {
        if let Some(size) = flag.strip_prefix('g') {
            let size = size.parse().ok().filter(|n| *n > 0);
            let size: u32 = size.ok_or_else(|| format!("`-{flag}` is not a group size"))?;
            return match &mut self.weights {
                Storage::Scaled(scaled) if groups => {
                    scaled.group = Group::Size(size);
                    Ok(())
                }
                _ => Err("a group size needs weights with scales of groups".to_owned()),
            };
        }
        if let Some(name) = flag.strip_prefix("kv") {
            let (name, group) =
                name.strip_suffix("_pc").map_or((name, Group::Row), |n| (n, Group::Column));
            let format = element(name).ok_or_else(|| format!("`-{flag}` is not a KV format"))?;
            self.kv = match format {
                Element::Native16 => self.plain,
                Element::Format(f) if f.is_scaled() => Storage::scaled(f, Format::Fp16, group),
                Element::Format(f) => Storage::plain(f),
                Element::Block(block) => Storage::Block(block),
            };
            return Ok(());
        }
        Err(format!(
            "`-{flag}` is neither a group size (-g128), -zp, -experts, nor a KV format (-kv8)"
        ))
    }

    /// Storage of one weight tensor: that of an override, the mix's, else that of projections or of
    /// everything else. Vectors and routers have no override.
    pub fn weight(&self, weight: &Weight<'_>, projection: bool) -> Storage {
        let layers = weight.model.layers;
        let other = self.of_tensor(weight.name, projection, weight.layer, layers);
        if weight.part != Part::Vector && !std::ptr::eq(other, self) {
            return other.weights;
        }
        match (self.mix, projection) {
            (Some(mix), _) => mix.storage(weight),
            (None, true) => self.weights,
            (None, false) => self.plain,
        }
    }
}

/// Whether a flag is of weights with zeros: `s2:4`, `s0.5`.
fn is_sparsity(flag: &str) -> bool {
    flag.strip_prefix('s').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Dashes inside a format's name, and between a KV format and its `pc`, part no flags.
fn join_formats(text: &str) -> String {
    let mut text = text.to_owned();
    for exponent in ["e2m1", "e2m3", "e3m2", "e4m3", "e5m2"] {
        text = text.replace(&format!("-{exponent}"), &format!("_{exponent}"));
    }
    let Some((before, kv)) = text.rsplit_once("-kv") else { return text };
    match kv.split_once("-pc") {
        Some((format, rest)) if !format.contains('-') => format!("{before}-kv{format}_pc{rest}"),
        _ => text,
    }
}

/// `gptq-<N>bit` and `awq-4bit`: integers in 32-bit words, fp16 scales and packed zero points.
fn packed(token: &str) -> Option<Storage> {
    let (element, packing) = match token {
        "gptq-2bit" => (Format::Int2, Packing::Gptq { act_order: false }),
        "gptq-3bit" => (Format::Int3, Packing::Gptq { act_order: false }),
        "gptq-4bit" => (Format::Int4, Packing::Gptq { act_order: false }),
        "gptq-8bit" => (Format::Int8, Packing::Gptq { act_order: false }),
        "awq-4bit" => (Format::Int4, Packing::Awq),
        _ => return None,
    };
    let (scale, group) = (Format::Fp16, Group::Row);
    Some(Storage::Scaled(Scaled { element, scale, group, zero_point: true, packing }))
}

/// A quantized weight without `-g`: one fp16 scale per output channel; fp8: one fp32 per tensor.
fn weight_storage(format: Format) -> Storage {
    match format {
        Format::Fp8E4m3 | Format::Fp8E5m2 => Storage::scaled(format, Format::Fp32, Group::Tensor),
        f if f.is_scaled() => Storage::scaled(f, Format::Fp16, Group::Row),
        f => Storage::plain(f),
    }
}

/// What F stands for in a name.
#[derive(Debug, Clone, Copy)]
enum Element {
    Native16,
    Format(Format),
    Block(Block),
}

impl Element {
    fn bits(self) -> u32 {
        match self {
            Self::Native16 => 16,
            Self::Format(format) => format.bits(),
            Self::Block(block) => {
                block.element().map_or_else(|| block.bits_per_weight() as u32, Format::bits)
            }
        }
    }
}

/// `2`, `3`, `4`, `8` are integers, `16` the native 16-bit float, names are formats.
fn element(token: &str) -> Option<Element> {
    let name = token.replace("_e", "-e");
    if let Some(block) = Block::from_name(&name) {
        return Some(Element::Block(block));
    }
    Some(Element::Format(match token {
        "2" => Format::Int2,
        "3" => Format::Int3,
        "4" => Format::Int4,
        "8" => Format::Int8,
        "16" => return Some(Element::Native16),
        _ => Format::from_name(&name).filter(|f| !matches!(f, Format::Int32 | Format::Tf32))?,
    }))
}

impl std::str::FromStr for Scheme {
    type Err = ParseSchemeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim().to_lowercase();
        let fail = |why: String| {
            let mix = name.starts_with('q') || name.starts_with("iq");
            let hint = crate::diagnostic::nearest_hint(&name, if mix { MIXES } else { EXAMPLES });
            ParseSchemeError { name: crate::diagnostic::clip(&name), why, hint }
        };
        if name.len() > LONGEST_NAME {
            return Err(fail(format!("it is longer than {LONGEST_NAME} characters")));
        }
        // The longest base wins: `fp8-e5m2-kv8` starts with the base `fp8-e5m2`.
        let ends = name.match_indices('-').map(|(i, _)| i).chain([name.len()]);
        let bases = ends.filter_map(|end| Some((end, Self::base(&name[..end])?)));
        let base = bases.max_by_key(|(end, _)| *end);
        let Some((end, mut scheme)) = base else {
            let mix = name.starts_with("q") || name.starts_with("iq");
            let why = if mix { "there is no such GGUF mix" } else { NO_FORMAT };
            return Err(fail(why.to_owned()));
        };
        let flags = join_formats(&name[end..]);
        let mut kinds = vec![];
        for flag in flags.split('-').skip(1) {
            let kind = flag.chars().next().ok_or_else(|| fail("a dash has no flag".to_owned()))?;
            // -pc and -pt set what -g sets.
            let kind = match kind {
                'p' => 'g',
                's' if is_sparsity(flag) => 'z',
                other => other,
            };
            if kinds.contains(&kind) {
                return Err(fail(format!("`-{flag}` repeats a flag")));
            }
            kinds.push(kind);
        }
        // Zeros are left out of what the other flags make of the weights.
        let (sparse, others): (Vec<&str>, Vec<&str>) =
            flags.split('-').skip(1).partition(|flag| is_sparsity(flag));
        for flag in others.into_iter().chain(sparse) {
            scheme.apply(flag).map_err(&fail)?;
        }
        scheme.base.clone_from(&name);
        scheme.name = name;
        Ok(scheme)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheme(text: &str) -> Scheme {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn every_example_reads_and_keeps_its_name() {
        for name in EXAMPLES {
            assert_eq!(scheme(name).name(), *name);
        }
    }

    #[test]
    fn parts_mean_what_they_say() {
        let s = scheme("w4a16-g128-kv8");
        assert_eq!(s.weights.bits_per_element(4096), 4.125);
        assert_eq!(s.kv.bits_per_element(128), 8.125);
        assert_eq!(s.plain, Storage::plain(Format::Bf16));
        assert_eq!(s.projection, Compute::Native16);
        assert!(!s.quantizes_activations());
        let s = scheme("w8a8");
        assert_eq!(s.projection, Compute::Exact(Format::Int8));
        assert_eq!(s.high, Compute::Native16);
        assert!(s.quantizes_activations());
        assert_eq!(scheme("fp8-e5m2-kvfp8").projection, Compute::Exact(Format::Fp8E5m2));
        assert_eq!(scheme("w4abf16").high, Compute::Exact(Format::Bf16));
        assert!(scheme("wmxfp4a16-experts-kv8").experts_only);
        assert!(!scheme("wmxfp4a16").experts_only);
    }

    #[test]
    fn another_kv_format_keeps_the_other_flags() {
        let kv = |name: &str, format: &str| scheme(name).with_kv(format).map(|s| s.name);
        assert_eq!(kv("w4a16-kv8-g128", "4").as_deref(), Ok("w4a16-g128-kv4"));
        let sparse = |name: &str, zeros: &str| scheme(name).with_sparsity(zeros).map(|s| s.name);
        assert_eq!(sparse("w8a8-kv8", "2:4").as_deref(), Ok("w8a8-kv8-s2:4"));
        assert_eq!(sparse("w8a8-static-s0.5-kv8", "dense").as_deref(), Ok("w8a8-static-kv8"));
        assert_eq!(sparse("bf16-kvfp8-e5m2-s0.5", "2:4").as_deref(), Ok("bf16-kvfp8-e5m2-s2:4"));
        let both = [scheme("w4a16-s2:4-g128"), scheme("w4a16-g128-s2:4")];
        assert_eq!(both[0].weights, both[1].weights);
        assert_eq!(kv("fp8-e5m2", "fp8-e5m2").as_deref(), Ok("fp8-e5m2-kvfp8-e5m2"));
        assert_eq!(scheme("bf16-kvfp8-e5m2").kv.element(), Some(Format::Fp8E5m2));
        assert!(kv("16bit", "5").is_err());
    }

    #[test]
    fn nonsense_is_refused_with_a_hint() {
        for bad in [
            "",
            "w5a16",
            "q4",
            "q4_k_x",
            "iq4_xs@2023",
            "q4_k_m-g128",
            "w4a16-act",
            "w4a16-g64-pc",
            "wq4_kaq4_k",
            "bf16-g128",
            "w4a16-g0",
            "w4a16-kv5",
            "w4a16-zz",
            "w8a16-static",
            "w8a8-s2:8",
            "bf16-s0",
            "bf16-s",
            "bf16-s2:4-s0.5",
            "q4_k_m-s2:4",
            "mxfp4-s2:4",
            "gptq-4bit-s0.5",
            "mxfp4-static",
            "bf16-zp",
            "16bit-experts",
            "q4_k_m-experts",
            "w4a16-experts-experts",
            "w16a8",
            "wint32a16",
            "wtf32a16",
            "wfp32a16",
            "16bit-",
            "16bit--kv8",
            "w4a16-g64-g128",
        ] {
            let error = bad.parse::<Scheme>().err().unwrap_or_else(|| panic!("{bad} passes"));
            assert!(!error.hint.is_empty(), "{error}");
        }
    }
}
