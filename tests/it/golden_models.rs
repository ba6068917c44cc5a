//! Tiny random models of every architecture, and of GGUF files, against what `transformers` computes with
//! them (`tests/golden/models.py`, `gguf_files.py`); tokenizers in GGUF files against `tokenizers` and
//! `sentencepiece`.

use crate::support::vectors::{Arrays, Model, golden, model, tensors};
use cosim::exec::Fast;
use cosim::formats::gguf;
use cosim::model::BuildOptions;
use cosim::session::{Encoded, Session};
use cosim::tensor::Logits;
use cosim::tokenizer::Tokenizer;
use cosim::weights::{Checkpoint, architecture};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What lies in a folder of golden vectors.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(golden(folder)).expect("fixtures");
    let mut found: Vec<PathBuf> = entries.map(|e| e.expect("readable").path()).collect();
    found.sort();
    found
}

fn gguf_model(path: &Path) -> Result<Model, String> {
    let mut file = File::open(path).expect("a file");
    let directory = gguf::directory(&mut file).map_err(|e| e.to_string())?;
    let arch = architecture(&directory, &mut file, "golden").map_err(|e| e.to_string())?;
    let graphs = arch.graphs(&BuildOptions::default()).map_err(|e| e.to_string())?;
    let checkpoint = Checkpoint::gguf(("golden".to_owned(), file), directory, arch.clone())
        .map_err(|e| e.to_string())?;
    checkpoint.check(graphs.parts().map(|(_, g)| g)).map_err(|e| e.to_string())?;
    Ok(Model { arch, graphs, checkpoint })
}

fn sequences((shape, ids): &(Vec<u64>, Vec<f64>)) -> Vec<Vec<u64>> {
    let length = shape[1] as usize;
    ids.chunks(length).map(|s| s.iter().map(|&t| t as u64).collect()).collect()
}

/// `[batch, channels, frames]` with frames before channels.
fn frames((shape, values): &(Vec<u64>, Vec<f64>)) -> (u64, u64, Vec<f64>) {
    let (channels, frames) = (shape[1] as usize, shape[2] as usize);
    let of = |one: &[f64]| -> Vec<f64> {
        (0..frames).flat_map(|f| (0..channels).map(move |c| one[c * frames + f])).collect()
    };
    let all = values.chunks(channels * frames).flat_map(of).collect();
    (shape[0], shape[2], all)
}

fn encode(session: &mut Session<'_, f64>, expected: &Arrays, first: bool) {
    let keep = |_: &str| false;
    let one = |all: Vec<Vec<u64>>| if first { all[..1].to_vec() } else { all };
    let outcome = if let Some(ids) = expected.get("encoder_input_ids") {
        session.encode(&Encoded::Tokens(&one(sequences(ids))), &keep)
    } else if let Some(features) = expected.get("input_features") {
        let (batch, frames, values) = frames(features);
        let (batch, n) =
            if first { (1, values.len() / batch as usize) } else { (batch, values.len()) };
        session.encode(&Encoded::Frames { batch, frames, values: &values[..n] }, &keep)
    } else {
        return;
    };
    let found = outcome.expect("an encoder that runs").logits;
    let (_, hidden) = &expected["encoder_hidden"];
    assert_near(&found, &hidden[..found.len()], 1e-4, "the encoder's last hidden state");
}

fn assert_near(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * (1.0 + b.abs()),
            "{what}, element {i}: {a} is not {b}"
        );
    }
}

/// Logits and hidden states of all tokens at once.
fn check_forward(model: &Model, expected: &Arrays, kernels: &Fast) -> Result<(), String> {
    let mut session =
        Session::new((&model.arch, &model.graphs), &model.checkpoint, kernels, usize::MAX);
    encode(&mut session, expected, false);
    let Some(ids) = expected.get("input_ids").or(expected.get("decoder_input_ids")) else {
        return Ok(());
    };
    let outcome =
        session.step(&sequences(ids), Logits::All, &|name| matches!(name, "ffn.add" | "block.add"));
    let outcome = outcome.map_err(|e| e.to_string())?;
    let (_, logits) = &expected["logits"];
    let std = expected["logits_std"].1[0];
    let worst = outcome.logits.iter().zip(logits).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    if outcome.logits.len() != logits.len() || worst.is_nan() || worst > 1e-4 * std {
        return Err(format!("logits differ by {:.2e} of their deviation", worst / std));
    }
    // The last hidden state of `transformers` stands behind the final norm.
    let (shape, hidden) = &expected["hidden_states"];
    let each = hidden.len() / shape[0] as usize;
    for layer in 0..shape[0] - 2 {
        let of_layer = |(l, _): &(Option<u64>, String)| *l == Some(layer);
        let (_, found) = outcome.kept.iter().find(|(k, _)| of_layer(k)).ok_or("no hidden state")?;
        let wanted = &hidden[(layer as usize + 1) * each..(layer as usize + 2) * each];
        let scale = (wanted.iter().map(|x| x * x).sum::<f64>() / each as f64).sqrt();
        let worst = found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        if worst.is_nan() || worst > 1e-4 * scale {
            return Err(format!("hidden state {layer} differs by {:.2e}", worst / scale));
        }
    }
    Ok(())
}

/// Greedy tokens with a cache, where their margin says which is right.
fn check_greedy(model: &Model, expected: &Arrays) -> Result<(), String> {
    // A model without a head makes no tokens.
    if !expected.contains_key("greedy_ids") {
        return Ok(());
    }
    let ids = expected.get("input_ids").or(expected.get("decoder_input_ids")).expect("ids");
    let kernels = Fast::default();
    let mut session =
        Session::new((&model.arch, &model.graphs), &model.checkpoint, &kernels, usize::MAX);
    encode(&mut session, expected, true);
    let std = expected["logits_std"].1[0];
    let mut new = sequences(ids)[0][..6].to_vec();
    let (greedy, margins) = (&expected["greedy_ids"].1, &expected["greedy_margins"].1);
    for (i, (&token, &margin)) in greedy.iter().zip(margins).enumerate() {
        let outcome = session.step(&[new], Logits::Last, &|_| false).map_err(|e| e.to_string())?;
        let best = (0..outcome.logits.len())
            .max_by(|&a, &b| outcome.logits[a].total_cmp(&outcome.logits[b]));
        if margin > 1e-3 * std && best != Some(token as usize) {
            return Err(format!("greedy token {i} is {best:?}, not {token}"));
        }
        new = vec![token as u64];
    }
    Ok(())
}

#[test]
fn models_compute_what_transformers_computes() {
    let mut wrong = vec![];
    for folder in files("models") {
        let name = folder.file_name().and_then(|n| n.to_str()).unwrap_or("?").to_owned();
        let expected = folder.join("expected.safetensors");
        if let Err(why) = model(&folder).and_then(|model| check(&model, &expected)) {
            wrong.push(format!("{name}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A model against what a file expects of it.
fn check(model: &Model, expected: &Path) -> Result<(), String> {
    let expected = tensors(expected);
    check_forward(model, &expected, &Fast::default())?;
    check_forward(model, &expected, &Fast::naive())?;
    check_greedy(model, &expected)
}

#[test]
fn a_step_across_longropes_context_computes_all_tokens_again() {
    let model = model(&golden("models/phi3-longrope")).expect("a model");
    let kernels = Fast::default();
    let session = || {
        Session::<f64>::new((&model.arch, &model.graphs), &model.checkpoint, &kernels, usize::MAX)
    };
    let tokens = |range: std::ops::Range<u64>| -> Vec<Vec<u64>> {
        vec![range.clone().map(|t| t * 7 % 96).collect(), range.map(|t| t * 5 % 96).collect()]
    };
    let logits = |session: &mut Session<'_, f64>, range| {
        session.step(&tokens(range), Logits::All, &|_| false).expect("runs").logits
    };
    let (mut one, mut two) = (session(), session());
    let whole = logits(&mut one, 0..12);
    logits(&mut two, 0..8);
    let found = logits(&mut two, 8..12);
    let of = |sequence: usize| &whole[(sequence * 12 + 8) * 96..(sequence + 1) * 12 * 96];
    assert_near(&found, &[of(0), of(1)].concat(), 1e-9, "logits across the context");
    // Further tokens go on with the cache that was computed again.
    let [found, whole] = [&mut two, &mut one].map(|session| logits(session, 12..13));
    assert_near(&found, &whole, 1e-9, "logits beyond the context");
    let mut kept = session();
    logits(&mut kept, 0..8);
    let why = kept.step(&tokens(8..12), Logits::All, &|name| name == "ffn.add");
    let why = why.expect_err("refused").to_string();
    assert!(why.contains("the 10 tokens at which `longrope` changes its factors"), "{why}");
    // Rejected drafts take a sequence back within the context.
    let (mut back, mut fresh) = (session(), session());
    let one = |range: std::ops::Range<u64>| vec![tokens(range).remove(0)];
    back.step(&one(0..12), Logits::Last, &|_| false).expect("runs");
    back.truncate(7);
    let found = back.step(&one(7..9), Logits::All, &|_| false).expect("runs").logits;
    let whole = fresh.step(&one(0..9), Logits::All, &|_| false).expect("runs").logits;
    assert_near(&found, &whole[7 * 96..], 1e-9, "logits back within the context");
}

#[test]
fn gguf_files_compute_what_transformers_computes() {
    let files = files("gguf").into_iter().filter(|p| p.extension().is_some_and(|e| e == "gguf"));
    let mut wrong = vec![];
    for path in files {
        let expected = path.with_extension("safetensors");
        if let Err(why) = gguf_model(&path).and_then(|model| check(&model, &expected)) {
            wrong.push(format!("{}: {why}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn tokenizers_of_gguf_files_give_the_ids_of_others() {
    let folder = golden("gguf/tokenizers");
    let json = std::fs::read_to_string(folder.join("tokenizers.json")).expect("a fixture");
    let expected: BTreeMap<String, BTreeMap<String, Vec<u64>>> =
        serde_json::from_str(&json).expect("ids of texts");
    let mut wrong = vec![];
    for (name, texts) in expected {
        let mut file = File::open(folder.join(format!("{name}.gguf"))).expect("a file");
        let directory = gguf::directory(&mut file).expect("a directory");
        let tokenizer = Tokenizer::from_gguf(&directory).expect("a tokenizer");
        for (text, ids) in texts {
            let found = tokenizer.encode(&text).expect("tokens");
            if found != ids {
                wrong.push(format!("{name}, {text:?}: {found:?} is not {ids:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
