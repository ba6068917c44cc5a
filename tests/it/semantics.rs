//! What a step means does not depend on how it is scheduled: caches, chunks, batches, fusions and
//! repeated heads leave every logit where it was.

use crate::support::cases;
use crate::support::random::{all_options, architectures, tiny};
use crate::support::sequences::{Inputs, Sequence, advance, packed, plain};
use cosim::exec::run;
use cosim::graph::Graph;
use cosim::model::{Architecture, BuildOptions, Position};
use cosim::tensor::{Step, TensorName, TensorSource, TensorType};
use proptest::prelude::*;

/// Difference of two runs of the same sums in another order.
const ROUNDING: f64 = 1e-9;

fn graph(architecture: &Architecture) -> Graph {
    architecture.graph(&BuildOptions::default()).expect("a random model types")
}

fn close(found: &[f64], expected: &[f64]) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        prop_assert!((a - b).abs() <= ROUNDING * b.abs().max(1.0), "element {}: {} or {}", i, a, b);
    }
    Ok(())
}

fn same_cache(found: &Sequence, expected: &Sequence) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        found.cache.keys().collect::<Vec<_>>(),
        expected.cache.keys().collect::<Vec<_>>()
    );
    for (found, expected) in found.cache.values().zip(expected.cache.values()) {
        close(found, expected)?;
    }
    Ok(())
}

/// Logits of the last token, and the sequence behind a prefill in chunks.
fn prefilled(model: &Architecture, seed: u64, chunks: &[usize]) -> (Vec<f64>, Sequence) {
    let graph = graph(model);
    let mut sequences = [Sequence::new(seed, chunks.iter().sum(), model.vocabulary)];
    let mut logits = vec![];
    for &chunk in chunks {
        let step = packed(&sequences, &[chunk]);
        logits = advance(&plain(&graph), seed, &step, &mut sequences);
    }
    let [sequence] = sequences;
    (logits, sequence)
}

/// Weights of a model with as many key heads as query heads: each key head of another model,
/// repeated for its group.
struct Repeated<'a> {
    inputs: &'a Inputs,
    head_dim: usize,
    group: usize,
}

impl TensorSource<f64> for Repeated<'_> {
    fn tensor(&self, name: TensorName<'_>, ty: &TensorType, rows: usize) -> Vec<f64> {
        let by_head = ["attn.k.weight", "attn.k.bias", "attn.v.weight", "attn.v.bias"];
        // Gains of a norm lie by head where every head has its own.
        let gains = name.name.starts_with("attn.k_norm.") && ty.width as usize > self.head_dim;
        if !by_head.contains(&name.name) && !gains {
            return self.inputs.tensor(name, ty, rows);
        }
        // A head is `head_dim` rows of a weight, `head_dim` columns of a bias.
        let (row, rows) = if rows > 1 { (ty.width as usize, rows) } else { (1, ty.width as usize) };
        let narrow = TensorType { width: row as u64, ..*ty };
        let few: Vec<f64> = self.inputs.tensor(name, &narrow, rows / self.group);
        let heads = few.chunks(self.head_dim * row);
        heads.flat_map(|head| head.repeat(self.group)).collect()
    }
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn decode_with_a_cache_is_prefill_at_that_position(
        model in architectures(&tiny()), seed: u64, tokens in 2..14usize,
    ) {
        let (whole, at_once) = prefilled(&model, seed, &[tokens]);
        let (decoded, by_one) = prefilled(&model, seed, &[tokens - 1, 1]);
        close(&decoded, &whole)?;
        same_cache(&by_one, &at_once)?;
    }

    #[test]
    fn chunked_prefill_is_whole_prefill(
        model in architectures(&tiny()), seed: u64, chunks in prop::collection::vec(1..5usize, 1..6),
    ) {
        let (whole, at_once) = prefilled(&model, seed, &[chunks.iter().sum()]);
        let (last, in_chunks) = prefilled(&model, seed, &chunks);
        close(&last, &whole)?;
        same_cache(&in_chunks, &at_once)?;
    }

    #[test]
    fn a_verify_step_gives_the_logits_of_each_decode(
        model in architectures(&tiny()), seed: u64, past in 1..8usize, tokens in 1..5usize,
    ) {
        let graph = graph(&model);
        let mut sequence = [Sequence::new(seed, past + tokens, model.vocabulary)];
        let prompt = packed(&sequence, &[past]);
        advance(&plain(&graph), seed, &prompt, &mut sequence);
        let mut one_by_one = vec![];
        let mut decoding = sequence.clone();
        for _ in 0..tokens {
            let step = packed(&decoding, &[1]);
            one_by_one.extend(advance(&plain(&graph), seed, &step, &mut decoding));
        }
        let step = Step::verify(1, tokens as u64, past as u64).expect("valid");
        let verified = advance(&plain(&graph), seed, &step, &mut sequence);
        close(&verified, &one_by_one)?;
    }

    #[test]
    fn a_ragged_batch_is_each_sequence_alone(
        model in architectures(&tiny()),
        seed: u64,
        shapes in prop::collection::vec((0..6usize, 1..5usize), 1..5),
    ) {
        let graph = graph(&model);
        let (mut together, mut alone) = (vec![], vec![]);
        for (i, &(past, new)) in shapes.iter().enumerate() {
            let mut s = [Sequence::new(seed ^ i as u64, past + new, model.vocabulary)];
            if past > 0 {
                let step = packed(&s, &[past]);
                advance(&plain(&graph), seed, &step, &mut s);
            }
            together.extend(s.clone());
            let step = packed(&s, &[new]);
            alone.extend(advance(&plain(&graph), seed, &step, &mut s));
        }
        let new: Vec<usize> = shapes.iter().map(|(_, new)| *new).collect();
        let step = packed(&together, &new);
        let batched = advance(&plain(&graph), seed, &step, &mut together);
        close(&batched, &alone)?;
    }

    #[test]
    fn grouped_queries_are_repeated_key_heads(
        model in architectures(&tiny()), seed: u64, tokens in 1..10usize,
    ) {
        let (grouped, _) = prefilled(&model, seed, &[tokens]);
        let mut wide = model.clone();
        wide.attention.kv_heads = wide.attention.heads;
        let group = (model.attention.heads / model.attention.kv_heads) as usize;
        let head_dim = model.attention.head_dim as usize;
        let graph = graph(&wide);
        let repeated = |step: &Step, inputs: &Inputs| {
            let source = Repeated { inputs, head_dim, group };
            run(&graph, step, &source, &|name| name == "head.logits")
        };
        let mut sequence = [Sequence::new(seed, tokens, model.vocabulary)];
        let step = packed(&sequence, &[tokens]);
        close(&advance(&repeated, seed, &step, &mut sequence), &grouped)?;
    }

    #[test]
    fn a_window_as_long_as_the_context_is_causal(
        model in architectures(&tiny()), seed: u64, tokens in 2..12usize, beyond in 0..3u64,
    ) {
        prop_assume!(model.position != Position::TransformerXl);
        let with = |windows| {
            let mut model = model.clone();
            model.attention.windows = windows;
            if let Position::Rope { local_theta, .. } = &mut model.position {
                *local_theta = None;
            }
            prefilled(&model, seed, &[tokens - 1, 1]).0
        };
        let causal = with(vec![None]);
        close(&with(vec![Some(tokens as u64 + beyond)]), &causal)?;
    }

    #[test]
    fn fusions_change_no_value(
        model in architectures(&tiny()), seed: u64, tokens in 1..8usize,
    ) {
        let mut results = all_options().into_iter().map(|options| {
            let graph = model.graph(&options).expect("types");
            let mut sequence = [Sequence::new(seed, tokens, model.vocabulary)];
            let step = packed(&sequence, &[tokens]);
            let logits = advance(&plain(&graph), seed, &step, &mut sequence);
            (logits, sequence)
        });
        let first = results.next();
        prop_assert!(results.all(|result| Some(result) == first));
    }
}

#[test]
fn a_window_shorter_than_the_context_is_not_causal() {
    let mut model = crate::support::models::llama_2_7b();
    (model.hidden, model.vocabulary, model.layers, model.ffn.inner) = (8, 11, 2, 8);
    (model.attention.heads, model.attention.kv_heads, model.attention.head_dim) = (2, 1, 4);
    model.position = Position::Learned { positions: 16, offset: 0 };
    let (causal, _) = prefilled(&model, 7, &[6]);
    model.attention.windows = vec![Some(5)];
    let (sliding, _) = prefilled(&model, 7, &[6]);
    assert!(close(&sliding, &causal).is_err(), "the first key is out of the window");
}
