//! Quantization schemes: how weights, activations and the KV cache are stored and multiplied.
//!
//! A scheme says how numbers are stored and multiplied at inference. How the numbers were found makes no
//! difference to that: quantization-aware training (QAT) costs what post-training quantization (PTQ)
//! costs under the same scheme.
//!
//! Names are read in [`name`].

mod name;

use super::format::Format;
use super::gguf::{Mix, Part, Weight};
use super::overrides::Override;
use super::sparsity::Sparsity;
use super::storage::Storage;
use name::{EXAMPLES, is_sparsity, join_formats};
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

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}
