//! What AWQ and SmoothQuant are for: channels of large activations, in real ones of SmolLM2 and in those of
//! `tests/golden/gptq`.

use super::gptq::nmse;
use crate::support::vectors::{golden, numbers};
use cosim::dtype::{Format, Group, Storage};
use cosim::quantize::{
    Awq, Calibration, Gptq, Grid, Levels, Matrix, Method, Ragged, matrix, nearest, rows, rtn,
    smooth,
};

/// Weights, inputs, and what is known of them.
struct Layer {
    name: &'static str,
    inputs: usize,
    w: Vec<f64>,
    x: Vec<f64>,
    known: Calibration,
}

fn layers() -> [Layer; 2] {
    [("smollm2/layer12", 576), ("gptq/gptq", 128)].map(|(name, inputs)| {
        let mut tensors = numbers(&golden(&format!("{name}.safetensors")));
        let mut take = |name: &str| tensors.remove(name).expect("a tensor");
        let (w, x, mut known) = (take("W"), take("X"), Calibration::new(inputs));
        known.observe(Matrix::new(&x, inputs));
        Layer { name, inputs, w, x, known }
    })
}

/// `|X W^T - X' W'^T|^2 / |X W^T|^2`, row by row of X.
fn product_error(inputs: usize, x: [&[f64]; 2], w: [&[f64]; 2]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (mut error, mut power) = (0.0, 0.0);
    for (x, rounded) in x[0].chunks(inputs).zip(x[1].chunks(inputs)) {
        for (w, other) in w[0].chunks(inputs).zip(w[1].chunks(inputs)) {
            let y = dot(x, w);
            error += (dot(rounded, other) - y).powi(2);
            power += y * y;
        }
    }
    error / power
}

#[test]
fn calibrated_methods_beat_nearest() {
    for layer in layers() {
        let w = Matrix::new(&layer.w, layer.inputs);
        for (group, element) in [
            (Group::Row, Format::Int4),
            (Group::Size(64), Format::Int4),
            (Group::Size(64), Format::Int3),
        ] {
            let storage = Storage::scaled(element, Format::Fp16, group);
            let error = |method: &Method| {
                let values = matrix(&storage, w, Some(&layer.known), method, Ragged::default());
                nmse(&layer.known, w.values(), &values.expect("calibrated"))
            };
            let nearest = error(&Method::Nearest);
            let scaled = error(&Method::Awq(Awq { clips: 0, ..Awq::default() }));
            let awq = error(&Method::Awq(Awq::default()));
            let gptq = error(&Method::Gptq(Gptq::default()));
            let text = format!(
                "{} {element} {group:?}: nearest {nearest:.2e}, scaled {scaled:.2e}, AWQ {awq:.2e}, \
                 GPTQ {gptq:.2e}",
                layer.name
            );
            println!("{text}");
            assert!(scaled < 0.95 * nearest && awq < 0.95 * nearest, "{text}");
            assert!(gptq < 0.6 * nearest, "{text}");
        }
    }
}

#[test]
fn smoothed_activations_lose_less() {
    for Layer { name, inputs, w, x, known } in &layers() {
        let inputs = *inputs;
        let int8 = |group| Storage::scaled(Format::Int8, Format::Fp32, group);
        let error = |scales: &[f64], activations: Group| {
            let each = || scales.iter().cycle();
            let scaled: Vec<f64> = w.iter().zip(each()).map(|(w, s)| w * s).collect();
            let divided: Vec<f64> = x.iter().zip(each()).map(|(x, s)| x / s).collect();
            let w8 = nearest(&int8(Group::Row), Matrix::new(&scaled, inputs), Ragged::default());
            let x8 = rows(&int8(activations), Matrix::new(&divided, inputs), None);
            let (w8, x8) = (w8.expect("integers"), x8.expect("integers"));
            // Without rounding the product is the same.
            assert!(product_error(inputs, [x, &divided], [w, &scaled]) < 1e-26);
            product_error(inputs, [x, &x8], [w, &w8])
        };
        let scales = smooth(&[Matrix::new(w, inputs)], known.largest(), 0.5);
        for activations in [Group::Row, Group::Tensor] {
            let (plain, smoothed) =
                (error(&vec![1.0; inputs], activations), error(&scales, activations));
            println!("{name} W8A8 {activations:?}: nearest {plain:.2e}, smoothed {smoothed:.2e}");
            assert!(smoothed < 0.7 * plain, "{name} {activations:?} {plain} {smoothed}");
        }
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
