//! New keys and values as a quantized cache keeps them.

use super::super::codes::{Codes, Storing};
use super::super::random::Random;
use super::KvAppendCase;
use crate::codec::Float;
use crate::validate::{Array, Inputs, Layout, Precision, Stored};

/// What is done with the scales of a quantized cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scaling {
    Divided,
    /// Times the inverse in f32, which is as right.
    ByInverse,
    Missing,
    Multiplied,
    Swapped,
    NextHead,
    FirstHead,
}

/// Known bugs of scales.
pub(super) const SCALINGS: &[(&str, &str, Scaling)] = &[
    ("kv-scale-missing", "new rows are not divided by the scale", Scaling::Missing),
    ("kv-scale-inverse", "new rows are multiplied by the scale", Scaling::Multiplied),
    ("kv-scales-swapped", "the scales of keys and of values are swapped", Scaling::Swapped),
    ("kv-scale-neighbour", "the scales of the head behind", Scaling::NextHead),
    ("kv-scale-first", "the scales of head 0 are taken for every head", Scaling::FirstHead),
];

/// How numbers become what the cache keeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing {
    pub(super) scaling: Scaling,
    pub(super) storing: Storing,
}

impl Writing {
    pub(super) const RIGHT: Self = Self { scaling: Scaling::Divided, storing: Storing::SATURATING };
}

impl KvAppendCase {
    /// The scales of keys and of values.
    pub(super) fn scale_arrays(&self, random: &mut Random) -> Vec<Array> {
        let Some(codes) = self.kv.dtype else { return vec![] };
        let axis = self.kv.axis(self.kv_heads);
        // Numbers reach 1.7: every other scale lets some overflow. Those of keys are powers of two, under which
        // some quotients are half way between codes.
        let power = 2f64.powf((1.2 / codes.largest()).log2().round());
        let fp32 = Stored::Float(Float::FP32);
        let (even, odd) = (Layout::new("k_scale", "scales of keys", [axis], fp32), "v_scale");
        let odd = Layout { name: odd.to_owned(), says: "scales of values", ..even.clone() };
        let heads = 0..even.elements();
        let k = heads.clone().map(|h| power * [1.0, 2.0][h % 2]).collect();
        let top = 1.7 / codes.largest();
        let v =
            heads.map(|h| fp32.round(top * [1.3, 0.6][h % 2] * (1.0 - 0.2 * random.fraction())));
        let v = v.collect();
        vec![Array { layout: even, values: k }, Array { layout: odd, values: v }]
    }

    /// New rows of keys or values as the cache keeps them.
    pub(super) fn stored(
        &self,
        inputs: &Inputs,
        name: &str,
        (precision, writing): (Precision, Writing),
    ) -> Vec<f64> {
        let new = inputs.of(name);
        let Some(codes) = self.kv.dtype else { return new.to_vec() };
        let (own, other) =
            if name == "k" { ("k_scale", "v_scale") } else { ("v_scale", "k_scale") };
        let (own, other) = (inputs.of(own), inputs.of(other));
        let narrow = |x: f64| if precision == Precision::Kernel { f64::from(x as f32) } else { x };
        let head = |(row, head): (usize, &[f64])| {
            let h = row % self.kv_heads as usize;
            let of = |scales: &[f64], h: usize| scales[h % scales.len()];
            let quotient = move |x: f64| match writing.scaling {
                Scaling::Divided => x / of(own, h),
                Scaling::ByInverse => x * narrow(1.0 / of(own, h)),
                Scaling::Missing => x,
                Scaling::Multiplied => x * of(own, h),
                Scaling::Swapped => x / of(other, h),
                Scaling::NextHead => x / of(own, h + 1),
                Scaling::FirstHead => x / own[0],
            };
            head.iter()
                .map(|&x| writing.storing.code(codes, narrow(quotient(x))))
                .collect::<Vec<_>>()
        };
        new.chunks_exact(self.head_dim as usize).enumerate().flat_map(head).collect()
    }

    /// How the codes of the cache come about, in words.
    pub(super) fn says(&self, codes: Codes) -> String {
        let at = self.kv.index();
        format!(
            "The caches have codes in {codes}: a new key over k_scale[{at}], a value over v_scale[{at}], to the \
             nearest, ties to even, beyond the range the nearest end."
        )
    }
}
