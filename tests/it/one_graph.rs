//! One graph, two interpreters: what the cost model claims of a whole model is what happens when
//! the executor runs it.

use crate::support::cases;
use crate::support::machines::{machine, step_time};
use crate::support::random::{all_options, architectures, encoder_decoders, steps, tiny};
use crate::support::sequences::{Inputs, LOGITS};
use cosim::cost::Estimator;
use cosim::dtype::Scheme;
use cosim::exec::run;
use cosim::graph::Graph;
use cosim::hardware::Fidelity;
use cosim::mapping::Plan;
use cosim::model::{Architecture, Attention, BuildOptions, FusionSet};
use cosim::op::meter::{Metered, metered};
use cosim::op::scalar::Scalar;
use cosim::tensor::{Group, Phase, Role, Step, TensorName, TensorSource, TensorType};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Matrix, vector and special operations of a step, as the plan's operators claim them.
fn claimed(plan: &Plan, step: &Step) -> [f64; 3] {
    let mut sum = [0.0; 3];
    for kernel in &plan.kernels {
        for node in &plan.nodes[kernel.nodes.clone()] {
            let work = node.op.work(step);
            for (sum, work) in sum.iter_mut().zip([work.matrix, work.vector, work.special]) {
                *sum += work * kernel.count as f64;
            }
        }
    }
    sum
}

/// Notes every weight that is asked for, with its elements.
#[derive(Default)]
struct Recorded {
    inputs: Inputs,
    weights: RefCell<BTreeSet<(Option<u64>, String, u64)>>,
}

impl TensorSource<f64> for Recorded {
    fn tensor(&self, name: TensorName<'_>, ty: &TensorType, rows: usize) -> Vec<f64> {
        if let Role::Weight(_) = ty.role {
            let elements = rows as u64 * ty.width;
            self.weights.borrow_mut().insert((name.layer, name.name.to_owned(), elements));
        }
        self.inputs.tensor(name, ty, rows)
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_whole_model_is_metered(
        model in architectures(&tiny()), step in steps(3, 4, 5), seed: u64,
    ) {
        let tokens = (0..step.tokens() as u64).map(|i| i % model.vocabulary).collect();
        let inputs = Inputs { seed, tokens, ..Inputs::default() };
        for options in all_options() {
            let graph = model.graph(&options).expect("types");
            let (values, counts) = metered(|| run::<Metered>(&graph, &step, &inputs, &|_| true));
            let counted = [counts.matrix, counts.vector, counts.special].map(|c| c as f64);
            let plan = Plan::new(&graph, &Scheme::sixteen_bit());
            prop_assert_eq!(claimed(&plan, &step), counted);
            prop_assert_eq!(counts.unscoped, 0);
            prop_assert!(values.kept.values().flatten().all(|v| !v.value().is_nan()));
        }
    }

    #[test]
    fn a_model_with_an_encoder_is_metered(
        model in encoder_decoders(&tiny()), seed: u64,
        groups in prop::collection::vec((1..4u64, 1..4u64, 0..5u64, 1..6u64), 1..3),
    ) {
        for options in all_options() {
            let graphs = model.graphs(&options).expect("types");
            for (phases, graph) in graphs.parts() {
                let encodes = phases.contains(Phase::Encode);
                let groups = groups.iter().map(|&(count, new, past, source)| match encodes {
                    true => Group { count, new: source, past: 0, source },
                    false => Group { count, new, past, source },
                });
                let step = Step::mixed(groups).expect("valid");
                let tokens = (0..step.tokens() as u64).map(|i| i % model.vocabulary).collect();
                let inputs = Inputs { seed, tokens, ..Inputs::default() };
                let (values, counts) = metered(|| run::<Metered>(graph, &step, &inputs, &|_| true));
                let counted = [counts.matrix, counts.vector, counts.special].map(|c| c as f64);
                let plan = Plan::of([(phases, graph)], &Scheme::sixteen_bit());
                prop_assert_eq!(claimed(&plan, &step), counted);
                prop_assert_eq!(counts.unscoped, 0);
                prop_assert!(values.kept.values().flatten().all(|v| !v.value().is_nan()));
            }
        }
    }

    #[test]
    fn an_encoder_and_its_decoder_share_what_a_run_touches(
        model in encoder_decoders(&tiny()), (batch, source) in (1..4u64, 1..6u64), seed: u64,
    ) {
        let start = model.encoder.expect("an encoder").start_tokens;
        let graphs = model.graphs(&BuildOptions::default()).expect("types");
        let plan = Plan::of(graphs.parts(), &Scheme::sixteen_bit());
        let (mut weights, mut own, mut cross) = (BTreeSet::new(), 0, 0);
        for (phases, graph) in graphs.parts() {
            let encodes = phases.contains(Phase::Encode);
            let step = match encodes {
                true => Step::encode(batch, source),
                false => Step::prefill(batch, start).and_then(|s| s.with_source(source)),
            };
            let step = step.expect("valid");
            let tokens = (0..step.tokens() as u64).map(|i| i % model.vocabulary).collect();
            let inputs = Inputs { seed, tokens, ..Inputs::default() };
            let recorded = Recorded { inputs, ..Recorded::default() };
            let values = run(graph, &step, &recorded, &|_| false);
            weights.extend(recorded.weights.take());
            *(if encodes { &mut cross } else { &mut own }) +=
                values.kept.values().map(Vec::len).sum::<usize>();
        }
        let elements = weights.iter().map(|(_, _, n)| n).sum::<u64>();
        prop_assert_eq!(plan.footprint.parameters, elements);
        prop_assert_eq!(u128::from(elements), model.parameters().total);
        prop_assert_eq!(plan.footprint.weights.total.get(), 2.0 * elements as f64);
        let kept = plan.footprint.cross_kv(batch as f64, source);
        prop_assert_eq!(kept.get(), 2.0 * cross as f64);
        // The executor keeps rows that have left a window; memory does not.
        let in_memory = plan.footprint.kv(batch as f64, start).get();
        let windows = model.attention.windows.iter().flatten();
        if windows.copied().min().is_none_or(|w| w >= start) {
            prop_assert_eq!(in_memory, 2.0 * own as f64);
        } else {
            prop_assert!(in_memory <= 2.0 * own as f64);
        }
    }

    #[test]
    fn parameters_and_cache_are_those_that_a_run_touches(
        model in architectures(&tiny()), (batch, prompt) in (1..4u64, 1..9u64), seed: u64,
    ) {
        let graph = model.graph(&BuildOptions::default()).expect("types");
        let plan = Plan::new(&graph, &Scheme::sixteen_bit());
        let tokens = (0..batch * prompt).map(|i| i % model.vocabulary).collect();
        let inputs = Inputs { seed, tokens, ..Inputs::default() };
        let source = Recorded { inputs, ..Recorded::default() };
        let step = Step::prefill(batch, prompt).expect("valid");
        let values = run(&graph, &step, &source, &|_| false);
        let elements = source.weights.borrow().iter().map(|(_, _, n)| n).sum::<u64>();
        prop_assert_eq!(plan.footprint.parameters, elements);
        prop_assert_eq!(plan.footprint.weights.total.get(), 2.0 * elements as f64);
        // The executor keeps rows that have left a window; memory does not.
        let row = batch * model.attention.kv_heads * model.attention.head_dim;
        let windows = model.attention.windows.iter().cycle();
        let dropped: u64 = windows
            .take(model.layers as usize)
            .map(|w| prompt.saturating_sub(w.unwrap_or(u64::MAX)) * 2 * row)
            .sum();
        let kept = values.kept.values().map(Vec::len).sum::<usize>() as u64 - dropped;
        prop_assert_eq!(plan.footprint.kv(batch as f64, prompt).get(), 2.0 * kept as f64);
    }

    #[test]
    fn a_repeated_layer_is_as_many_layers(
        model in architectures(&tiny()), step in steps(3, 4, 5), seed: u64,
    ) {
        let windows = model.attention.windows.iter().copied().cycle();
        let windows = windows.take(model.layers as usize).collect();
        let attention = Attention { windows, ..model.attention.clone() };
        let unrolled = Architecture { attention, ..model.clone() };
        let tokens = (0..step.tokens() as u64).map(|i| i % model.vocabulary).collect();
        let inputs = Inputs { seed, tokens, ..Inputs::default() };
        let machine = machine("a100-sxm-80gb", Fidelity::Realistic);
        for options in all_options() {
            let [folded, unrolled] = [&model, &unrolled].map(|m| m.graph(&options).expect("types"));
            let values = |graph| run::<f64>(graph, &step, &inputs, &|name| name == LOGITS);
            prop_assert_eq!(values(&folded), values(&unrolled));
            let regions = |g: &Graph| g.regions().iter().filter(|r| r.carry.is_some()).count();
            let seams = (regions(&folded) - regions(&unrolled)) as u64;
            let [folded, unrolled] =
                [&folded, &unrolled].map(|g| Plan::new(g, &Scheme::sixteen_bit()));
            let time = |plan| {
                let estimator = Estimator::new(plan, &machine).expect("16-bit");
                step_time(plan, &machine, &estimator, &step)
            };
            let (slow, fast) = (time(&folded), time(&unrolled));
            let launches = |plan: &Plan| plan.kernels.iter().map(|k| k.count).sum::<u64>();
            let more = launches(&folded) - launches(&unrolled);
            // No kernel reaches from one region into the next: adds and norms run on their own there.
            if seams > 0 && options.fusions == FusionSet::Default {
                let few = seams..=3 * seams;
                prop_assert!(few.contains(&more) && slow > fast, "{} {} {}", more, slow, fast);
            } else {
                prop_assert!(more == 0 && (slow / fast - 1.0).abs() < 1e-12, "{} {}", slow, fast);
            }
            let activations = |plan: &Plan| plan.footprint.activations(Phase::Decode, &step);
            prop_assert_eq!(activations(&folded), activations(&unrolled));
        }
    }
}
