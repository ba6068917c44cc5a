//! Operators against `onnx`'s node tests and `torch`'s attention (`tests/golden/operators.py`).

use cosim::formats::{safetensors, values};
use cosim::op::{
    Activation, Norm, NormKind, Op, Operand, ScoreBias, Scores, Softmax, Target, WeightedSum,
};
use cosim::tensor::{Dim, Mask, Step};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// Shape and values.
type Tensor = (Vec<usize>, Vec<f64>);

/// The cases of one operator: what is said of each, and the tensors of all.
struct Cases {
    notes: serde_json::Map<String, Json>,
    tensors: BTreeMap<String, Tensor>,
}

struct Case<'a> {
    name: &'a str,
    note: &'a Json,
    tensors: &'a BTreeMap<String, Tensor>,
}

impl Cases {
    fn open(operator: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/operators");
        let mut file =
            File::open(folder.join(format!("{operator}.safetensors"))).expect("a fixture");
        let directory = safetensors::directory(&mut file).expect("a directory");
        let notes = serde_json::from_str(&directory.metadata["cases"]).expect("an object");
        let mut tensors = BTreeMap::new();
        for (name, entry) in directory.entries {
            let bytes = entry.read(&mut file).expect("bytes");
            let values = values::decode::<f64>(entry.kind, &bytes).expect("plain");
            let shape = entry.shape.iter().map(|&n| n as usize).collect();
            tensors.insert(name, (shape, values));
        }
        Self { notes, tensors }
    }

    fn each(&self) -> impl Iterator<Item = Case<'_>> {
        self.notes.iter().map(|(name, note)| Case { name, note, tensors: &self.tensors })
    }
}

impl Case<'_> {
    fn find(&self, slot: &str) -> Option<&Tensor> {
        self.tensors.get(&format!("{}/{slot}", self.name))
    }

    fn input(&self, name: &str) -> &Tensor {
        self.find(&format!("inputs/{name}")).expect("an input")
    }

    fn output(&self, name: &str) -> &[f64] {
        &self.find(&format!("outputs/{name}")).expect("an output").1
    }

    fn number(&self, attribute: &str) -> Option<f64> {
        self.note["attributes"][attribute].as_f64()
    }

    fn integer(&self, attribute: &str) -> Option<i64> {
        self.note["attributes"][attribute].as_i64()
    }

    fn assert_near(&self, found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len(), "{}", self.name);
        for (i, (a, b)) in found.iter().zip(expected).enumerate() {
            let near = (a - b).abs() <= tolerance * (1.0 + b.abs());
            assert!(near, "{}, element {i}: {a} is not {b}", self.name);
        }
    }
}

/// The result, `rows x width`; operands come with their widths.
fn eval(
    op: impl Into<Op>,
    step: &Step,
    operands: &[(&[f64], u64)],
    (rows, width): (usize, u64),
) -> Vec<f64> {
    let views: Vec<Operand<'_, f64>> =
        operands.iter().map(|(data, width)| Operand::new(data, *width as usize)).collect();
    let mut out = vec![0.0; rows * width as usize];
    op.into().eval(step, &views, &mut Target::new(&mut out, width as usize));
    out
}

/// Queries, keys and values as `[batch, heads, tokens, head_dim]`.
struct Attention {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Mask,
    scale: Option<f64>,
    softcap: Option<f64>,
    bias: Option<ScoreBias>,
}

/// `[a, b, c, d]` as `[a, c, b, d]`.
fn swapped((shape, values): &Tensor) -> Tensor {
    let [a, b, c, d] = shape[..] else { panic!("four extents") };
    let at = |i: usize, j: usize, l: usize| ((i * b + j) * c + l) * d;
    let rows = (0..a).flat_map(|i| (0..c).flat_map(move |l| (0..b).map(move |j| at(i, j, l))));
    (vec![a, c, b, d], rows.flat_map(|r| values[r..r + d].to_vec()).collect())
}

impl Attention {
    /// `[batch, heads, queries, head_dim]`.
    fn run(&self) -> Vec<f64> {
        let [(q_shape, q), (k_shape, k), (v_shape, v)] = [&self.q, &self.k, &self.v].map(swapped);
        let [batch, queries, heads, head_dim] = [0, 1, 2, 3].map(|i| q_shape[i] as u64);
        let [keys, kv_heads] = [1, 2].map(|i| k_shape[i] as u64);
        let value_dim = v_shape[3] as u64;
        let step = match self.mask {
            Mask::Cross => Step::chunked(batch, queries, 0).and_then(|s| s.with_source(keys)),
            _ => Step::chunked(batch, queries, keys - queries),
        };
        let step = step.expect("a step");
        let (mask, softcap, bias) = (self.mask, self.softcap, self.bias);
        let scale = self.scale.unwrap_or(1.0 / (head_dim as f64).sqrt());
        let pairs = step.pairs(mask) as usize;
        let scores = Scores { heads, kv_heads, head_dim, mask, scale, softcap, bias };
        let operands = [(&q[..], heads * head_dim), (&k[..], kv_heads * head_dim)];
        let s = eval(scores, &step, &operands, (pairs, heads));
        let softmax = Softmax { heads, mask, sinks: false };
        let p = eval(softmax, &step, &[(&s, heads)], (pairs, heads));
        let sum = WeightedSum { heads, kv_heads, head_dim: value_dim, mask, expanded: false };
        let operands = [(&p[..], heads), (&v[..], kv_heads * value_dim)];
        let rows = (batch * queries) as usize;
        let out = eval(sum, &step, &operands, (rows, heads * value_dim));
        swapped(&(vec![batch as usize, queries as usize, heads as usize, value_dim as usize], out))
            .1
    }
}

#[test]
fn attention_is_that_of_torch() {
    let cases = Cases::open("scaled_dot_product_attention");
    for case in cases.each() {
        let [q, k, v] = ["q", "k", "v"].map(|name| case.input(name).clone());
        let mask = match (case.note["causal"].as_bool(), case.note["window"].as_u64()) {
            (_, Some(window)) => Mask::Sliding { window },
            (Some(true), None) => Mask::Causal,
            _ => Mask::Cross,
        };
        let bias = case.note["alibi"].as_bool().unwrap_or(false).then_some(ScoreBias::Alibi);
        let attention =
            Attention { q, k, v, mask, scale: case.note["scale"].as_f64(), softcap: None, bias };
        case.assert_near(&attention.run(), case.output("out"), 1e-12);
    }
}

/// `past` and `new` one behind the other: `[batch, heads, past + new, head_dim]`.
fn appended(past: Option<&Tensor>, new: Tensor) -> Tensor {
    let Some((shape, before)) = past else { return new };
    let [a, b, c, d] = shape[..] else { panic!("four extents") };
    let more = new.0[2];
    let values = (0..a * b).flat_map(|i| {
        let [one, other] = [&before[i * c * d..][..c * d], &new.1[i * more * d..][..more * d]];
        [one, other].concat()
    });
    (vec![a, b, c + more, d], values.collect())
}

/// One of onnx's cases where its mask is one of the graph's, else `None`.
fn of_onnx(case: &Case<'_>) -> Option<Attention> {
    let inputs = case.note["inputs"].as_array().expect("inputs");
    let single = inputs.iter().all(|i| i.is_null() || i["type"] == "float32");
    if !single || case.find("inputs/attn_mask").is_some() || inputs.len() > 6 {
        return None;
    }
    let heads = |attribute: &str, (shape, values): &Tensor| match shape[..] {
        [batch, tokens, width] => {
            let heads = case.integer(attribute).expect("heads") as usize;
            swapped(&(vec![batch, tokens, heads, width / heads], values.clone()))
        }
        _ => (shape.clone(), values.clone()),
    };
    let q = heads("q_num_heads", case.input("Q"));
    let [k, v] = ["K", "V"].map(|name| heads("kv_num_heads", case.input(name)));
    let k = appended(case.find("inputs/past_key"), k);
    let v = appended(case.find("inputs/past_value"), v);
    let causal = case.integer("is_causal") == Some(1);
    let (left, right) = (case.integer("left_window_size"), case.integer("right_window_size"));
    let mask = match (causal, left, right) {
        (false, None, None) => Mask::Cross,
        (true, None, None) => Mask::Causal,
        (true, Some(left), _) | (false, Some(left), Some(0)) if left >= 0 => {
            Mask::Sliding { window: left as u64 + 1 }
        }
        _ => return None,
    };
    // Without a cache onnx's queries stand at the keys' beginning.
    let past = case.find("inputs/past_key").map_or(0, |(shape, _)| shape[2]);
    if mask != Mask::Cross && q.0[2] + past != k.0[2] {
        return None;
    }
    let softcap = case.number("softcap").filter(|&c| c > 0.0);
    Some(Attention { q, k, v, mask, scale: case.number("scale"), softcap, bias: None })
}

#[test]
fn attention_is_that_of_onnx() {
    let cases = Cases::open("Attention");
    let mut checked = 0;
    for case in cases.each() {
        let Some(attention) = of_onnx(&case) else { continue };
        let flat = case.input("Q").0.len() == 3;
        let (q, v) = (&attention.q.0, &attention.v.0);
        let found = (vec![q[0], q[1], q[2], v[3]], attention.run());
        let found = if flat { swapped(&found).1 } else { found.1 };
        case.assert_near(&found, case.output("Y"), 1e-5);
        checked += 1;
    }
    assert!(checked >= 20, "{checked} cases are of the graph's masks");
}

/// Cases that norm the last extent.
fn norms(operator: &str, kind: NormKind) -> usize {
    let cases = Cases::open(operator);
    let last = |c: &Case<'_>| {
        let axis = c.integer("axis").unwrap_or(-1);
        axis == -1 || axis == c.input("X").0.len() as i64 - 1
    };
    let mut checked = 0;
    for case in cases.each().filter(last) {
        let (shape, x) = case.input("X");
        let width = shape[shape.len() - 1] as u64;
        let rows = x.len() / width as usize;
        let bias = case.find("inputs/B");
        let norm = Norm {
            kind,
            rows: Dim::Tokens,
            groups: 1,
            width,
            epsilon: case.number("epsilon").unwrap_or(1e-5),
            unit_offset: false,
            bias: bias.is_some(),
            own_gain: false,
        };
        let mut operands = vec![(&x[..], width), (&case.input("W").1[..], width)];
        operands.extend(bias.map(|(_, b)| (&b[..], width)));
        let step = Step::prefill(1, rows as u64).expect("rows");
        case.assert_near(&eval(norm, &step, &operands, (rows, width)), case.output("Y"), 1e-5);
        checked += 1;
    }
    checked
}

#[test]
fn norms_are_those_of_onnx() {
    assert!(norms("RMSNormalization", NormKind::Rms) >= 7);
    assert!(norms("LayerNormalization", NormKind::Layer) >= 7);
}

#[test]
fn activations_are_those_of_onnx() {
    for operator in ["Gelu", "Relu", "Swish"] {
        let cases = Cases::open(operator);
        for case in cases.each() {
            let tanh = case.note["attributes"]["approximate"] == "tanh";
            let activation = match (operator, tanh) {
                ("Gelu", true) => Activation::GeluTanh,
                ("Gelu", false) => Activation::GeluErf,
                ("Relu", _) => Activation::Relu,
                _ => Activation::Silu,
            };
            let first = |side: &str| case.note[side][0]["name"].as_str().expect("a name");
            let (_, x) = case.input(first("inputs"));
            let found: Vec<f64> = x.iter().map(|&x| activation.apply(x)).collect();
            case.assert_near(&found, case.output(first("outputs")), 1e-5);
        }
    }
}
