//! The names that schemes are written with.
//!
//! `16bit` | `fp32` | `tf32` | `bf16` | `fp16` | `fp8` | `fp8-e5m2` | `int8` | `int4` |
//! `mxfp4` | `mxfp6` | `mxfp8` | `nvfp4` | `gptq-4bit` | `awq-4bit` | a GGUF mix such as `q4_k_m` |
//! `w<F>a<F>`, where F is 2, 3, 4, 8, 16, `fp8`, `bf16`, `mxfp4`, `q4_k`..., then any of `-g<N>`
//! (weights in groups of N), `-pc`, `-pt` (one scale per channel, per tensor), `-zp` (weights with
//! zero points), `-act` (GPTQ's order of activations), `-static` (activations with a scale known before,
//! not one per token), `-kv<F>` (KV cache, 2, 4, 8, `fp8`, `q8_0` or 16), `-kv<F>-pc` (its scales per
//! channel), `-s2:4` and `-s<D>` (projections 2:4 sparse, or with a density of D), `-experts` (projections
//! other than the experts' stay plain, as in gpt-oss's checkpoints: `wmxfp4a16-experts`).

use super::{Compute, ParseSchemeError, Scheme};
use crate::dtype::block::Block;
use crate::dtype::format::Format;
use crate::dtype::gguf::{MIXES, Mix};
use crate::dtype::scaled::{Group, Packing, Scaled};
use crate::dtype::sparsity::Sparsity;
use crate::dtype::storage::Storage;

const NO_FORMAT: &str = "it does not start with a format or w<bits>a<bits>";

/// Longest name of a scheme, in bytes.
const LONGEST_NAME: usize = 64;

/// Examples that messages and completion offer.
pub(super) const EXAMPLES: &[&str] = &[
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
                let sparse = self.weights.sparse(kept).filter(|_| self.mix.is_none());
                let why = || format!("`-{flag}` needs weights in plain formats or dense groups");
                self.weights = sparse.ok_or_else(why)?;
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
}

/// Whether a flag is of weights with zeros: `s2:4`, `s0.5`.
pub(super) fn is_sparsity(flag: &str) -> bool {
    flag.strip_prefix('s').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Dashes inside a format's name, and between a KV format and its `pc`, part no flags.
pub(super) fn join_formats(text: &str) -> String {
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

#[cfg(test)]
mod tests;
