//! Estimates per second on one thread: `cargo bench --bench estimate`.
//!
//! One item is one estimate of a generation: prefill, the decode steps behind it, memory, capacity
//! and what bounds each phase. Every item of a run is another point: model x format x device x
//! batch x prompt x output.

#[path = "../tests/it/support/models.rs"]
mod models;

use cosim::cost::{Estimator, Lookups, Power, Request, Silicon};
use cosim::dtype::Scheme;
use cosim::hardware::{Fidelity, Machine, bundled, load};
use cosim::mapped::Chip;
use cosim::mapped::calibration::{self, Tuning};
use cosim::mapping::Plan;
use cosim::model::{Architecture, BuildOptions};
use cosim::sweep::{Grid, Variant};
use cosim::workload::Scenario;
use cosim::yaml::Source;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use std::cell::Cell;

fn main() {
    divan::main();
}

const FORMATS: [&str; 3] = ["16bit", "w8a16", "w4a16-g128-kv8"];
const DEVICES: [&str; 2] = ["a100-sxm-80gb", "h100-sxm"];

fn architectures() -> [Architecture; 3] {
    [models::llama_2_7b(), models::llama_3_8b(), models::opt_13b()]
}

fn machine(id: &str, fidelity: Fidelity) -> Machine {
    Machine::compile(&load(id, &bundled::source).expect("bundled"), fidelity)
}

fn plan(model: &Architecture, scheme: &Scheme) -> Plan {
    Plan::new(&model.graph(&BuildOptions::default()).expect("types"), scheme)
}

fn plans() -> Vec<Plan> {
    let schemes = FORMATS.map(|f| f.parse::<Scheme>().expect("a scheme"));
    let pairs = architectures().into_iter().flat_map(|m| schemes.clone().map(|s| plan(&m, &s)));
    pairs.collect()
}

fn generations() -> Vec<Request> {
    let batches = (0..8).map(|i| 1 << i);
    let lengths = (1..=8).flat_map(|p| (1..=4).map(move |o| (p * 487, o * 97)));
    let grid = batches.flat_map(|batch| lengths.clone().map(move |(p, o)| (batch, p, o)));
    grid.map(|(batch, prompt, output)| Request::Generation { batch, prompt, output }).collect()
}

/// All points with requests of one kind.
fn estimates(bencher: Bencher<'_, '_>, fidelity: Fidelity, requests: &[Request]) {
    let machines = DEVICES.map(|id| machine(id, fidelity));
    let plans = plans();
    let bound = machines.iter().flat_map(|m| plans.iter().map(|p| Estimator::new(p, m)));
    let estimators: Vec<_> = bound.map(|e| e.expect("16-bit engines")).collect();
    let points = estimators.len() * requests.len();
    bencher.counter(ItemsCount::new(points)).bench_local(|| {
        for estimator in &estimators {
            for request in requests {
                let summary = estimator.summary(black_box(request)).expect("valid");
                let capacity = estimator.capacity(request, &summary.memory);
                black_box((summary, capacity));
            }
        }
    });
}

#[divan::bench(args = [Fidelity::Realistic, Fidelity::Ideal])]
fn generation(bencher: Bencher<'_, '_>, fidelity: Fidelity) {
    estimates(bencher, fidelity, &generations());
}

/// Kernels mapped under a stack, on the same grid: every sample binds its plans anew, so that products are
/// searched for within the sample; the share of them that a bound plan had searched for before is printed.
#[divan::bench]
#[expect(clippy::print_stdout, reason = "a figure of the benchmark")]
fn generation_mapped(bencher: Bencher<'_, '_>) {
    let machines = DEVICES.map(|id| machine(id, Fidelity::Realistic));
    let chip = |m: &Machine| Chip::new(m).expect("all figures");
    let known = |id: &str| Some(chip(&machine(id, Fidelity::Realistic)));
    let tuning = Tuning::new(calibration::bundled::all().expect("bundled"), known);
    let silicon =
        machines.each_ref().map(|m| Silicon::new(&m.id, "trtllm", (chip(m), &chip(m)), &tuning));
    let (plans, requests) = (plans(), generations());
    let points = machines.len() * plans.len() * requests.len();
    let lookups = Cell::new(Lookups::default());
    bencher.counter(ItemsCount::new(points)).bench_local(|| {
        for (machine, silicon) in machines.iter().zip(&silicon) {
            for plan in &plans {
                let estimator = Estimator::new(plan, machine).expect("16-bit").on(silicon);
                for request in &requests {
                    let summary = estimator.summary(black_box(request)).expect("valid");
                    let capacity = estimator.capacity(request, &summary.memory);
                    black_box((summary, capacity));
                }
                let seen = estimator.lookups().expect("mapped");
                lookups.set(lookups.get() + seen);
            }
        }
    });
    if let Some(rate) = lookups.get().hit_rate() {
        println!("{:.1} % of products had been searched for before by their plan", 100.0 * rate);
    }
}

#[divan::bench]
fn decode_step(bencher: Bencher<'_, '_>) {
    let steps = generations().into_iter().map(|request| Request::Decode {
        batch: request.batch(),
        context: request.longest_context(None),
    });
    estimates(bencher, Fidelity::Realistic, &steps.collect::<Vec<_>>());
}

/// The itemised report, kernel by kernel with names.
#[divan::bench]
fn report(bencher: Bencher<'_, '_>) {
    let machine = machine(DEVICES[0], Fidelity::Realistic);
    let plan = plan(&models::llama_3_8b(), &Scheme::sixteen_bit());
    let estimator = Estimator::new(&plan, &machine).expect("16-bit");
    let requests = generations();
    bencher.counter(ItemsCount::new(requests.len())).bench_local(|| {
        for request in &requests {
            black_box(estimator.report(black_box(request)).expect("valid"));
        }
    });
}

/// From architecture to plan, once per model and techniques.
#[divan::bench]
fn compile_plan(bencher: Bencher<'_, '_>) {
    let (models, scheme) = (architectures(), Scheme::sixteen_bit());
    bencher.counter(ItemsCount::new(models.len())).bench_local(|| {
        models.iter().for_each(|model| drop(black_box(plan(black_box(model), &scheme))));
    });
}

/// From plan and machine to estimator, once per device and plan.
#[divan::bench]
fn bind_estimator(bencher: Bencher<'_, '_>) {
    let machine = machine(DEVICES[0], Fidelity::Realistic);
    let plans = plans();
    bencher.counter(ItemsCount::new(plans.len())).bench_local(|| {
        for plan in &plans {
            drop(black_box(Estimator::new(black_box(plan), &machine)));
        }
    });
}

/// Rows of a sweep as CSV, formatting included.
#[divan::bench]
fn sweep_rows(bencher: Bencher<'_, '_>) {
    let text = "model: llama-3-8b\ntraffic: {batch: 1, prompt: 512, output: 128}\nsweep:\n  \
                traffic.batch: [1, 2, 4, 8, 16, 32, 64, 128]\n  \
                traffic.prompt: [128, 256, 512, 1024, 2048, 3000, 4000, 5000]\n  \
                traffic.output: [16, 32, 64, 128, 256, 512, 768, 1024]\n";
    let none = |name: &str| Err(cosim::diagnostic::Diagnostic::new(name));
    let scenario = Scenario::parse(&Source::new("bench", text.to_owned()), &none).expect("valid");
    let machine = machine(DEVICES[0], Fidelity::Realistic);
    let (power, price) = (Power::of(&machine), machine.prices.first());
    let price = price.map(|p| p.price.value);
    let variant = Variant {
        id: machine.id.clone(),
        name: machine.id.to_string(),
        vendor: "NVIDIA".to_owned(),
        settings: vec![],
        machine,
        silicon: None,
        roofline_because: None,
        power,
        price,
    };
    let model = |_: &str| Ok(models::llama_3_8b());
    let grid = Grid::new(&scenario, vec![variant], &model, true).expect("lays out");
    bencher.counter(ItemsCount::new(grid.len())).bench_local(|| {
        let mut writer = csv::Writer::from_writer(Vec::with_capacity(1 << 20));
        let mut field = String::new();
        grid.for_each(0..grid.len(), |_, row| {
            cosim::sweep::write_row(&mut writer, row, &mut field).expect("in memory");
        });
        black_box(writer.into_inner().expect("in memory"))
    });
}
