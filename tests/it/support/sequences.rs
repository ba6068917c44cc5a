//! Driving the executor like a server would: sequences with tokens and a cache of their own,
//! packed into steps.

use cosim::exec::{Values, run};
use cosim::graph::Graph;
use cosim::op::scalar::Scalar;
use cosim::tensor::{Group, Role, Step, TensorName, TensorSource, TensorType};
use std::collections::BTreeMap;

/// Keys and values by layer and name of the node that makes them.
pub type Cache = BTreeMap<(Option<u64>, String), Vec<f64>>;

/// Weights drawn from a seed, by layer and name; the cache and the tokens as given.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    pub seed: u64,
    pub tokens: Vec<u64>,
    /// Where nothing is given for a name, cached rows are drawn like weights.
    pub cache: Cache,
    /// What a stage of a pipeline receives.
    pub received: Option<Vec<f64>>,
}

impl<S: Scalar> TensorSource<S> for Inputs {
    fn tensor(&self, name: TensorName<'_>, ty: &TensorType, rows: usize) -> Vec<S> {
        let elements = rows * ty.width as usize;
        let given: Option<Vec<f64>> = match ty.role {
            Role::TokenIds => Some(self.tokens.iter().map(|&t| t as f64).collect()),
            Role::KvCache { .. } => {
                let node =
                    name.name.strip_suffix(".past").expect("a cache is named after its node");
                self.cache.get(&(name.layer, node.to_owned())).cloned()
            }
            Role::Activation if name.name == "stage.x" => self.received.clone(),
            Role::Weight(_) | Role::Activation => None,
        };
        let values = given.unwrap_or_else(|| self.drawn(name, elements));
        assert_eq!(values.len(), elements, "{name:?}");
        values.into_iter().map(S::constant).collect()
    }
}

impl Inputs {
    /// Uniform numbers in [-1, 1) that depend on seed, layer, name and place alone.
    fn drawn(&self, name: TensorName<'_>, elements: usize) -> Vec<f64> {
        let layer = name.layer.map_or(0, |l| l + 1);
        let bytes = name.name.bytes().map(u64::from).chain([layer]);
        let start = bytes.fold(self.seed, |h, b| mix(h ^ b));
        (0..elements as u64).map(|i| mix(start ^ i) as f64 / 2f64.powi(63) - 1.0).collect()
    }
}

/// SplitMix64.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One sequence: its tokens, and the cache of those that were processed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sequence {
    pub tokens: Vec<u64>,
    pub past: usize,
    /// Positions that an encoder kept.
    pub source: usize,
    pub cache: Cache,
}

impl Sequence {
    /// Unprocessed tokens drawn from a seed.
    pub fn new(seed: u64, length: usize, vocabulary: u64) -> Self {
        let tokens = (0..length as u64).map(|i| mix(seed ^ mix(i)) % vocabulary).collect();
        Self { tokens, ..Self::default() }
    }
}

/// What runs a step on packed inputs.
pub type Run<'a> = &'a dyn Fn(&Step, &Inputs) -> Values<f64>;

/// Runs a graph as it is; the logits are kept.
pub fn plain(graph: &Graph) -> impl Fn(&Step, &Inputs) -> Values<f64> + '_ {
    |step, inputs| run(graph, step, inputs, &|name| name == LOGITS)
}

/// Node whose values the tests compare.
pub const LOGITS: &str = "head.logits";

/// The step of one group per sequence, with `new[i]` tokens of sequence `i`.
pub fn packed(sequences: &[Sequence], new: &[usize]) -> Step {
    let groups = sequences.iter().zip(new).map(|(s, &new)| Group {
        count: 1,
        new: new as u64,
        past: s.past as u64,
        source: s.source as u64,
    });
    Step::mixed(groups).expect("valid")
}

/// Runs an encode graph over the inputs of the sequences; each keeps its own rows of keys and values.
pub fn encode(graph: &Graph, seed: u64, sources: &[Vec<u64>], sequences: &mut [Sequence]) {
    let groups = sources.iter().map(|s| Group {
        count: 1,
        new: s.len() as u64,
        past: 0,
        source: s.len() as u64,
    });
    let step = Step::mixed(groups).expect("valid");
    let inputs = Inputs { seed, tokens: sources.concat(), ..Inputs::default() };
    let values = run::<f64>(graph, &step, &inputs, &|_| false);
    for (name, packed) in values.kept {
        let width = packed.len() / step.source() as usize;
        for (sequence, place) in sequences.iter_mut().zip(step.sequences()) {
            let rows = place.first_source..place.first_source + place.source;
            let own = packed[rows.start * width..rows.end * width].to_vec();
            sequence.cache.insert(name.clone(), own);
            sequence.source = place.source;
        }
    }
}

/// Processes the step's tokens of each sequence and appends to its cache; all logits, row by row.
pub fn advance(run: Run<'_>, seed: u64, step: &Step, sequences: &mut [Sequence]) -> Vec<f64> {
    let mut inputs = Inputs { seed, ..Inputs::default() };
    for (sequence, place) in sequences.iter().zip(step.sequences()) {
        assert_eq!(sequence.past, place.past);
        inputs.tokens.extend(&sequence.tokens[place.past..place.past + place.new]);
        for (name, rows) in &sequence.cache {
            inputs.cache.entry(name.clone()).or_default().extend(rows);
        }
    }
    let mut values = run(step, &inputs);
    let logits = values.kept.remove(&(None, LOGITS.to_owned())).expect("kept");
    for (name, packed) in values.kept {
        let width = packed.len() / step.context() as usize;
        for (sequence, place) in sequences.iter_mut().zip(step.sequences()) {
            let rows = place.first_context..place.first_context + place.past + place.new;
            let own = packed[rows.start * width..rows.end * width].to_vec();
            sequence.cache.insert(name.clone(), own);
            sequence.past = place.past + place.new;
        }
    }
    logits
}
