//! Positions dealt to ranks: together they compute what one device does, and hold the cache once.

use crate::support::cases;
use crate::support::machines::machine;
use crate::support::random::{all_options, architectures, tiny};
use crate::support::sequences::Inputs;
use cosim::cost::{Estimator, Request};
use cosim::dtype::Scheme;
use cosim::exec::{Mesh, Values, run, run_mesh};
use cosim::graph::Graph;
use cosim::graph::shard::{
    Parallel, ShardError, Ways, context_parallel, expert_parallel, tensor_parallel,
};
use cosim::hardware::Fidelity;
use cosim::mapping::Plan;
use cosim::model::{Architecture, BuildOptions, Position, load_bundled};
use cosim::op::Op;
use cosim::op::split::Rank;
use cosim::tensor::{Group, Phase, Role, Step, Stripe, TensorName, TensorSource, TensorType};
use proptest::prelude::*;

/// Sums over ranks add in another order.
const ROUNDING: f64 = 1e-9;

/// What a rank is given of a whole step: the rows of its positions.
struct Dealt<'a> {
    inputs: &'a Inputs,
    /// The step of all positions.
    step: &'a Step,
    stripe: Stripe,
    /// Whether its tokens are those of its positions.
    prefill: bool,
}

impl Dealt<'_> {
    /// Rows of a whole tensor, of tokens before the step or in it, that are the rank's.
    fn rows(&self, cached: bool) -> Vec<usize> {
        let own = |position: &usize| self.stripe.holds(*position);
        let of_sequence = |s: cosim::tensor::Sequence| -> Vec<usize> {
            match cached {
                true => (0..s.past).filter(own).map(|p| s.first_past + p).collect(),
                false => {
                    let new = (s.past..s.past + s.new).filter(own);
                    new.map(|p| s.first_token + p - s.past).collect()
                }
            }
        };
        self.step.sequences().flat_map(of_sequence).collect()
    }
}

impl TensorSource<f64> for Dealt<'_> {
    fn tensor(&self, name: TensorName<'_>, ty: &TensorType, rows: usize) -> Vec<f64> {
        let (cached, whole) = match ty.role {
            Role::KvCache { .. } => (true, self.step.past() as usize),
            Role::TokenIds if self.prefill => (false, self.step.tokens() as usize),
            _ => return self.inputs.tensor(name, ty, rows),
        };
        let width = ty.width as usize;
        let all: Vec<f64> = self.inputs.tensor(name, ty, whole);
        let own = self.rows(cached);
        assert_eq!(own.len(), rows, "{name:?}");
        own.into_iter().flat_map(|row| all[row * width..(row + 1) * width].to_vec()).collect()
    }
}

/// The name of the value that the rows with logits are selected from.
fn hidden(graph: &Graph) -> String {
    let is_select = |id: &_| matches!(graph.op(*id), Some(Op::Select(_)));
    let select = graph.nodes().map(|(id, _)| id).find(is_select).expect("a model selects");
    graph.node(graph.operands(select)[0]).name.clone()
}

/// The graphs of all ranks, tensor-parallel groups of `of` one behind the other.
fn ranks(
    graph: &Graph,
    (context, of, sequence): (u64, u64, bool),
    phase: Phase,
) -> Result<Vec<Graph>, ShardError> {
    let ways = Ways { sequence: sequence && of > 1, ..Ways::default() };
    let mut all = vec![];
    for index in 0..context {
        let part = context_parallel(graph, Rank { index, of: context }, phase)?;
        for index in 0..of {
            all.push(tensor_parallel(&part, Rank { index, of }, ways)?);
        }
    }
    Ok(all)
}

fn widened(mut model: Architecture, of: u64) -> Architecture {
    model.attention.heads *= of;
    model.attention.kv_heads *= of;
    model
}

fn close(found: &[f64], expected: &[f64]) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        prop_assert!((a - b).abs() <= ROUNDING * b.abs().max(1.0), "{} or {}", a, b);
    }
    Ok(())
}

fn inputs(model: &Architecture, seed: u64, step: &Step) -> Inputs {
    let tokens = (0..step.tokens() as u64).map(|t| (seed ^ (t * 7)) % model.vocabulary);
    Inputs { seed, tokens: tokens.collect(), ..Inputs::default() }
}

/// A value that was kept, of the last layer that has one of its name.
fn last<'a>(values: &'a Values<f64>, name: &str) -> &'a [f64] {
    let mut kept = values.kept.iter().rev();
    kept.find(|(key, _)| key.1 == name).map(|(_, value)| value).expect("kept")
}

/// Runs all ranks on their shares of a step.
fn together(
    graphs: &[Graph],
    (context, of): (u64, u64),
    (whole, own): (&Step, &Step),
    inputs: &Inputs,
    keep: &str,
) -> Vec<Values<f64>> {
    let prefill = whole != own;
    let dealt: Vec<Dealt<'_>> = (0..context)
        .map(|rank| {
            let stripe = Stripe { rank, of: context };
            Dealt { inputs, step: whole, stripe, prefill }
        })
        .collect();
    let sources: Vec<&dyn TensorSource<f64>> = dealt.iter().map(|d| d as _).collect();
    let mesh = Mesh { tensor: of as usize, context: context as usize, pipeline: 1, data: 1 };
    run_mesh(graphs, mesh, own, &sources, &|name| name == keep)
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn a_prompt_over_ranks_computes_what_one_device_does(
        model in architectures(&tiny()), seed: u64, context in 2..5u64, of in 1..3u64, sequence: bool,
        groups in prop::collection::vec((1..3u64, 0..3u64), 1..3),
    ) {
        let model = widened(model, of);
        let step = |of: u64| {
            let group = |&(new, past): &(u64, u64)| Group { count: 1, new: new * of, past: past * of, source: 0 };
            Step::mixed(groups.iter().map(group)).expect("valid")
        };
        let (whole, own) = (step(context), step(1));
        let inputs = inputs(&model, seed, &whole);
        for options in all_options() {
            let graph = model.graph(&options).expect("types");
            let graphs = match ranks(&graph, (context, of, sequence), Phase::Prefill) {
                Ok(graphs) => graphs,
                Err(ShardError::Context { .. }) => {
                    prop_assert_eq!(&model.position, &Position::TransformerXl);
                    return Ok(());
                }
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            };
            let name = hidden(&graph);
            let alone = run::<f64>(&graph, &whole, &inputs, &|n| n == name);
            let expected = last(&alone, &name);
            let width = expected.len() / whole.tokens() as usize;
            let own_name = hidden(&graphs[0]);
            let found = together(&graphs, (context, of), (&whole, &own), &inputs, &own_name);
            for (rank, values) in found.iter().enumerate() {
                let stripe = Stripe { rank: rank as u64 / of, of: context };
                let dealt = Dealt { inputs: &inputs, step: &whole, stripe, prefill: true };
                let rows = dealt.rows(false).into_iter();
                let share: Vec<f64> =
                    rows.flat_map(|r| expected[r * width..(r + 1) * width].to_vec()).collect();
                close(last(values, &own_name), &share)?;
            }
        }
    }

    #[test]
    fn decoding_over_parts_of_the_cache_computes_what_one_device_does(
        model in architectures(&tiny()), seed: u64, context in 2..5u64, of in 1..3u64, sequence: bool,
        groups in prop::collection::vec((1..4u64, 0..9u64), 1..4),
    ) {
        let model = widened(model, of);
        let group = |&(new, past): &(u64, u64)| Group { count: 1, new, past, source: 0 };
        let step = Step::mixed(groups.iter().map(group)).expect("valid");
        let inputs = inputs(&model, seed, &step);
        for options in all_options() {
            let graph = model.graph(&options).expect("types");
            let Ok(graphs) = ranks(&graph, (context, of, sequence), Phase::Decode) else {
                prop_assert_eq!(&model.position, &Position::TransformerXl);
                return Ok(());
            };
            let name = hidden(&graph);
            let alone = run::<f64>(&graph, &step, &inputs, &|n| n == name);
            let own_name = hidden(&graphs[0]);
            let found = together(&graphs, (context, of), (&step, &step), &inputs, &own_name);
            for values in &found {
                close(last(values, &own_name), last(&alone, &name))?;
            }
            // Every cached row lies on one rank.
            let caches = alone.kept.iter().filter(|(key, _)| key.1 != name);
            for (key, whole) in caches {
                let held: usize = found.iter().map(|values| values.kept[key].len()).sum();
                prop_assert_eq!(held, whole.len());
            }
        }
    }
}

/// The graphs of two replicas that share experts, each of two groups of two ranks.
fn in_all_ways(graph: &Graph, phase: Phase) -> Vec<Graph> {
    let ways = Ways { expert_groups: 2, sequence: true };
    let mut all = vec![];
    for rank in 0..8 {
        let two = |place: u64| Rank { index: rank / place % 2, of: 2 };
        let part = context_parallel(graph, two(2), phase).expect("dealt by position");
        let part = expert_parallel(&part, two(4), ways).expect("experts dealt");
        all.push(tensor_parallel(&part, two(1), ways).expect("divides"));
    }
    all
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn all_ways_together_compute_what_one_device_does(
        model in architectures(&tiny()).prop_filter("a mixture of experts", |model| {
            model.experts.is_some() && model.position != Position::TransformerXl
        }),
        seed: u64, (new, past) in (1..3u64, 0..3u64), prefill: bool,
    ) {
        let mut model = widened(model, 2);
        if let Some(experts) = &mut model.experts {
            experts.count *= 4;
        }
        let graph = model.graph(&BuildOptions::default()).expect("types");
        let step = |of: u64| {
            let group = Group { count: 1, new: new * of, past: past * of, source: 0 };
            Step::mixed([group]).expect("valid")
        };
        let (phase, whole) = if prefill { (Phase::Prefill, step(2)) } else { (Phase::Decode, step(1)) };
        let graphs = in_all_ways(&graph, phase);
        let inputs: Vec<Inputs> =
            (0..2).map(|replica| inputs(&model, seed ^ (replica * 5), &whole)).collect();
        let inputs: Vec<Inputs> = inputs.into_iter().map(|i| Inputs { seed, ..i }).collect();
        let dealt: Vec<Dealt<'_>> = (0..4)
            .map(|group| {
                let stripe = Stripe { rank: group % 2, of: 2 };
                Dealt { inputs: &inputs[group as usize / 2], step: &whole, stripe, prefill }
            })
            .collect();
        let sources: Vec<&dyn TensorSource<f64>> = dealt.iter().map(|d| d as _).collect();
        let mesh = Mesh { tensor: 2, context: 2, pipeline: 1, data: 2 };
        let (name, own) = (hidden(&graph), hidden(&graphs[0]));
        let found = run_mesh(&graphs, mesh, &step(1), &sources, &|n| n == own);
        for (rank, values) in found.iter().enumerate() {
            let dealt = &dealt[rank / 2];
            let alone = run::<f64>(&graph, &whole, dealt.inputs, &|n| n == name);
            let expected = last(&alone, &name);
            let width = expected.len() / whole.tokens() as usize;
            let rows = if prefill { dealt.rows(false) } else { (0..new as usize).collect() };
            let share: Vec<f64> =
                rows.into_iter().flat_map(|r| expected[r * width..(r + 1) * width].to_vec()).collect();
            close(last(values, &own), &share)?;
        }
    }
}

fn plan(model: &str, parallel: Parallel) -> Plan {
    let model = load_bundled(model).expect("bundled");
    let graphs = model.graphs(&BuildOptions::default()).expect("types");
    Plan::parallel(graphs.parts(), &Scheme::sixteen_bit(), parallel).expect("divides")
}

#[test]
fn ranks_hold_all_weights_and_a_share_of_the_cache() {
    let request = Request::Generation { batch: 4, prompt: 1000, output: 24 };
    let memory = |context| {
        let plan = plan("llama-3-8b", Parallel { context, ..Parallel::ONE });
        cosim::cost::Memory::of(&plan, &request).expect("valid")
    };
    let whole = memory(1);
    for context in [2, 4, 8] {
        let share = memory(context);
        assert_eq!(share.weights, whole.weights);
        assert_eq!(share.kv.get(), whole.kv.get() / context as f64);
        assert!(share.activations < whole.activations);
    }
    // 1024 tokens over 3 ranks: 342 on the first.
    assert_eq!(memory(3).kv.get(), whole.kv.get() * 342.0 / 1024.0);
    // Each of its slots is filled.
    assert!([1, 2, 3, 8].iter().all(|n| memory(*n).kv_unused.get() == 0.0));
}

/// A prompt's matrix work is divided but for the head; the cache that a step reads too.
#[test]
fn ranks_share_the_work_of_a_prompt_and_the_cache_of_a_step() {
    let h100 = machine("h100-sxm", Fidelity::Realistic);
    let times = |context, request: Request| {
        let plan = plan("llama-3-8b", Parallel { context, ..Parallel::ONE });
        let estimator = Estimator::new(&plan, &h100).expect("runs");
        let report = estimator.report(&request).expect("valid");
        let sum = |f: fn(&cosim::cost::OperatorCost) -> f64| {
            report.phases[0].operators.iter().map(f).sum::<f64>()
        };
        let time = report.phases[0].step_time.get();
        (sum(|o| o.flops().get()), sum(|o| o.bytes.get()), time)
    };
    let prefill = Request::Prefill { batch: 1, context: 65_536 };
    let (one, eight) = (times(1, prefill), times(8, prefill));
    let ratio = one.0 / eight.0;
    assert!((7.9..8.0).contains(&ratio), "{ratio}");
    assert!(one.2 / eight.2 > 6.0 && one.2 / eight.2 < 8.0, "{one:?} {eight:?}");
    let decode = Request::Decode { batch: 8, context: 131_072 };
    let (one, eight) = (times(1, decode), times(8, decode));
    let cache = 8.0 * 131_072.0 * 131_072.0;
    let saved = cache * 7.0 / 8.0;
    assert!(((one.1 - eight.1) / saved - 1.0).abs() < 0.01, "{one:?} {eight:?}");
    assert!(eight.2 < one.2 / 3.0, "{one:?} {eight:?}");
}

/// The first rank holds a token more only every so many steps, and its cache grows all the same.
#[test]
fn steps_over_parts_of_the_cache_grow_with_it_and_their_operators_add_up() {
    let h100 = machine("h100-sxm", Fidelity::Realistic);
    for context in [2, 3, 8] {
        let plan = plan("llama-3-8b", Parallel { context, ..Parallel::ONE });
        let estimator = Estimator::new(&plan, &h100).expect("runs");
        let of = |request: Request| estimator.report(&request).expect("valid");
        let whole = of(Request::Generation { batch: 256, prompt: 8, output: 8192 });
        let mean = whole.summary.decode_step.expect("decodes").get();
        let phase = whole.phases.last().expect("decodes");
        let operators: f64 = phase.operators.iter().map(|o| o.time.get()).sum();
        assert!((operators / mean - 1.0).abs() < 1e-9, "{context}: {operators} {mean}");
        let middle = of(Request::Decode { batch: 256, context: (9 + 8199) / 2 });
        let middle = middle.summary.decode_step.expect("decodes").get();
        assert!((middle / mean - 1.0).abs() < 0.01, "{context}: {middle} {mean}");
    }
}

#[test]
fn each_layer_gathers_in_a_prompt_and_merges_in_a_step() {
    let plan = plan("gpt-oss-20b", Parallel { tensor: 2, context: 4, ..Parallel::ONE });
    let count = |phase: Phase, name: &str| -> u64 {
        let kernels = plan.kernels.iter().filter(|k| k.phases.contains(phase));
        let named =
            kernels.filter(|k| plan.nodes[k.nodes.clone()].iter().any(|n| n.op.name() == name));
        named.map(|k| k.count).sum()
    };
    assert_eq!(
        (count(Phase::Prefill, "gather_keys"), count(Phase::Decode, "gather_keys")),
        (24, 0)
    );
    assert_eq!(
        (count(Phase::Prefill, "merge_attention"), count(Phase::Decode, "merge_attention")),
        (0, 24)
    );
}
