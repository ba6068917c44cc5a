//! `cosim golden layer`: layers of tiny models against `transformers`, and what comes of their files.

use crate::support::vectors::{Arrays, array, golden, tensors};
use crate::support::{Desk, words};
use cosim::formats::values::{f32_bytes, i64_bytes};
use cosim::formats::{Kind, npy};
use std::path::Path;

/// Numbers of a file of the desk.
fn read(desk: &Desk, name: &str) -> Vec<f64> {
    array(&desk.path(name)).1
}

fn write(desk: &Desk, name: &str, kind: Kind, (shape, values): &(Vec<u64>, Vec<f64>)) {
    let bytes = match kind {
        Kind::I64 => i64_bytes(&values.iter().map(|&x| x as i64).collect::<Vec<_>>()),
        _ => f32_bytes(&values.iter().map(|&x| x as f32).collect::<Vec<_>>()),
    };
    desk.write(name, &npy::file(kind, shape, &bytes).expect("an array"));
}

/// Writes what a model reads; the arguments that name it.
fn given(desk: &Desk, expected: &Arrays) -> String {
    let inputs = [
        ("input_ids", Kind::I64, "--tokens"),
        ("decoder_input_ids", Kind::I64, "--tokens"),
        ("encoder_input_ids", Kind::I64, "--encoder-tokens"),
        ("input_features", Kind::F32, "--features"),
    ];
    let of = |(name, kind, argument): &(&str, Kind, &str)| {
        let array = expected.get(*name)?;
        write(desk, &format!("{name}.npy"), *kind, array);
        Some(format!(" {argument} {name}.npy"))
    };
    inputs.iter().filter_map(of).collect()
}

/// Every layer's truth is the hidden state behind it, of a prefill and of tokens behind cached ones.
fn check(model: &Path) -> Result<(), String> {
    let (desk, expected) = (Desk::new(), tensors(&model.join("expected.safetensors")));
    let given = given(&desk, &expected);
    // An encoder alone has no states of a decoder.
    let Some((shape, hidden)) = expected.get("hidden_states") else { return Ok(()) };
    let [states, batch, tokens, width] = shape[..] else { return Err("no hidden states".into()) };
    let each = (batch * tokens * width) as usize;
    // The last state of `transformers` stands behind the final norm.
    for (layer, cached) in (0..states - 2).flat_map(|layer| [(layer, 0), (layer, tokens - 3)]) {
        let model = model.display();
        let line = format!("golden layer {model} --layer {layer} --cached {cached} --dtype fp32");
        let run = desk.run(&words(&format!("{line}{given} --out c")));
        if run.code != 0 {
            return Err(run.stderr);
        }
        let found = read(&desk, "c/expected.npy");
        let state = &hidden[(layer as usize + 1) * each..][..each];
        let behind = |of: &[f64]| of[(cached * width) as usize..].to_vec();
        let wanted: Vec<f64> = state.chunks((tokens * width) as usize).flat_map(behind).collect();
        let scale = (wanted.iter().map(|x| x * x).sum::<f64>() / wanted.len() as f64).sqrt();
        let worst = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        if found.len() != wanted.len() || worst.is_nan() || worst > 1e-4 * scale {
            return Err(format!("layer {layer} behind {cached} differs by {:.1e}", worst / scale));
        }
    }
    Ok(())
}

#[test]
fn a_layer_hands_on_what_it_does_in_transformers() {
    let entries =
        std::fs::read_dir(golden("models")).expect("fixtures").map(|e| e.expect("readable"));
    let mut wrong = vec![];
    for model in entries.map(|e| e.path()) {
        let name = model.file_name().and_then(|n| n.to_str()).unwrap_or("?").to_owned();
        if let Err(why) = check(&model) {
            wrong.push(format!("{name}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A case of a layer of the tiny llama, in a folder of the desk.
fn llama(desk: &Desk, folder: &str, rest: &str) {
    let model = golden("models/llama");
    let tokens = "5,17,3,80,44,9,61,2,33,70,11";
    let line = format!("golden layer {} --layer 1 --tokens {tokens}", model.display());
    desk.ok(&words(&format!("{line} --dtype fp32 --out {folder} {rest}")));
}

#[test]
fn a_case_of_a_layer_is_its_files() {
    let desk = Desk::new();
    llama(&desk, "c", "--cached 7");
    let readme = desk.read("c/README.md");
    for says in [
        "| attn.append_k.past.npy | fp32 | [1, 7,",
        "Token i of a sequence is at position 7 + i.",
        "`attn.q` = matmul(attn.norm, attn.q.weight): y[m,n] = sum_k x[m,k] w[n,k] + b[n].",
        "`attn.k` = matmul(attn.norm, attn.k.weight): as attn.q.",
        "computes references from them",
    ] {
        assert!(readme.contains(says), "{says}: {readme}");
    }
    let right = desk.ok(&words("validate c --got c/emulated.npy"));
    assert!(right.starts_with("right by two-reference"), "{right}");
    // The references follow the files: with another weight the same output is wrong.
    let (shape, weight) = array(&desk.path("c/ffn.down.weight.npy"));
    let doubled: Vec<f64> = weight.iter().map(|x| 2.0 * x).collect();
    write(&desk, "c/ffn.down.weight.npy", Kind::F32, &(shape.clone(), doubled));
    assert_eq!(desk.run(&words("validate c --got c/emulated.npy")).code, 1);
    let mut broken = weight.clone();
    broken[3] = f64::NAN;
    write(&desk, "c/ffn.down.weight.npy", Kind::F32, &(shape.clone(), broken));
    let got = "validate c --got c/emulated.npy";
    desk.refuses(got, "ffn.down.weight.npy: element 3 is no finite number");
    write(&desk, "c/ffn.down.weight.npy", Kind::F32, &(vec![weight.len() as u64], weight));
    desk.refuses(got, "ffn.down.weight.npy: shape");
    std::fs::remove_file(desk.path("c/ffn.down.weight.npy")).expect("removed");
    desk.refuses(got, "cannot read c/ffn.down.weight.npy");
}

/// The output of the layer with its elements paired the other way has that cause, and its place.
#[test]
fn a_wrong_layer_is_explained() {
    let desk = Desk::new();
    llama(&desk, "c", "");
    let model = desk.read("c/model.yaml");
    let other = model.replace("pairing: half", "pairing: interleaved");
    assert_ne!(model, other);
    desk.write("right.yaml", model.as_bytes());
    desk.write("wrong.yaml", other.as_bytes());
    for name in ["right", "wrong"] {
        let line = format!("golden layer {name}.yaml --random-weights --layer 1 --batch 2");
        desk.ok(&words(&format!("{line} --seq 9 --dtype fp32 --seed 3 --out {name}")));
    }
    assert_eq!(read(&desk, "right/x.npy"), read(&desk, "wrong/x.npy"));
    let run = desk.run(&words("validate right --got wrong/emulated.npy"));
    assert_eq!(run.code, 1, "{}", run.stderr);
    let cause = "likeliest cause: the other elements are paired (half against interleaved)\n";
    assert!(run.stdout.contains(cause), "{}", run.stdout);
}

#[test]
fn layers_that_are_not_there_are_refused() {
    let desk = Desk::new();
    llama(&desk, "c", "");
    desk.ok(&words("golden rope --out r"));
    let (yaml, rope) = (desk.read("c/case.yaml"), desk.read("r/case.yaml"));
    for (folder, text) in [
        ("up", yaml.replace("model.yaml", "../c/model.yaml")),
        ("far", yaml.replace("layer: 1", "layer: 7")),
        ("two", format!("{yaml}{rope}")),
    ] {
        for (name, bytes) in desk.files() {
            if let Some(name) = name.strip_prefix("c/").filter(|n| !n.is_empty()) {
                desk.write(&format!("{folder}/{name}"), &bytes);
            }
        }
        desk.write(&format!("{folder}/case.yaml"), text.as_bytes());
    }
    let (llama, t5) = (golden("models/llama"), golden("models/t5"));
    let (llama, t5) = (llama.display(), t5.display());
    for (line, says) in [
        ("validate up --got c/emulated.npy".to_owned(), "no name of a file beside the case"),
        ("validate far --got c/emulated.npy".to_owned(), "layer 7 is beyond the model's last"),
        ("validate two --got c/emulated.npy".to_owned(), "a case is of one operator or layer"),
        (
            format!("golden layer {llama} --layer 2 --out d"),
            "layer 2 is beyond the model's last, 1",
        ),
        (format!("golden layer {llama} --encoder --out d"), "the model has no encoder"),
        (format!("golden layer {llama} --tokens 1,2 --cached 2 --out d"), "none is new"),
        (format!("golden layer {llama} --tokens 1,200 --out d"), "200"),
        (format!("golden layer {t5} --out d"), "which is given nothing"),
        ("golden layer llama-3.1-8b --out d".to_owned(), "llama-3.1-8b"),
    ] {
        desk.refuses(&line, says);
    }
}
