//! Known bugs of matrix products.

use super::super::codes::Codes;
use super::super::packed::MISREAD;
use super::output::{Scaling, Writing};
use super::{MatMulCase, Misread, RIGHT};
use crate::codec::Float;
use crate::validate::{Case, Inputs, Mutant, Stored};

/// Sizes of tiles that are tried where a bug depends on them.
const TILES: [u64; 3] = [32, 64, 128];

/// The bugs on a case.
pub(super) fn of(case: &MatMulCase) -> Vec<Mutant<'_>> {
    let mut mutants = shaped(case);
    mutants.extend(misread(case));
    mutants.extend(case.out_dtype.into_iter().flat_map(|codes| written(case, codes)));
    mutants
}

/// Of extents, tiles and sums.
fn shaped(case: &MatMulCase) -> Vec<Mutant<'_>> {
    type Change = fn(&MatMulCase, Vec<f64>, Vec<f64>) -> (Vec<f64>, Vec<f64>);
    let on = |name, says, change: Change| {
        Mutant::new(name, says, move |inputs: &Inputs, p| {
            let (a, b) = case.matrices(inputs, RIGHT);
            case.stored(inputs, &change(case, a, b), (p, case.writing()))
        })
    };
    let mut mutants = vec![
        on("b-transposed", "B is read as [k, n]", |c, a, b| (a, flipped(&b, c.n, c.k))),
        on("a-transposed", "A is read as [k, m]", |c, a, b| (flipped(&a, c.m, c.k), b)),
        Mutant::new("out-transposed", "the output is written as [n, m]", move |inputs, p| {
            let out = case.eval(inputs, p).remove(0);
            vec![flipped(&out, case.n, case.m)]
        }),
        summed(case, ("fp16-sums", "sums are kept in fp16"), Float::FP16),
        summed(case, ("bf16-sums", "sums are kept in bf16"), Float::BF16),
    ];
    mutants.extend(TILES.map(|tile| Mutant {
        form: Some(format!("tiles of {tile}")),
        ..Mutant::new("tile-missing", "the last tile of the sum is not read", move |inputs, p| {
            let (a, b) = case.matrices(inputs, RIGHT);
            let cut = cut(case, &a, (case.k - 1) / tile * tile);
            case.stored(inputs, &(cut, b), (p, case.writing()))
        })
    }));
    mutants
}

/// Of reading either matrix.
fn misread(case: &MatMulCase) -> Vec<Mutant<'_>> {
    let mut mutants = vec![];
    for &(name, says, misread) in MISREAD {
        let forms = [("of A", (misread, Misread::Nothing)), ("of B", (Misread::Nothing, misread))];
        mutants.extend(forms.map(|(form, reads)| Mutant {
            form: Some(form.to_owned()),
            ..Mutant::new(name, says, move |inputs, p| case.with(inputs, reads, p))
        }));
    }
    mutants
}

/// Of writing codes.
fn written(case: &MatMulCase, codes: Codes) -> Vec<Mutant<'_>> {
    let right = case.writing();
    let scaling = |scaling| Writing { scaling, ..right };
    let bugs = right.storing.bugs(codes).into_iter();
    let bugs = bugs.map(|(name, says, storing)| (name, says, Writing { storing, ..right }));
    let scales = [
        ("out-scale-missing", "sums are not divided by the scale", scaling(Scaling::Missing)),
        (
            "out-scale-inverse",
            "sums are multiplied by the scale, not divided",
            scaling(Scaling::Multiplied),
        ),
    ];
    let of = |(name, says, writing): (&'static str, &'static str, Writing)| {
        Mutant::new(name, says, move |inputs: &Inputs, p| {
            case.stored(inputs, &case.matrices(inputs, RIGHT), (p, writing))
        })
    };
    bugs.chain(scales).map(of).collect()
}

/// A kernel that rounds every sum to a format at every step.
fn summed<'a>(
    case: &'a MatMulCase,
    (name, says): (&'static str, &'static str),
    format: Float,
) -> Mutant<'a> {
    let format = Stored::Float(format);
    Mutant::new(name, says, move |inputs, p| {
        let (a, b) = case.matrices(inputs, RIGHT);
        let k = case.k as usize;
        let add = |sum: f64, (x, y): (&f64, &f64)| format.round(sum + x * y);
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).fold(0.0, add);
        let row = |x: &[f64]| -> Vec<f64> { b.chunks_exact(k).map(|y| dot(x, y)).collect() };
        let sums = a.chunks_exact(k).flat_map(row).collect();
        vec![case.written(inputs, sums, (p, case.writing()))]
    })
}

/// Elements of each row from `kept` on are zero.
fn cut(case: &MatMulCase, matrix: &[f64], kept: u64) -> Vec<f64> {
    let zeroed = |(i, &x): (usize, &f64)| if i as u64 % case.k < kept { x } else { 0.0 };
    matrix.iter().enumerate().map(zeroed).collect()
}

/// A matrix of `rows x columns` read as one of `columns x rows`.
fn flipped(matrix: &[f64], rows: u64, columns: u64) -> Vec<f64> {
    let (rows, columns) = (rows as usize, columns as usize);
    (0..rows).flat_map(|r| (0..columns).map(move |c| matrix[c * rows + r])).collect()
}
