//! Models with an encoder: what its keys and values mean, and what encoding once costs.

use crate::support::cases;
use crate::support::machines::machine;
use crate::support::random::{all_options, encoder_decoders, tiny};
use crate::support::sequences::{Sequence, advance, encode, packed, plain};
use cosim::cost::{Estimator, Request, Summary};
use cosim::dtype::Scheme;
use cosim::graph::Graph;
use cosim::graph::shard::Parallel;
use cosim::hardware::Fidelity;
use cosim::mapping::{Plan, Turn};
use cosim::model::{
    Architecture, BuildOptions, Encoder, FusionSet, HeadForm, Position, WhatIf, WindowForm,
    load_bundled,
};
use cosim::tensor::{Phase, Step};
use proptest::prelude::*;

/// Difference of two runs of the same sums in another order.
const ROUNDING: f64 = 1e-9;

fn close(found: &[f64], expected: &[f64]) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        prop_assert!((a - b).abs() <= ROUNDING * b.abs().max(1.0), "{} or {}", a, b);
    }
    Ok(())
}

/// The encode graph and the decoder's.
fn graphs(model: &Architecture, options: &BuildOptions) -> [Graph; 2] {
    let graphs = model.graphs(options).expect("types");
    [Phase::Encode, Phase::Decode].map(|phase| graphs.of(phase).expect("a graph").clone())
}

/// Token ids, or as many positions of audio.
fn source(model: &Architecture, seed: u64, length: usize) -> Vec<u64> {
    Sequence::new(seed ^ 0x5eed, length, model.vocabulary).tokens
}

/// Logits of the last token behind a decoder's tokens in chunks, encoded anew before each chunk
/// where `again` holds.
fn decoded(
    model: &Architecture,
    seed: u64,
    input: &[u64],
    chunks: &[usize],
    again: bool,
) -> Vec<f64> {
    let [encoder, decoder] = graphs(model, &BuildOptions::default());
    let mut sequence = [Sequence::new(seed, chunks.iter().sum(), model.vocabulary)];
    encode(&encoder, seed, &[input.to_vec()], &mut sequence);
    let mut logits = vec![];
    for &chunk in chunks {
        if again {
            encode(&encoder, seed, &[input.to_vec()], &mut sequence);
        }
        let step = packed(&sequence, &[chunk]);
        logits = advance(&plain(&decoder), seed, &step, &mut sequence);
    }
    logits
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn decoding_with_what_the_encoder_left_is_computing_all_of_it_again(
        model in encoder_decoders(&tiny()), seed: u64, positions in 1..6usize, tokens in 2..8usize,
    ) {
        let input = source(&model, seed, positions);
        let one_by_one = vec![1; tokens];
        let kept = decoded(&model, seed, &input, &one_by_one, false);
        close(&kept, &decoded(&model, seed, &input, &one_by_one, true))?;
        close(&kept, &decoded(&model, seed, &input, &[tokens], false))?;
    }

    #[test]
    fn a_ragged_batch_of_inputs_is_each_alone(
        model in encoder_decoders(&tiny()), seed: u64,
        shapes in prop::collection::vec((1..5usize, 1..4usize), 1..4),
    ) {
        // Frames are drawn for a whole step, so that of audio no sequence has its own.
        prop_assume!(matches!(model.position, Position::Relative { .. }));
        let [encoder, decoder] = graphs(&model, &BuildOptions::default());
        let inputs: Vec<Vec<u64>> =
            shapes.iter().map(|&(positions, _)| source(&model, seed, positions)).collect();
        let start = |i: usize| Sequence::new(seed ^ i as u64, shapes[i].1, model.vocabulary);
        let mut alone = vec![];
        for i in 0..shapes.len() {
            let mut sequence = [start(i)];
            encode(&encoder, seed, &inputs[i..=i], &mut sequence);
            let step = packed(&sequence, &[shapes[i].1]);
            alone.extend(advance(&plain(&decoder), seed, &step, &mut sequence));
        }
        let mut together: Vec<Sequence> = (0..shapes.len()).map(start).collect();
        encode(&encoder, seed, &inputs, &mut together);
        let new: Vec<usize> = shapes.iter().map(|s| s.1).collect();
        let step = packed(&together, &new);
        close(&advance(&plain(&decoder), seed, &step, &mut together), &alone)?;
    }

    #[test]
    fn fusions_change_no_value_of_an_encoder_and_its_decoder(
        model in encoder_decoders(&tiny()), seed: u64, positions in 1..6usize, tokens in 1..5usize,
    ) {
        let input = source(&model, seed, positions);
        let mut results = all_options().into_iter().map(|options| {
            let [encoder, decoder] = graphs(&model, &options);
            let mut sequence = [Sequence::new(seed, tokens, model.vocabulary)];
            encode(&encoder, seed, std::slice::from_ref(&input), &mut sequence);
            let step = packed(&sequence, &[tokens]);
            let logits = advance(&plain(&decoder), seed, &step, &mut sequence);
            (logits, sequence)
        });
        let first = results.next();
        prop_assert!(results.all(|result| Some(result) == first));
    }

    #[test]
    fn decoding_costs_the_same_behind_any_encoder(
        model in encoder_decoders(&tiny()), batch in 1..9u64, prompt in 1..50u64, output in 2..20u64,
    ) {
        let request = Request::Generation { batch, prompt, output };
        let cost = |model: &Architecture, request: &Request| summary(model, request);
        let one = cost(&model, &request);
        let encoder = model.encoder.expect("an encoder");
        let deeper = Some(Encoder { layers: encoder.layers + 3, ..encoder });
        let deep = cost(&Architecture { encoder: deeper, ..model.clone() }, &request);
        prop_assert!(deep.encode > one.encode && deep.memory.weights > one.memory.weights);
        prop_assert_eq!((deep.decode_step, deep.memory.kv), (one.decode_step, one.memory.kv));
        // Encoded once: a longer output encodes nothing more.
        let longer = Request::Generation { batch, prompt, output: output + 7 };
        let more = cost(&model, &longer);
        prop_assert_eq!((more.encode, more.prefill), (one.encode, one.prefill));
        let steps = (output - 1) as f64;
        let total = one.prefill.expect("a prefill") + one.decode_step.expect("steps") * steps;
        prop_assert!((one.total / total - 1.0).abs() < 1e-12);
        // A decode step alone is the step behind the start tokens.
        let first = cost(&model, &Request::Generation { batch, prompt, output: 2 });
        let context = prompt + encoder.start_tokens + 1;
        let alone = cost(&model, &Request::Decode { batch, context });
        prop_assert_eq!(alone.decode_step, first.decode_step);
    }
}

fn summary(model: &Architecture, request: &Request) -> Summary {
    let graphs = model.graphs(&BuildOptions::default()).expect("types");
    let plan = Plan::of(graphs.parts(), &Scheme::sixteen_bit());
    let machine = machine("a100-sxm-80gb", Fidelity::Realistic);
    let estimator = Estimator::new(&plan, &machine).expect("16-bit");
    estimator.summary(request).expect("valid")
}

#[test]
fn another_input_gives_other_logits() {
    for id in ["t5-small", "whisper-large-v3"] {
        let mut model = load_bundled(id).expect("bundled");
        (model.hidden, model.vocabulary, model.layers, model.ffn.inner) = (8, 11, 2, 8);
        (model.attention.heads, model.attention.kv_heads, model.attention.head_dim) = (2, 2, 4);
        model.encoder.as_mut().expect("an encoder").layers = 2;
        let logits = |positions| {
            let input = source(&model, 3, positions);
            decoded(&model, 7, &input, &[2, 1], false)
        };
        assert!(close(&logits(4), &logits(5)).is_err(), "{id}: a position more is seen");
    }
}

#[test]
fn kept_bytes_are_those_of_the_published_sizes() {
    // T5-large: 24 layers x (key + value) x 16 heads x 64 x 2 B, on either side.
    let graphs = load_bundled("t5-large").expect("bundled").graphs(&BuildOptions::default());
    let graphs = graphs.expect("types");
    let footprint = Plan::of(graphs.parts(), &Scheme::sixteen_bit()).footprint;
    assert_eq!(footprint.kv_per_token().get(), 24.0 * 2.0 * 1024.0 * 2.0);
    assert_eq!(footprint.cross_kv(1.0, 512).get(), 512.0 * 24.0 * 2.0 * 1024.0 * 2.0);
    assert_eq!(footprint.start(), Some(1));
    let request = Request::Generation { batch: 4, prompt: 512, output: 100 };
    let kept = summary(&load_bundled("t5-large").expect("bundled"), &request).memory.kv;
    assert_eq!(kept, footprint.kv(4.0, 101) + footprint.cross_kv(4.0, 512));
}

#[test]
fn whisper_encodes_thirty_seconds_with_the_operations_of_its_configuration() {
    let model = load_bundled("whisper-large-v3").expect("bundled");
    let graphs = model.graphs(&BuildOptions::default()).expect("types");
    let plan = Plan::of(graphs.parts(), &Scheme::sixteen_bit());
    let step = Step::encode(1, 1500).expect("valid");
    let encode = plan.kernels.iter().filter(|k| k.phases.contains(Phase::Encode));
    let matrix: f64 = encode
        .map(|k| {
            let nodes = &plan.nodes[k.nodes.clone()];
            nodes.iter().map(|n| n.op.work(&step).matrix).sum::<f64>() * k.count as f64
        })
        .sum();
    let (t, d, f) = (1500.0, 1280.0, 5120.0);
    let stem = 2.0 * (3000.0 * d * 3.0 * 128.0 + t * d * 3.0 * d);
    let layer = 2.0 * t * (4.0 * d * d + 2.0 * d * f) + 4.0 * t * t * d;
    let cross = 2.0 * t * 2.0 * d * d;
    assert_eq!(matrix, stem + 32.0 * (layer + cross));
}

/// Ainslie et al., arXiv 2305.13245, section 2.2: the encoder stays multi-head.
#[test]
fn what_ifs_change_the_decoder_alone() {
    let model = load_bundled("t5-v1.1-xxl").expect("bundled");
    let with = |heads, window| {
        model.what_if(&WhatIf { heads, window, ..WhatIf::default() }).expect("divides")
    };
    let request = Request::Generation { batch: 32, prompt: 512, output: 64 };
    let forms = [HeadForm::Mqa, HeadForm::Gqa(8), HeadForm::Mha];
    let [mqa, gqa, mha] = forms.map(|form| summary(&with(Some(form), None), &request));
    assert!(mqa.decode_step <= gqa.decode_step && gqa.decode_step < mha.decode_step);
    let ratio = |a: Summary, b: Summary| a.memory.kv / b.memory.kv;
    assert_eq!((ratio(mha, mqa), ratio(mha, gqa)), (64.0, 8.0));
    let fewer = model.parameters().total - with(Some(HeadForm::Mqa), None).parameters().total;
    // Keys and values of two attentions in 24 decoder layers lose 63 heads of 64 each.
    assert_eq!(fewer, 24 * 2 * 2 * 63 * 64 * 4096);
    let windowed = with(None, Some(WindowForm::Tokens(16)));
    let narrow = summary(&windowed, &request);
    assert_eq!(narrow.encode, mha.encode);
    assert!(narrow.decode_step < mha.decode_step && narrow.memory.kv < mha.memory.kv);
}

fn plan(model: &str, fusions: FusionSet, parallel: Parallel) -> Plan {
    let model = load_bundled(model).expect("bundled");
    let graphs = model.graphs(&BuildOptions { fusions, ..BuildOptions::default() });
    let graphs = graphs.expect("types");
    Plan::parallel(graphs.parts(), &Scheme::sixteen_bit(), parallel).expect("divides")
}

#[test]
fn ranks_and_stages_share_what_an_encoder_leaves() {
    let of = |parallel| plan("t5-v1.1-xxl", FusionSet::Default, parallel);
    let [one, eight] = [1, 8].map(|tensor| of(Parallel { tensor, ..Parallel::ONE }).footprint);
    assert_eq!(one.cross_kv(1.0, 512), eight.cross_kv(1.0, 512) * 8.0);
    assert_eq!(one.kv(1.0, 64), eight.kv(1.0, 64) * 8.0);
    // 24 decoder layers over 5 stages: 4, 5, 5, 5, 5.
    let stages = of(Parallel { pipeline: 5, ..Parallel::ONE });
    let of_stage: Vec<f64> = stages.footprints().map(|f| f.cross_kv(1.0, 512).get()).collect();
    let layer = one.cross_kv(1.0, 512).get() / 24.0;
    assert_eq!(of_stage, [4.0, 5.0, 5.0, 5.0, 5.0].map(|layers| layers * layer));
    assert!(stages.footprints().all(|f| f.start() == Some(1)));
}

/// Two stages of one micro-batch: what one device does, and the messages between the stages, with the
/// projections of both for cross-attention at once.
#[test]
fn stages_encode_one_behind_the_other_and_project_at_once() {
    let machine = machine("h100-sxm", Fidelity::Ideal);
    let request = Request::Prefill { batch: 1, context: 512 };
    // A stage ends inside the kernel that adds and norms.
    let unfused = FusionSet::None;
    let encode = |pipeline| {
        let plan = plan("t5-large", unfused, Parallel { pipeline, ..Parallel::ONE });
        let estimator = Estimator::new(&plan, &machine).expect("16-bit");
        let report = estimator.report(&request).expect("valid");
        let phase = report.phases.into_iter().find(|p| p.phase == Phase::Encode);
        let phase = phase.expect("an encode step");
        let named = |name: &str| -> f64 {
            let of = phase.operators.iter().filter(|o| o.name.starts_with(name));
            of.map(|o| o.time.get()).sum()
        };
        let found = ["stage.send", "stage.broadcast", "cross"].map(named);
        (phase.step_time.get(), found)
    };
    let (whole, [.., cross]) = encode(1);
    let (time, [send, broadcast, cut]) = encode(2);
    assert!(send > 0.0 && broadcast > 0.0 && (cut / cross - 1.0).abs() < 1e-9);
    // Each stage has half of the decoder's layers, and takes part in the broadcast.
    let expected = whole - cross / 2.0 + send + broadcast / 2.0;
    assert!((time / expected - 1.0).abs() < 1e-9, "{time} {expected}");
}

/// 32 layers of each stack over 3 stages, 4 micro-batches.
#[test]
fn micro_batches_are_encoded_in_a_flow_and_projected_together() {
    let parallel = Parallel { pipeline: 3, tensor: 2, micro_batches: 4, ..Parallel::ONE };
    let plan = plan("whisper-large-v3", FusionSet::Default, parallel);
    let machine = machine("h100-sxm", Fidelity::Realistic);
    let estimator = Estimator::new(&plan, &machine).expect("16-bit");
    let step = Step::encode(2, 1500).expect("valid");
    let stages = |turn: Turn| {
        [0, 1, 2].map(|stage| {
            let all = plan.kernels.iter().filter(|k| k.phases.contains(Phase::Encode));
            let own = all.filter(|k| (k.stage, k.turn) == (stage, turn));
            let launch = machine.kernel_launch.value.get();
            own.map(|k| (estimator.kernel(k, &step).longest() + launch) * k.count as f64).sum()
        })
    };
    let (through, together): ([f64; 3], [f64; 3]) = (stages(Turn::Through), stages(Turn::Together));
    let slowest = together.into_iter().fold(0.0, f64::max);
    assert!(together[0] < slowest, "a layer less to project for");
    let request = Request::Generation { batch: 8, prompt: 1500, output: 8 };
    let found = estimator.summary(&request).expect("valid").encode.expect("an encoder");
    let expected = Parallel::flow(&through, 4) + 4.0 * slowest;
    assert!((found.get() / expected - 1.0).abs() < 1e-9, "{found} {expected}");
}
