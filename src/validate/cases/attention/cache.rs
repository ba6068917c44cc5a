//! Keys and values as codes with scales: the quantized cache of a serving stack.

use super::super::codes::Codes;
use super::super::random::Random;
use super::Attention;
use crate::codec::{Float, Overflow};
use crate::validate::{Array, Inputs, Layout, Stored};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What shares a scale of keys, and one of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheScales {
    /// All heads
    #[default]
    Tensor,
    /// One key and value head
    Head,
}

/// How a kernel gets numbers from the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Codes times scales.
    Right,
    /// Keys without their scale.
    KeysUnscaled,
    /// Values without their scale.
    ValuesUnscaled,
    /// Keys with the values' scale, values with the keys'.
    Swapped,
    /// The scale of the head behind, behind the last that of the first.
    NextHead,
    /// The scale of the first head.
    FirstHead,
    /// Keys divided by their scale.
    KeysDivided,
    /// Values divided by their scale.
    ValuesDivided,
    /// Keys times the square of their scale.
    KeysTwice,
    /// Values times the square of their scale.
    ValuesTwice,
    /// e4m3fn as e4m3fnuz.
    Fnuz,
    /// e4m3fn as e5m2, e5m2 as e4m3fn.
    OtherFloat,
    /// Integers without their sign.
    Unsigned,
}

impl Reading {
    /// What a code stands for, before its scale.
    fn number(self, dtype: Codes, code: f64) -> f64 {
        let reread = |from: Float, to: Float| to.decode(from.encode(code, Overflow::Special));
        match (self, dtype) {
            (Self::Fnuz, Codes::Fp8E4m3) => reread(Float::E4M3FN, Float::E4M3FNUZ),
            (Self::OtherFloat, Codes::Fp8E4m3) => reread(Float::E4M3FN, Float::E5M2),
            (Self::OtherFloat, Codes::Fp8E5m2) => reread(Float::E5M2, Float::E4M3FN),
            (Self::Unsigned, Codes::Int8) => code.rem_euclid(256.0),
            _ => code,
        }
    }

    /// What numbers of a head are multiplied with.
    fn scale(self, is_key: bool, [own, other]: [&[f64]; 2], head: usize) -> f64 {
        let of = |scales: &[f64], head: usize| scales[head % scales.len()];
        let scale = of(own, head);
        match (self, is_key) {
            (Self::KeysUnscaled, true) | (Self::ValuesUnscaled, false) => 1.0,
            (Self::KeysDivided, true) | (Self::ValuesDivided, false) => 1.0 / scale,
            (Self::KeysTwice, true) | (Self::ValuesTwice, false) => scale * scale,
            (Self::Swapped, _) => of(other, head),
            (Self::NextHead, _) => of(own, head + 1),
            (Self::FirstHead, _) => own[0],
            _ => scale,
        }
    }
}

impl Attention {
    /// How keys and values are to be understood.
    pub(super) fn cache_says(&self) -> Option<String> {
        let at = match self.kv_scales.unwrap_or_default() {
            CacheScales::Tensor => "0",
            CacheScales::Head => "key head",
        };
        self.kv_dtype.map(|kv| {
            format!(
                "k and v are codes in {kv}: a key's number is k * k_scale[{at}], a value's v * v_scale[{at}]. \
                 Scales may be applied to scores and output, or numbers rounded to {} first.",
                self.dtype
            )
        })
    }

    /// Random keys or values.
    pub(in super::super) fn cached(&self, random: &mut Random, layout: Layout) -> Array {
        let Some(kv) = self.kv_dtype else { return random.array(layout) };
        let values = (0..layout.elements()).map(|_| kv.random(random)).collect();
        Array { layout: Layout { stored: kv.stored(), ..layout }, values }
    }

    /// Random scales of keys and of values, where they are codes.
    pub(in super::super) fn scale_arrays(&self, random: &mut Random) -> Vec<Array> {
        let Some(kv) = self.kv_dtype else { return vec![] };
        let axis = match self.kv_scales.unwrap_or_default() {
            CacheScales::Tensor => ("tensor", 1),
            CacheScales::Head => ("key head", self.kv_heads),
        };
        let fp32 = Stored::Float(Float::FP32);
        let mut scales = |name, says| {
            let layout = Layout::new(name, says, [axis], fp32);
            // Over a factor of four, so that another is another.
            let draw = |_| fp32.round(kv.largest_scale() * 4f64.powf(random.fraction() - 1.0));
            let values = (0..layout.elements()).map(draw).collect();
            Array { layout, values }
        };
        vec![scales("k_scale", "scales of keys"), scales("v_scale", "scales of values")]
    }

    /// Keys and values as numbers, as a kernel gets them that reads codes in some way.
    pub(super) fn dequantized<'a>(&self, inputs: &'a Inputs, reading: Reading) -> Cow<'a, Inputs> {
        let Some(kv) = self.kv_dtype else { return Cow::Borrowed(inputs) };
        let numbers = |name: &str, scales: [&str; 2], dim: u64| {
            let scales = scales.map(|name| inputs.of(name));
            let heads = inputs.of(name).chunks_exact(dim as usize).enumerate();
            let of = |(row, codes): (usize, &[f64])| {
                let head = row % self.kv_heads as usize;
                let scale = reading.scale(name == "k", scales, head);
                codes.iter().map(move |&c| reading.number(kv, c) * scale).collect::<Vec<f64>>()
            };
            heads.flat_map(of).collect::<Vec<f64>>()
        };
        let k = numbers("k", ["k_scale", "v_scale"], self.head_dim);
        let v = numbers("v", ["v_scale", "k_scale"], self.value_dim());
        Cow::Owned(inputs.with("k", k).with("v", v))
    }
}
