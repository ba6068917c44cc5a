//! Times of exchanges and of pipelines: closed forms from a profile's links.

use crate::support::machines::{ALL, machine};
use cosim::cost::{Economics, Estimator, ExchangeTime, Memory, Peers, Request, Resource, Summary};
use cosim::dtype::Scheme;
use cosim::graph::shard::Parallel;
use cosim::hardware::{Fidelity, Machine};
use cosim::mapping::Plan;
use cosim::model::{BuildOptions, load_bundled};
use cosim::op::Exchange;
use cosim::tensor::{Phase, Step};

fn plan(model: &str, parallel: Parallel) -> Plan {
    let model = load_bundled(model).expect("bundled");
    let graphs = model.graphs(&BuildOptions::default()).expect("types");
    Plan::parallel(graphs.parts(), &Scheme::sixteen_bit(), parallel).expect("divides")
}

fn close(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 1e-12, "{found} {expected}");
}

fn exchange(machine: &Machine, exchange: Exchange, ranks: u64) -> ExchangeTime {
    let peers = Peers { ranks, stride: 1, first: 0 };
    ExchangeTime::new(machine, exchange, peers).expect("a link")
}

#[test]
fn a_ring_all_reduce_moves_twice_all_but_a_share() {
    let mut switched = 0;
    for hardware in ALL.iter() {
        let ideal = Machine::compile(hardware, Fidelity::Ideal);
        let Some(link) = &ideal.scaleup else { continue };
        if link.topology.to_string() != "switch" {
            continue;
        }
        switched += 1;
        for n in [2, 4, 8] {
            let time = exchange(&ideal, Exchange::AllReduce, n);
            let share = 2.0 * (n - 1) as f64 / n as f64;
            let bytes = 1e9;
            close(time.seconds(bytes), share * bytes / link.bandwidth.get());
            let half = exchange(&ideal, Exchange::ReduceScatter, n).seconds(bytes)
                + exchange(&ideal, Exchange::AllGather, n).seconds(bytes);
            close(half, time.seconds(bytes));
            // All of a value leaves the one that has it, whoever else there is.
            let broadcast = exchange(&ideal, Exchange::Broadcast, n).seconds(bytes);
            close(broadcast, bytes / link.bandwidth.get());
        }
    }
    assert!(switched > 5);
}

#[test]
fn a_group_beyond_its_domain_goes_over_the_network_with_a_share_of_the_bytes() {
    let h100 = machine("h100-sxm", Fidelity::Ideal);
    let [inner, outer] = [&h100.scaleup, &h100.network].map(|l| l.as_ref().expect("links"));
    let time = exchange(&h100, Exchange::AllReduce, 32);
    let expected =
        2.0 * 7.0 / 8.0 / inner.bandwidth.get() + 2.0 * 3.0 / 4.0 / 8.0 / outer.bandwidth.get();
    close(time.beta, expected);
    assert!(time.crosses && !exchange(&h100, Exchange::AllReduce, 8).crosses);
    let all_to_all = exchange(&h100, Exchange::AllToAll, 16);
    close(all_to_all.beta, 7.0 / 16.0 / inner.bandwidth.get() + 0.5 / outer.bandwidth.get());
    let broadcast = exchange(&h100, Exchange::Broadcast, 16);
    close(broadcast.beta, 1.0 / inner.bandwidth.get() + 1.0 / outer.bandwidth.get());
}

#[test]
fn a_mesh_gives_a_pair_one_of_its_links() {
    let mi300x = machine("mi300x", Fidelity::Ideal);
    close(exchange(&mi300x, Exchange::AllReduce, 2).beta, 1.0 / 64e9);
    close(exchange(&mi300x, Exchange::AllReduce, 8).beta, 2.0 * 7.0 / 8.0 / 448e9);
}

#[test]
fn small_exchanges_take_what_was_measured() {
    // NCCL 2.29.2 on 8 H100, 512 B: 15.59 us all-reduce, 10.14 us all-gather.
    let h100 = machine("h100-sxm", Fidelity::Realistic);
    let launch = h100.kernel_launch.value.get();
    for (kind, measured) in [(Exchange::AllReduce, 15.59e-6), (Exchange::AllGather, 10.14e-6)] {
        let time = exchange(&h100, kind, 8);
        assert!(time.fallbacks.is_empty());
        assert!(((time.seconds(512.0) + launch) / measured - 1.0).abs() < 0.03, "{time:?}");
    }
    let mi300x = machine("mi300x", Fidelity::Realistic);
    let fallbacks = exchange(&mi300x, Exchange::AllReduce, 8).fallbacks;
    assert!(fallbacks.iter().any(|f| f.contains("links.scaleup.latency")), "{fallbacks:?}");
}

#[test]
fn a_device_without_links_is_refused() {
    let laptop = machine("m1-max", Fidelity::Ideal);
    let error =
        Estimator::new(&plan("llama-3-8b", Parallel { tensor: 2, ..Parallel::ONE }), &laptop)
            .expect_err("no link")
            .to_string();
    assert_eq!(error, "m1-max has no `scaleup` link in its profile, which 2 devices exchange over");
}

#[test]
fn micro_batches_flow_through_the_stages() {
    let h100 = machine("h100-sxm", Fidelity::Realistic);
    for (pipeline, micro_batches, batch) in [(2, 1, 4), (4, 4, 8), (4, 8, 8), (8, 3, 9)] {
        let parallel = Parallel { pipeline, micro_batches, ..Parallel::ONE };
        let plan = plan("llama-3-8b", parallel);
        let estimator = Estimator::new(&plan, &h100).expect("runs");
        let prompt = 512;
        let request = Request::Prefill { batch, context: prompt };
        let found = estimator.summary(&request).expect("valid").prefill.expect("prefills").get();
        let step = Step::prefill(batch.div_ceil(micro_batches), prompt).expect("valid");
        let launch = h100.kernel_launch.value.get();
        let mut stages = vec![0.0; pipeline as usize];
        for kernel in plan.kernels.iter().filter(|k| k.phases.contains(Phase::Prefill)) {
            let time = estimator.kernel(kernel, &step).longest() + launch;
            stages[kernel.stage as usize] += time * kernel.count as f64;
        }
        let longest = stages.iter().copied().fold(0.0, f64::max);
        close(found, stages.iter().sum::<f64>() + (micro_batches - 1) as f64 * longest);
    }
}

#[test]
fn stages_hold_all_weights_between_them_and_send_once_each() {
    let whole = plan("llama-3-8b", Parallel::ONE);
    for pipeline in [2, 3, 5, 32] {
        let cut = plan("llama-3-8b", Parallel { pipeline, ..Parallel::ONE });
        let weights: f64 = cut.footprints().map(|f| f.weights.total.get()).sum();
        assert_eq!(weights, whole.footprint.weights.total.get());
        let kv: f64 = cut.footprints().map(|f| f.kv_per_token().get()).sum();
        assert_eq!(kv, whole.footprint.kv_per_token().get());
        let sends = cut.kernels.iter().filter(|k| k.name == "stage.send").count() as u64;
        assert_eq!(sends, pipeline - 1);
    }
}

#[test]
fn replicas_run_as_one_does_and_cost_as_many() {
    let h100 = machine("h100-sxm", Fidelity::Realistic);
    let [one, four] = [1, 4].map(|data| plan("llama-3-8b", Parallel { data, ..Parallel::ONE }));
    let request = |batch| Request::Generation { batch, prompt: 128, output: 32 };
    let of = |plan: &Plan, batch| {
        let estimator = Estimator::new(plan, &h100).expect("runs");
        let summary = estimator.summary(&request(batch)).expect("valid");
        let price = h100.prices.first().map(|p| p.price.value);
        let devices = estimator.devices();
        let economics = Economics::new(&request(batch), &summary, devices, None, price);
        let capacity = estimator.capacity(&request(batch), &summary.memory);
        (summary, economics.per_million.expect("priced").get(), capacity.max_batch)
    };
    let (alone, replicas) = (of(&one, 8), of(&four, 32));
    assert_eq!(4 * alone.0.prompts, replicas.0.prompts);
    assert_eq!(alone.0, Summary { prompts: alone.0.prompts, ..replicas.0 });
    close(replicas.1, alone.1);
    assert_eq!(replicas.2, 4 * alone.2);
    let memory = |plan: &Plan, batch| Memory::of(plan, &request(batch)).expect("valid");
    assert_eq!(memory(&one, 8), memory(&four, 32));
}

#[test]
fn cutting_layers_takes_less_time_and_the_links_show() {
    let h100 = machine("h100-sxm", Fidelity::Realistic);
    let request = Request::Decode { batch: 16, context: 2048 };
    let time = |tensor| {
        let plan = plan("llama-3-70b", Parallel { tensor, ..Parallel::ONE });
        let estimator = Estimator::new(&plan, &h100).expect("runs");
        let report = estimator.report(&request).expect("valid");
        let link: f64 = report.phases[0]
            .operators
            .iter()
            .map(|o| o.resource_times[Resource::Link as usize].get())
            .sum();
        (report.summary.decode_step.expect("decodes").get(), link)
    };
    let (one, eight) = (time(1), time(8));
    assert_eq!(one.1, 0.0);
    // A little under the eighth and the exchanges: norms and the residual stream stay whole.
    assert!(eight.0 > one.0 / 8.0 + eight.1 * 0.9 && eight.0 < one.0 / 4.0, "{one:?} {eight:?}");
    // 2 all-reduces a layer and one behind the embedding, over 14 messages each.
    assert!(eight.1 > 161.0 * 14.0 * 0.767e-6, "{eight:?}");
}
