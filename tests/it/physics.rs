//! Closed forms: times, bytes and operations that are known from a configuration and a data sheet.

use crate::support::case::any_case;
use crate::support::cases;
use crate::support::machines::{ALL, machine, step_time};
use crate::support::models::{llama_2_7b, llama_3_8b, opt_13b};
use crate::support::random::{architectures, large, steps};
use cosim::cost::{Bound, CostReport, Estimator, Request, Resource, Summary};
use cosim::dtype::{Format, Scheme};
use cosim::graph::{Builder, Source};
use cosim::hardware::{Fidelity, Machine};
use cosim::mapping::Plan;
use cosim::model::{Architecture, BuildOptions, Experts, FusionSet, load_bundled};
use cosim::op::{MatMul, Op};
use cosim::tensor::{Dim, Step, TensorType, WeightKind};
use proptest::prelude::*;

const GIB: f64 = (1u64 << 30) as f64;
const BATCHES: [u64; 3] = [1, 16, 64];
const CONTEXT: u64 = 2048;

fn sixteen_bit(model: &Architecture, fusions: FusionSet) -> Plan {
    let options = BuildOptions { fusions, ..BuildOptions::default() };
    Plan::new(&model.graph(&options).expect("types"), &Scheme::sixteen_bit())
}

fn summary(plan: &Plan, machine: &Machine, request: Request) -> Summary {
    let estimator = Estimator::new(plan, machine).expect("16-bit runs everywhere");
    estimator.summary(&request).expect("valid")
}

/// A plan of one product: `[tokens, inputs] x [inputs, outputs]`.
fn product(inputs: u64, outputs: u64) -> Plan {
    let mut builder = Builder::new();
    let x = TensorType::activation(Dim::Tokens, inputs);
    let x = builder.source("x", Source::Input, x);
    let weight = TensorType::weight(WeightKind::Projection, outputs, inputs);
    let weight = builder.source("w", Source::Weight, weight);
    let op = MatMul { rows: Dim::Tokens, inputs, outputs, bias: false };
    let y = builder.apply("y", op, &[x, weight]).expect("types");
    Plan::new(&builder.finish(&[y], &[]), &Scheme::sixteen_bit())
}

#[test]
fn a_memory_bound_kernel_takes_bytes_over_bandwidth() {
    let (k, n) = (4096.0, 11_008.0);
    let plan = product(k as u64, n as u64);
    for hardware in ALL.iter() {
        let machine = Machine::compile(hardware, Fidelity::Ideal);
        let bandwidth = hardware.level("dram").and_then(|d| d.bandwidth.as_ref()).expect("checked");
        let expected = 2.0 * (k + k * n + n) / bandwidth.value.get();
        let found = summary(&plan, &machine, Request::Decode { batch: 1, context: 1 });
        let found = found.decode_step.expect("decodes").get();
        assert!((found / expected - 1.0).abs() < 1e-12, "{}: {found} {expected}", machine.id);
    }
}

#[test]
fn a_square_product_turns_compute_bound_at_the_ridge_point() {
    // 2 T n^2 / (2 (2 T n + n^2)) = ridge at T = ridge n / (n - 2 ridge).
    let n = 4096.0;
    let plan = product(4096, 4096);
    for (id, peak, bandwidth) in [("a100-sxm-80gb", 312e12, 2039e9), ("h100-sxm", 989.4e12, 3350e9)]
    {
        let machine = machine(id, Fidelity::Ideal);
        let ridge = peak / bandwidth;
        let found = machine.ridge_point(Format::Bf16, machine.dram).expect("known").get();
        assert!((found / ridge - 1.0).abs() < 1e-12);
        let crossover = ridge * n / (n - 2.0 * ridge);
        for (tokens, bound) in
            [(crossover.floor(), Resource::Memory), (crossover.ceil(), Resource::Matrix)]
        {
            let request = Request::Prefill { batch: 1, context: tokens as u64 };
            let found = summary(&plan, &machine, request);
            assert_eq!(found.prefill_bound, Some(Bound::Resource(bound)), "{id} {tokens}");
            let times = [2.0 * tokens * n * n / peak, 2.0 * (2.0 * tokens * n + n * n) / bandwidth];
            let expected = times[0].max(times[1]);
            assert!((found.prefill.expect("prefill").get() / expected - 1.0).abs() < 1e-12);
        }
    }
}

/// Bytes that a decode step cannot avoid reading, from the configuration: projections and head in
/// 16 bits, norm gains, and the cache.
fn llama_bytes(model: &Architecture, batch: u64) -> f64 {
    let (d, kv) = (model.hidden, model.attention.kv_heads * model.attention.head_dim);
    let layer = d * d + 2 * d * kv + d * d + 3 * d * model.ffn.inner + 2 * d;
    let weights = model.layers * layer + d + d * model.vocabulary;
    let cache = batch * CONTEXT * 2 * kv * model.layers;
    2.0 * (weights + cache) as f64
}

#[test]
fn decode_steps_lie_just_above_their_floor() {
    let cases = [
        (llama_2_7b(), "a100-sxm-80gb", 2039e9, [7.008, 14.906, 40.18]),
        (llama_2_7b(), "h100-sxm", 3350e9, [4.265, 9.073, 24.46]),
        (llama_3_8b(), "a100-sxm-80gb", 2039e9, [7.493, 9.468, 15.79]),
        (llama_3_8b(), "h100-sxm", 3350e9, [4.561, 5.763, 9.609]),
    ];
    for (model, id, bandwidth, milliseconds) in cases {
        let machine = machine(id, Fidelity::Ideal);
        let plan = sixteen_bit(&model, FusionSet::Default);
        for (batch, literal) in BATCHES.into_iter().zip(milliseconds) {
            let floor = llama_bytes(&model, batch) / bandwidth;
            assert!((floor * 1e3 / literal - 1.0).abs() < 5e-4, "{id} {batch} {floor}");
            let found = summary(&plan, &machine, Request::Decode { batch, context: CONTEXT });
            let ratio = found.decode_step.expect("decodes").get() / floor;
            assert!((1.0..1.025).contains(&ratio), "{} {id} {batch}: {ratio}", model.id);
        }
    }
}

#[test]
fn prefill_lies_between_its_floor_and_unfused() {
    let a100 = machine("a100-sxm-80gb", Fidelity::Ideal);
    let time = |fusions| {
        let request = Request::Prefill { batch: 1, context: CONTEXT };
        let found = summary(&sixteen_bit(&llama_2_7b(), fusions), &a100, request);
        found.prefill.expect("prefill").get() * 1e3
    };
    let fused = time(FusionSet::Default);
    assert!((88.5..94.5).contains(&fused), "{fused} ms");
    let unfused = time(FusionSet::None);
    assert!(unfused > 94.5 && (unfused / 95.5 - 1.0).abs() < 0.005, "{unfused} ms");
}

#[test]
fn a_batch_that_does_not_fit_is_refused_and_the_largest_is_named() {
    let a100 = machine("a100-sxm-80gb", Fidelity::Ideal);
    let plan = sixteen_bit(&llama_2_7b(), FusionSet::Default);
    let estimator = Estimator::new(&plan, &a100).expect("16-bit");
    let at = |batch| {
        let request = Request::Decode { batch, context: CONTEXT };
        let memory = estimator.summary(&request).expect("valid").memory;
        (memory.total().get() / GIB, estimator.capacity(&request, &memory))
    };
    let (total, capacity) = at(72);
    assert!((total - 84.55).abs() < 0.01 && !capacity.fits, "{total} GiB");
    assert!(at(capacity.max_batch).1.fits && !at(capacity.max_batch + 1).1.fits);
    // 80 GiB less 12.55 GiB of weights, at a little more than 1 GiB a sequence.
    assert_eq!(capacity.max_batch, 67);
}

#[test]
fn weights_and_cache_have_the_published_sizes() {
    let plan = |model: Architecture| sixteen_bit(&model, FusionSet::Default);
    let gib = |bytes: cosim::units::Bytes| bytes.get() / GIB;
    let (llama2, llama3, opt) = (plan(llama_2_7b()), plan(llama_3_8b()), plan(opt_13b()));
    assert_eq!(gib(llama2.footprint.kv(1.0, 2048)), 1.0);
    assert_eq!(gib(llama3.footprint.kv(1.0, 2048)), 0.25);
    assert_eq!(opt.footprint.kv_per_token().get(), 800.0 * 1024.0);
    assert_eq!(llama2.footprint.parameters, 6_738_415_616);
    assert_eq!(llama3.footprint.parameters, 8_030_261_248);
    assert!((gib(llama2.footprint.weights.total) - 12.551).abs() < 5e-4);
    assert!((gib(llama3.footprint.weights.total) - 14.957).abs() < 1e-3);
}

/// Inputs and outputs of a projection, from the configuration.
fn extents(model: &Architecture, name: &str) -> (u64, u64) {
    let a = &model.attention;
    let (d, q, kv) = (model.hidden, a.heads * a.head_dim, a.kv_heads * a.head_dim);
    match name {
        "attn.q" => (d, q),
        "attn.k" | "attn.v" => (d, kv),
        "attn.out" => (q, d),
        "ffn.gate" | "ffn.up" => (d, model.ffn.inner),
        "ffn.down" => (model.ffn.inner, d),
        "experts.router" => (d, model.experts.map_or(0, |e| e.count)),
        "shared.gate" | "shared.up" => (d, model.experts.and_then(|e| e.shared).unwrap_or(0)),
        "shared.down" => (model.experts.and_then(|e| e.shared).unwrap_or(0), d),
        "head.logits" => (d, model.vocabulary),
        other => panic!("{other} is no projection"),
    }
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn a_projection_is_2mnk(model in architectures(&large()), step in steps(40, 500, 500)) {
        let model = Architecture { experts: None, ..model };
        let plan = sixteen_bit(&model, FusionSet::Default);
        let mut runs = 0;
        for kernel in &plan.kernels {
            for node in &plan.nodes[kernel.nodes.clone()] {
                let Op::MatMul(_) = node.op else { continue };
                let (k, n) = extents(&model, &node.name);
                let head = node.name == "head.logits";
                let m = if head { step.batch() } else { step.tokens() };
                prop_assert_eq!(node.op.work(&step).matrix, 2.0 * m * n as f64 * k as f64);
                runs += kernel.count;
            }
        }
        let network = 2 + u64::from(model.ffn.gated);
        let layers = (0..model.layers).map(|layer| match model.experts_of(layer) {
            None => 4 + network,
            Some(experts) => 5 + experts.shared.map_or(0, |_| network),
        });
        prop_assert_eq!(runs, layers.sum::<u64>() + 1);
    }

    #[test]
    fn a_mean_decode_step_is_the_sum_over_the_steps(
        case in any_case(),
        ideal: bool,
        batch in 1..200u64,
        prompt in prop_oneof![1..50u64, 1..4000u64],
        output in 2..400u64,
    ) {
        let fidelity = if ideal { Fidelity::Ideal } else { Fidelity::Realistic };
        case.on(fidelity, |plan, machine, estimator| {
            let time = |step: Step| step_time(plan, machine, estimator, &step);
            let prefill = time(Step::prefill(batch, prompt).expect("valid"));
            let decode: f64 = (prompt + 1..prompt + output)
                .map(|context| time(Step::decode(batch, context).expect("valid")))
                .sum();
            let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
            let report = estimator.report(&Request::Generation { batch, prompt, output });
            let CostReport { summary, phases, .. } = report.expect("valid");
            let step = summary.decode_step.expect("decodes").get();
            prop_assert!(near(step, decode / (output - 1) as f64));
            prop_assert!(near(summary.prefill.expect("prefills").get(), prefill));
            prop_assert!(near(summary.total.get(), prefill + decode));
            prop_assert_eq!(phases.iter().map(|p| p.steps).collect::<Vec<_>>(), [1, output - 1]);
            let itemised: f64 = phases.iter().map(|p| p.step_time.get() * p.steps as f64).sum();
            prop_assert!(near(itemised, prefill + decode));
            Ok(())
        })?;
    }
}

/// With every expert active, the products of the experts are those of one dense network as wide as all
/// of them; router, choice and combination come on top.
#[test]
fn all_experts_active_are_one_dense_network() {
    let mixtral = load_bundled("mixtral-8x7b").expect("bundled");
    let experts = mixtral.experts.expect("a mixture");
    let mut all = mixtral.clone();
    all.experts = Some(Experts { active: experts.count, ..experts });
    let mut dense = mixtral;
    dense.experts = None;
    dense.ffn.inner = experts.count * experts.inner;
    let step = Step::decode(3, 100).expect("valid");
    // Matrix operations, and bytes of the operand that is the weight.
    let cost = |model: &Architecture, names: [&str; 3], weight: usize| {
        let plan = sixteen_bit(model, FusionSet::None);
        let mut sum = (0.0, 0.0);
        for kernel in &plan.kernels {
            let nodes = plan.nodes[kernel.nodes.clone()].iter();
            for node in nodes.filter(|n| names.contains(&n.name.as_str())) {
                let (work, count) = (node.op.work(&step), kernel.count as f64);
                sum.0 += work.matrix * count;
                sum.1 += work.reads[weight] * node.read_bytes[weight] * count;
            }
        }
        sum
    };
    let moe = cost(&all, ["experts.gate", "experts.up", "experts.down"], 2);
    let one = cost(&dense, ["ffn.gate", "ffn.up", "ffn.down"], 1);
    assert!(moe.0 > 0.0 && moe.1 > 0.0);
    assert_eq!(moe, one);
}
