//! GPTQ against the results of its authors' code in `tests/golden/gptq`.

use crate::support::vectors::{golden, numbers};
use cosim::dtype::Group;
use cosim::quantize::{
    Affine, Calibration, Gptq, Grid, Levels, Matrix, Quantized, Sharing, gptq, rtn,
};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Case {
    bits: u32,
    group: i64,
    symmetric: bool,
    act_order: bool,
    nmse_gptq: f64,
    nmse_rtn: f64,
}

pub(super) const INPUTS: usize = 128;

/// `|X dW^T|^2 / |X W^T|^2`.
pub(super) fn nmse(calibration: &Calibration, w: &[f64], q: &[f64]) -> f64 {
    let d: Vec<f64> = w.iter().zip(q).map(|(w, q)| w - q).collect();
    calibration.output_error(&d) / calibration.output_error(w)
}

/// How far codes of `values` on a grid are from whole numbers within its range.
fn off_grid(result: &Quantized<f64>, values: &[f64], bits: u32) -> f64 {
    let distance = |(i, x): (usize, &f64)| {
        let Affine { scale, zero } = result.affine[result.places.of(i / INPUTS, i % INPUTS)];
        let code = x / scale + zero;
        (code - code.round().clamp(0.0, f64::from((1 << bits) - 1))).abs()
    };
    values.iter().enumerate().map(distance).fold(0.0, f64::max)
}

#[test]
fn all_nine_configurations_are_the_authors() {
    let cases = std::fs::read_to_string(golden("gptq/figures.json")).expect("figures");
    let cases: BTreeMap<String, Case> = serde_json::from_str(&cases).expect("JSON");
    assert_eq!(cases.len(), 9);
    let tensors = numbers(&golden("gptq/gptq.safetensors"));
    let (w, x) = (Matrix::new(&tensors["W"], INPUTS), Matrix::new(&tensors["X"], INPUTS));
    let mut calibration = Calibration::new(INPUTS);
    calibration.observe(x);
    for (name, case) in cases {
        let levels = if case.symmetric { Levels::Centred } else { Levels::Asymmetric };
        let grid = Grid::exact(levels(case.bits));
        let group = u32::try_from(case.group).map_or(Group::Row, Group::Size);
        let options = Gptq { act_order: case.act_order, ..Gptq::default() };
        let sharing = Sharing::from(group);
        let ours = gptq(w, &calibration.hessian(), &grid, sharing, &options).expect("definite");
        let theirs = &tensors[&name];
        assert!(off_grid(&ours, theirs, case.bits) < 2e-3, "{name}: another grid");

        let error = |q: &[f64]| nmse(&calibration, w.values(), q);
        assert!((error(theirs) / case.nmse_gptq - 1.0).abs() < 1e-3, "{name}: the fixture");
        let nearest = rtn(w, &grid, sharing);
        let ratio = error(&ours.values) / error(theirs);
        let same = ours.values.iter().zip(theirs).filter(|(a, b)| (*a - *b).abs() < 1e-5).count();
        println!(
            "{name}: NMSE {:.4e}, authors {:.4e}, ratio {ratio:.4}, same {same} of {}",
            error(&ours.values),
            error(theirs),
            theirs.len()
        );
        assert!((ratio - 1.0).abs() < 0.05, "{name}: {ratio}");
        assert!((error(&nearest.values) / case.nmse_rtn - 1.0).abs() < 1e-2, "{name}: nearest");
        assert!(error(&ours.values) < 0.6 * error(&nearest.values), "{name}");
    }
}
