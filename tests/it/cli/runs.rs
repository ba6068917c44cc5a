//! `cosim run` and `cosim quality` on tiny models.

use crate::support::{Desk, vectors, words};
use cosim::formats::{npy, values};
use serde_json::Value;
use std::io::Cursor;

fn golden(case: &str) -> String {
    vectors::golden("models").join(case).display().to_string()
}

fn array(desk: &Desk, name: &str) -> (Vec<u64>, Vec<f64>) {
    vectors::array(&desk.path(name))
}

fn furthest(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn precisions_and_attentions_agree_as_far_as_they_should() {
    let desk = Desk::new();
    let model = golden("llama");
    let logits = |rest: &str| {
        let case = format!("run {model} --tokens 5,17,3,80,44,9,61 --logits out.npy {rest}");
        desk.ok(&words(&case));
        array(&desk, "out.npy")
    };
    let (shape, exact) = logits("--precision f64");
    assert_eq!(shape, [1, 7, 96]);
    for (rest, least, most) in [
        ("--precision f64 --attention naive", 0.0, 1e-9),
        ("--precision f64 --attention flash:2", 0.0, 1e-9),
        ("--precision f64 --attention paged:3", 0.0, 1e-9),
        ("", 1e-9, 1e-4),
        ("--precision fp16", 1e-5, 0.05),
        ("--precision bf16", 1e-3, 0.5),
        ("--quant int8", 1e-3, 0.5),
        ("--quant w8a8-kv8", 1e-3, 1.0),
        ("--quant q2_k", 1e-2, 10.0),
    ] {
        let off = furthest(&logits(rest).1, &exact);
        assert!((least..=most).contains(&off), "{rest}: {off}");
    }
}

#[test]
fn values_of_the_graph_are_written_by_name() {
    let desk = Desk::new();
    let model = golden("qwen3");
    let case = format!(
        "run {model} --tokens 1,2,3 --hidden-states hidden.npy --dump all --dump-filter attn.q"
    );
    let said = desk.ok(&words(&case));
    assert!(said.contains("wrote hidden.npy") && said.contains("wrote all"), "{said}");
    assert_eq!(array(&desk, "hidden.npy").0, [2, 1, 3, 32]);
    let (shape, q) = array(&desk, "all/layers.1.attn.q.npy");
    assert_eq!((shape, q.len()), (vec![3, 48], 3 * 4 * 12));
    desk.ok(&words(&format!(
        "run {model} --tokens 1,2,3 --dump one.safetensors --dump-filter ffn.add"
    )));
    let mut file = Cursor::new(std::fs::read(desk.path("one.safetensors")).expect("a file"));
    let directory = cosim::formats::safetensors::directory(&mut file).expect("a directory");
    assert!(directory.entries.contains_key("layers.0.ffn.add"));
    let why = desk.refused(&words(&format!(
        "run {model} --tokens 1 --dump all --dump-filter nothing.like.it"
    )));
    assert!(why.contains("no value's name contains"), "{why}");
}

/// Names of the arrays that a run writes under a filter.
fn dumped(desk: &Desk, line: &str, filter: &str) -> Vec<String> {
    let to = format!("--dump f.safetensors --dump-filter {filter}");
    desk.ok(&words(&format!("{line} {to}")));
    let mut file = Cursor::new(std::fs::read(desk.path("f.safetensors")).expect("a file"));
    let directory = cosim::formats::safetensors::directory(&mut file).expect("a directory");
    directory.entries.into_keys().collect()
}

#[test]
fn values_are_chosen_by_patterns_of_their_whole_names() {
    let desk = Desk::new();
    let llama = format!("run {} --tokens 1,2,3", golden("llama"));
    let found = dumped(&desk, &llama, "layers.1.attn.?");
    assert_eq!(found, ["layers.1.attn.k", "layers.1.attn.q", "layers.1.attn.v"]);
    let found = dumped(&desk, &llama, "*.add");
    let wanted = ["attn.add", "ffn.add"].map(|n| [0, 1].map(|l| format!("layers.{l}.{n}")));
    assert_eq!(found, {
        let mut all = wanted.concat();
        all.sort();
        all
    });
    let t5 = format!("run {} --tokens 1,2 --encoder-tokens 3,4,5", golden("t5"));
    let found = dumped(&desk, &t5, "*ffn.add");
    assert!(found.iter().any(|n| n == "layers.0.encoder.ffn.add"), "{found:?}");
    for (filter, says) in [("attn.*", "no value's name matches `attn.*`"), ("[", "at character 0")]
    {
        let line = format!("{llama} --dump d --dump-filter {filter}");
        desk.refuses(&line, says);
    }
}

#[test]
fn tokens_are_generated_and_drafted() {
    let desk = Desk::new();
    let (model, draft) = (golden("llama"), golden("qwen2"));
    let plain = desk.json(&words(&format!("run {model} --tokens 7,8,9 --generate 12 --json")));
    let case = format!("run {model} --tokens 7,8,9 --generate 12 --draft {draft} --gamma 3 --json");
    let drafted = desk.json(&words(&case));
    assert_eq!(plain["generated"], drafted["generated"]);
    assert_eq!(drafted["offered"].as_array().map(Vec::len), Some(3));
    // A draft that is the target is always right, and its rates go into an estimate.
    let own = format!("run {model} --tokens 7,8,9 --generate 12 --draft {model} --gamma 3 --json");
    let own = desk.ok(&words(&own));
    let json: Value = serde_json::from_str(&own).expect("JSON");
    assert_eq!(
        (&json["acceptance"], &json["verify_steps"]),
        (&serde_json::json!([1.0, 1.0, 1.0]), &3.into())
    );
    desk.write("rates.json", own.as_bytes());
    let case = "estimate --model llama-3-8b --hardware h100-sxm --batch 1 --prompt 100 --output 100 \
                --draft llama-3-8b --gamma 3 --json";
    let measured = desk.json(&words(&format!("{case} --acceptance-from rates.json")));
    assert_eq!(measured, desk.json(&words(&format!("{case} --acceptance 1,1,1"))));
    desk.write("none.json", b"{\"acceptance\": []}");
    let why = desk.refused(&words(&format!("{case} --acceptance-from none.json")));
    assert!(why.contains("no draft was looked at"), "{why}");
}

#[test]
fn encoders_take_tokens_or_frames() {
    let desk = Desk::new();
    let case =
        format!("run {} --encoder-tokens 4,5,6,7 --tokens 0,3 --logits out.npy", golden("t5"));
    desk.ok(&words(&case));
    assert_eq!(array(&desk, "out.npy").0, [1, 2, 96]);
    let why = desk.refused(&words(&format!("run {} --tokens 0,3", golden("t5"))));
    assert!(why.contains("has an encoder, which is given nothing"), "{why}");
    let frames = values::f32_bytes(&vec![0.25; 8 * 24]);
    let file = npy::file(cosim::formats::Kind::F32, &[8, 24], &frames).expect("a file");
    desk.write("mel.npy", &file);
    let case =
        format!("run {} --features mel.npy --tokens 3,4,5 --generate 4 --json", golden("whisper"));
    let made = desk.json(&words(&case));
    assert_eq!(made["generated"][0].as_array().map(Vec::len), Some(4));
    let file = npy::file(cosim::formats::Kind::F32, &[8, 10], &vec![0; 320]).expect("a file");
    desk.write("short.npy", &file);
    let why =
        desk.refused(&words(&format!("run {} --features short.npy --tokens 3", golden("whisper"))));
    assert!(why.contains("10 frames are given; the model takes 24"), "{why}");
}

#[test]
fn schemes_are_measured_beside_what_they_buy() {
    let desk = Desk::new();
    let ids: Vec<String> = (0..96).map(|i| (i * 37 % 96).to_string()).collect();
    let case = format!(
        "quality {} --tokens {} --window 32 --quant int8,w4a16-g16-zp,mxfp4 --hardware rtx4090 \
         --csv rows.csv -o chart.svg",
        golden("llama"),
        ids.join(",")
    );
    let table = desk.ok(&words(&case));
    assert!(table.contains("93 predicted tokens in 3 windows of 32"), "{table}");
    assert!(table.contains("no engine"), "{table}");
    assert_eq!(desk.read("rows.csv").lines().count(), 5);
    roxmltree::Document::parse(&desk.read("chart.svg")).expect("well-formed");
    let json = desk.json(&words(&format!("{case} --json")));
    let rows = json["rows"].as_array().expect("rows");
    let number = |row: usize, key: &str| rows[row][key].as_f64().expect("a number");
    assert_eq!((number(0, "kl_nats"), number(0, "top1_agreement")), (0.0, 1.0));
    assert!(number(1, "kl_nats") < number(2, "kl_nats"), "fewer bits are further off");
    assert!(number(1, "kl_nats") > 0.0 && number(2, "weight_bytes") < number(1, "weight_bytes"));
    assert_eq!(rows[1]["sqnr"].as_array().map(Vec::len), Some(2));
    let why = desk.refused(&words(&case.replace("int8,", "w4a16-g16-gptq,")));
    assert!(why.contains("GPTQ and AWQ need a calibration") || why.contains("unknown"), "{why}");
}

/// Token ids as a file.
fn ids(desk: &Desk, ids: &[i64]) {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let file = npy::file(cosim::formats::Kind::I64, &[ids.len() as u64], &bytes).expect("a file");
    desk.write("ids.npy", &file);
}

#[test]
fn calibrated_schemes_run_and_are_measured() {
    let desk = Desk::new();
    ids(&desk, &(0..64).map(|i| i * 29 % 96).collect::<Vec<_>>());
    let run = |model: &str, rest: &str| {
        let model = golden(model);
        format!("run {model} --tokens 5,17,3,80,44,9,61 --precision f64 --logits out.npy {rest}")
    };
    let logits = |model: &str, rest: &str| {
        desk.ok(&words(&run(model, rest)));
        array(&desk, "out.npy").1
    };
    for (model, scheme) in [
        ("llama", "w8a8-static"),
        ("llama", "fp8-static"),
        ("llama", "gptq-4bit-g128"),
        ("llama", "awq-4bit-g128"),
        ("mixtral", "w8a8-static"),
        ("deepseek-v2", "w8a8-static"),
    ] {
        let why = desk.refused(&words(&run(model, &format!("--quant {scheme}"))));
        assert!(
            why.contains("calibration") && why.contains("--calibration FILE"),
            "{scheme}: {why}"
        );
        let exact = logits(model, "");
        let found = logits(model, &format!("--quant {scheme} --calibration ids.npy"));
        let off = furthest(&found, &exact);
        assert!((1e-3..=2.0).contains(&off), "{model} {scheme}: {off}");
    }
    let why =
        desk.refused(&words(&run("deepseek-v2", "--quant gptq-4bit-g128 --calibration ids.npy")));
    assert!(why.contains("the calibration saw no activation that weight `attn."), "{why}");
    // SmoothQuant's scales count without `-static` too.
    let [own, smooth] =
        ["", "--calibration ids.npy"].map(|rest| logits("llama", &format!("--quant w8a8 {rest}")));
    assert!(furthest(&own, &smooth) > 1e-4);
    let why = desk.refused(&words(&run("llama", "--calibration ids.npy")));
    assert!(why.contains("--quant"), "{why}");
    let why = desk.refused(&words(&format!(
        "run {} --encoder-tokens 4 --tokens 0 --quant w8a8-static --calibration ids.npy",
        golden("t5")
    )));
    assert!(why.contains("a calibration is taken of models without an encoder"), "{why}");
    let case = format!(
        "quality {} --tokens 3,4,5,6,7,8,9 --quant w8a8,w8a8-static --calibration ids.npy --json",
        golden("llama")
    );
    let kl = |row: usize| desk.json(&words(&case))["rows"][row]["kl_nats"].as_f64().expect("nats");
    assert!(kl(1) > 0.0 && kl(2) > 0.0 && kl(1) != kl(2));
    ids(&desk, &[]);
    let why = desk.refused(&words(&run("llama", "--quant w8a8-static --calibration ids.npy")));
    assert!(why.contains("ids.npy"), "{why}");
}

#[test]
fn models_without_a_head_write_their_last_hidden_state() {
    let desk = Desk::new();
    let model = golden("llama-base");
    let said = desk.ok(&words(&format!("run {model} --tokens 5,17,3 --logits out.npy")));
    assert!(said.contains("3 tokens in, 3 hidden states of 32 out: no head"), "{said}");
    assert_eq!(array(&desk, "out.npy").0, [1, 3, 32]);
    let json = desk.json(&words(&format!("run {model} --tokens 5,17,3 --json")));
    assert_eq!(json["likeliest"], Value::Null);
    let why = desk.refused(&words(&format!("run {model} --tokens 5 --generate 2")));
    assert!(why.contains("--generate: the model has no head, and makes no tokens"), "{why}");
    let draft = format!("run {} --tokens 5 --generate 2 --draft {model}", golden("llama"));
    assert!(desk.refused(&words(&draft)).contains("models without a head do not draft"));
    let why = desk.refused(&words(&format!("quality {model} --tokens 5,6,7")));
    assert!(why.contains("quality is measured on models with a head"), "{why}");
    let why = desk.refused(&words(&format!(
        "estimate --model {model}/config.json --hardware h100-sxm --batch 1 --prompt 9 --output 9"
    )));
    assert!(why.contains("a class without a head is not priced"), "{why}");
    let encoder = golden("t5-encoder");
    let case = format!(
        "run {encoder} --encoder-tokens 4,5,6,7 --logits out.npy --dump one.safetensors --dump-filter attn.q"
    );
    let said = desk.ok(&words(&case));
    assert!(said.contains("1 sequences of 4 in, hidden states of 32 out"), "{said}");
    assert_eq!(array(&desk, "out.npy").0, [1, 4, 32]);
    let why = desk.refused(&words(&format!("run {encoder} --encoder-tokens 4,5 --tokens 1")));
    assert!(why.contains("--tokens: the model is an encoder without a decoder"), "{why}");
    let why = desk.refused(&words(&format!("run {encoder}")));
    assert!(why.contains("has an encoder, which is given nothing"), "{why}");
}

#[test]
fn what_is_no_model_is_refused() {
    let desk = Desk::new();
    let refused = |rest: &str| desk.refused(&words(&format!("run {rest}")));
    let model = golden("llama");
    assert!(refused("nowhere --tokens 1").contains("cannot read nowhere"));
    desk.write("empty.gguf", b"");
    assert!(refused("empty.gguf --tokens 1").contains("byte 0: the magic takes 4 bytes"));
    assert!(refused(&format!("{model} --tokens 1,x")).contains("`x` is no token id"));
    assert!(refused(&format!("{model} --tokens 96")).contains("outside the vocabulary of 96"));
    assert!(refused(&format!("{model} --text hello")).contains("no tokenizer"));
    assert!(refused(&model).contains("no tokens are given"));
    assert!(refused(&format!("{model} --tokens 1 --attention fast")).contains("expected naive"));
    // A configuration of other weights: what is missing, left over, or of another shape.
    let config = std::fs::read_to_string(format!("{model}/config.json")).expect("a fixture");
    let weights = std::fs::read(format!("{model}/model.safetensors")).expect("a fixture");
    let with = |from: &str, to: &str| {
        assert!(config.contains(from));
        desk.write("m/config.json", config.replace(from, to).as_bytes());
        desk.write("m/model.safetensors", &weights);
        refused("m --tokens 1")
    };
    assert!(
        with("\"attention_bias\": false", "\"attention_bias\": true")
            .contains("needs tensor `model.layers.0.self_attn.q_proj.bias`")
    );
    assert!(
        with("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1").contains("`model.layers.1.")
    );
    assert!(with("\"intermediate_size\": 48", "\"intermediate_size\": 40").contains("has shape"));
    desk.write("m/model.safetensors", &weights[..weights.len() - 1]);
    desk.write("m/config.json", config.as_bytes());
    assert!(refused("m --tokens 1").contains("describes"));
}

/// `(sum over its phases of operations by engine class, steps)` of a `--cost`, after every operator's metered
/// operations are found equal to those priced.
fn checked_cost(model: &str, rest: &str) -> ([f64; 3], u64) {
    let desk = Desk::new();
    let model = golden(model);
    let case =
        format!("run {model} --tokens 1,2,3,4,5,6,7 --cost --hardware h100-sxm --json {rest}");
    let said: Value = serde_json::from_str(&desk.ok(&words(&case))).expect("JSON");
    let (mut all, mut steps) = ([0.0; 3], 0);
    for phase in said["cost"]["phases"].as_array().expect("phases") {
        steps += phase["steps"].as_u64().expect("a number");
        let operators = phase["operators"].as_array().expect("operators");
        let time: f64 = operators.iter().map(|o| o["time_s"].as_f64().expect("a time")).sum();
        let whole = phase["time_s"].as_f64().expect("a time");
        assert!((time / whole - 1.0).abs() < 1e-9, "{time} s of {whole} s");
        for operator in operators {
            for (class, sum) in all.iter_mut().enumerate() {
                let of = |key: &str| operator[key][class].as_f64().expect("a number");
                let (metered, priced) = (of("metered"), of("priced"));
                let off = (metered - priced).abs();
                assert!(off <= 1e-9 * priced, "{model}: {metered} metered in {operator}");
                *sum += metered;
            }
        }
    }
    (all, steps)
}

#[test]
fn what_a_run_computes_is_what_it_is_priced_for() {
    for model in [
        "llama",
        "gpt-neox",
        "gemma2",
        "deepseek-v3",
        "gpt-oss-mxfp4",
        "qwen3-moe",
        "bloom",
        "falcon-alibi",
    ] {
        let (prefill, one) = checked_cost(model, "");
        let (all, steps) = checked_cost(model, "--generate 3");
        assert_eq!((one, steps), (1, 3), "{model}");
        assert!(prefill[0] > 0.0 && prefill[2] > 0.0, "{model}: {prefill:?}");
        assert!(all[0] > prefill[0] / 2.0 && all != prefill, "{model}: {all:?}");
    }
    // One of the steps crosses LongRoPE's trained context, and computes all tokens again.
    assert_eq!(checked_cost("phi3-longrope", "--generate 6").1, 6);
    checked_cost("llama-base", "");
    let (_, steps) = checked_cost("t5", "--encoder-tokens 3,4,5,6 --generate 2");
    assert_eq!(steps, 3, "encode, prefill, one decode step");
    for rest in ["--quant w8a8 --generate 2", "--attention naive", "--attention paged:4"] {
        checked_cost("llama", rest);
    }
    let desk = Desk::new();
    ids(&desk, &[4, 9, 80, 17]);
    let known = desk.path("ids.npy");
    checked_cost("llama", &format!("--quant w8a8-static --calibration {}", known.display()));
}

#[test]
fn both_interpreters_stand_side_by_side() {
    let desk = Desk::new();
    let model = golden("llama");
    let case = format!("run {model} --tokens 1,2,3,4 --generate 2 --cost --hardware h100-sxm");
    let said = desk.ok(&words(&case));
    for part in ["metered operations", "priced operations", "simulated time", "decode: "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let refused = desk.refused(&words(&format!("run {model} --tokens 1 --cost --hardware h100")));
    assert!(refused.contains("h100-sxm"), "{refused}");
    let refused = desk.refused(&words(&format!("run {model} --tokens 1 --cost")));
    assert!(refused.contains("--hardware"), "{refused}");
}
