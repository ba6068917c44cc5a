//! docs/EXTENDING.md is true: what it quotes is the code, what it shows runs.
//!
//! A block whose fence ends in `from=PATH` stands in that file, but for white space. A `sh` block
//! runs, line by line, in a folder that holds the blocks with `file=NAME`.

use assert_cmd::Command;
use cosim::cost::{Estimator, Request};
use cosim::dtype::Scheme;
use cosim::exec;
use cosim::graph::{Builder, Source as Value};
use cosim::hardware::{Fidelity, Machine, bundled, load};
use cosim::mapping::Plan;
use cosim::model::{BuildOptions, load_bundled};
use cosim::op::{Activate, Activation};
use cosim::tensor::{Dim, Step, TensorName, TensorSource, TensorType};
use cosim::yaml::Source;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The fenced blocks of the page: what stands behind the opening fence, and the text.
fn blocks() -> Vec<(String, String)> {
    let page = read("docs/EXTENDING.md");
    let parts: Vec<&str> = page.split("```").collect();
    let fenced = parts.iter().skip(1).step_by(2);
    fenced
        .map(|part| {
            let (fence, text) = part.split_once('\n').expect("a fence ends its line");
            (fence.to_owned(), text.to_owned())
        })
        .collect()
}

/// The page's own file of that name.
fn file(name: &str) -> String {
    let wanted = format!("file={name}");
    let found = blocks().into_iter().find(|(fence, _)| fence.ends_with(&wanted));
    found.unwrap_or_else(|| panic!("no block {wanted}")).1
}

#[test]
fn what_the_page_quotes_is_the_code() {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let quoted = blocks().into_iter().filter_map(|(fence, text)| {
        let path = fence.split_once("from=")?.1.trim().to_owned();
        Some((path, text))
    });
    let quoted: Vec<(String, String)> = quoted.collect();
    assert!(quoted.len() >= 15, "the page quotes what it talks about");
    for (path, text) in quoted {
        assert!(squeeze(&read(&path)).contains(&squeeze(&text)), "not in {path}:\n{text}");
    }
}

#[test]
fn what_the_page_runs_succeeds() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let config = read("tests/fixtures/configs/mistral-7b.json");
    std::fs::write(folder.path().join("config.json"), config).expect("writable");
    let mut ran = 0;
    for (fence, text) in blocks() {
        if let Some((_, name)) = fence.split_once("file=") {
            std::fs::write(folder.path().join(name.trim()), &text).expect("writable");
        }
        for line in text.lines().filter(|_| fence == "sh") {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (program, arguments) = words.split_first().expect("a command");
            let mut command = Command::cargo_bin(program).expect("built");
            let run = command.args(arguments).current_dir(folder.path()).output().expect("starts");
            assert!(run.status.success(), "{line}: {}", String::from_utf8_lossy(&run.stderr));
            ran += 1;
        }
    }
    assert!(ran >= 5, "the page shows commands");
}

#[test]
fn a_device() {
    let lookup = |name: &str| match name {
        "fast-hbm.yaml" => Ok(Source::new(name, file("fast-hbm.yaml"))),
        id => bundled::source(id),
    };
    let model = load_bundled("llama-3-8b").expect("bundled");
    let graph = model.graph(&BuildOptions::default()).expect("types");
    let step = |device: &str, scheme: &str| {
        let hardware = load(device, &lookup).expect("a good profile");
        let machine = Machine::compile(&hardware, Fidelity::Ideal);
        let plan = Plan::new(&graph, &scheme.parse().expect("a scheme"));
        let estimator = Estimator::new(&plan, &machine).ok()?;
        let request = Request::Decode { batch: 1, context: 2048 };
        estimator.summary(&request).expect("valid").decode_step
    };
    let (base, fast) = (step("h100-sxm", "16bit"), step("fast-hbm.yaml", "16bit"));
    let ratio = base.expect("runs") / fast.expect("runs");
    assert!((ratio - 2.0).abs() < 1e-9, "twice the bandwidth: {ratio}");
    let fp4 = "wfp4-e2m1afp4-e2m1";
    assert_eq!(step("h100-sxm", fp4), None, "no fp4 engine");
    assert!(step("fast-hbm.yaml", fp4) < fast, "fewer bytes");
}

#[test]
fn a_number_format() {
    let model = load_bundled("llama-2-7b").expect("bundled");
    let graph = model.graph(&BuildOptions::default()).expect("types");
    let weights = |scheme: &str| {
        let scheme: Scheme = scheme.parse().expect("a scheme");
        Plan::new(&graph, &scheme).footprint.weights.total.get()
    };
    // A byte less for each element of 32 layers' projections, a scale more for each of 7 tensors.
    let projections = 32.0 * (4.0 * 4096.0 * 4096.0 + 3.0 * 4096.0 * 11_008.0);
    let scales = 32.0 * 7.0 * 4.0;
    assert_eq!(weights("16bit") - weights("fp8-e5m2"), projections - scales);
}

/// Gives every tensor the numbers -1, 0, 1.
struct Three;

impl TensorSource<f64> for Three {
    fn tensor(&self, _: TensorName<'_>, _: &TensorType, _: usize) -> Vec<f64> {
        vec![-1.0, 0.0, 1.0]
    }
}

#[test]
fn an_activation() {
    let mut builder = Builder::new();
    let x = builder.source("x", Value::Input, TensorType::activation(Dim::Tokens, 3));
    let op = Activate::new(Dim::Tokens, 3, Activation::Relu);
    let y = builder.apply("y", op, &[x]).expect("types");
    let graph = builder.finish(&[y], &[]);
    let step = Step::prefill(1, 1).expect("valid");
    let values = exec::run(&graph, &step, &Three, &|_| false);
    assert_eq!(values.outputs, [[0.0, 0.0, 1.0]]);
}
