//! The tokenizer in GGUF metadata, written as a `tokenizer.json`.

use super::TokenizerError;
use crate::formats::gguf::{Directory, Value};
use serde_json::{Value as Json, json};
use std::collections::HashMap;

/// ggml's token types that stand for themselves: control and user-defined.
const WHOLE: [u64; 2] = [3, 4];

/// The regular expression of GPT-2.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// That of Llama 3 (`llama-bpe`).
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// That of Qwen 2.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

pub(super) fn json(directory: &Directory) -> Result<Json, TokenizerError> {
    let fail = |e: crate::formats::FormatError| TokenizerError::new(e.to_string());
    let tokens = texts(directory, "tokenizer.ggml.tokens")?;
    let vocabulary: HashMap<&str, usize> = tokens.iter().copied().zip(0..).collect();
    let (normalizer, pre_tokenizer, decoder, model) =
        match directory.text("tokenizer.ggml.model").map_err(fail)? {
            "gpt2" => bytes(directory, &vocabulary)?,
            "llama" => pieces(directory, &tokens, &vocabulary)?,
            other => {
                let other = crate::diagnostic::clip(other);
                let why = format!("tokenizer `{other}` is not supported; expected gpt2 or llama");
                return Err(TokenizerError::new(why));
            }
        };
    Ok(json!({
        "version": "1.0",
        "added_tokens": added(directory, &tokens),
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": null,
        "decoder": decoder,
        "model": model,
    }))
}

type Parts = (Json, Json, Json, Json);

/// Byte-level BPE.
fn bytes(
    directory: &Directory,
    vocabulary: &HashMap<&str, usize>,
) -> Result<Parts, TokenizerError> {
    let pre = directory.text("tokenizer.ggml.pre").unwrap_or("default");
    let split = |regex: &str| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false});
    let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let digits = json!({"type": "Digits", "individual_digits": true});
    let steps = match pre {
        "default" | "gpt-2" => vec![split(GPT2), level.clone()],
        "smollm" => vec![digits, split(GPT2), level.clone()],
        "llama-bpe" | "llama3" => vec![split(LLAMA3), level.clone()],
        "qwen2" => vec![split(QWEN2), level.clone()],
        other => {
            let other = crate::diagnostic::clip(other);
            let why = format!(
                "pre-tokenizer `{other}` is not supported; expected default, gpt-2, smollm, llama-bpe or qwen2"
            );
            return Err(TokenizerError::new(why));
        }
    };
    let merges = texts(directory, "tokenizer.ggml.merges")?;
    let pairs = merges.iter().map(|merge| {
        let pair = merge.split_once(' ').map(|(a, b)| json!([a, b]));
        let why = || format!("merge `{}` is no pair", crate::diagnostic::clip(merge));
        pair.ok_or_else(|| TokenizerError::new(why()))
    });
    let pairs: Vec<Json> = pairs.collect::<Result<_, _>>()?;
    let model = json!({"type": "BPE", "vocab": vocabulary, "merges": pairs,
        "ignore_merges": pre == "llama-bpe"});
    Ok((Json::Null, json!({"type": "Sequence", "pretokenizers": steps}), level, model))
}

/// SentencePiece's BPE: of neighbours that together are a token, those of the highest score merge first.
fn pieces(
    directory: &Directory,
    tokens: &[&str],
    vocabulary: &HashMap<&str, usize>,
) -> Result<Parts, TokenizerError> {
    let key = "tokenizer.ggml.scores";
    let scores = directory.value(key).map_err(|e| TokenizerError::new(e.to_string()))?;
    let scores: Option<Vec<f64>> =
        scores.array().and_then(|values| values.iter().map(Value::number).collect());
    let scores = scores.filter(|s| s.len() == tokens.len());
    let scores = scores
        .ok_or_else(|| TokenizerError::new(format!("{key}: expected one number for each token")))?;
    let mut merges: Vec<(f64, usize, &str, &str)> = vec![];
    for (id, token) in tokens.iter().enumerate() {
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if vocabulary.contains_key(left) && vocabulary.contains_key(right) {
                merges.push((scores[id], id, left, right));
            }
        }
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let pairs: Vec<Json> = merges.iter().map(|(.., left, right)| json!([left, right])).collect();
    let prefix = directory.value("tokenizer.ggml.add_space_prefix");
    let prefix = prefix.ok().and_then(Value::bool).unwrap_or(true);
    let unknown = directory.count("tokenizer.ggml.unknown_token_id").unwrap_or(0);
    let unknown = tokens.get(unknown as usize).copied().unwrap_or("<unk>");
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"});
    let mut normalizers = vec![];
    if prefix {
        normalizers.push(json!({"type": "Prepend", "prepend": "\u{2581}"}));
    }
    normalizers.push(replace);
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    let model = json!({"type": "BPE", "vocab": vocabulary, "merges": pairs, "unk_token": unknown,
        "fuse_unk": true, "byte_fallback": true});
    Ok((
        json!({"type": "Sequence", "normalizers": normalizers}),
        Json::Null,
        json!({"type": "Sequence", "decoders": decoders}),
        model,
    ))
}

/// Tokens that a text names as a whole.
fn added(directory: &Directory, tokens: &[&str]) -> Vec<Json> {
    let types = directory.value("tokenizer.ggml.token_type").ok().and_then(Value::array);
    let whole = |id: usize| {
        let kind = types.and_then(|types| types.get(id)).and_then(Value::count);
        kind.is_some_and(|kind| WHOLE.contains(&kind))
    };
    let named = tokens.iter().enumerate().filter(|(id, token)| whole(*id) && !token.is_empty());
    let token = |(id, content): (usize, &&str)| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true})
    };
    named.map(token).collect()
}

fn texts<'a>(directory: &'a Directory, key: &str) -> Result<Vec<&'a str>, TokenizerError> {
    let value = directory.value(key).map_err(|e| TokenizerError::new(e.to_string()))?;
    let texts = value.array().and_then(|values| values.iter().map(Value::text).collect());
    texts.ok_or_else(|| TokenizerError::new(format!("{key}: expected an array of texts")))
}
