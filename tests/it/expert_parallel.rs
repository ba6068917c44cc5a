//! Experts dealt over replicas: every replica computes what it did alone, and holds its share.

use crate::support::cases;
use crate::support::machines::machine;
use crate::support::random::{all_options, architectures, tiny};
use crate::support::sequences::Inputs;
use cosim::cost::{Estimator, Request};
use cosim::dtype::Scheme;
use cosim::exec::{Mesh, run, run_mesh};
use cosim::graph::shard::{Parallel, Ways, expert_parallel, tensor_parallel};
use cosim::graph::{Graph, Kind, Source};
use cosim::hardware::Fidelity;
use cosim::mapping::Plan;
use cosim::model::{Architecture, BuildOptions, load_bundled};
use cosim::op::split::Rank;
use cosim::op::{Op, Pattern};
use cosim::tensor::{Dim, Group, Step, TensorSource};
use proptest::prelude::*;

/// Sums over ranks add in another order.
const ROUNDING: f64 = 1e-9;

/// The graphs of all ranks of all replicas, replica after replica.
fn ranks(graph: &Graph, replicas: u64, of: u64, ways: Ways) -> Vec<Graph> {
    let replica = |index| expert_parallel(graph, Rank { index, of: replicas }, ways);
    let replicas = (0..replicas).map(|index| replica(index).expect("dealt"));
    let cut = |graph: Graph| {
        let rank = move |index| tensor_parallel(&graph, Rank { index, of }, ways).expect("divides");
        (0..of).map(rank).collect::<Vec<_>>()
    };
    replicas.flat_map(cut).collect()
}

/// A mixture whose heads go over `of` ranks and whose experts over as many groups and `replicas`.
fn widened(mut model: Architecture, of: u64, replicas: u64) -> Option<Architecture> {
    model.attention.heads *= of;
    model.attention.kv_heads *= of;
    model.vocabulary *= of;
    model.ffn.inner *= of;
    let experts = model.experts.as_mut()?;
    experts.count *= of * replicas;
    experts.inner *= of;
    experts.shared = experts.shared.map(|shared| shared * of);
    Some(model)
}

fn mixtures() -> impl Strategy<Value = Architecture> {
    architectures(&tiny()).prop_filter("a mixture of experts", |model| model.experts.is_some())
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn replicas_that_share_experts_compute_what_each_does_alone(
        model in mixtures(), seed: u64, of in 1..3u64, replicas in 1..4u64, deal: bool,
        sequence: bool, quantized: bool,
        groups in prop::collection::vec((1..4u64, 0..4u64), 1..3),
    ) {
        let Some(model) = widened(model, of, replicas) else { return Ok(()) };
        let groups = groups.iter().map(|&(new, past)| Group { count: 1, new, past, source: 0 });
        let step = Step::mixed(groups).expect("valid");
        let tokens = |d: u64| (0..step.tokens() as u64).map(move |t| seed ^ (t * 7 + d * 3));
        let inputs: Vec<Inputs> = (0..replicas)
            .map(|d| {
                let tokens = tokens(d).map(|t| t % model.vocabulary).collect();
                Inputs { seed, tokens, ..Inputs::default() }
            })
            .collect();
        let sources: Vec<&dyn TensorSource<f64>> = inputs.iter().map(|i| i as _).collect();
        let ways = Ways { expert_groups: if deal { of } else { 1 }, sequence };
        let mesh = Mesh { tensor: of as usize, context: 1, pipeline: 1, data: replicas as usize };
        for options in all_options() {
            let mut graph = model.graph(&options).expect("types");
            if quantized {
                let scales = |_| Some(cosim::graph::Scales::PerRow);
                graph = graph.quantized(scales).expect("types");
            }
            let cut = ranks(&graph, replicas, of, ways);
            let name = |graph: &Graph| {
                let operand = graph.operands(graph.outputs()[0])[0];
                graph.node(operand).name.clone()
            };
            let (whole, own) = (name(&graph), name(&cut[0]));
            let found = run_mesh::<f64>(&cut, mesh, &step, &sources, &|n| n == own);
            for (values, inputs) in found.chunks(of as usize).zip(&inputs) {
                let alone = run::<f64>(&graph, &step, inputs, &|n| n == whole);
                let expected = &alone.kept[&(None, whole.clone())];
                for rank in values {
                    let found = &rank.kept[&(None, own.clone())];
                    prop_assert_eq!(found.len(), expected.len());
                    for (a, b) in found.iter().zip(expected) {
                        prop_assert!((a - b).abs() <= ROUNDING * b.abs().max(1.0), "{} or {}", a, b);
                    }
                }
            }
        }
    }

    #[test]
    fn replicas_hold_their_experts_once_and_all_else_each(
        model in mixtures(), of in 1..3u64, replicas in 1..4u64, deal: bool,
    ) {
        let Some(model) = widened(model, of, replicas) else { return Ok(()) };
        let graph = model.graph(&BuildOptions::default()).expect("types");
        let ways = Ways { expert_groups: if deal { of } else { 1 }, sequence: false };
        let cut = ranks(&graph, replicas, of, ways);
        let scheme = Scheme::sixteen_bit();
        let bytes = |graph: &Graph| Plan::new(graph, &scheme).footprint.weights.total.get();
        let all: f64 = cut.iter().map(bytes).sum();
        prop_assert_eq!(all, (replicas * of) as f64 * bytes(&cut[0]), "ranks hold alike");
        let alone = ranks(&graph, 1, of, ways);
        let each: f64 = alone.iter().map(bytes).sum();
        // A bias behind a sum counts once in a group, and is held by all of it.
        let of_experts: f64 = alone.iter().map(experts).sum();
        prop_assert_eq!(all, replicas as f64 * (each - of_experts) + of_experts);
    }
}

/// Bytes of the tensors of experts in a graph.
fn experts(graph: &Graph) -> f64 {
    let weights = graph.nodes().filter(|(_, n)| n.kind == Kind::Source(Source::Weight));
    let routed = weights.filter(|(id, _)| {
        let readers = graph.readers(*id).into_iter();
        readers
            .filter_map(|r| graph.op(r))
            .any(|op| matches!(op, Op::GroupedMatMul(_) | Op::ExpertBias(_)))
    });
    let bytes = routed.map(|(id, node)| match node.ty.rows {
        Dim::Fixed(rows) => 2.0 * (rows * node.ty.width * graph.region(id).count) as f64,
        _ => 0.0,
    });
    bytes.sum()
}

fn plan(model: &str, parallel: Parallel) -> Plan {
    let model = load_bundled(model).expect("bundled");
    let graphs = model.graphs(&BuildOptions::default()).expect("types");
    Plan::parallel(graphs.parts(), &Scheme::sixteen_bit(), parallel).expect("divides")
}

/// Mixtral, 8 experts of which a token passes 2, over 8 replicas: a token goes to a rank with
/// probability 1/4, and away from home with 7/8 of that.
#[test]
fn a_token_goes_to_the_ranks_of_its_experts_and_back() {
    let plan = plan("mixtral-8x7b", Parallel { data: 8, expert: 8, ..Parallel::ONE });
    let step = Step::prefill(2, 100).expect("valid");
    let mut sent = vec![];
    for node in plan
        .nodes
        .iter()
        .filter(|n| n.name.ends_with("ffn.norm.dispatch") || n.name.ends_with(".return"))
    {
        let Pattern::Collective { elements, ranks, .. } = node.op.pattern(&step) else {
            panic!("{} exchanges", node.name)
        };
        assert_eq!(ranks, 8);
        sent.push(elements);
    }
    let received = 8.0 * 200.0 * 0.25 * 4096.0;
    assert_eq!(sent.len(), 2, "{:?}", plan.nodes.iter().map(|n| &n.name).collect::<Vec<_>>());
    assert!(sent.iter().all(|e| (e / received - 1.0_f64).abs() < 1e-12), "{sent:?}");
}

#[test]
fn experts_over_replicas_cost_an_exchange_and_save_weights() {
    let h100 = machine("h100-sxm", Fidelity::Realistic);
    let request = Request::Decode { batch: 256, context: 1024 };
    let of = |expert| {
        let plan = plan("mixtral-8x7b", Parallel { data: 8, expert, ..Parallel::ONE });
        let estimator = Estimator::new(&plan, &h100).expect("runs");
        estimator.summary(&request).expect("valid")
    };
    let (held, dealt) = (of(1), of(8));
    // 45.1e9 of 46.7e9 parameters are experts'.
    let ratio = dealt.memory.weights.get() / held.memory.weights.get();
    assert!((0.15..0.17).contains(&ratio), "{ratio}");
    let (held, dealt) = (held.decode_step.expect("decodes"), dealt.decode_step.expect("decodes"));
    assert!(dealt < held, "32 tokens touch every expert: {dealt} against {held}");
}

#[test]
fn skewed_routing_waits_for_the_rank_of_the_popular_expert() {
    let h100 = machine("h100-sxm", Fidelity::Realistic);
    let model = load_bundled("mixtral-8x7b").expect("bundled");
    let times: Vec<f64> = ["uniform", "zipf:1", "zipf:2"]
        .map(|routing| {
            let routing = routing.parse().expect("a routing");
            let options = BuildOptions { routing, ..BuildOptions::default() };
            let graphs = model.graphs(&options).expect("types");
            let parallel = Parallel { data: 8, expert: 8, ..Parallel::ONE };
            let plan = Plan::parallel(graphs.parts(), &Scheme::sixteen_bit(), parallel);
            let plan = plan.expect("divides");
            let estimator = Estimator::new(&plan, &h100).expect("runs");
            let request = Request::Prefill { batch: 64, context: 512 };
            estimator.summary(&request).expect("valid").prefill.expect("prefills").get()
        })
        .to_vec();
    assert!(times.is_sorted() && times[0] < times[2], "{times:?}");
}
