//! Which storage each value of a graph takes under a scheme.

use crate::dtype::{Compute, Format, ModelFacts, Part, Scheme, Sparsity, Storage, Weight};
use crate::graph::{Graph, Kind, NodeId, Source};
use crate::op::Op;
use crate::tensor::{Dim, Role, WeightKind};
use crate::units::Bytes;

/// A scheme applied to a graph.
#[derive(Debug, Clone)]
pub struct Formats<'a> {
    graph: &'a Graph,
    scheme: &'a Scheme,
    facts: ModelFacts,
}

impl<'a> Formats<'a> {
    /// The storage of every value of `graph` under `scheme`.
    pub fn new(graph: &'a Graph, scheme: &'a Scheme) -> Self {
        Self::of_model(graph, scheme, facts(graph))
    }

    /// The same for a part of a model, whose rules ask for facts of the whole.
    pub(super) const fn of_model(graph: &'a Graph, scheme: &'a Scheme, facts: ModelFacts) -> Self {
        Self { graph, scheme, facts }
    }

    /// Storages of a value with the iterations of its region that have each: projections,
    /// activations that only projections read, and the KV cache follow the scheme; embedding, head,
    /// routers, norms, biases and other activations stay plain (A8). Under a GGUF mix every weight takes the
    /// type that the mix's rule gives to its layer (A20).
    pub fn storages(&self, value: NodeId) -> Vec<(Storage, u64)> {
        let count = self.graph.region(value).count;
        let one = |storage| vec![(storage, count)];
        match self.graph.node(value).ty.role {
            Role::Weight(kind) => self.weight(value, kind),
            Role::KvCache { .. } => one(self.scheme.kv),
            Role::TokenIds => one(Storage::plain(Format::Int32)),
            Role::Activation if self.head_dim(value).is_some() => one(self.scheme.kv),
            Role::Activation => one(self.activation(value)),
        }
    }

    /// The scheme of a projection: the last override that is for its weights, else the scheme.
    pub fn scheme_of(&self, projection: NodeId) -> &'a Scheme {
        let is_weight =
            |o: &NodeId| self.graph.node(*o).ty.role == Role::Weight(WeightKind::Projection);
        let weight = self.graph.operands(projection).into_iter().find(is_weight);
        weight.map_or(self.scheme, |weight| self.scheme_of_weight(weight))
    }

    fn scheme_of_weight(&self, weight: NodeId) -> &'a Scheme {
        let (node, region) = (self.graph.node(weight), self.graph.region(weight));
        let layer = region.carry.map(|_| region.first_layer + node.layer);
        self.scheme.of_tensor(&node.name, true, layer, self.facts.layers)
    }

    /// What only projections read, all in the same format, has that format.
    fn activation(&self, value: NodeId) -> Storage {
        // What is sent to other devices is stored as it is read there.
        let behind = |r| if self.is_sent(r) { self.graph.readers(r) } else { vec![r] };
        let readers: Vec<NodeId> = self.graph.readers(value).into_iter().flat_map(behind).collect();
        let feeds_projections_only =
            !readers.is_empty() && readers.iter().all(|&r| self.graph.is_projection(r));
        if !feeds_projections_only {
            return self.scheme.plain;
        }
        let mut wanted = readers.into_iter().map(|r| self.scheme_of(r).activations);
        let first = wanted.next().filter(|first| wanted.all(|other| other == *first));
        first.unwrap_or(self.scheme.plain)
    }

    fn weight(&self, value: NodeId, kind: WeightKind) -> Vec<(Storage, u64)> {
        let (node, region) = (self.graph.node(value), self.graph.region(value));
        let alike = self.scheme.mix.is_none() && self.scheme.overrides().is_empty();
        if alike || region.carry.is_none() {
            return vec![(self.weight_in(value, kind, None), region.count)];
        }
        let mut found: Vec<(Storage, u64)> = vec![];
        for iteration in 0..region.count {
            let layer = region.first_layer + iteration * region.layers + node.layer;
            let storage = self.weight_in(value, kind, Some(layer));
            match found.iter_mut().find(|(other, _)| *other == storage) {
                Some((_, count)) => *count += 1,
                None => found.push((storage, 1)),
            }
        }
        found
    }

    fn weight_in(&self, value: NodeId, kind: WeightKind, layer: Option<u64>) -> Storage {
        let node = self.graph.node(value);
        let weight = Weight {
            name: &node.name,
            part: part(kind, &node.name),
            columns: node.ty.width,
            layer,
            model: self.facts,
        };
        let projection = kind == WeightKind::Projection && self.is_quantized(value);
        self.scheme.weight(&weight, projection)
    }

    /// The storage of a weight in one layer, `None` outside of layers; `None` for what is no weight, or
    /// no matrix that a scheme can quantize (A8).
    pub fn matrix_in(&self, value: NodeId, layer: Option<u64>) -> Option<Storage> {
        match self.graph.node(value).ty.role {
            Role::Weight(kind) if is_matrix(kind) => Some(self.weight_in(value, kind, layer)),
            _ => None,
        }
    }

    /// The mean over the iterations of a value's region.
    fn mean(&self, value: NodeId, of: impl Fn(&Storage) -> f64) -> f64 {
        let storages = self.storages(value);
        if let [(storage, _)] = storages.as_slice() {
            return of(storage);
        }
        let sum: f64 = storages.iter().map(|(s, n)| of(s) * *n as f64).sum();
        sum / self.graph.region(value).count as f64
    }

    /// Exact mean bits of one element of a value, with its share of scales and zero points; over
    /// the layers of a repeated region where they differ (A20).
    pub fn bits_per_element(&self, value: NodeId) -> f64 {
        let ty = self.graph.node(value).ty;
        self.mean(value, |storage| match (self.head_dim(value), ty.rows) {
            (Some(head_dim), _) => storage.bits_per_element(head_dim),
            (_, Dim::Fixed(rows)) => storage.total_bits(rows, ty.width) / (rows * ty.width) as f64,
            _ => storage.bits_per_element(ty.width),
        })
    }

    /// What an operator's matrix work is computed in.
    pub fn compute(&self, node: NodeId) -> Compute {
        if self.is_projection(node) { self.scheme_of(node).projection } else { self.scheme.high }
    }

    /// Whether an operator multiplies by weights that are 2:4 sparse.
    pub fn is_two_of_four(&self, node: NodeId) -> bool {
        let sparse = |storage: &Storage| match storage {
            Storage::Sparse(sparse) => sparse.kept == Sparsity::TwoOfFour,
            _ => false,
        };
        let weights = |o: &NodeId| self.storages(*o).iter().any(|(storage, _)| sparse(storage));
        matches!(self.graph.op(node), Some(Op::MatMul(_) | Op::GroupedMatMul(_)))
            && self.graph.operands(node).iter().any(weights)
    }

    /// Vector operations to turn one stored element of `value` into an operand of `node`; none
    /// where the engine takes the stored format as it is (A10).
    pub fn read_conversion(&self, value: NodeId, node: NodeId) -> f64 {
        if self.passes_on(value, node) {
            return 0.0;
        }
        let compute = self.compute(node);
        self.mean(value, |storage| {
            let native = storage.element().is_some_and(|f| compute == Compute::Exact(f));
            if native { 0.0 } else { storage.conversion_ops() }
        })
    }

    /// Vector operations per element of the result of `node`: quantizing what is stored with
    /// scales, unless that is what the operator does, and rescaling the accumulators of a product of
    /// scaled operands (one multiplication for the row's scale, one for the column's).
    pub fn write_conversion(&self, node: NodeId) -> f64 {
        let passed_on =
            || self.graph.operands(node).first().is_some_and(|o| self.passes_on(*o, node));
        if matches!(self.graph.op(node), Some(Op::Quantize(_))) || passed_on() {
            return 0.0;
        }
        let scaled = self.is_projection(node) && self.scheme_of(node).quantizes_activations();
        self.mean(node, Storage::conversion_ops) + if scaled { 2.0 } else { 0.0 }
    }

    /// Elements of a head, of keys and values as they are kept, also where they were gathered.
    fn head_dim(&self, value: NodeId) -> Option<u64> {
        match (self.graph.node(value).ty.role, self.graph.op(value)) {
            (Role::KvCache { head_dim, .. }, _) => Some(head_dim),
            (_, Some(Op::GatherKeys(gather))) => Some(gather.head_dim),
            _ => None,
        }
    }

    /// Whether a node sends what it reads to other devices.
    fn is_sent(&self, node: NodeId) -> bool {
        matches!(self.graph.op(node), Some(Op::Dispatch(_) | Op::GatherKeys(_)))
    }

    /// Whether a node sends a value to other devices as it is stored.
    fn passes_on(&self, value: NodeId, node: NodeId) -> bool {
        self.is_sent(node) && self.storages(value) == self.storages(node)
    }

    fn is_projection(&self, node: NodeId) -> bool {
        let weight =
            |o: &NodeId| self.graph.node(*o).ty.role == Role::Weight(WeightKind::Projection);
        matches!(self.graph.node(node).kind, Kind::Apply(_))
            && self.graph.operands(node).iter().any(|o| weight(o) && self.is_quantized(*o))
    }

    /// Whether the scheme's formats are meant for this projection's weight.
    fn is_quantized(&self, weight: NodeId) -> bool {
        let routed = |reader: &NodeId| matches!(self.graph.op(*reader), Some(Op::GroupedMatMul(_)));
        !self.scheme_of_weight(weight).experts_only || self.graph.readers(weight).iter().any(routed)
    }
}

/// Whether weights of a kind can be quantized: not vectors, positions or routers (A8, A35).
pub(super) const fn is_matrix(kind: WeightKind) -> bool {
    matches!(kind, WeightKind::Embedding | WeightKind::Head | WeightKind::Projection)
}

/// What a mix's rule calls a weight.
fn part(kind: WeightKind, name: &str) -> Part {
    let name = name.strip_suffix(".weight").unwrap_or(name);
    match kind {
        WeightKind::Embedding => Part::Embedding,
        WeightKind::Head => Part::Output,
        WeightKind::Projection => match name.rsplit('.').next() {
            Some("q") => Part::Query,
            Some("k") => Part::Key,
            Some("v") => Part::Value,
            Some("out") => Part::AttentionOut,
            Some("down") => Part::Down,
            _ => Part::Matrix,
        },
        _ => Part::Vector,
    }
}

/// What the rules of mixes and overrides ask of a model.
pub(super) fn facts(graph: &Graph) -> ModelFacts {
    let groups = graph.nodes().find_map(|(id, _)| match graph.op(id) {
        Some(Op::Scores(scores)) => Some(scores.heads / scores.kv_heads.max(1)),
        _ => None,
    });
    let experts = graph.nodes().find_map(|(id, _)| match graph.op(id) {
        Some(Op::GroupedMatMul(product)) => Some(product.choices.held.of),
        _ => None,
    });
    let head = graph.nodes().any(|(_, n)| n.ty.role == Role::Weight(WeightKind::Head));
    ModelFacts {
        layers: graph.layers(),
        gqa: groups.unwrap_or(1),
        experts: experts.unwrap_or(0),
        tied: !head,
    }
}

/// Exact bytes of a model's weights, by type and over all tensors, without a file's metadata.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FileSize {
    /// Name of the type, parameters, bytes; in order of appearance.
    pub types: Vec<(String, u64, Bytes)>,
}

impl FileSize {
    /// The weights of a graph under a scheme, tied tensors once.
    pub fn new(graph: &Graph, scheme: &Scheme) -> Self {
        let formats = Formats::new(graph, scheme);
        let mut size = Self::default();
        for (id, node) in graph.nodes() {
            let (Kind::Source(Source::Weight), Dim::Fixed(rows)) = (&node.kind, node.ty.rows)
            else {
                continue;
            };
            for (storage, count) in formats.storages(id) {
                let bits = storage.total_bits(rows, node.ty.width) * count as f64;
                size.add(storage.to_string(), rows * node.ty.width * count, bits / 8.0);
            }
        }
        size
    }

    fn add(&mut self, name: String, parameters: u64, bytes: f64) {
        match self.types.iter_mut().find(|(other, ..)| *other == name) {
            Some((_, n, sum)) => {
                *n += parameters;
                *sum += Bytes::new(bytes);
            }
            None => self.types.push((name, parameters, Bytes::new(bytes))),
        }
    }

    /// Bytes of all tensors.
    pub fn total(&self) -> Bytes {
        Bytes::new(self.types.iter().map(|(.., bytes)| bytes.get()).sum())
    }

    /// Bits per parameter.
    pub fn bits_per_weight(&self) -> f64 {
        let parameters: u64 = self.types.iter().map(|(_, n, _)| n).sum();
        8.0 * self.total().get() / parameters as f64
    }
}
