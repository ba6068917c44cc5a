//! A graph cut for several devices computes what it computed whole.

use crate::support::cases;
use crate::support::random::{all_options, architectures, encoder_decoders, latents, tiny};
use crate::support::sequences::Inputs;
use cosim::dtype::Scheme;
use cosim::exec::{Mesh, run, run_mesh, run_ranks};
use cosim::graph::shard::{Parallel, ShardError, Ways, broadcast, pipeline, tensor_parallel};
use cosim::graph::{Graph, Kind, Source};
use cosim::mapping::Plan;
use cosim::model::{Architecture, BuildOptions, load_bundled};
use cosim::op::Op;
use cosim::op::split::{Rank, SplitError};
use cosim::tensor::{Dim, Group, Phase, Step, TensorSource};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Sums over ranks add in another order.
const ROUNDING: f64 = 1e-9;

/// The graphs of all ranks.
fn ranks(graph: &Graph, of: u64) -> Result<Vec<Graph>, ShardError> {
    dealt(graph, of, 1)
}

/// The same with experts dealt to groups.
fn dealt(graph: &Graph, of: u64, groups: u64) -> Result<Vec<Graph>, ShardError> {
    let ways = Ways { expert_groups: groups, sequence: false };
    cut(graph, of, ways)
}

fn cut(graph: &Graph, of: u64, ways: Ways) -> Result<Vec<Graph>, ShardError> {
    (0..of).map(|index| tensor_parallel(graph, Rank { index, of }, ways)).collect()
}

/// The name of the value that the sampler reads.
fn logits(graph: &Graph) -> String {
    let operand = graph.operands(graph.outputs()[0])[0];
    graph.node(operand).name.clone()
}

/// A model whose heads go over `of` ranks: `of` times its query heads, and as many key heads where
/// `also_keys` holds.
fn widened(mut model: Architecture, of: u64, also_keys: bool) -> Architecture {
    model.attention.heads *= of;
    if also_keys || model.attention.latent.is_some() {
        model.attention.kv_heads *= of;
    }
    model
}

/// The value that tells: the hidden state of an encoder, the logits of a decoder.
fn compared(graph: &Graph, phase: Phase) -> String {
    match phase {
        Phase::Encode => graph.node(graph.outputs()[0]).name.clone(),
        _ => logits(graph),
    }
}

/// The columns of a whole cache of `rows` rows that a rank of `of` holds beside `own`.
fn piece(whole: &[f64], rows: usize, own: &[f64], (rank, of): (u64, u64)) -> Vec<f64> {
    let (width, narrow) = (whole.len() / rows, own.len() / rows);
    let first = (rank * (width / narrow) as u64 / of) as usize * narrow;
    whole.chunks(width).flat_map(|row| row[first..first + narrow].to_vec()).collect()
}

fn close(found: &[f64], expected: &[f64]) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        prop_assert!((a - b).abs() <= ROUNDING * b.abs().max(1.0), "{} or {}", a, b);
    }
    Ok(())
}

fn step(groups: &[(u64, u64)]) -> Step {
    let groups = groups.iter().map(|&(new, past)| Group { count: 1, new, past, source: 0 });
    Step::mixed(groups).expect("valid")
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn ranks_together_compute_what_one_device_does(
        model in prop_oneof![3 => architectures(&tiny()), 1 => latents(&tiny())],
        seed: u64, of in 1..5u64, also_keys: bool,
        groups in prop::collection::vec((1..5u64, 0..5u64), 1..3), deal: bool, sequence: bool,
    ) {
        let mut model = widened(model, of, also_keys);
        let dealt_to = match (&mut model.experts, deal) {
            // Over 4 ranks 2 groups, which cut each expert in two, as well as 4.
            (Some(experts), true) => {
                experts.count *= of;
                if of == 4 && seed % 2 == 0 { 2 } else { of }
            }
            _ => 1,
        };
        let step = step(&groups);
        let tokens = (0..step.tokens() as u64).map(|t| (seed ^ (t * 7)) % model.vocabulary);
        let inputs = Inputs { seed, tokens: tokens.collect(), ..Inputs::default() };
        for options in all_options() {
            let graph = model.graph(&options).expect("types");
            let ways = Ways { expert_groups: dealt_to, sequence };
            let cut = match cut(&graph, of, ways) {
                Ok(cut) => cut,
                Err(ShardError::Split { source: SplitError::Heads { heads, ranks }, .. }) => {
                    let divides = heads.is_multiple_of(ranks) || ranks.is_multiple_of(heads);
                    prop_assert!(!divides, "{heads} heads over {ranks}");
                    continue;
                }
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            };
            let name = logits(&graph);
            let whole = run::<f64>(&graph, &step, &inputs, &|n| n == name);
            let name_cut = logits(&cut[0]);
            for values in run_ranks::<f64>(&cut, &step, &inputs, &|n| n == name_cut) {
                let found = &values.kept[&(None, name_cut.clone())];
                let expected = &whole.kept[&(None, name.clone())];
                prop_assert_eq!(found.len(), expected.len());
                for (a, b) in found.iter().zip(expected) {
                    prop_assert!((a - b).abs() <= ROUNDING * b.abs().max(1.0), "{} or {}", a, b);
                }
            }
        }
    }

    #[test]
    fn stages_one_behind_the_other_compute_what_one_device_does(
        model in prop_oneof![3 => architectures(&tiny()), 1 => latents(&tiny())],
        seed: u64, stages in 1..5u64, of in 1..3u64,
        groups in prop::collection::vec((1..4u64, 0..4u64), 1..3),
    ) {
        let model = widened(model, of, true);
        let step = step(&groups);
        let tokens = (0..step.tokens() as u64).map(|t| (seed ^ (t * 7)) % model.vocabulary);
        let mut inputs = Inputs { seed, tokens: tokens.collect(), ..Inputs::default() };
        let graph = model.graph(&BuildOptions::default()).expect("types");
        let name = logits(&graph);
        let whole = run::<f64>(&graph, &step, &inputs, &|n| n == name);
        let (mut kept, mut layers) = (None, 0);
        for index in 0..stages {
            let stage = match pipeline(&graph, Rank { index, of: stages }) {
                Ok(stage) => stage,
                Err(ShardError::Stages { stages, layers }) => {
                    prop_assert!(stages > layers);
                    return Ok(());
                }
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            };
            let held = stage.regions().iter().filter(|r| r.carry.is_some());
            layers += held.map(|r| r.count * r.layers).sum::<u64>();
            let cut = ranks(&stage, of).expect("heads divide");
            let last = logits(&cut[0]);
            let mut values = run_ranks::<f64>(&cut, &step, &inputs, &|n| n == last);
            inputs.received = Some(values[0].outputs[0].clone());
            kept = values[0].kept.remove(&(None, last));
        }
        prop_assert_eq!(layers, model.layers);
        let (found, expected) = (kept.expect("logits"), &whole.kept[&(None, name)]);
        for (a, b) in found.iter().zip(expected) {
            prop_assert!((a - b).abs() <= ROUNDING * b.abs().max(1.0), "{} or {}", a, b);
        }
    }

    #[test]
    fn ranks_of_an_encoder_and_its_decoder_compute_what_one_device_does(
        model in encoder_decoders(&tiny()), seed: u64, of in 1..5u64, also_keys: bool,
        source in 1..6u64, (new, past) in (1..4u64, 0..4u64),
    ) {
        let model = widened(model, of, also_keys);
        for options in all_options() {
            let graphs = model.graphs(&options).expect("types");
            let mut kept = BTreeMap::new();
            for phase in [Phase::Encode, Phase::Decode] {
                let graph = graphs.of(phase).expect("a graph");
                let group = match phase {
                    Phase::Encode => Group { count: 2, new: source, past: 0, source },
                    _ => Group { count: 2, new, past, source },
                };
                let step = Step::mixed([group]).expect("valid");
                let Ok(cut) = ranks(graph, of) else {
                    let kv = model.attention.kv_heads;
                    prop_assert!(!kv.is_multiple_of(of) && !of.is_multiple_of(kv));
                    break;
                };
                let tokens = (0..step.tokens() as u64).map(|t| (seed ^ (t * 7)) % model.vocabulary);
                // The decoder attends to what the whole encoder kept.
                let cache = std::mem::take(&mut kept);
                let inputs =
                    Inputs { seed, tokens: tokens.collect(), cache, ..Inputs::default() };
                let [name, name_cut] = [graph, &cut[0]].map(|g| compared(g, phase));
                let mut whole = run::<f64>(graph, &step, &inputs, &|n| n == name);
                let expected = whole.kept.remove(&(None, name)).expect("kept");
                let rows = step.tokens() as usize;
                for (rank, values) in
                    run_ranks::<f64>(&cut, &step, &inputs, &|n| n == name_cut).into_iter().enumerate()
                {
                    let found = &values.kept[&(None, name_cut.clone())];
                    close(found, &expected)?;
                    for (key, value) in whole.kept.iter().filter(|_| phase == Phase::Encode) {
                        let own = piece(value, rows, &values.kept[key], (rank as u64, of));
                        close(&values.kept[key], &own)?;
                    }
                }
                kept = whole.kept;
            }
        }
    }

    #[test]
    fn ranks_of_an_encoder_hold_the_whole_and_what_is_held_again(
        model in encoder_decoders(&tiny()), of in 1..5u64, also_keys: bool,
    ) {
        let mut model = widened(model, of, also_keys);
        model.vocabulary *= of;
        model.ffn.inner *= of;
        let graphs = model.graphs(&BuildOptions::default()).expect("types");
        let scheme = Scheme::sixteen_bit();
        for (phases, graph) in graphs.parts() {
            let Ok(cut) = ranks(graph, of) else { return Ok(()) };
            let bytes = |g| Plan::of([(phases, g)], &scheme).footprint.weights.total.get();
            let all: f64 = cut.iter().map(bytes).sum();
            prop_assert_eq!(all, of as f64 * bytes(&cut[0]), "ranks hold alike");
            prop_assert_eq!(all, bytes(graph) + held_again(&cut[0]));
        }
    }

    #[test]
    fn stages_of_an_encoder_and_its_decoder_compute_what_one_device_does(
        model in encoder_decoders(&tiny()), seed: u64, stages in 2..5u64, of in 1..3u64,
        source in 1..6u64, (new, past) in (1..4u64, 0..4u64),
    ) {
        let model = widened(model, of, true);
        let options = all_options();
        let options = &options[seed as usize % options.len()];
        let graphs = model.graphs(options).expect("types");
        let [encoder, decoder] = [Phase::Encode, Phase::Decode].map(|p| graphs.of(p).expect("a graph"));
        let encode = Step::mixed([Group { count: 2, new: source, past: 0, source }]).expect("valid");
        let decode = Step::mixed([Group { count: 2, new, past, source }]).expect("valid");
        let tokens = |step: &Step| -> Vec<u64> {
            (0..step.tokens() as u64).map(|t| (seed ^ (t * 7)) % model.vocabulary).collect()
        };
        let inputs = Inputs { seed, tokens: tokens(&encode), ..Inputs::default() };
        if let Err(error) = one_behind_the_other(encoder, (stages, of), &encode, inputs.clone()) {
            let ShardError::Stages { layers, .. } = error else { panic!("{error}") };
            prop_assert!(stages > layers);
            return Ok(());
        }
        let whole = run::<f64>(encoder, &encode, &inputs, &|_| false);
        let hidden = one_behind_the_other(encoder, (stages, of), &encode, inputs.clone());
        let hidden = hidden.expect("layers enough");
        close(&hidden, &whole.outputs[0])?;

        // All stages at once, each given something of its own but for the last.
        let cut: Result<Vec<_>, _> = (0..stages)
            .map(|index| broadcast(encoder, Rank { index, of: stages }))
            .collect();
        let Ok(cut) = cut else {
            prop_assert!(stages > model.layers);
            return Ok(());
        };
        let cut = cut.into_iter().map(|stage| ranks(&stage.expect("an encoder"), of));
        let cut: Vec<Vec<Graph>> = cut.collect::<Result<_, _>>().expect("heads divide");
        let given: Vec<Inputs> = (0..stages)
            .map(|s| Inputs {
                seed,
                received: Some(hidden.iter().map(|x| x + (stages - 1 - s) as f64).collect()),
                ..Inputs::default()
            })
            .collect();
        let given: Vec<&dyn TensorSource<f64>> = given.iter().map(|inputs| inputs as _).collect();
        let (tensor, pipeline) = (of as usize, stages as usize);
        let mesh = Mesh { pipeline, ..Mesh::group(tensor) };
        let values = run_mesh::<f64>(&cut.concat(), mesh, &encode, &given, &|_| false);
        let mut found = 0;
        for (place, values) in values.iter().enumerate() {
            for (key, own) in &values.kept {
                let all = &whole.kept[key];
                let rank = ((place % tensor) as u64, of);
                close(own, &piece(all, encode.tokens() as usize, own, rank))?;
                found += usize::from(rank.0 == 0);
            }
        }
        prop_assert_eq!(found, whole.kept.len(), "every layer on one stage");

        let inputs =
            Inputs { seed, tokens: tokens(&decode), cache: whole.kept, ..Inputs::default() };
        let whole = run::<f64>(decoder, &decode, &inputs, &|n| n == logits(decoder));
        let found = one_behind_the_other(decoder, (stages, of), &decode, inputs);
        close(&found.expect("layers enough"), &whole.kept[&(None, logits(decoder))])?;
    }

    #[test]
    fn weights_of_all_stages_are_the_whole_and_what_several_read(
        model in encoder_decoders(&tiny()), stages in 1..5u64,
    ) {
        let graphs = model.graphs(&BuildOptions::default()).expect("types");
        let scheme = Scheme::sixteen_bit();
        let parallel = Parallel { pipeline: stages, ..Parallel::ONE };
        let plan = match Plan::parallel(graphs.parts(), &scheme, parallel) {
            Ok(plan) => plan,
            Err(error) => {
                let encoder = model.encoder.map_or(0, |encoder| encoder.layers);
                prop_assert!(stages > encoder.min(model.layers), "{}", error);
                return Ok(());
            }
        };
        let whole = Plan::of(graphs.parts(), &scheme).footprint;
        // Tables of the bias by distance lie on every stage, the embedding where the head reads it too.
        let mut again: BTreeMap<&str, f64> = BTreeMap::new();
        for (_, graph) in graphs.parts() {
            for (id, node) in graph.nodes().filter(|(_, n)| n.kind == Kind::Source(Source::Weight)) {
                let times = match node.name.as_str() {
                    "attn.scores.weight" | "encoder.attn.scores.weight" => stages - 1,
                    "embed.tokens.weight" if model.head.tied => stages.min(2) - 1,
                    _ => 0,
                };
                let Dim::Fixed(rows) = node.ty.rows else { continue };
                prop_assert!(times == 0 || graph.region(id).carry.is_none());
                again.insert(&node.name, (2 * times * rows * node.ty.width) as f64);
            }
        }
        let held: f64 = plan.footprints().map(|f| f.weights.total.get()).sum();
        prop_assert_eq!(held, whole.weights.total.get() + again.values().sum::<f64>());
        let cross: f64 = plan.footprints().map(|f| f.cross_kv(1.0, 7).get()).sum();
        prop_assert!((cross / whole.cross_kv(1.0, 7).get() - 1.0).abs() < ROUNDING);
    }

    #[test]
    fn weights_of_all_ranks_are_the_whole_and_what_is_held_again(
        model in prop_oneof![3 => architectures(&tiny()), 1 => latents(&tiny())],
        of in 1..5u64, also_keys: bool, deal: bool,
    ) {
        let mut model = widened(model, of, also_keys);
        model.vocabulary *= of;
        model.ffn.inner *= of;
        let mut groups = 1;
        if let Some(experts) = &mut model.experts {
            experts.inner *= of;
            experts.shared = experts.shared.map(|shared| shared * of);
            if deal {
                groups = of;
                experts.count *= of;
            }
        }
        let graph = model.graph(&BuildOptions::default()).expect("types");
        let Ok(cut) = dealt(&graph, of, groups) else { return Ok(()) };
        let scheme: Scheme = "16bit".parse().expect("a scheme");
        let bytes = |graph: &Graph| Plan::new(graph, &scheme).footprint.weights.total.get();
        let all: f64 = cut.iter().map(bytes).sum();
        prop_assert_eq!(all, of as f64 * bytes(&cut[0]), "ranks hold alike");
        prop_assert_eq!(all, bytes(&graph) + held_again(&cut[0]));
    }
}

/// The hidden state of an encoder or the logits of a decoder, cut into stages of ranks.
fn one_behind_the_other(
    graph: &Graph,
    (stages, of): (u64, u64),
    step: &Step,
    mut inputs: Inputs,
) -> Result<Vec<f64>, ShardError> {
    let mut last = vec![];
    for index in 0..stages {
        let cut = ranks(&pipeline(graph, Rank { index, of: stages })?, of)?;
        let name = logits(&cut[0]);
        let mut values = run_ranks::<f64>(&cut, step, &inputs, &|n| n == name).swap_remove(0);
        let sampled = matches!(cut[0].op(cut[0].outputs()[0]), Some(Op::Sample(_)));
        last = if sampled { values.kept[&(None, name)].clone() } else { values.outputs.remove(0) };
        inputs.received = Some(last.clone());
    }
    Ok(last)
}

/// Bytes of the tensors that several ranks hold, once for each rank but the first.
fn held_again(rank: &Graph) -> f64 {
    let weights = rank.nodes().filter(|(_, n)| n.kind == Kind::Source(Source::Weight));
    let bytes = weights.map(|(id, node)| {
        let Some(share) = node.share else { return 0.0 };
        let Dim::Fixed(rows) = node.ty.rows else { return 0.0 };
        let piece = 2.0 * (rows * node.ty.width * rank.region(id).count) as f64;
        let pieces = share.rank.of / share.holders();
        piece * (pieces * (share.holders() - 1)) as f64
    });
    bytes.sum()
}

#[test]
fn one_rank_runs_the_graph_as_it_is() {
    let model = load_bundled("llama-3-8b").expect("bundled");
    let graph = model.graph(&BuildOptions::default()).expect("types");
    let alone =
        tensor_parallel(&graph, Rank { index: 0, of: 1 }, Ways::default()).expect("one rank");
    assert_eq!(alone.to_json(), graph.to_json());
}

#[test]
fn a_layer_has_two_sums_and_the_model_one_at_each_end() {
    let model = load_bundled("llama-3-8b").expect("bundled");
    let graph = model.graph(&BuildOptions::default()).expect("types");
    let rank = tensor_parallel(&graph, Rank { index: 3, of: 8 }, Ways::default()).expect("8 ranks");
    let exchanges: Vec<&str> = rank
        .nodes()
        .filter(|(_, n)| n.name.ends_with(".all_reduce") || n.name.ends_with(".all_gather"))
        .map(|(_, n)| n.name.as_str())
        .collect();
    assert_eq!(
        exchanges,
        [
            "embed.tokens.all_reduce",
            "attn.out.all_reduce",
            "ffn.down.all_reduce",
            "head.logits.all_gather"
        ]
    );
}

#[test]
fn heads_that_do_not_divide_are_refused() {
    let model = load_bundled("llama-3-8b").expect("bundled");
    let graph = model.graph(&BuildOptions::default()).expect("types");
    let refused = |of| ranks(&graph, of).expect_err("refused").to_string();
    assert_eq!(refused(3), "node `attn.q`: 32 heads do not split over 3 devices");
    assert_eq!(refused(64), "node `attn.scores`: 32 query heads are fewer than 64 devices");
    // 8 key heads go over 16 ranks: each is held by two.
    assert!(ranks(&graph, 16).is_ok());
}
