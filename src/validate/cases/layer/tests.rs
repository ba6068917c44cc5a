//! Layers of published models made small: right kernels pass, bugs are found at their place.

use super::super::check::told_apart;
use super::*;
use crate::model::{Position, load_bundled};
use std::collections::BTreeSet;

/// A published model with its own wiring and small sizes.
fn small(id: &str) -> Architecture {
    let mut a = load_bundled(id).expect("bundled");
    let of = &mut a.attention;
    of.kv_heads = if of.kv_heads == of.heads { 4 } else { 2.min(of.kv_heads) };
    of.heads = 4;
    let dim = 16;
    of.scale *= (of.head_dim as f64 / dim as f64).sqrt();
    let turned = a.position.rotary_dim() * dim / of.head_dim / 2 * 2;
    of.head_dim = dim;
    if let Some(latent) = &mut of.latent {
        (latent.key_value, latent.value) = (24, 12);
        latent.query = latent.query.map(|_| 40);
    }
    of.windows.iter_mut().flatten().for_each(|window| *window = 9);
    if let Position::Rope { rotary_dim, .. } = &mut a.position {
        *rotary_dim = turned;
    }
    (a.hidden, a.vocabulary, a.ffn.inner, a.layers) = (48, 64, 40, a.layers.min(6));
    if let Some(experts) = &mut a.experts {
        (experts.count, experts.active, experts.inner) = (8, 3, 40);
        experts.shared = experts.shared.map(|_| 28);
        if let Some(groups) = &mut experts.groups {
            (groups.count, groups.active) = (4, 2);
            groups.best = groups.best.min(2);
        }
    }
    a.checked().expect("a small model")
}

fn keys(layer: u64, (batch, seq, cached): (u64, u64, u64), dtype: Dtype) -> LayerKeys {
    let model = "model.yaml".to_owned();
    LayerKeys { model, layer, encoder: false, batch, seq, cached, source: None, dtype }
}

fn case(arch: &Architecture, keys: LayerKeys) -> LayerCase {
    let case = LayerCase::new(arch, keys).expect("a layer");
    let inputs = case.random(7);
    case.with(inputs)
}

/// Every bug of the wiring shows somewhere, and every bug that shows is named and failed.
#[test]
fn bugs_are_told_apart() {
    let (prefill, decode) = ((2, 24, 0), (2, 3, 20));
    let behind = |source, keys| LayerKeys { source: Some(source), ..keys };
    let encoder = |keys| LayerKeys { encoder: true, ..keys };
    let cases = [
        case(&small("llama-3.1-8b"), keys(1, prefill, Dtype::Fp32)),
        case(&small("llama-3.1-8b"), keys(1, decode, Dtype::Bf16)),
        case(&small("gemma-2-9b"), keys(2, decode, Dtype::Fp32)),
        case(&small("qwen3-8b"), keys(0, prefill, Dtype::Fp32)),
        case(&small("qwen2.5-7b"), keys(0, prefill, Dtype::Bf16)),
        case(&small("deepseek-v3"), keys(4, decode, Dtype::Fp32)),
        case(&small("deepseek-v2-lite"), keys(1, prefill, Dtype::Fp32)),
        case(&small("gpt-oss-20b"), keys(0, prefill, Dtype::Fp32)),
        case(&small("gpt-j-6b"), keys(0, prefill, Dtype::Fp32)),
        case(&small("t5-base"), behind(11, keys(1, decode, Dtype::Fp32))),
        case(&small("t5-base"), encoder(keys(1, prefill, Dtype::Fp32))),
        case(&small("whisper-large-v3"), behind(11, keys(1, decode, Dtype::Fp32))),
    ];
    let cases: Vec<&dyn Case> = cases.iter().map(|case| case as &dyn Case).collect();
    let (seen, _) = told_apart(&cases);
    let wiring: BTreeSet<&str> = WRONG.iter().map(|wrong| wrong.name).collect();
    let never: Vec<_> = wiring.difference(&seen).collect();
    assert!(never.is_empty(), "no case shows {never:?}");
}
