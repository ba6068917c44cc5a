//! Scales moved from activations into weights, so that the model computes the same.
//!
//! Where `x` feeds products `x W^T`, channel `j` of `x` may be divided by `s_j` if column `j` of every `W` is
//! multiplied by it. The division goes into what makes `x`; which node can take it is read from the graph.

use super::QuantizeError;
use super::calibrations::{Key, input_of, layers, weight_of};
use crate::graph::{Graph, Kind, NodeId, Source};
use crate::op::scalar::Scalar;
use crate::op::{Activation, Op};
use crate::tensor::{Role, TensorName, TensorSource, TensorType, WeightKind};
use std::collections::{BTreeMap, BTreeSet};

/// What takes the inverse scales of an activation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absorber {
    /// A norm: its gain `w`, or `1 + w`, and its bias.
    Norm {
        /// Name of the gain.
        gain: String,
        /// Whether the gain is `1 + w`.
        unit_offset: bool,
        /// Name of the bias.
        bias: Option<String>,
    },
    /// The rows of a projection that the activation is linear in: `up` of a gated network, `v` of attention,
    /// `up` before ReLU. Weights of experts lie one behind the other.
    Rows {
        /// Name of the weight.
        weight: String,
        /// Names of its biases.
        biases: Vec<String>,
    },
}

/// An activation whose channels can be scaled, in one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Layer; `None` outside of layers.
    pub layer: Option<u64>,
    /// Name of the activation.
    pub activation: String,
    /// Names of the weights whose columns are multiplied.
    pub readers: Vec<String>,
    /// What is divided.
    pub absorber: Absorber,
    /// Of each channel of the activation (K), which channel of the absorber it is made of: several where query
    /// heads share a value head.
    pub channels: Vec<usize>,
}

impl Site {
    /// Gives channels of the activation that share a channel of the absorber the same scale: their geometric mean.
    pub fn merge(&self, scales: &mut [f64]) {
        let count = self.channels.iter().max().map_or(0, |&last| last + 1);
        let mut sums = vec![(0.0, 0.0); count];
        for (&channel, s) in self.channels.iter().zip(scales.iter()) {
            sums[channel].0 += s.ln();
            sums[channel].1 += 1.0;
        }
        let shared = self.channels.len() > count;
        for (&channel, s) in self.channels.iter().zip(scales).filter(|_| shared) {
            *s = (sums[channel].0 / sums[channel].1).exp();
        }
    }
}

/// Every activation of a graph whose channels can be scaled (A103).
///
/// A norm takes the scales in its gain, if projections and routers alone read its result; a gated product in the
/// rows of `up`; attention in the rows of `v`; ReLU in the rows before it. Weights that have other readers, a tied
/// head for instance, leave a site out, as does a limit on `up`.
pub fn sites(graph: &Graph) -> Vec<Site> {
    let products = graph.nodes().filter(|(id, _)| weight_of(graph, *id).is_some());
    let values: BTreeSet<NodeId> = products.filter_map(|(id, _)| input_of(graph, id)).collect();
    values.into_iter().flat_map(|value| of_value(graph, value).unwrap_or_default()).collect()
}

/// The sites of a value, one for each of its layers.
fn of_value(graph: &Graph, value: NodeId) -> Option<Vec<Site>> {
    if graph.outputs().contains(&value) {
        return None;
    }
    let width = graph.node(value).ty.width as usize;
    let mut direct: Vec<NodeId> = vec![];
    for reader in graph.readers(value) {
        match graph.op(reader) {
            Some(Op::Quantize(_)) => direct.extend(graph.readers(reader)),
            _ => direct.push(reader),
        }
    }
    let mut readers: Vec<NodeId> = vec![];
    for product in direct {
        // The value is what the product multiplies, not its routes or its bias.
        let once = graph.operands(product).iter().filter(|o| **o == value).count() <= 1;
        let fits = once && input_of(graph, product) == Some(value);
        let weight = weight_of(graph, product).filter(|w| fits && own(graph, *w, product))?;
        readers.push(weight);
    }
    let (absorber, touched, channels) = absorber(graph, value, width)?;
    let together = |id: &NodeId| {
        let (a, b) = (graph.node(*id), graph.node(value));
        (a.region, a.layer) == (b.region, b.layer)
    };
    if !readers.iter().chain(&touched).all(together) {
        return None;
    }
    let names: Vec<String> = readers.iter().map(|r| graph.node(*r).name.clone()).collect();
    let site = |layer| Site {
        layer,
        activation: graph.node(value).name.clone(),
        readers: names.clone(),
        absorber: absorber.clone(),
        channels: channels.clone(),
    };
    Some(layers(graph, value).into_iter().map(site).collect())
}

/// Whether a weight has one reader.
fn own(graph: &Graph, weight: NodeId, reader: NodeId) -> bool {
    graph.readers(weight) == [reader]
}

type Found = (Absorber, Vec<NodeId>, Vec<usize>);

/// What can divide the channels of a value, the weights that it changes, and their channels.
fn absorber(graph: &Graph, value: NodeId, width: usize) -> Option<Found> {
    let operands = graph.operands(value);
    let identity = || (0..width).collect();
    let rows = |from: NodeId, channels: Vec<usize>| {
        let (absorber, touched) = projection(graph, from, &[value])?;
        Some((absorber, touched, channels))
    };
    match graph.op(value)? {
        Op::Norm(norm) if norm.groups == 1 => {
            let weights = operands[1..].to_vec();
            let owned = weights.iter().all(|w| is_weight(graph, *w) && own(graph, *w, value));
            let name = |i: usize| operands.get(i).map(|w| graph.node(*w).name.clone());
            let (gain, unit_offset, bias) = (name(1)?, norm.unit_offset, name(2));
            let absorber = Absorber::Norm { gain, unit_offset, bias };
            owned.then(|| (absorber, weights, identity()))
        }
        Op::Gate(gate) if gate.limit.is_none() => rows(operands[1], identity()),
        Op::Activate(op) if op.function == Activation::Relu => rows(operands[0], identity()),
        Op::WeightedSum(sum) => {
            let values = operands[1];
            let (from, reader) = match graph.op(values) {
                Some(Op::KvAppend(_)) => (graph.operands(values)[0], values),
                _ => (values, value),
            };
            if reader == values && graph.readers(values) != [value] {
                return None;
            }
            let (shared, head_dim) = (sum.heads / sum.kv_heads.max(1), sum.head_dim as usize);
            let channel = |c: usize| (c / head_dim) / shared as usize * head_dim + c % head_dim;
            let (absorber, touched) = projection(graph, from, &[reader])?;
            Some((absorber, touched, (0..width).map(channel).collect()))
        }
        _ => None,
    }
}

/// The projection that makes a value, if nothing but `readers` reads it; through the bias of experts.
fn projection(graph: &Graph, value: NodeId, readers: &[NodeId]) -> Option<(Absorber, Vec<NodeId>)> {
    if graph.readers(value) != readers {
        return None;
    }
    let operands = graph.operands(value);
    let mut biases = vec![];
    let product = match graph.op(value)? {
        Op::ExpertBias(_) => {
            biases.extend(operands.last().copied().filter(|b| own(graph, *b, value)));
            let product = operands[0];
            if biases.is_empty() || graph.readers(product) != [value] {
                return None;
            }
            product
        }
        Op::MatMul(product) if product.bias => {
            biases.extend(operands.last().copied().filter(|b| own(graph, *b, value)));
            if biases.is_empty() {
                return None;
            }
            value
        }
        _ => value,
    };
    let weight = weight_of(graph, product).filter(|w| own(graph, *w, product))?;
    let name = |id: &NodeId| graph.node(*id).name.clone();
    let absorber =
        Absorber::Rows { weight: name(&weight), biases: biases.iter().map(name).collect() };
    Some((absorber, [vec![weight], biases].concat()))
}

fn is_weight(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).kind, Kind::Source(Source::Weight))
}

/// What scaling does to one tensor.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    /// Column `j` times `s[j]`.
    Columns(Vec<f64>),
    /// Element `i` of a column of biases or of gains, or row `i`, by `s[i mod n]`.
    Rows(Vec<f64>),
    /// `1 + w` by `s`.
    UnitOffset(Vec<f64>),
}

/// Scales of sites, as what they do to each weight of a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fold {
    changes: BTreeMap<Key, Vec<Change>>,
}

impl Fold {
    /// Takes the scales `s: [K]` of a site, above zero; channels that share one of the absorber must agree, see
    /// [`Site::merge`].
    ///
    /// # Errors
    /// Another number of scales than channels.
    pub fn insert(&mut self, site: &Site, scales: &[f64]) -> Result<(), QuantizeError> {
        let (expected, found) = (site.channels.len(), scales.len());
        if expected != found {
            return Err(QuantizeError::Channels { expected, found });
        }
        let count = site.channels.iter().max().map_or(0, |&last| last + 1);
        let mut inner = vec![1.0; count];
        site.channels.iter().zip(scales).for_each(|(&c, s)| inner[c] = *s);
        let mut change = |name: &str, change: Change| {
            self.changes.entry((site.layer, name.to_owned())).or_default().push(change);
        };
        for reader in &site.readers {
            change(reader, Change::Columns(scales.to_vec()));
        }
        match &site.absorber {
            Absorber::Norm { gain, unit_offset, bias } => {
                let make = if *unit_offset { Change::UnitOffset } else { Change::Rows };
                change(gain, make(inner.clone()));
                bias.iter().for_each(|b| change(b, Change::Rows(inner.clone())));
            }
            Absorber::Rows { weight, biases } => {
                change(weight, Change::Rows(inner.clone()));
                biases.iter().for_each(|b| change(b, Change::Rows(inner.clone())));
            }
        }
        Ok(())
    }

    /// By what the columns of a weight are multiplied in all; `None` where they are not.
    pub fn columns(&self, name: TensorName<'_>) -> Option<Vec<f64>> {
        let changes = self.changes.get(&(name.layer, name.name.to_owned()))?;
        let scales = changes.iter().filter_map(|change| match change {
            Change::Columns(scales) => Some(scales.clone()),
            Change::Rows(_) | Change::UnitOffset(_) => None,
        });
        scales.reduce(|a, b| a.iter().zip(&b).map(|(a, b)| a * b).collect())
    }

    /// Whether a tensor stays as it is.
    pub fn leaves(&self, name: TensorName<'_>) -> bool {
        !self.changes.contains_key(&(name.layer, name.name.to_owned()))
    }

    /// Scales the values of a tensor, whole and row-major; others stay as they are.
    pub fn apply<S: Scalar>(&self, name: TensorName<'_>, ty: &TensorType, values: &mut [S]) {
        let Some(changes) = self.changes.get(&(name.layer, name.name.to_owned())) else { return };
        let width = (ty.width as usize).max(1);
        let vector = is_vector(ty);
        for change in changes {
            match change {
                Change::Columns(scales) => {
                    let each = values.iter_mut().zip(scales.iter().cycle());
                    each.for_each(|(w, s)| *w = S::constant(w.value() * s));
                }
                Change::Rows(scales) if vector => {
                    let each = values.iter_mut().zip(scales.iter().cycle());
                    each.for_each(|(w, s)| *w = S::constant(w.value() / s));
                }
                Change::Rows(scales) => {
                    for (row, s) in values.chunks_mut(width).zip(scales.iter().cycle()) {
                        row.iter_mut().for_each(|w| *w = S::constant(w.value() / s));
                    }
                }
                Change::UnitOffset(scales) => {
                    let each = values.iter_mut().zip(scales.iter().cycle());
                    each.for_each(|(w, s)| *w = S::constant((1.0 + w.value()) / s - 1.0));
                }
            }
        }
    }
}

/// Whether the elements of a row are outputs: gains and biases.
fn is_vector(ty: &TensorType) -> bool {
    matches!(ty.role, Role::Weight(WeightKind::Norm | WeightKind::Bias))
}

/// A source whose weights are scaled. The cached values of a run are those of a run with the same scales.
pub struct Folded<'a, S> {
    /// Weights and inputs as they were.
    pub source: &'a dyn TensorSource<S>,
    /// The scales.
    pub fold: &'a Fold,
}

impl<S: Scalar> TensorSource<S> for Folded<'_, S> {
    fn tensor(&self, name: TensorName<'_>, ty: &TensorType, rows: usize) -> Vec<S> {
        let mut values = self.source.tensor(name, ty, rows);
        self.fold.apply(name, ty, &mut values);
        values
    }
}
