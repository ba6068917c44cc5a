//! Speculative sampling as executed: what comes out is distributed as the target alone would draw it.

use crate::support::cases;
use cosim::exec::Fast;
use cosim::model::{Architecture, BuildOptions, Graphs};
use cosim::session::{Pair, Session, acceptance, drawn, probabilities, residual, verify};
use cosim::tensor::{Logits, TensorName, TensorType};
use cosim::weights::{WeightError, Weights};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ChiSquared, ContinuousCDF};

fn distribution(vocabulary: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![1 => Just(0.0), 3 => 0.001..1.0f64], vocabulary)
        .prop_filter("something can be drawn", |w| w.iter().sum::<f64>() > 0.0)
        .prop_map(|w| {
            let sum: f64 = w.iter().sum();
            w.into_iter().map(|x| x / sum).collect()
        })
}

proptest! {
    #![proptest_config(cases(256))]

    /// Leviathan et al., appendix A.1: accepted or replaced, a token has the target's probability.
    #[test]
    fn one_token_has_the_targets_distribution((p, q) in (2..9usize).prop_flat_map(|v| (distribution(v), distribution(v)))) {
        let rest = residual(&p, &q);
        let rejected: f64 = q.iter().zip(&p).map(|(q, p)| q * (1.0 - if *q > 0.0 { acceptance(*p, *q) } else { 1.0 })).sum();
        for x in 0..p.len() {
            let accepted = if q[x] > 0.0 { q[x] * acceptance(p[x], q[x]) } else { 0.0 };
            prop_assert!((accepted + rejected * rest[x] - p[x]).abs() < 1e-12);
        }
    }

    /// The whole loop over a vocabulary of 3 with gamma 2, enumerated: every pair of drafted tokens, and every way
    /// that it ends. The first two tokens that come out have the target's joint distribution.
    #[test]
    fn a_loop_has_the_targets_distribution(p in prop::collection::vec(distribution(3), 4), q in prop::collection::vec(distribution(3), 4)) {
        // Distributions depend on what came before: index 0 at first, 1 + x behind x.
        let mut joint = [[0.0; 3]; 3];
        for a in 0..3 {
            let keep = acceptance(p[0][a], q[0][a].max(f64::MIN_POSITIVE));
            let rest = residual(&p[0], &q[0]);
            // The draft `a` is rejected: the replacement ends the loop, the next token is the target's.
            for x in 0..3 {
                for y in 0..3 {
                    joint[x][y] += q[0][a] * (1.0 - keep) * rest[x] * p[1 + x][y];
                }
            }
            for b in 0..3 {
                let again = acceptance(p[1 + a][b], q[1 + a][b].max(f64::MIN_POSITIVE));
                let rest = residual(&p[1 + a], &q[1 + a]);
                let drafted = q[0][a] * keep * q[1 + a][b];
                joint[a][b] += drafted * again;
                for y in 0..3 {
                    joint[a][y] += drafted * (1.0 - again) * rest[y];
                }
            }
        }
        for x in 0..3 {
            for y in 0..3 {
                prop_assert!((joint[x][y] - p[0][x] * p[1 + x][y]).abs() < 1e-12);
            }
        }
    }

    /// `verify` accepts while the uniform number lies below the acceptance, and never returns what the target cannot
    /// say.
    #[test]
    fn verification_follows_its_numbers(p in prop::collection::vec(distribution(5), 4), q in prop::collection::vec(distribution(5), 3), seed: u64) {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let drafted: Vec<u64> = q.iter().map(|q| drawn(q, stream.random())).collect();
        let (accepted, next) = verify(&p, &q, &drafted, &mut || stream.random());
        prop_assert!(accepted <= 3 && p[accepted][next as usize] > 0.0);
        for (i, &token) in drafted[..accepted].iter().enumerate() {
            prop_assert!(p[i][token as usize] > 0.0);
        }
        // Numbers of 0 accept all that is possible; a draft equal to the target is never rejected.
        let same: Vec<Vec<f64>> = p[..3].to_vec();
        let drafted: Vec<u64> = same.iter().map(|q| drawn(q, stream.random())).collect();
        prop_assert_eq!(verify(&p, &same, &drafted, &mut || stream.random()).0, 3);
    }
}

/// Weights drawn from a seed, scaled so that probabilities differ.
struct Drawn(u64);

impl Weights<f32> for Drawn {
    fn weight(
        &self,
        name: TensorName<'_>,
        ty: &TensorType,
        rows: u64,
    ) -> Result<Vec<f32>, WeightError> {
        let bytes = name.name.bytes().map(u64::from).chain([name.layer.map_or(0, |l| l + 1)]);
        let seed = bytes.fold(self.0, |h, b| h.wrapping_mul(0x0100_0000_01b3) ^ b);
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let elements = (rows * ty.width) as usize;
        Ok((0..elements).map(|_| stream.random_range(-0.6..0.6f32)).collect())
    }
}

const VOCABULARY: u64 = 6;

fn model(layers: u64) -> (Architecture, Graphs) {
    let mut arch = crate::support::models::llama_2_7b();
    (arch.vocabulary, arch.hidden, arch.layers, arch.ffn.inner) = (VOCABULARY, 16, layers, 24);
    (arch.attention.heads, arch.attention.kv_heads, arch.attention.head_dim) = (4, 2, 4);
    arch.attention.scale = 0.5;
    if let cosim::model::Position::Rope { rotary_dim, .. } = &mut arch.position {
        *rotary_dim = 4;
    }
    let graphs = arch.graphs(&BuildOptions::default()).expect("types");
    (arch, graphs)
}

/// Probabilities of the next two tokens as the target alone has them.
fn joint(
    arch: &Architecture,
    graphs: &Graphs,
    weights: &Drawn,
    prompt: &[u64],
    temperature: f64,
) -> Vec<f64> {
    let kernels = Fast::default();
    let of = |text: &[u64]| {
        let mut session = Session::new((arch, graphs), weights, &kernels, usize::MAX);
        let outcome = session.step(&[text.to_vec()], Logits::Last, &|_| false).expect("runs");
        probabilities(&outcome.logits, temperature)
    };
    let first = of(prompt);
    (0..VOCABULARY)
        .flat_map(|x| {
            let own = first[x as usize];
            of(&[prompt, &[x]].concat()).into_iter().map(move |y| own * y)
        })
        .collect()
}

#[test]
fn sampled_pairs_pass_a_g_test() {
    let (target, draft) = (model(2), model(1));
    let (of_target, of_draft) = (Drawn(7), Drawn(8));
    let (prompt, temperature, runs) = ([1, 4, 2], 0.7, 3000);
    let expected = joint(&target.0, &target.1, &of_target, &prompt, temperature);
    let kernels = Fast::default();
    let mut first = Session::new((&target.0, &target.1), &of_target, &kernels, usize::MAX);
    let mut second = Session::new((&draft.0, &draft.1), &of_draft, &kernels, usize::MAX);
    let mut stream = ChaCha8Rng::seed_from_u64(11);
    let mut counts = vec![0u32; expected.len()];
    let (mut offered, mut accepted) = (0, 0);
    for _ in 0..runs {
        first.restart();
        second.restart();
        let mut pair = Pair { target: &mut first, draft: &mut second };
        let made =
            pair.generate(&prompt, (2, 3), (temperature, &mut stream), &mut |_| {}).expect("runs");
        counts[(made.tokens[0] * VOCABULARY + made.tokens[1]) as usize] += 1;
        offered += made.offered[0];
        accepted += made.accepted[0];
    }
    assert!(
        accepted > 0 && accepted < offered,
        "drafts are accepted and rejected: {accepted} of {offered}"
    );
    let g: f64 = counts
        .iter()
        .zip(&expected)
        .filter(|(n, _)| **n > 0)
        .map(|(n, p)| 2.0 * f64::from(*n) * (f64::from(*n) / (p * f64::from(runs))).ln())
        .sum();
    let chi = ChiSquared::new(expected.len() as f64 - 1.0).expect("degrees of freedom");
    assert!(chi.sf(g) > 1e-3, "G = {g:.1}, p = {:.2e}", chi.sf(g));
    // The same counts are far from the draft's distribution: the test can fail.
    let other = joint(&draft.0, &draft.1, &of_draft, &prompt, temperature);
    let distance: f64 = counts
        .iter()
        .zip(&other)
        .filter(|(n, _)| **n > 0)
        .map(|(n, p)| 2.0 * f64::from(*n) * (f64::from(*n) / (p * f64::from(runs))).ln())
        .sum();
    assert!(chi.sf(distance) < 1e-6, "G = {distance:.1}");
}

#[test]
fn greedy_speculation_is_greedy_decoding() {
    let (target, draft) = (model(2), model(1));
    let kernels = Fast::default();
    for seed in 0..6 {
        let (of_target, of_draft) = (Drawn(seed), Drawn(seed + 100));
        let prompt = [seed % VOCABULARY, 3, 1];
        let mut alone = Session::new((&target.0, &target.1), &of_target, &kernels, usize::MAX);
        let mut draw = cosim::session::Draw::Greedy;
        let plain = alone.generate(&[prompt.to_vec()], 12, &mut draw, &mut |_| {}).expect("runs");
        for gamma in [1, 3, 5] {
            let mut first = Session::new((&target.0, &target.1), &of_target, &kernels, usize::MAX);
            let mut second = Session::new((&draft.0, &draft.1), &of_draft, &kernels, usize::MAX);
            let mut stream = ChaCha8Rng::seed_from_u64(seed);
            let mut pair = Pair { target: &mut first, draft: &mut second };
            let made =
                pair.generate(&prompt, (12, gamma), (0.0, &mut stream), &mut |_| {}).expect("runs");
            assert_eq!(made.tokens, plain[0], "seed {seed}, gamma {gamma}");
            // A model that drafts for itself is always right.
            let mut second = Session::new((&target.0, &target.1), &of_target, &kernels, usize::MAX);
            first.restart();
            let mut pair = Pair { target: &mut first, draft: &mut second };
            let made =
                pair.generate(&prompt, (12, gamma), (0.0, &mut stream), &mut |_| {}).expect("runs");
            assert_eq!(
                (made.tokens, made.steps),
                (plain[0].clone(), 12u64.div_ceil(gamma as u64 + 1))
            );
        }
    }
}
