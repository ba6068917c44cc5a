//! What an output is held against.

use super::case::{Case, Output, Precision, Usual};
use super::difference::gap;
use super::layout::{Inputs, Stored};

/// The references of one output.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The output.
    pub output: Output,
    /// The operators in f64.
    pub truth: Vec<f64>,
    /// The operators in the kernel's precision.
    pub emulated: Vec<f64>,
    /// The default policy's tolerance of every element (A105): twice the largest error of the emulations,
    /// and one unit in the last place of the row's largest magnitude. Of a discrete output, how far the
    /// emulations of that very element lie from the truth. NaN where an element is not judged.
    pub tolerance: Vec<f64>,
    /// What other projects' tests allow.
    pub usual: Usual,
}

/// Called at every step of long work, of which its caller knows the number.
pub type Tick<'a> = &'a (dyn Fn() + Sync);

/// The references of every output of a case.
pub fn references(case: &dyn Case, inputs: &Inputs) -> Vec<Reference> {
    watched(case, inputs, &|| ())
}

/// Steps of [`watched`].
pub const REFERENCES: u64 = 3;

/// The references of every output of a case, in [`REFERENCES`] steps.
pub fn watched(case: &dyn Case, inputs: &Inputs, tick: Tick<'_>) -> Vec<Reference> {
    let truth = case.eval(inputs, Precision::Exact);
    tick();
    let emulated = case.eval(inputs, Precision::Kernel);
    tick();
    let orders = case.orders(inputs);
    tick();
    let each = case.outputs().into_iter().zip(truth).zip(emulated).enumerate();
    each.map(|(i, ((output, truth), emulated))| {
        let right: Vec<&[f64]> = [&emulated]
            .into_iter()
            .chain(orders.iter().map(|o| &o[i]))
            .map(Vec::as_slice)
            .collect();
        let usual = || match output.discrete {
            true => spread(&right, &truth),
            false => allowed(&right, &truth, output.layout.width(), output.layout.stored),
        };
        let tolerance = case.tolerance(inputs, &right, &truth).unwrap_or_else(usual);
        Reference { output, truth, emulated, tolerance, usual: case.usual() }
    })
    .collect()
}

fn spread(right: &[&[f64]], truth: &[f64]) -> Vec<f64> {
    let of = |(i, &t): (usize, &f64)| right.iter().map(|r| gap(r[i], t)).fold(0.0, f64::max);
    truth.iter().enumerate().map(of).collect()
}

pub(super) fn allowed(right: &[&[f64]], truth: &[f64], width: usize, stored: Stored) -> Vec<f64> {
    let finite = |x: f64| if x.is_finite() { x } else { 0.0 };
    let error = spread(right, truth).into_iter().map(finite).fold(0.0, f64::max);
    let of = |row: &[f64]| {
        let largest = row.iter().fold(0.0, |m: f64, &x| m.max(finite(x).abs()));
        vec![2.0 * error + stored.ulp(largest); row.len()]
    };
    truth.chunks(width.max(1)).flat_map(of).collect()
}

/// An output beside its references.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// What the kernel wrote.
    pub got: &'a [f64],
    /// What it is held against.
    pub reference: &'a Reference,
}
