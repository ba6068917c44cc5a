//! Activations with one scale that is known before (A123).

use crate::support::vectors::{Model, golden, model, numbers};
use cosim::dtype::Scheme;
use cosim::exec::{Applied, Defining, Kernels};
use cosim::op::Target;
use cosim::quantize::{Calibrations, Ragged, inputs};
use cosim::session::{Schemed, Session};
use cosim::tensor::{Logits, Phase};
use cosim::weights::{Given, Weights};
use std::cell::RefCell;
use std::collections::BTreeMap;

type Key = (Option<u64>, String);

/// Records what projections multiply.
#[derive(Default)]
struct Spy(RefCell<BTreeMap<Key, Vec<f64>>>);

impl Kernels<f64> for Spy {
    fn apply(&self, applied: &Applied<'_, f64>, _: &mut Target<'_, f64>) -> bool {
        if applied.graph.is_projection(applied.id) {
            let values = applied.operands[0].dense().expect("a whole value").to_vec();
            let key = (applied.layer, applied.graph.node(applied.id).name.clone());
            self.0.borrow_mut().insert(key, values);
        }
        false
    }
}

/// Logits of `tokens` under a scheme that was calibrated on `samples`, and what each projection multiplied.
fn run(scheme: &str, samples: &[u64], tokens: &[u64]) -> (Vec<f64>, BTreeMap<Key, Vec<f64>>) {
    let Model { arch, graphs, checkpoint } = model(&golden("models/llama")).expect("a model");
    let weights: &dyn Weights<f64> = &checkpoint;
    let prefill = graphs.of(Phase::Prefill).expect("a graph");
    let mut seen = Calibrations::new(&inputs(prefill));
    let mut session = Session::new((&arch, &graphs), weights, &Defining, usize::MAX);
    let wants = |name: &str| seen.wants(name);
    let kept = session.step(&[samples.to_vec()], Logits::Last, &wants).expect("runs").kept;
    seen.observe(&kept);
    let source = Given::new(weights, usize::MAX);
    let scheme: Scheme = scheme.parse().expect("a scheme");
    let under = Schemed::new(&graphs, &source, &scheme, Some(&seen), Ragged::default());
    let under = under.expect("a scheme that runs");
    let spy = Spy::default();
    let kernels = under.kernels(&spy);
    let mut session = Session::new((&arch, under.graphs()), &under, &kernels, usize::MAX);
    let outcome = session.step(&[tokens.to_vec()], Logits::All, &|_| false).expect("runs");
    (outcome.logits, spy.0.into_inner())
}

fn multiplied(scheme: &str, samples: &[u64], tokens: &[u64]) -> BTreeMap<Key, Vec<f64>> {
    run(scheme, samples, tokens).1
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, x| largest.max(x.abs()))
}

/// The queries of the first layer read what the calibration saw, so that their largest magnitude is 127 steps.
#[test]
fn all_tokens_share_the_scale_of_the_largest_magnitude_that_was_seen() {
    let tokens = [5, 17, 3, 80, 44, 9, 61];
    let found = multiplied("w8a8-static", &tokens, &tokens);
    let first: Key = (Some(0), "attn.q".to_owned());
    let values = &found[&first];
    let step = largest(values) / 127.0;
    let mut codes: Vec<i64> = vec![];
    for value in values {
        let code = value / step;
        assert!((code - code.round()).abs() < 1e-6, "{value} is {code} steps");
        codes.push(code.round() as i64);
    }
    let reached = codes.chunks(32).filter(|row| row.iter().any(|c| c.abs() == 127)).count();
    assert!(reached < tokens.len(), "a scale of each token's own");
    codes.sort_unstable();
    codes.dedup();
    assert!(codes.len() > 40, "{} codes", codes.len());
    // Queries, keys and values multiply the same; each layer has scales of its own.
    assert_eq!(values, &found[&(Some(0), "attn.v".to_owned())]);
    let step_of = |layer: u64| {
        let values = &found[&(Some(layer), "ffn.down".to_owned())];
        let nonzero = values.iter().map(|x| x.abs()).filter(|x| *x > 0.0);
        nonzero.fold(f64::INFINITY, f64::min)
    };
    assert!((step_of(0) / step_of(1) - 1.0).abs() > 1e-3);
}

#[test]
fn what_lies_beyond_the_samples_is_clipped() {
    let (samples, tokens) = ([5, 17], [5, 17, 3, 80, 44, 9, 61]);
    let known = &multiplied("w8a8-static", &samples, &samples)[&(Some(0), "attn.q".to_owned())];
    let found = &multiplied("w8a8-static", &samples, &tokens)[&(Some(0), "attn.q".to_owned())];
    let step = largest(known) / 127.0;
    assert!(largest(found) <= 128.0 * step * (1.0 + 1e-12));
    let ends = found.iter().filter(|x| x.abs() >= 126.5 * step).count();
    assert!(ends > 1, "{ends} values at the ends of the range");
}

/// What `transformers` computes with every projection's input and weight rounded, SmoothQuant's scales folded in
/// (`tests/golden/static.py`).
#[test]
fn a_model_computes_what_transformers_computes_with_rounded_projections() {
    let mut of = numbers(&golden("static/llama-w8a8.safetensors"));
    let mut numbers = |name: &str| of.remove(name).expect("a tensor");
    let mut ids = |name: &str| -> Vec<u64> { numbers(name).iter().map(|&x| x as u64).collect() };
    let (samples, tokens) = (ids("samples"), ids("input_ids"));
    let (expected, std) = (numbers("logits"), numbers("logits_std")[0]);
    let found = run("w8a8-static", &samples, &tokens).0;
    let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert_eq!(found.len(), expected.len());
    assert!(worst <= 1e-4 * std, "logits differ by {:.2e} of their deviation", worst / std);
}
