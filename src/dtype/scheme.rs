//! Uniform quantization schemes and the names they are written with.
//!
//! `16bit` | `fp32` | `tf32` | `bf16` | `fp16` | `fp8` | `fp8-e5m2` | `int8` | `int4` |
//! `w<F>a<F>`, where F is 4, 8, 16, `fp8` or `bf16`..., then any of `-g<N>` (weights in groups of
//! N), `-zp` (weights with zero points), `-kv<F>` (KV cache, 4, 8, `fp8` or 16).

use super::format::Format;
use super::storage::{Group, Storage};
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
    /// Storage of projection weights.
    pub weights: Storage,
    /// Storage of the activations that enter a projection.
    pub activations: Storage,
    /// Storage of the KV cache; a row is one head of one token.
    pub kv: Storage,
    /// Storage of everything else.
    pub plain: Storage,
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
    "w8a16",
    "w4a16",
    "w4a16-g128",
    "w4a16-g128-kv8",
    "w4a16-g128-zp",
    "bf16-kv8",
    "fp8-kvfp8",
    "int8",
    "int4",
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
        let name = self.name.replace("fp8-e", "fp8_e");
        let others: Vec<&str> = name.split('-').filter(|flag| !flag.starts_with("kv")).collect();
        format!("{}-kv{format}", others.join("-").replace("fp8_e", "fp8-e")).parse()
    }

    /// Whether projections read quantized activations, which needs a native engine.
    pub fn quantizes_activations(&self) -> bool {
        self.activations.scale.is_some()
    }

    fn uniform(name: &str, storage: Storage, compute: Compute) -> Self {
        Self {
            name: name.to_owned(),
            weights: storage,
            activations: storage,
            kv: storage,
            plain: storage,
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
        let (weight, activation) = token.strip_prefix('w')?.rsplit_once('a')?;
        let (weight, activation) = (element(weight)?, element(activation)?);
        // A product runs in the activations' format, so weights are at most as wide.
        let bits = |format: Option<Format>| format.map_or(16, Format::bits);
        if bits(weight) > bits(activation) {
            return None;
        }
        let high = match activation {
            Some(f) if !f.is_scaled() => Compute::Exact(f),
            _ => Compute::Native16,
        };
        let plain = match high {
            Compute::Exact(f) => Storage::plain(f),
            Compute::Native16 => Storage::plain(Format::Bf16),
        };
        let mut scheme = Self::uniform("", plain, high);
        if let Some(format) = weight {
            scheme.weights = weight_storage(format);
        }
        if let Some(format) = activation.filter(|f| f.is_scaled()) {
            scheme.activations = Storage::scaled(format, Format::Fp32, Group::Row);
            scheme.projection = Compute::Exact(format);
        }
        Some(scheme)
    }

    fn apply(&mut self, flag: &str) -> Result<(), String> {
        if flag == "zp" {
            if self.weights.scale.is_none() {
                return Err("`-zp` needs quantized weights".to_owned());
            }
            self.weights.zero_point = true;
            return Ok(());
        }
        if let Some(size) = flag.strip_prefix('g') {
            let size = size.parse().ok().filter(|n| *n > 0);
            let size: u32 = size.ok_or_else(|| format!("`-{flag}` is not a group size"))?;
            let Some((scale, _)) = self.weights.scale else {
                return Err("a group size needs quantized weights".to_owned());
            };
            self.weights.scale = Some((scale, Group::Size(size)));
            return Ok(());
        }
        if let Some(name) = flag.strip_prefix("kv") {
            let format = element(name).ok_or_else(|| format!("`-{flag}` is not a KV format"))?;
            self.kv = match format {
                None => self.plain,
                Some(f) if f.is_scaled() => Storage::scaled(f, Format::Fp16, Group::Row),
                Some(f) => Storage::plain(f),
            };
            return Ok(());
        }
        Err(format!("`-{flag}` is neither a group size (-g128), -zp, nor a KV format (-kv8)"))
    }
}

/// A quantized weight without `-g`: one fp16 scale per output channel; fp8: one fp32 per tensor.
fn weight_storage(format: Format) -> Storage {
    match format {
        Format::Fp8E4m3 | Format::Fp8E5m2 => Storage::scaled(format, Format::Fp32, Group::Tensor),
        f if f.is_scaled() => Storage::scaled(f, Format::Fp16, Group::Row),
        f => Storage::plain(f),
    }
}

/// `4`, `8` are integers, `16` the native 16-bit float (`None`), names are formats.
fn element(token: &str) -> Option<Option<Format>> {
    match token {
        "4" => Some(Some(Format::Int4)),
        "8" => Some(Some(Format::Int8)),
        "16" => Some(None),
        name => {
            let format = Format::from_name(&name.replace('_', "-"))?;
            (!matches!(format, Format::Int32 | Format::Tf32)).then_some(Some(format))
        }
    }
}

impl std::str::FromStr for Scheme {
    type Err = ParseSchemeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim().to_lowercase();
        let fail = |why: String| {
            let hint = crate::diagnostic::nearest_hint(&name, EXAMPLES);
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
            return Err(fail("it does not start with a format or w<bits>a<bits>".to_owned()));
        };
        // A KV format's own dash does not part flags.
        let flags = name[end..].replace("fp8-e", "fp8_e");
        let mut kinds = vec![];
        for flag in flags.split('-').skip(1) {
            let kind = flag.chars().next().ok_or_else(|| fail("a dash has no flag".to_owned()))?;
            if kinds.contains(&kind) {
                return Err(fail(format!("`-{flag}` repeats a flag")));
            }
            kinds.push(kind);
            scheme.apply(flag).map_err(&fail)?;
        }
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
    }

    #[test]
    fn another_kv_format_keeps_the_other_flags() {
        let kv = |name: &str, format: &str| scheme(name).with_kv(format).map(|s| s.name);
        assert_eq!(kv("w4a16-kv8-g128", "4").as_deref(), Ok("w4a16-g128-kv4"));
        assert_eq!(kv("fp8-e5m2", "fp8-e5m2").as_deref(), Ok("fp8-e5m2-kvfp8-e5m2"));
        assert_eq!(scheme("bf16-kvfp8-e5m2").kv.element, Format::Fp8E5m2);
        assert!(kv("16bit", "5").is_err());
    }

    #[test]
    fn nonsense_is_refused_with_a_hint() {
        for bad in [
            "",
            "w5a16",
            "q4",
            "bf16-g128",
            "w4a16-g0",
            "w4a16-kv5",
            "w4a16-zz",
            "bf16-zp",
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
