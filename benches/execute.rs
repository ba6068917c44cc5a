//! The executor's kernels: matrix products and attention in f32 on all cores. `cargo bench --bench execute`.
//!
//! NumPy on the same machine: `python3 benches/execute.py`.

use cosim::exec::{Fast, run_with};
use cosim::graph::{Builder, Graph, Source};
use cosim::op::{KvAppend, MatMul, Scores, Softmax, WeightedSum};
use cosim::tensor::{Dim, Mask, Step, TensorName, TensorSource, TensorType, WeightKind};
use divan::Bencher;
use divan::counter::ItemsCount;

fn main() {
    divan::main();
}

/// Numbers between -1 and 1 without structure.
struct Noise;

impl TensorSource<f32> for Noise {
    fn tensor(&self, _: TensorName<'_>, ty: &TensorType, rows: usize) -> Vec<f32> {
        let mut state = 1u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        std::iter::repeat_with(next).take(rows * ty.width as usize).collect()
    }
}

fn product(n: u64) -> Graph {
    let mut builder = Builder::new();
    let x = builder.source("x", Source::Input, TensorType::activation(Dim::Tokens, n));
    let w = TensorType::weight(WeightKind::Projection, n, n);
    let w = builder.source("w", Source::Weight, w);
    let op = MatMul { rows: Dim::Tokens, inputs: n, outputs: n, bias: false };
    let y = builder.apply("y", op, &[x, w]).expect("types");
    builder.finish(&[y], &[])
}

/// `[n, n] x [n, n]`; items are floating-point operations. Making the inputs is timed too: less than 2 % at 2048.
#[divan::bench(args = [1024, 2048])]
fn matmul(bencher: Bencher, n: u64) {
    let (graph, step) = (product(n), Step::prefill(1, n).expect("tokens"));
    bencher
        .counter(ItemsCount::new(2 * n * n * n))
        .bench(|| run_with(&graph, &step, &Noise, (&Fast::default(), None), &|_| false));
}

fn attention(heads: u64, head_dim: u64) -> Graph {
    let (kv_heads, mask) = (heads, Mask::Causal);
    let mut builder = Builder::new();
    let ty = TensorType::activation(Dim::Tokens, heads * head_dim);
    let [q, k, v] = ["q", "k", "v"].map(|name| builder.source(name, Source::Input, ty));
    let mut keep = |name: &str, new| {
        let past = TensorType::cache(Dim::Past, kv_heads, head_dim, mask);
        let past = builder.source(format!("{name}.past"), Source::Cache, past);
        let append = KvAppend { kv_heads, head_dim, mask };
        builder.apply(name, append, &[new, past]).expect("types")
    };
    let (keys, values) = (keep("append_k", k), keep("append_v", v));
    let scale = 1.0 / (head_dim as f64).sqrt();
    let scores = Scores { heads, kv_heads, head_dim, mask, scale, softcap: None, bias: None };
    let scores = builder.apply("scores", scores, &[q, keys]).expect("types");
    let softmax = Softmax { heads, mask, sinks: false };
    let weights = builder.apply("softmax", softmax, &[scores]).expect("types");
    let sum = WeightedSum { heads, kv_heads, head_dim, mask, expanded: false };
    let out = builder.apply("sum", sum, &[weights, values]).expect("types");
    builder.finish(&[out], &[])
}

/// 32 heads of 128 over 4096 tokens, causal; items are floating-point operations of both products.
#[divan::bench(sample_count = 3)]
fn causal_attention_32x4096x128(bencher: Bencher) {
    let (heads, head_dim, tokens) = (32, 128, 4096);
    let (graph, step) = (attention(heads, head_dim), Step::prefill(1, tokens).expect("tokens"));
    bencher
        .counter(ItemsCount::new(2 * heads * tokens * (tokens + 1) * head_dim))
        .bench(|| run_with(&graph, &step, &Noise, (&Fast::default(), None), &|_| false));
}
