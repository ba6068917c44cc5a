//! Cases of the matrix product, of any pair of formats.

mod mutants;
mod output;

use super::codes::Codes;
use super::dtype::Dtype;
use super::evaluate::{of, run, values};
use super::packed::{Misread, Packed};
use super::random::Random;
use crate::codec::Float;
use crate::op::MatMul;
use crate::op::scalar::Scalar;
use crate::tensor::{Dim, Step};
use crate::validate::case::sizes;
use crate::validate::reference::allowed;
use crate::validate::{
    Array, Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Stored, Usual,
};
use output::{Writing, is_exact};
use serde::{Deserialize, Serialize};

/// `out = A B^T`: activations times weights, as a projection has them.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatMulCase {
    /// Rows of A: tokens
    #[arg(long, default_value = "37")]
    pub m: u64,
    /// Rows of B: elements of a result
    #[arg(long, default_value = "72")]
    pub n: u64,
    /// Elements of a row of A and of B
    #[arg(long, default_value = "160")]
    pub k: u64,
    /// Format of A: fp32, bf16, fp16, fp8-e4m3, fp8-e5m2, int8, int8-zp, mxfp8, ...; what shares a scale of fp8,
    /// int8 or int4 behind it: -tensor, -channel, -g32, -g64, -g128, -b128 (tiles of 128 x 128)
    #[arg(long, default_value = "bf16")]
    pub a: Packed,
    /// Format of B: as A, or int4, int4-zp-g128, mxfp6-e2m3, mxfp4, nvfp4, gguf-q4_0, gguf-q4_k, gguf-mxfp4, ...
    #[arg(long, default_value = "bf16")]
    pub b: Packed,
    /// Format of the output
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
    /// Format of the output in place of dtype: codes with a scale, some of which overflow
    #[arg(long, value_enum, conflicts_with = "dtype")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_dtype: Option<Codes>,
    /// What overflows out_dtype becomes NaN (fp8-e4m3) or infinity (fp8-e5m2), or wraps (int8)
    #[arg(long, requires = "out_dtype")]
    #[serde(default)]
    pub non_saturating: bool,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

/// What a kernel reads wrong of either matrix.
type Reads = (Misread, Misread);

/// Nothing.
const RIGHT: Reads = (Misread::Nothing, Misread::Nothing);

impl MatMulCase {
    fn matrices(&self, inputs: &Inputs, (a, b): Reads) -> (Vec<f64>, Vec<f64>) {
        let left = self.a.numbers(inputs, "a", (self.m, self.k), a);
        (left, self.b.numbers(inputs, "b", (self.n, self.k), b))
    }

    /// Sums that nothing is rounded in but what the scalar rounds.
    fn product<S: Scalar>(&self, a: &[f64], b: &[f64]) -> Vec<f64> {
        let step = Step::prefill(1, self.m).expect("invariant: a checked case has a step");
        let op = MatMul { rows: Dim::Tokens, inputs: self.k, outputs: self.n, bias: false };
        let (m, n, k) = (self.m as usize, self.n as usize, self.k as usize);
        let (a, b) = (of::<S>(a), of::<S>(b));
        values(&run(&op, &step, &[(&a, k), (&b, k)], (m, n)))
    }

    fn sums(&self, (a, b): &(Vec<f64>, Vec<f64>), precision: Precision) -> Vec<f64> {
        match precision {
            Precision::Exact => self.product::<f64>(a, b),
            Precision::Kernel => self.product::<f32>(a, b),
        }
    }

    /// The output from the matrices, written in some way.
    fn stored(
        &self,
        inputs: &Inputs,
        matrices: &(Vec<f64>, Vec<f64>),
        (precision, writing): (Precision, Writing),
    ) -> Outputs {
        vec![self.written(inputs, self.sums(matrices, precision), (precision, writing))]
    }

    fn with(&self, inputs: &Inputs, reads: Reads, precision: Precision) -> Outputs {
        self.stored(inputs, &self.matrices(inputs, reads), (precision, self.writing()))
    }

    /// The matrices with the elements of a sum in the other order.
    fn turned(&self, (a, b): &(Vec<f64>, Vec<f64>)) -> (Vec<f64>, Vec<f64>) {
        (self.reversed(a), self.reversed(b))
    }

    /// Rows turned end to end: the same sums in the other order.
    fn reversed(&self, matrix: &[f64]) -> Vec<f64> {
        let rows = matrix.chunks_exact(self.k as usize);
        rows.flat_map(|row| row.iter().rev().copied()).collect()
    }

    /// The scale of codes: sums of two deviations are the largest code. Where both matrices are plain it is the power
    /// of two below, and the last row of several gives B's first column alone, which lies half way
    /// between codes.
    fn with_scale(&self, mut inputs: Inputs, dtype: Codes) -> Inputs {
        let (a, b) = self.matrices(&inputs, RIGHT);
        let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        let deviation = (self.k as f64 * square(&a) * square(&b)).sqrt();
        let fp32 = Stored::Float(Float::FP32);
        let mut scale = fp32.round(2.0 * deviation / dtype.largest());
        if let (Packed::Plain(_), Packed::Plain(of_b)) = (self.a, self.b) {
            scale = 2f64.powi(scale.log2().floor() as i32);
            let factor = 2f64.powi((dtype.largest() * scale / 2.0).log2().floor() as i32);
            if self.m > 1 {
                let mut a = a;
                let k = self.k as usize;
                let last = a.len() - k;
                a[last..].fill(0.0);
                a[last] = factor;
                let stored = Stored::Float(of_b);
                let tied = |(i, &x): (usize, &f64)| match i % k {
                    0 => stored.round(dtype.tie(x * factor / scale) * scale / factor),
                    _ => x,
                };
                let b = b.iter().enumerate().map(tied).collect();
                inputs = inputs.with("a", a).with("b", b);
            }
        }
        let says = "what sums are divided by";
        let layout = Layout::new("out_scale", says, [("tensor", 1)], fp32);
        inputs.0.push(Array { layout, values: vec![scale] });
        inputs
    }
}

impl Case for MatMulCase {
    fn check(&self) -> Result<(), CaseError> {
        let Self { m, n, k, .. } = *self;
        let named = [("m", m), ("n", n), ("k", k)];
        sizes(&named, named.map(|n| n.1 as f64).iter().product())?;
        if self.non_saturating && self.out_dtype.is_none() {
            let why = "non_saturating is of out_dtype, which is not given".to_owned();
            return Err(CaseError::Number(why));
        }
        for (name, packed) in [("a", self.a), ("b", self.b)] {
            let group = packed.group(k).max(1);
            if !k.is_multiple_of(group) {
                let why =
                    format!("k is {k}, no multiple of {group}, as {name} in {packed} needs it");
                return Err(CaseError::Number(why));
            }
        }
        Ok(())
    }

    fn title(&self) -> String {
        let Self { m, n, k, a, b, dtype, .. } = self;
        let output = self.out_dtype.map_or(dtype.to_string(), |codes| codes.to_string());
        format!("matmul, {m} x {k} in {a} times {n} x {k} in {b}, output {output}")
    }

    fn conventions(&self) -> Vec<String> {
        let mut lines = vec![
            "out[m, n] = sum over k of A[m, k] B[n, k].".to_owned(),
            format!("A: {}", self.a.says("a")),
            format!("B: {}", self.b.says("b")),
            "Numbers of formats with scales are multiplied as they are, not rounded to another format; sums \
             are kept in at least fp32 and rounded once."
                .to_owned(),
        ];
        lines.extend(self.out_dtype.map(|codes| {
            let beyond = if self.non_saturating { codes.beyond() } else { "the nearest end" };
            format!(
                "The output has codes: the sum over out_scale[0], to the nearest in {codes}, ties to even; beyond \
                 its range {beyond}."
            )
        }));
        lines
    }

    fn inputs(&self) -> Inputs {
        let mut random = Random::new(self.seed);
        let a = self.a.arrays(&mut random, "a", "activations", [("m", self.m), ("k", self.k)]);
        let b = self.b.arrays(&mut random, "b", "weights", [("n", self.n), ("k", self.k)]);
        let inputs = Inputs(a.into_iter().chain(b).collect());
        match self.out_dtype {
            Some(dtype) => self.with_scale(inputs, dtype),
            None => inputs,
        }
    }

    fn outputs(&self) -> Vec<Output> {
        let axes = [("row", self.m), ("column", self.n)];
        let stored = self.out_dtype.map_or(self.dtype.stored(), Codes::stored);
        let layout = Layout::new("out", "the product", axes, stored);
        vec![Output { layout, discrete: self.out_dtype.is_some() }]
    }

    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        self.with(inputs, RIGHT, precision)
    }

    /// Sums from the last element to the first.
    fn orders(&self, inputs: &Inputs) -> Vec<Outputs> {
        let turned = self.turned(&self.matrices(inputs, RIGHT));
        vec![self.stored(inputs, &turned, (Precision::Kernel, self.writing()))]
    }

    /// Of codes, how far rounding of the sums moves them (A131).
    fn tolerance(&self, inputs: &Inputs, _: &[&[f64]], _: &[f64]) -> Option<Vec<f64>> {
        self.out_dtype?;
        let matrices = self.matrices(inputs, RIGHT);
        let truth = self.sums(&matrices, Precision::Exact);
        let right = [&matrices, &self.turned(&matrices)].map(|m| self.sums(m, Precision::Kernel));
        let (n, k) = (self.n as usize, self.k as usize);
        let right = right.each_ref().map(Vec::as_slice);
        let mut error = allowed(&right, &truth, n, Stored::Float(Float::FP32));
        for (i, error) in error.iter_mut().enumerate() {
            let (a, b) = (&matrices.0[i / n * k..][..k], &matrices.1[i % n * k..][..k]);
            if is_exact(a, b) {
                *error = 0.0;
            }
        }
        Some(self.codes_apart(inputs, &truth, &error))
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        mutants::of(self)
    }

    fn usual(&self) -> Usual {
        let plain = |p| matches!(p, Packed::Plain(_));
        let mean_ratio = (!plain(self.b)).then_some(0.04);
        Usual { nmse: 5e-4, mean_ratio, ..Usual::PLAIN }
    }
}

#[cfg(test)]
mod tests;
