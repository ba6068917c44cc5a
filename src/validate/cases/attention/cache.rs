//! Keys and values as codes with scales: the quantized cache of a serving stack.

use super::super::codes::{Codes, reread};
use super::super::random::Random;
use super::{Attention, Bug};
use crate::codec::Float;
use crate::validate::{Array, Inputs, Layout, Stored};
use std::borrow::Cow;

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

/// Known bugs of reading a quantized cache.
pub(super) const READINGS: &[Bug] = &[
    Bug::reads("k-scale-missing", "keys are not multiplied by their scale", Reading::KeysUnscaled),
    Bug::reads(
        "v-scale-missing",
        "values are not multiplied by their scale",
        Reading::ValuesUnscaled,
    ),
    Bug::reads(
        "kv-scales-swapped",
        "the scales of keys and of values are swapped",
        Reading::Swapped,
    ),
    Bug::reads("kv-scale-neighbour", "the scales of the head behind", Reading::NextHead),
    Bug::reads(
        "kv-scale-first",
        "the scales of head 0 are taken for every head",
        Reading::FirstHead,
    ),
    Bug::reads("k-scale-inverse", "keys are divided by their scale", Reading::KeysDivided),
    Bug::reads("v-scale-inverse", "values are divided by their scale", Reading::ValuesDivided),
    Bug::reads("k-scale-twice", "keys are multiplied by their scale twice", Reading::KeysTwice),
    Bug::reads("v-scale-twice", "values are multiplied by their scale twice", Reading::ValuesTwice),
    Bug::reads(
        "fnuz",
        "e4m3fn is read as e4m3fnuz, whose exponent's bias is one more",
        Reading::Fnuz,
    ),
    Bug::reads("other-float", "e4m3 is read as e5m2, or e5m2 as e4m3", Reading::OtherFloat),
    Bug::reads("other-sign", "codes with a sign are read without", Reading::Unsigned),
];

impl Reading {
    /// What a code stands for, before its scale.
    fn number(self, dtype: Codes, code: f64) -> f64 {
        match (self, dtype) {
            (Self::Fnuz, Codes::Fp8E4m3) => reread(code, Float::E4M3FN, Float::E4M3FNUZ),
            (Self::OtherFloat, Codes::Fp8E4m3) => reread(code, Float::E4M3FN, Float::E5M2),
            (Self::OtherFloat, Codes::Fp8E5m2) => reread(code, Float::E5M2, Float::E4M3FN),
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
        let at = self.kv.index();
        self.kv.dtype.map(|kv| {
            format!(
                "k and v are codes in {kv}: a key's number is k * k_scale[{at}], a value's v * v_scale[{at}]. \
                 Scales may be applied to scores and output, or numbers rounded to {} first.",
                self.dtype
            )
        })
    }

    /// Random scales of keys and of values, where they are codes.
    pub(in super::super) fn scale_arrays(&self, random: &mut Random) -> Vec<Array> {
        let Some(kv) = self.kv.dtype else { return vec![] };
        let fp32 = Stored::Float(Float::FP32);
        let mut scales = |name, says| {
            let layout = Layout::new(name, says, [self.kv.axis(self.kv_heads)], fp32);
            random.spread(layout, kv.largest_scale())
        };
        vec![scales("k_scale", "scales of keys"), scales("v_scale", "scales of values")]
    }

    /// Keys and values as numbers, as a kernel gets them that reads codes in some way.
    pub(super) fn dequantized<'a>(&self, inputs: &'a Inputs, reading: Reading) -> Cow<'a, Inputs> {
        let Some(kv) = self.kv.dtype else { return Cow::Borrowed(inputs) };
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
