//! Cases of the matrix product, of any pair of formats.

use super::dtype::Dtype;
use super::evaluate::{of, rounded, run, values};
use super::packed::{MISREAD, Misread, Packed};
use super::random::Random;
use crate::codec::Float;
use crate::op::MatMul;
use crate::op::scalar::Scalar;
use crate::tensor::{Dim, Step};
use crate::validate::case::sizes;
use crate::validate::{
    Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Stored, Usual,
};
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
    /// Format of A: fp32, bf16, fp16, fp8-e4m3, fp8-e5m2, int8, mxfp8, ...
    #[arg(long, default_value = "bf16")]
    pub a: Packed,
    /// Format of B: as A, or int4, int4-zp, mxfp4, nvfp4, gguf-q4_0, gguf-q4_k, ...
    #[arg(long, default_value = "bf16")]
    pub b: Packed,
    /// Format of the output
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

/// Sizes of tiles that are tried where a bug depends on them.
const TILES: [u64; 3] = [32, 64, 128];

/// What a kernel reads wrong of either matrix.
type Reads = (Misread, Misread);

impl MatMulCase {
    fn matrices(&self, inputs: &Inputs, (a, b): Reads) -> (Vec<f64>, Vec<f64>) {
        let left = self.a.numbers(inputs, "a", (self.m, self.k), a);
        (left, self.b.numbers(inputs, "b", (self.n, self.k), b))
    }

    fn product<S: Scalar>(&self, a: &[f64], b: &[f64], format: Option<Stored>) -> Vec<f64> {
        let step = Step::prefill(1, self.m).expect("invariant: a checked case has a step");
        let op = MatMul { rows: Dim::Tokens, inputs: self.k, outputs: self.n, bias: false };
        let (m, n, k) = (self.m as usize, self.n as usize, self.k as usize);
        let (a, b) = (of::<S>(a), of::<S>(b));
        values(&rounded(format, run(&op, &step, &[(&a, k), (&b, k)], (m, n))))
    }

    fn of(&self, (a, b): (Vec<f64>, Vec<f64>), precision: Precision) -> Outputs {
        vec![match precision {
            Precision::Exact => self.product::<f64>(&a, &b, None),
            Precision::Kernel => self.product::<f32>(&a, &b, Some(self.dtype.stored())),
        }]
    }

    fn with(&self, inputs: &Inputs, reads: Reads, precision: Precision) -> Outputs {
        self.of(self.matrices(inputs, reads), precision)
    }

    /// Rows turned end to end: the same sums in the other order.
    fn reversed(&self, matrix: &[f64]) -> Vec<f64> {
        let rows = matrix.chunks_exact(self.k as usize);
        rows.flat_map(|row| row.iter().rev().copied()).collect()
    }

    /// Elements of each row from `kept` on are zero.
    fn cut(&self, matrix: &[f64], kept: u64) -> Vec<f64> {
        let zeroed = |(i, &x): (usize, &f64)| if i as u64 % self.k < kept { x } else { 0.0 };
        matrix.iter().enumerate().map(zeroed).collect()
    }
}

/// A matrix of `rows x columns` read as one of `columns x rows`.
fn flipped(matrix: &[f64], rows: u64, columns: u64) -> Vec<f64> {
    let (rows, columns) = (rows as usize, columns as usize);
    (0..rows).flat_map(|r| (0..columns).map(move |c| matrix[c * rows + r])).collect()
}

impl Case for MatMulCase {
    fn check(&self) -> Result<(), CaseError> {
        let Self { m, n, k, .. } = *self;
        let named = [("m", m), ("n", n), ("k", k)];
        sizes(&named, named.map(|n| n.1 as f64).iter().product())?;
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
        format!("matmul, {m} x {k} in {a} times {n} x {k} in {b}, output {dtype}")
    }

    fn conventions(&self) -> Vec<String> {
        vec![
            "out[m, n] = sum over k of A[m, k] B[n, k].".to_owned(),
            format!("A: {}", self.a.says("a")),
            format!("B: {}", self.b.says("b")),
            "Numbers of formats with scales are multiplied as they are, not rounded to another format; sums \
             are kept in at least fp32 and rounded once."
                .to_owned(),
        ]
    }

    fn inputs(&self) -> Inputs {
        let mut random = Random::new(self.seed);
        let a = self.a.arrays(&mut random, "a", "activations", [("m", self.m), ("k", self.k)]);
        let b = self.b.arrays(&mut random, "b", "weights", [("n", self.n), ("k", self.k)]);
        Inputs(a.into_iter().chain(b).collect())
    }

    fn outputs(&self) -> Vec<Output> {
        let axes = [("row", self.m), ("column", self.n)];
        let layout = Layout::new("out", "the product", axes, self.dtype.stored());
        vec![Output { layout, discrete: false }]
    }

    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        self.with(inputs, (Misread::Nothing, Misread::Nothing), precision)
    }

    /// Sums from the last element to the first.
    fn orders(&self, inputs: &Inputs) -> Vec<Outputs> {
        let (a, b) = self.matrices(inputs, (Misread::Nothing, Misread::Nothing));
        vec![self.of((self.reversed(&a), self.reversed(&b)), Precision::Kernel)]
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        type Change = fn(&MatMulCase, Vec<f64>, Vec<f64>) -> (Vec<f64>, Vec<f64>);
        let right = (Misread::Nothing, Misread::Nothing);
        let on = |name, says, change: Change| {
            Mutant::new(name, says, move |inputs: &Inputs, p| {
                let (a, b) = self.matrices(inputs, right);
                self.of(change(self, a, b), p)
            })
        };
        let mut mutants = vec![
            on("b-transposed", "B is read as [k, n]", |c, a, b| (a, flipped(&b, c.n, c.k))),
            on("a-transposed", "A is read as [k, m]", |c, a, b| (flipped(&a, c.m, c.k), b)),
            Mutant::new("out-transposed", "the output is written as [n, m]", move |inputs, p| {
                let out = self.eval(inputs, p).remove(0);
                vec![flipped(&out, self.n, self.m)]
            }),
            self.summed("fp16-sums", "sums are kept in fp16", Float::FP16),
            self.summed("bf16-sums", "sums are kept in bf16", Float::BF16),
        ];
        mutants.extend(TILES.map(|tile| Mutant {
            form: Some(format!("tiles of {tile}")),
            ..Mutant::new(
                "tile-missing",
                "the last tile of the sum is not read",
                move |inputs, p| {
                    let (a, b) = self.matrices(inputs, right);
                    self.of((self.cut(&a, (self.k - 1) / tile * tile), b), p)
                },
            )
        }));
        for &(name, says, misread) in MISREAD {
            for (form, reads) in
                [("of A", (misread, Misread::Nothing)), ("of B", (Misread::Nothing, misread))]
            {
                mutants.push(Mutant {
                    form: Some(form.to_owned()),
                    ..Mutant::new(name, says, move |inputs, p| self.with(inputs, reads, p))
                });
            }
        }
        mutants
    }

    fn usual(&self) -> Usual {
        let plain = |p| matches!(p, Packed::Plain(_));
        let mean_ratio = (!plain(self.b)).then_some(0.04);
        Usual { nmse: 5e-4, mean_ratio, ..Usual::PLAIN }
    }
}

impl MatMulCase {
    /// A kernel that rounds every sum to a format at every step.
    fn summed(&self, name: &'static str, says: &'static str, format: Float) -> Mutant<'_> {
        let format = Stored::Float(format);
        Mutant::new(name, says, move |inputs, _| {
            let (a, b) = self.matrices(inputs, (Misread::Nothing, Misread::Nothing));
            let k = self.k as usize;
            let add = |sum: f64, (x, y): (&f64, &f64)| format.round(sum + x * y);
            let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).fold(0.0, add);
            let row = |x: &[f64]| -> Vec<f64> { b.chunks_exact(k).map(|y| dot(x, y)).collect() };
            vec![a.chunks_exact(k).flat_map(row).collect()]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::holds;
    use super::*;

    fn case(a: &str, b: &str, dtype: Dtype) -> MatMulCase {
        let format = |name: &str| name.parse().expect("a format");
        MatMulCase { m: 5, n: 24, k: 160, a: format(a), b: format(b), dtype, seed: 3 }
    }

    #[test]
    fn bugs_are_told_apart() {
        let cases = [
            case("bf16", "bf16", Dtype::Bf16),
            case("fp32", "fp32", Dtype::Fp32),
            case("fp8-e4m3", "fp8-e5m2", Dtype::Bf16),
            case("int8", "int8", Dtype::Fp32),
            case("bf16", "int4", Dtype::Bf16),
            MatMulCase { m: 1, ..case("fp16", "int4-zp", Dtype::Fp16) },
            case("mxfp8", "mxfp4", Dtype::Fp32),
            case("nvfp4", "nvfp4", Dtype::Bf16),
            case("bf16", "gguf-q4_0", Dtype::Fp32),
            MatMulCase { k: 256, ..case("bf16", "gguf-q4_k", Dtype::Fp32) },
            MatMulCase { k: 256, ..case("bf16", "gguf-iq4_xs", Dtype::Fp32) },
            MatMulCase { n: 160, ..case("bf16", "bf16", Dtype::Fp32) },
        ];
        holds(&cases.each_ref().map(|case| case as &dyn Case));
    }

    #[test]
    fn every_format_has_a_case() {
        for name in Packed::names() {
            let case = MatMulCase { k: 256, ..case("bf16", &name, Dtype::Fp32) };
            assert_eq!(case.check(), Ok(()), "{name}");
            assert_eq!(name.parse::<Packed>().map(|p| p.to_string()), Ok(name));
            let inputs = case.inputs();
            assert!(case.eval(&inputs, Precision::Exact)[0].iter().all(|x| x.is_finite()));
        }
    }
}
