//! The written pages hold: their numbers are the model's, their lists are complete.

use super::support::machines::machine;
use cosim::cost::{CostReport, Economics, Estimator, OperatorCost, Power, Request};
use cosim::dtype::Scheme;
use cosim::hardware::{Fidelity, bundled, load};
use cosim::mapping::Plan;
use cosim::model::{BuildOptions, FusionSet, load_bundled};
use cosim::op::Op;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// `1234567` as `1,234,567`.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let head = digits.len() % 3;
    let threes = digits.as_bytes()[head..].chunks(3);
    let threes = threes.map(|c| String::from_utf8_lossy(c).into_owned());
    let parts: Vec<String> = [digits[..head].to_owned()].into_iter().chain(threes).collect();
    parts.join(",").trim_start_matches(',').to_owned()
}

/// Llama 2 7B on an A100: a request's itemised cost.
fn worked(fusions: FusionSet, fidelity: Fidelity, request: Request) -> (Plan, CostReport) {
    let model = load_bundled("llama-2-7b").expect("bundled");
    let options = BuildOptions { fusions, ..BuildOptions::default() };
    let plan = Plan::new(&model.graph(&options).expect("types"), &Scheme::sixteen_bit());
    let a100 = machine("a100-sxm-80gb", fidelity);
    let report = Estimator::new(&plan, &a100).expect("16 bit").report(&request).expect("valid");
    (plan, report)
}

fn sum(report: &CostReport, value: impl Fn(&OperatorCost) -> f64) -> f64 {
    report.phases[0].operators.iter().map(value).sum()
}

#[test]
fn the_worked_example_is_what_the_model_says() {
    let page = read("docs/COST-MODEL.md");
    let held = |text: String| assert!(page.contains(&text), "COST-MODEL.md lacks {text}");
    let milliseconds = |report: &CostReport| report.phases[0].step_time.get() * 1e3;
    let decode = Request::Decode { batch: 1, context: 2048 };
    let prefill = Request::Prefill { batch: 1, context: 2048 };

    let (plan, ideal) = worked(FusionSet::Default, Fidelity::Ideal, decode);
    let weights = plan.footprint.weights;
    let cache = plan.footprint.kv(1.0, 2048);
    let floor = weights.total - weights.embedding_only + cache;
    for bytes in [weights.total, weights.embedding_only, cache, floor] {
        held(format!("{} B", grouped(bytes.get())));
    }
    held(format!("{:.4} ms", floor.get() / 2039e9 * 1e3));
    held(format!("{} B, every kernel bound by", grouped(sum(&ideal, |o| o.bytes.get()))));
    held(format!("{:.4} ms", milliseconds(&ideal)));
    held(format!("{} B of activations", grouped(ideal.summary.memory.activations.get())));
    held(format!("hold {} of them", ideal.capacity.max_batch));
    let a100 = load("a100-sxm-80gb", &bundled::source).expect("bundled");
    let price = machine("a100-sxm-80gb", Fidelity::Ideal).price(None).map(|p| p.price.value);
    let costs = Economics::new(
        &decode,
        &ideal.summary,
        1,
        a100.tdp.map(|t| Power::tdp(t.value)),
        price.ok(),
    );
    held(format!("{:.3} J per token", costs.energy_per_token.expect("TDP").get()));
    held(format!("{:.3} $ per million", costs.per_million.expect("price").get()));

    let (_, real) = worked(FusionSet::Default, Fidelity::Realistic, decode);
    held(format!("{:.3} ms", milliseconds(&real)));
    held(format!("{} launches of", sum(&real, |o| o.count as f64)));

    let (_, ideal) = worked(FusionSet::Default, Fidelity::Ideal, prefill);
    let matrix = sum(&ideal, |o| o.operations[0].get());
    held(format!("{} matrix operations", grouped(matrix)));
    held(format!("{:.3} ms", matrix / 312e12 * 1e3));
    held(format!("{:.3} ms: the projections", milliseconds(&ideal)));
    let level = |o: &OperatorCost| o.bound.name("dram").to_owned();
    let bound = |by: &str| sum(&ideal, |o| if level(o) == by { o.time.get() * 1e3 } else { 0.0 });
    held(format!("{:.3} ms, the rest", bound("matrix")));
    held(format!("{:.3} ms. Without", bound("dram")));
    let (_, unfused) = worked(FusionSet::None, Fidelity::Ideal, prefill);
    held(format!("it is {:.3} ms", milliseconds(&unfused)));
}

/// A16 and A17 say so of the bundled profiles.
#[test]
fn memory_binds_at_dram_and_special_functions_are_no_roof() {
    for id in bundled::ids() {
        for fidelity in [Fidelity::Realistic, Fidelity::Ideal] {
            let machine = machine(id, fidelity);
            let dram = machine.levels[machine.dram].effective().expect("required");
            let known = machine.levels.iter().filter_map(|l| l.effective());
            assert!(known.into_iter().all(|b| b >= dram), "{id}");
            assert!(machine.special.is_none(), "{id}");
        }
    }
}

#[test]
fn every_operator_is_in_the_table() {
    let page = read("docs/COST-MODEL.md");
    for name in Op::NAMES {
        assert!(page.contains(&format!("\n| `{name}` |")), "{name}");
    }
}

fn sources(folder: &Path, visit: &mut dyn FnMut(&Path, &str)) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            sources(&path, visit);
        } else if path.extension().is_some_and(|e| e == "rs") {
            visit(&path, &std::fs::read_to_string(&path).expect("UTF-8"));
        }
    }
}

/// The numbers of `(A7)` and of `(A4, A17)`.
fn references(text: &str) -> BTreeSet<u32> {
    let groups = text.split("(A").skip(1).filter_map(|rest| rest.split_once(')'));
    let numbers = groups.flat_map(|(inside, _)| inside.split(", "));
    numbers.filter_map(|n| n.trim_start_matches('A').parse().ok()).collect()
}

#[test]
fn assumptions_are_numbered_and_those_named_exist() {
    let page = read("docs/ASSUMPTIONS.md");
    let heads = page.lines().filter_map(|l| l.strip_prefix("## A")?.split_once(' '));
    let numbers: Vec<u32> = heads.map(|(n, _)| n.parse().expect("a number")).collect();
    assert!(numbers.first() == Some(&1) && numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let mut named = BTreeSet::new();
    sources(&root().join("src"), &mut |path, text| {
        for n in references(text) {
            assert!(numbers.contains(&n), "{} names A{n}", path.display());
            named.insert(n);
        }
    });
    assert_eq!(named, numbers.into_iter().collect(), "the code names every assumption");
    for page in ["docs/COST-MODEL.md", "docs/EXTENDING.md"] {
        let unknown: Vec<u32> = references(&read(page)).difference(&named).copied().collect();
        assert!(unknown.is_empty(), "{page}: {unknown:?}");
    }
}

#[test]
fn the_map_has_every_module_folder_and_dependency() {
    let page = read("ARCHITECTURE.md");
    let held = |name: &str| assert!(page.contains(&format!("`{name}`")), "ARCHITECTURE.md: {name}");
    let modules = read("src/lib.rs");
    modules.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')).for_each(held);
    let manifest = read("Cargo.toml");
    let tables = manifest.split("\n[").filter(|t| t.contains("dependencies]"));
    for line in tables.flat_map(|t| t.lines().skip(1)).filter(|l| l.contains(" = ")) {
        held(line.split_once(" = ").expect("filtered").0);
    }
    for entry in std::fs::read_dir(root()).expect("a folder") {
        let entry = entry.expect("readable");
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && ![".git", "target"].contains(&name.as_str()) {
            held(&format!("{name}/"));
        }
    }
}
