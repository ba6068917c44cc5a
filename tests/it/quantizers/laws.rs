//! What holds of every quantizer, on any matrix.

use crate::support::cases;
use cosim::codec::Float;
use cosim::dtype::{Block, Format, Group, Packing, Scaled, Scheme, Storage};
use cosim::quantize::{
    Awq, Calibration, Gptq, Grid, Levels, Matrix, Method, Ragged, Sharing, awq_scales, clip, gptq,
    matrix, nearest, rows, rtn, smooth, static_scale,
};
use proptest::prelude::*;

fn levels() -> impl Strategy<Value = Levels> {
    let floats = [Float::E4M3FN, Float::E5M2, Float::E2M3, Float::E3M2, Float::E2M1];
    prop_oneof![
        (2..9_u32).prop_map(Levels::Symmetric),
        (2..9_u32).prop_map(Levels::Centred),
        (2..9_u32).prop_map(Levels::Asymmetric),
        prop::sample::select(floats.to_vec()).prop_map(Levels::Float),
    ]
}

fn groups() -> impl Strategy<Value = Sharing> {
    let group = prop_oneof![
        Just(Group::Tensor),
        Just(Group::Row),
        Just(Group::Column),
        (1..9_u32).prop_map(Group::Size),
    ];
    let ragged = prop_oneof![Just(Ragged::Shorter), Just(Ragged::Row)];
    (group, ragged).prop_map(|(group, ragged)| Sharing { group, ragged })
}

/// Rows of seven columns.
fn matrices() -> impl Strategy<Value = Vec<f64>> {
    (1..6_usize).prop_flat_map(|rows| prop::collection::vec(-3.0..3.0, rows * 7))
}

/// Any numbers, those that are none included.
fn hostile() -> impl Strategy<Value = Vec<f64>> {
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 1e308, -1e308, 5e-324];
    let number = prop_oneof![3 => any::<f64>(), 2 => prop::sample::select(special.to_vec())];
    (0..6_usize).prop_flat_map(move |rows| prop::collection::vec(number.clone(), rows * 7))
}

fn calibration(x: &[f64]) -> Calibration {
    let mut calibration = Calibration::new(7);
    calibration.observe(Matrix::new(x, 7));
    calibration
}

/// The largest error that rounding may make, in steps of the grid at a value.
fn half_step(levels: Levels, code: f64) -> f64 {
    match levels {
        Levels::Float(float) => float.ulp(code) / 2.0,
        _ => 0.5,
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn an_element_is_off_by_half_a_step_at_most(w in matrices(), l in levels(), g in groups()) {
        let q = rtn(Matrix::new(&w, 7), &Grid::exact(l), g);
        for (i, (x, y)) in w.iter().zip(&q.values).enumerate() {
            let scale = q.affine[q.places.of(i / 7, i % 7)].scale;
            let bound = scale * half_step(l, x / scale) * (1.0 + 1e-9);
            prop_assert!((x - y).abs() <= bound, "{x} became {y}, step {scale}");
        }
    }

    #[test]
    fn what_is_on_the_grid_stays(w in matrices(), l in levels(), g in groups()) {
        let grid = Grid::exact(l);
        let once = rtn(Matrix::new(&w, 7), &grid, g);
        // On the same grid: the ends of the range may have moved.
        for (i, y) in once.values.iter().enumerate() {
            let affine = once.affine[once.places.of(i / 7, i % 7)];
            prop_assert_eq!(grid.value(affine, grid.code(affine, *y)), *y);
        }
    }

    #[test]
    fn scaling_the_weights_scales_the_result(
        w in matrices(), l in levels(), g in groups(), power in -8..9_i32,
    ) {
        let factor = 2f64.powi(power);
        let scaled: Vec<f64> = w.iter().map(|x| x * factor).collect();
        let (a, b) = (Matrix::new(&w, 7), Matrix::new(&scaled, 7));
        let (a, b) = (rtn(a, &Grid::exact(l), g), rtn(b, &Grid::exact(l), g));
        prop_assert_eq!(a.codes, b.codes);
        let expected: Vec<f64> = a.values.iter().map(|x| x * factor).collect();
        prop_assert_eq!(expected, b.values);
    }

    #[test]
    fn without_correlation_gptq_is_round_to_nearest(w in matrices(), l in levels(), g in groups()) {
        let identity: Vec<f64> = (0..49).map(|i| if i % 8 == 0 { 1.0 } else { 0.0 }).collect();
        let (w, grid) = (Matrix::new(&w, 7), Grid::exact(l));
        let ours = gptq(w, &identity, &grid, g, &Gptq::default()).expect("definite");
        prop_assert_eq!(ours.values, rtn(w, &grid, g).values);
    }

    #[test]
    fn scales_of_awq_are_never_worse_than_none(
        w in matrices(), x in matrices(), l in levels(), g in groups(),
    ) {
        let (w, known) = (Matrix::new(&w, 7), calibration(&x));
        let round = |w: Matrix<'_, f64>| rtn(w, &Grid::exact(l), g).values;
        let scales = awq_scales(&[w], &known, &Awq::default(), &|_| {}, &round);
        let error = |scales: &[f64]| {
            let each = || scales.iter().cycle();
            let scaled: Vec<f64> = w.values().iter().zip(each()).map(|(w, s)| w * s).collect();
            let rounded = round(Matrix::new(&scaled, 7));
            let rest = rounded.iter().zip(each()).zip(w.values()).map(|((q, s), w)| q / s - w);
            known.output_error(&rest.collect::<Vec<_>>())
        };
        prop_assert!(error(&scales) <= error(&[1.0; 7]) * (1.0 + 1e-9));
    }

    #[test]
    fn no_number_is_too_bad(
        w in hostile(), x in hostile(), l in levels(), g in groups(), act_order: bool,
        static_groups: bool,
    ) {
        let (m, known) = (Matrix::new(&w, 7), calibration(&x));
        let grid = Grid { levels: l, scale: Some(Float::FP16) };
        let nearest = rtn(m, &grid, g);
        let options = Gptq { act_order, static_groups, ..Gptq::default() };
        for q in [Ok(nearest), gptq(m, &known.hessian(), &grid, g, &options)].into_iter().flatten() {
            prop_assert_eq!(q.values.len(), w.len());
            for (x, y) in w.iter().zip(&q.values) {
                prop_assert!(y.is_finite() || x.is_nan(), "{x} became {y}");
            }
        }
        let _ = gptq(m, &x, &grid, g, &options);
        let scales = smooth(&[m], known.largest(), 0.5);
        prop_assert!(scales.iter().all(|s| *s > 0.0 && s.is_finite()));
        let round = |w: Matrix<'_, f64>| rtn(w, &grid, g).values;
        let scales = awq_scales(&[m], &known, &Awq::default(), &|_| {}, &round);
        prop_assert!(scales.iter().all(|s| *s > 0.0), "{scales:?}");
        prop_assert_eq!(clip(m, &known, (&grid, g), &Awq::default()).len(), w.len());
    }
}

/// Correlated inputs and weights that depend on a seed.
fn drawn(seed: u64, rows: usize, columns: usize) -> Vec<f64> {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{RngCore, SeedableRng};
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = || rng.next_u64() as f64 / u64::MAX as f64 - 0.5;
    let mut values = vec![];
    for _ in 0..rows {
        let common = uniform();
        values.extend((0..columns).map(|_| common + uniform()));
    }
    values
}

#[test]
fn gptq_is_better_than_nearest_over_seeds() {
    for (levels, group) in [
        (Levels::Asymmetric(4), Group::Row),
        (Levels::Symmetric(3), Group::Size(16)),
        (Levels::Asymmetric(2), Group::Size(16)),
        (Levels::Float(Float::E2M1), Group::Size(16)),
        (Levels::Symmetric(4), Group::Tensor),
    ] {
        let (mut sums, grid) = ([0.0; 3], Grid::exact(levels));
        for seed in 0..20 {
            let (x, w) = (drawn(seed, 256, 48), drawn(seed + 100, 24, 48));
            let mut known = Calibration::new(48);
            known.observe(Matrix::new(&x, 48));
            let (m, hessian) = (Matrix::new(&w, 48), known.hessian());
            let error = |q: &[f64]| {
                let rest: Vec<f64> = w.iter().zip(q).map(|(w, q)| w - q).collect();
                known.output_error(&rest)
            };
            let run = |act_order| {
                let options = Gptq { act_order, ..Gptq::default() };
                gptq(m, &hessian, &grid, group.into(), &options).expect("definite").values
            };
            sums[0] += error(&rtn(m, &grid, group.into()).values);
            sums[1] += error(&run(false));
            sums[2] += error(&run(true));
        }
        assert!(sums[1] < 0.8 * sums[0] && sums[2] < 0.8 * sums[0], "{levels:?} {sums:?}");
    }
}

#[test]
fn every_scheme_gives_values() {
    let w = drawn(3, 12, 320);
    let (m, mut known) = (Matrix::new(&w, 320), Calibration::new(320));
    known.observe(Matrix::new(&drawn(4, 128, 320), 320));
    let power: f64 = w.iter().map(|x| x * x).sum();
    let error = |storage: &Storage| {
        let method = Method::of(storage);
        let values = matrix(storage, m, Some(&known), &method, Ragged::default());
        let values = values.unwrap_or_else(|e| panic!("{storage:?}: {e}"));
        w.iter().zip(&values).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / power
    };
    for name in Scheme::examples() {
        let Ok(scheme) = name.parse::<Scheme>() else { panic!("{name}") };
        for storage in [scheme.weights, scheme.activations, scheme.kv] {
            let bound = if matches!(storage, Storage::Sparse(_)) { 0.2 } else { 0.03 };
            let error = error(&storage);
            assert!(error < bound, "{name}: {error}");
        }
    }
    // Six decibels less noise for each bit, of a float for each of its mantissa; rows of 320 end in a part of a
    // block of 256.
    for &block in Block::ALL {
        let error = error(&Storage::Block(block));
        let bound = match block.element().and_then(Float::of) {
            Some(float) => 0.5 * 0.25_f64.powi(float.mantissa() as i32 + 1),
            None => 3.0 * 4f64.powf(0.5 - block.bits_per_weight()),
        };
        assert!(error < bound, "{}: {error} of {bound}", block.name());
    }
}

#[test]
fn methods_follow_names_and_need_a_calibration() {
    let scheme = |name: &str| name.parse::<Scheme>().expect("a scheme").weights;
    let act = Gptq { act_order: true, ..Gptq::default() };
    assert_eq!(Method::of(&scheme("gptq-4bit-g128-act")), Method::Gptq(act));
    assert_eq!(Method::of(&scheme("awq-4bit-g128")), Method::Awq(Awq::default()));
    assert_eq!(Method::of(&scheme("w4a16-g128")), Method::Nearest);
    let w = [1.0, 2.0];
    let gptq = scheme("gptq-4bit");
    let run = |known| matrix(&gptq, Matrix::new(&w, 2), known, &Method::of(&gptq), Ragged::Row);
    assert!(run(None).expect_err("no calibration").to_string().contains("calibration"));
    assert!(run(Some(&Calibration::new(3))).expect_err("channels").to_string().contains('3'));
}

#[test]
fn caches_and_activations_are_rounded_in_their_groups() {
    let x = [1.0_f64, -2.0, 0.3, 100.0, 50.0, 0.0];
    let int8 = |group| Storage::scaled(Format::Int8, Format::Fp32, group);
    let run = |storage: &Storage, scale| {
        rows(storage, Matrix::new(&x, 3), scale).expect("an encoder").to_vec()
    };
    let off = |storage: &Storage, scale| {
        let each = run(storage, scale).into_iter().zip(x).map(|(a, b)| (a - b).abs());
        each.take(3).fold(0.0, f64::max)
    };
    // A row of its own keeps small rows apart from large ones; a channel and a tensor do not.
    assert!(off(&int8(Group::Row), None) < 2.0 / 254.0 + 1e-9);
    assert!(off(&int8(Group::Tensor), None) > 0.1);
    assert!(off(&int8(Group::Column), None) > 0.05);
    let known = static_scale(&int8(Group::Tensor), 1.27).expect("one scale");
    assert_eq!(known, f64::from(0.01_f32));
    assert!((run(&int8(Group::Tensor), Some(known))[3] - 1.27).abs() < 1e-6);
    assert_eq!(static_scale(&int8(Group::Row), 1.0), None);
    let plain = run(&Storage::plain(Format::Bf16), None);
    assert_eq!(plain[2], f64::from(half::bf16::from_f64(0.3)));
    let nvfp4 = nearest(&Storage::Block(Block::Nvfp4), Matrix::new(&x, 3), Ragged::Row);
    assert!((nvfp4.expect("an encoder")[3] - 100.0).abs() < 1e-5);
}

#[test]
fn zero_points_and_packings_choose_the_grid() {
    let scaled = |zero_point, packing| Scaled {
        element: Format::Int4,
        scale: Format::Fp16,
        group: Group::Row,
        zero_point,
        packing,
    };
    let gptq = Packing::Gptq { act_order: false };
    let of = |zero_point, packing| Grid::of(&scaled(zero_point, packing)).levels;
    assert_eq!(of(true, Packing::Dense), Levels::Asymmetric(4));
    assert_eq!(of(false, Packing::Awq), Levels::Symmetric(4));
    assert_eq!((of(true, gptq), of(false, gptq)), (Levels::Asymmetric(4), Levels::Centred(4)));
}
