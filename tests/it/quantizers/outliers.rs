//! What AWQ and SmoothQuant are for: channels of large activations, as in `tests/golden/gptq`.

use super::gptq::{INPUTS, nmse, tensors};
use cosim::dtype::{Format, Group, Storage};
use cosim::quantize::{
    Awq, Calibration, Grid, Levels, Matrix, Method, Ragged, matrix, nearest, rows, rtn, smooth,
};

/// `|X W^T - X' W'^T|^2 / |X W^T|^2`, row by row of X.
fn product_error(x: [&[f64]; 2], w: [&[f64]; 2]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (mut error, mut power) = (0.0, 0.0);
    for (x, rounded) in x[0].chunks(INPUTS).zip(x[1].chunks(INPUTS)) {
        for (w, other) in w[0].chunks(INPUTS).zip(w[1].chunks(INPUTS)) {
            let y = dot(x, w);
            error += (dot(rounded, other) - y).powi(2);
            power += y * y;
        }
    }
    error / power
}

#[test]
fn awq_beats_nearest() {
    let t = tensors();
    let (w, mut known) = (Matrix::new(&t["W"], INPUTS), Calibration::new(INPUTS));
    known.observe(Matrix::new(&t["X"], INPUTS));
    for (group, bits) in [(Group::Row, 4), (Group::Size(32), 4), (Group::Size(32), 3)] {
        let element = if bits == 4 { Format::Int4 } else { Format::Int3 };
        let storage = Storage::scaled(element, Format::Fp16, group);
        let run = |method: &Method| {
            matrix(&storage, w, Some(&known), method, Ragged::default()).expect("calibrated")
        };
        let error = |method: &Method| nmse(&known, w.values(), &run(method));
        let nearest = error(&Method::Nearest);
        let unclipped = error(&Method::Awq(Awq { clips: 0, ..Awq::default() }));
        let awq = error(&Method::Awq(Awq::default()));
        println!("{bits} bits {group:?}: nearest {nearest:.2e}, scaled {unclipped:.2e}, {awq:.2e}");
        let text = format!("{nearest} {unclipped} {awq}");
        assert!(unclipped < 0.95 * nearest && awq < 0.9 * nearest, "{text}");
    }
}

#[test]
fn smoothed_activations_lose_less() {
    let t = tensors();
    let (w, x) = (&t["W"], &t["X"]);
    let mut known = Calibration::new(INPUTS);
    known.observe(Matrix::new(x, INPUTS));
    let int8 = |group| Storage::scaled(Format::Int8, Format::Fp32, group);
    let error = |scales: &[f64], activations: Group| {
        let each = || scales.iter().cycle();
        let scaled: Vec<f64> = w.iter().zip(each()).map(|(w, s)| w * s).collect();
        let divided: Vec<f64> = x.iter().zip(each()).map(|(x, s)| x / s).collect();
        let w8 = nearest(&int8(Group::Row), Matrix::new(&scaled, INPUTS), Ragged::default());
        let x8 = rows(&int8(activations), Matrix::new(&divided, INPUTS), None);
        let (w8, x8) = (w8.expect("integers"), x8.expect("integers"));
        // Without rounding the product is the same.
        assert!(product_error([x, &divided], [w, &scaled]) < 1e-28);
        product_error([x, &x8], [w, &w8])
    };
    let scales = smooth(&[Matrix::new(w, INPUTS)], known.largest(), 0.5);
    for activations in [Group::Row, Group::Tensor] {
        let (plain, smoothed) = (error(&[1.0; INPUTS], activations), error(&scales, activations));
        println!("W8A8 {activations:?}: nearest {plain:.2e}, smoothed {smoothed:.2e}");
        assert!(smoothed < 0.5 * plain, "{activations:?} {plain} {smoothed}");
    }
}

#[test]
fn smoothing_follows_its_equation() {
    let w = [4.0, 0.5, 1.0, -9.0, 0.25, 0.0];
    let scales = smooth(&[Matrix::new(&w, 3)], &[16.0, 0.0, 2.0], 0.5);
    assert_eq!(scales, [16.0_f64.sqrt() / 9.0_f64.sqrt(), 1.0, 2.0_f64.sqrt()]);
    let grid = Grid::exact(Levels::Symmetric(8));
    assert_eq!(rtn(Matrix::new(&w, 3), &grid, Group::Row.into()).codes[..3], [127, 16, 32]);
}
