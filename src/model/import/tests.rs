//! Published configurations import to what the bundled files say; the rest is refused by name.

use super::*;
use crate::model::{Activation, Position, RopeScaling, load_bundled};

fn fixture(id: &str) -> String {
    let path = format!("{}/tests/fixtures/configs/{id}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("fixture")
}

/// A fixture with one piece of text replaced; the piece must be there.
fn edited(id: &str, from: &str, to: &str) -> Result<Architecture, Diagnostic> {
    let text = fixture(id);
    assert!(text.contains(from), "{from}");
    config_json(&text.replacen(from, to, 1), id)
}

fn refused(id: &str, from: &str, to: &str) -> String {
    edited(id, from, to).expect_err("refused").to_string()
}

/// Configurations of the tiny models that `transformers` wrote.
fn golden() -> impl Iterator<Item = String> {
    let folder = format!("{}/tests/golden/models", env!("CARGO_MANIFEST_DIR"));
    let cases = std::fs::read_dir(folder).expect("fixtures").map(|e| e.expect("readable").path());
    cases.map(|case| std::fs::read_to_string(case.join("config.json")).expect("fixture"))
}

/// Whether a file is that of a class without a head.
fn is_base(text: &str) -> bool {
    text.contains("Model\"\n") && !text.contains("LMHeadModel")
}

const FIXTURES: &[&str] = &[
    "bloom-176b",
    "deepseek-v2-lite",
    "deepseek-v3",
    "falcon-40b",
    "falcon-7b",
    "gemma-2-9b",
    "gemma-3-27b",
    "gpt-j-6b",
    "gpt2",
    "gpt-oss-120b",
    "gpt-oss-20b",
    "llama-2-7b",
    "llama-3.1-8b",
    "mistral-7b",
    "mixtral-8x7b",
    "opt-13b",
    "phi-3-mini",
    "qwen2.5-7b",
    "qwen3-235b-a22b",
    "qwen3-30b-a3b",
    "qwen3-32b",
    "qwen3-8b",
    "smollm2-135m",
    "t5-large",
    "t5-v1.1-xxl",
    "whisper-large-v3",
];

#[test]
fn published_configurations_are_the_bundled_models() {
    for id in FIXTURES {
        let imported = config_json(&fixture(id), id).unwrap_or_else(|e| panic!("{id}: {e}"));
        let bundled = load_bundled(id).expect("bundled");
        let (name, source) = (bundled.name.clone(), bundled.source.clone());
        assert_eq!(Architecture { name, source, ..imported }, bundled, "{id}");
    }
}

/// The published file leaves `tie_word_embeddings` out, which in its class means tied. The checkpoint
/// holds both tables and its published count has both, as the bundled model.
#[test]
fn falcon_180b_is_the_bundled_model_but_for_its_head() {
    let mut imported = config_json(&fixture("falcon-180b"), "falcon-180b").expect("reads");
    let bundled = load_bundled("falcon-180b").expect("bundled");
    assert!(imported.head.tied && !bundled.head.tied);
    imported.head.tied = false;
    let (name, source) = (bundled.name.clone(), bundled.source.clone());
    assert_eq!(Architecture { name, source, ..imported }, bundled);
}

#[test]
fn every_family_has_a_fixture() {
    let published = FIXTURES.iter().map(|id| fixture(id));
    let texts: Vec<String> = published.chain(golden()).collect();
    for family in families() {
        let key = format!("\"model_type\": \"{family}\"");
        assert!(texts.iter().any(|t| t.contains(&key)), "{family}");
    }
}

#[test]
fn an_import_prints_yaml_that_reads_back_equal() {
    let published = FIXTURES.iter().map(|id| fixture(id));
    for text in published.chain(golden()).filter(|text| !is_base(text)) {
        let imported = config_json(&text, "model").expect("reads");
        let text = imported.to_yaml();
        let again = Architecture::from_yaml(&Source::new("printed", text.as_str()));
        assert_eq!(again.unwrap_or_else(|e| panic!("{e}\n{text}")), imported);
    }
}

/// Phi-3-mini-128k: 131,072 of 4,096 tokens; its first files said `su`.
#[test]
fn longrope_has_the_papers_factor_unless_the_file_has_its_own() {
    let table = |x: f64| serde_json::json!(vec![x; 48]).to_string();
    for (kind, given, expected) in
        [("longrope", "", 1.190_238_071_423_808), ("su", r#", "attention_factor": 1.5"#, 1.5)]
    {
        let scaling = format!(
            r#""rope_scaling": {{"type": "{kind}", "short_factor": {}, "long_factor": {}{given}}}"#,
            table(1.0),
            table(4.0)
        );
        let text = fixture("phi-3-mini").replace(r#""rope_scaling": null"#, &scaling);
        let text = text
            .replace(r#""max_position_embeddings": 4096"#, r#""max_position_embeddings": 131072"#);
        let model = config_json(&text, "model").expect("reads");
        let Position::Rope { scaling: Some(found), .. } = model.position else { panic!("scaled") };
        let RopeScaling::LongRope { short, long, original_context, attention_factor } = found
        else {
            panic!("{found:?}")
        };
        assert_eq!((short, long, original_context), (vec![1.0; 48], vec![4.0; 48], 4096));
        assert!((attention_factor - expected).abs() < 1e-12, "{attention_factor}");
    }
}

#[test]
fn rope_scalings_and_the_newer_spelling() {
    let yarn = r#""rope_scaling": {"type": "yarn", "factor": 4.0,
        "original_max_position_embeddings": 32768}"#;
    let model = edited("qwen3-8b", r#""rope_scaling": null"#, yarn).expect("reads");
    let Position::Rope { scaling: Some(scaling), .. } = &model.position else { panic!("scaled") };
    let expected = RopeScaling::Yarn {
        factor: 4.0,
        original_context: 32768,
        beta_fast: 32.0,
        beta_slow: 1.0,
        attention_factor: 0.1 * 4f64.ln() + 1.0,
        truncate: true,
    };
    assert_eq!(*scaling, expected);
    let text = model.to_yaml();
    assert_eq!(Architecture::from_yaml(&Source::new("y", text.as_str())).expect("reads"), model);

    let newer = r#""rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5000}"#;
    let model = edited("llama-2-7b", r#""rope_scaling": null"#, newer).expect("reads");
    let Position::Rope { theta, scaling, .. } = model.position else { panic!("rotary") };
    assert_eq!((theta, scaling), (5000.0, Some(RopeScaling::Linear { factor: 2.0 })));
}

#[test]
fn switches_reach_the_architecture() {
    let model = edited("llama-3.1-8b", r#""attention_bias": false"#, r#""attention_bias": true"#)
        .expect("reads");
    assert!(model.attention.qkv_bias && model.attention.out_bias);
    let model = edited("mistral-7b", r#""sliding_window": 4096"#, r#""sliding_window": null"#)
        .expect("reads");
    assert_eq!(model.attention.windows, [None]);
    let model =
        edited("llama-2-7b", r#""hidden_act": "silu""#, r#""hidden_act": "gelu""#).expect("reads");
    assert_eq!(model.ffn.activation, Activation::GeluErf);
    let quantized = r#""quantization_config": {"bits": 4}, "model_type""#;
    let model = edited("llama-2-7b", r#""model_type""#, quantized).expect("reads");
    assert!(model.source.contains("quantization_config not read"), "{}", model.source);
}

#[test]
fn flan_and_english_whisper_differ_where_their_files_do() {
    let flan = r#""n_positions": 512, "dense_act_fn": "gelu_new", "is_gated_act": true,
        "relative_attention_max_distance": 64, "output_past""#;
    let model = edited("t5-v1.1-xxl", r#""output_past""#, flan).expect("reads");
    assert!(model.ffn.gated && !model.head.tied && model.head.scale.is_none());
    let Position::Relative { max_distance, .. } = model.position else { panic!("relative") };
    assert_eq!(max_distance, 64);
    let english = r#""vocab_size": 51864"#;
    let model = edited("whisper-large-v3", r#""vocab_size": 51866"#, english).expect("reads");
    assert_eq!(model.encoder.expect("an encoder").start_tokens, 2);
}

#[test]
fn an_unknown_family_is_named() {
    let text = r#"{"architectures": ["MambaForCausalLM"], "model_type": "mamba"}"#;
    let shown = config_json(text, "x").expect_err("refused").to_string();
    insta::assert_snapshot!(shown, @r#"
    error: architecture `MambaForCausalLM` (model_type `mamba`) is not supported
     --> config.json:1:41
      |
    1 | {"architectures": ["MambaForCausalLM"], "model_type": "mamba"}
      |                                         ^^^^^^^^^^^^^
      |
      = help: supported: bloom, cohere, deepseek_v2, deepseek_v3, falcon, gemma2, gemma3_text, gpt2, gpt_neox, gpt_oss, gptj, llama, mistral, mixtral, olmo2, opt, phi3, qwen2, qwen3, qwen3_moe, t5, whisper
    "#);
    let shown = refused("llama-2-7b", "LlamaForCausalLM", "LlamaForSequenceClassification");
    insta::assert_snapshot!(shown, @r#"
    error: architecture `LlamaForSequenceClassification` is not supported
     --> config.json:2:3
      |
    2 |   "architectures": [
      |   ^^^^^^^^^^^^^^^^
      |
      = help: of model_type `llama`: LlamaForCausalLM
    "#);
    let shown = config_json("{}", "x").expect_err("refused").to_string();
    insta::assert_snapshot!(shown, @r"
    error: config.json: neither `model_type` nor `architectures` is there
     = help: is this a Hugging Face config.json?
    ");
}

#[test]
fn what_changes_the_mathematics_is_refused_by_name() {
    let shown =
        refused("mistral-7b", r#""vocab_size""#, "\"num_local_experts\": 8,\n  \"vocab_size\"");
    insta::assert_snapshot!(shown, @r#"
    error: `num_local_experts: 8` is not understood for a `mistral` model
      --> config.json:23:3
       |
    23 |   "num_local_experts": 8,
       |   ^^^^^^^^^^^^^^^^^^^^
       |
       = help: remove the field if it leaves the mathematics alone; else describe the model in cosim's own YAML
    "#);
    let field = r#""apply_residual_connection_post_layernorm": "#;
    let shown = refused("falcon-7b", &format!("{field}false"), &format!("{field}true"));
    insta::assert_snapshot!(shown, @r#"
    error: `apply_residual_connection_post_layernorm: true` is not supported in a `falcon` model
     --> config.json:3:3
      |
    3 |   "apply_residual_connection_post_layernorm": true,
      |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    let shown =
        refused("qwen2.5-7b", r#""use_sliding_window": false"#, r#""use_sliding_window": true"#);
    insta::assert_snapshot!(shown, @r#"
    error: `use_sliding_window: true` is not supported in a `qwen2` model
      --> config.json:26:3
       |
    26 |   "use_sliding_window": true,
       |   ^^^^^^^^^^^^^^^^^^^^^
    "#);
    let shown = refused("opt-13b", "_dim\": 5120", "_dim\": 512");
    insta::assert_snapshot!(shown, @r#"
    error: `word_embed_proj_dim` 512 is not hidden_size 5120
      --> config.json:28:3
       |
    28 |   "word_embed_proj_dim": 512
       |   ^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: embeddings projected to another width are not supported
    "#);
    let dynamic = r#""rope_scaling": {"type": "dynamic", "factor": 2.0}"#;
    let shown = refused("phi-3-mini", r#""rope_scaling": null"#, dynamic);
    insta::assert_snapshot!(shown, @r#"
    error: rope scaling `dynamic` is not supported
      --> config.json:28:3
       |
    28 |   "rope_scaling": {"type": "dynamic", "factor": 2.0},
       |   ^^^^^^^^^^^^^^^
       |
       = help: supported: default, linear, llama3, yarn, longrope
    "#);
    let longrope =
        r#""rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [1.0]}"#;
    let shown = refused("phi-3-mini", r#""rope_scaling": null"#, longrope);
    insta::assert_snapshot!(shown, @r#"
    error: `short` has 1 factors for 96 rotated elements
      --> config.json:28:3
       |
    28 |   "rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [1.0]},
       |   ^^^^^^^^^^^^^^^
       |
       = help: a factor for each two elements that turn together
    "#);
    let shown = refused("llama-2-7b", r#""rope_scaling": null"#, longrope);
    insta::assert_snapshot!(shown, @r#"
    error: config.json: missing field `original_max_position_embeddings`
     = help: `longrope` changes its factors beyond that length
    "#);
    let mscale = r#""rope_scaling": {"type": "yarn", "factor": 4, "mscale": 0.7,
        "original_max_position_embeddings": 4096}"#;
    let shown = refused("llama-2-7b", r#""rope_scaling": null"#, mscale);
    insta::assert_snapshot!(shown, @r#"
    error: `mscale: 0.7` in `rope_scaling` is not understood for a `llama` model
      --> config.json:18:3
       |
    18 |   "rope_scaling": {"type": "yarn", "factor": 4, "mscale": 0.7,
       |   ^^^^^^^^^^^^^^^
       |
       = help: remove the field if it leaves the mathematics alone; else describe the model in cosim's own YAML
    "#);
}

#[test]
fn what_gpt_oss_has_otherwise_is_refused_by_name() {
    let id = "gpt-oss-20b";
    let first = |from: &str, to: &str| {
        let shown = refused(id, from, to);
        shown.lines().next().unwrap_or_default().to_owned()
    };
    let limit = "\"swiglu_limit\": 7.0";
    insta::assert_snapshot!(
        first(limit, "\"swiglu_alpha\": 1.5"),
        @"error: `swiglu_alpha` 1.5 is not supported, only 1.702"
    );
    insta::assert_snapshot!(
        first("\"experts_per_token\": 4", "\"experts_per_token\": 2"),
        @"error: `experts_per_token` is 2, but `num_experts_per_tok` is 4"
    );
    insta::assert_snapshot!(
        first("\"initial_context_length\": 4096", "\"initial_context_length\": 8192"),
        @"error: `initial_context_length` 8192 is not the 4096 of the scaling"
    );
    insta::assert_snapshot!(
        first("\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\""),
        @"error: `hidden_act` is not `silu` in a `gpt_oss` model"
    );
    insta::assert_snapshot!(
        first("\"rope_theta\": 150000,", ""),
        @"error: config.json: missing field `rope_theta`, which a `gpt_oss` model needs"
    );
    insta::assert_snapshot!(
        first("\"full_attention\"", "\"sliding_attention\""),
        @"error: `layer_types` is not the pattern of a `gpt_oss` model"
    );
    let model = edited(id, limit, "\"swiglu_alpha\": 1.702").expect("reads");
    assert_eq!(model.experts.and_then(|e| e.limit), Some(7.0));
}

#[test]
fn groups_of_deepseek_v2_and_what_it_has_otherwise() {
    let id = "deepseek-v2-lite";
    let grouped =
        edited(id, "\"topk_method\": \"greedy\"", "\"topk_method\": \"group_limited_greedy\"");
    let groups = grouped.expect("reads").experts.and_then(|e| e.groups);
    assert_eq!(groups, Some(crate::model::Groups { count: 1, active: 1, best: 1 }));
    let first = |id: &str, from: &str, to: &str| {
        let shown = refused(id, from, to);
        shown.lines().next().unwrap_or_default().to_owned()
    };
    insta::assert_snapshot!(
        first(id, "\"norm_topk_prob\": false", "\"norm_topk_prob\": true"),
        @"error: `norm_topk_prob: true` is not supported in a `deepseek_v2` model"
    );
    insta::assert_snapshot!(
        first(id, "\"moe_layer_freq\": 1", "\"moe_layer_freq\": 2"),
        @"error: `moe_layer_freq` 2 is not supported, only 1"
    );
    insta::assert_snapshot!(
        first(id, "\"topk_method\": \"greedy\"", "\"topk_method\": \"random\""),
        @"error: `topk_method: random` is not supported in a `deepseek_v2` model"
    );
    let id = "deepseek-v3";
    insta::assert_snapshot!(
        first(id, "\"sigmoid\"", "\"softmax\""),
        @"error: `scoring_func: softmax` is not supported in a `deepseek_v3` model"
    );
    insta::assert_snapshot!(
        first(id, "\"attention_bias\": false", "\"attention_bias\": true"),
        @"error: `attention_bias: true` is not supported in a `deepseek_v3` model"
    );
    insta::assert_snapshot!(
        first(id, "\"num_key_value_heads\": 128", "\"num_key_value_heads\": 64"),
        @"error: latent attention has as many kv_heads as heads"
    );
    insta::assert_snapshot!(
        first(id, "\"n_group\": 8", "\"n_group\": 7"),
        @"error: 256 experts are not divisible by 7 groups"
    );
    insta::assert_snapshot!(
        first(id, "\"kv_lora_rank\": 512", "\"head_dim\": 128, \"kv_lora_rank\": 512"),
        @"error: `head_dim` is 128, but the heads' parts make it 64"
    );
}

#[test]
fn the_temperature_of_deepseek_stands_in_scores_and_rotation() {
    let model = edited("deepseek-v3", "\"mscale_all_dim\": 1.0", "\"mscale_all_dim\": 0.5");
    let model = model.expect("reads");
    let (one, half) = (0.1 * 40f64.ln() + 1.0, 0.05 * 40f64.ln() + 1.0);
    assert!((model.attention.scale - half * half / 192f64.sqrt()).abs() < 1e-12);
    let Position::Rope { scaling: Some(RopeScaling::Yarn { attention_factor, .. }), .. } =
        model.position
    else {
        panic!("scaled")
    };
    assert!((attention_factor - one / half).abs() < 1e-12);
    let model =
        edited("deepseek-v3", "\"rope_theta\"", "\"rope_interleave\": false, \"rope_theta\"");
    let Position::Rope { pairing, .. } = model.expect("reads").position else { panic!("rotary") };
    assert_eq!(pairing, crate::model::Pairing::Half);
}

#[test]
fn missing_and_wrong_fields_are_named() {
    let shown = refused("llama-2-7b", "\"hidden_size\": 4096,", "");
    insta::assert_snapshot!(shown, @"error: config.json: missing field `hidden_size`, which a `llama` model needs");
    let shown = refused("llama-2-7b", "\"hidden_size\": 4096", "\"hidden_size\": -4096");
    insta::assert_snapshot!(shown, @r#"
    error: `hidden_size` is -4096, expected a whole number
     --> config.json:8:3
      |
    8 |   "hidden_size": -4096,
      |   ^^^^^^^^^^^^^^
    "#);
    let shown = refused("llama-2-7b", "\"num_key_value_heads\": 32", "\"num_key_value_heads\": 5");
    insta::assert_snapshot!(shown, @r#"
    error: 32 heads are not divisible by 5 kv_heads
      --> config.json:15:3
       |
    15 |   "num_key_value_heads": 5,
       |   ^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: each key-value head serves the same number of query heads
    "#);
    let shown = refused("llama-2-7b", "\"hidden_size\": 4096,", "\"hidden_size\" 4096,");
    insta::assert_snapshot!(shown, @r#"
    error: not a JSON object: expected `:`
     --> config.json:8:17
      |
    8 |   "hidden_size" 4096,
      |                 ^^^^^
      |
      = help: expected the whole config.json of a Hugging Face model
    "#);
}

#[test]
fn hostile_json_is_refused() {
    for text in ["", "[]", "3", "null", "{\"a\":", &"{\"a\":".repeat(100_000), &"[".repeat(1000)] {
        assert!(config_json(text, "x").is_err());
    }
    let huge = format!("{{\"a\": \"{}\"}}", "x".repeat(2 << 20));
    assert!(config_json(&huge, "x").is_err());
    for size in ["0", "1e30", "18446744073709551615", "4096.0", "\"4096\"", "true", "NaN"] {
        for key in ["hidden_size\": 4096", "num_attention_heads\": 32", "vocab_size\": 32000"] {
            let (name, _) = key.split_once(':').expect("a field");
            assert!(edited("llama-2-7b", key, &format!("{name}: {size}")).is_err(), "{key} {size}");
        }
    }
}

#[test]
fn no_value_of_any_field_panics_or_overflows() {
    let odd: Vec<serde_json::Value> = serde_json::from_str(
        r#"[null, 0, 1, 2, 3, -1, 1099511627776, 18446744073709551615, 0.5, 1e308, true, false,
            "x", "", [], ["full_attention"], {}, {"rope_type": "linear", "factor": 0}]"#,
    )
    .expect("values");
    // One of each family is enough.
    let largest = ["deepseek-v3", "gpt-oss-120b", "qwen3-235b-a22b", "qwen3-32b"];
    for id in FIXTURES.iter().filter(|id| !largest.contains(id)) {
        let whole: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&fixture(id)).expect("an object");
        for key in whole.keys() {
            for value in &odd {
                let mut changed = whole.clone();
                changed[key] = value.clone();
                let text = serde_json::Value::Object(changed).to_string();
                if let Ok(model) = config_json(&text, id) {
                    assert!(model.parameters().total > 0);
                    let yaml = model.to_yaml();
                    let again = Architecture::from_yaml(&Source::new("printed", yaml.as_str()));
                    assert_eq!(again.unwrap_or_else(|e| panic!("{e}\n{yaml}")), model);
                }
            }
        }
    }
}
