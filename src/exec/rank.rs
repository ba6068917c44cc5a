//! One rank of a run: its values so far.

use super::kernels::Applied;
use super::{Manner, Values};
use crate::graph::{Graph, Kind, NodeId, Share};
use crate::op::scalar::Scalar;
use crate::op::split::{Cut, Layout};
use crate::op::{Op, Operand, Target};
use crate::tensor::{Dim, Role, Step, TensorName, TensorSource};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) struct RankRun<'a, S> {
    graph: &'a Graph,
    step: &'a Step,
    source: &'a dyn TensorSource<S>,
    manner: Manner<'a, S>,
    values: BTreeMap<NodeId, Arc<Vec<S>>>,
    kept: BTreeMap<(Option<u64>, String), Arc<Vec<S>>>,
}

impl<'a, S: Scalar> RankRun<'a, S> {
    pub(super) fn new(
        graph: &'a Graph,
        step: &'a Step,
        source: &'a dyn TensorSource<S>,
        manner: Manner<'a, S>,
    ) -> Self {
        Self { graph, step, source, manner, values: BTreeMap::new(), kept: BTreeMap::new() }
    }

    /// How often this rank runs the region of a node.
    pub(super) fn count(&self, id: NodeId) -> u64 {
        self.graph.region(id).count
    }

    /// Evaluates a node on this rank alone.
    pub(super) fn node(&mut self, id: NodeId, iteration: u64) {
        let value = match &self.graph.node(id).kind {
            Kind::Source(_) => self.scattered(id, self.given(id, iteration)),
            Kind::Carry => self.carried(id, iteration),
            Kind::Apply(_) if self.manner.kernels.skips(self.graph, id) => return,
            Kind::Apply(op) => Arc::new(self.apply(id, iteration, op)),
        };
        self.values.insert(id, value);
    }

    /// Keeps a value that was asked for, and the cache.
    pub(super) fn keep(&mut self, id: NodeId, iteration: u64, keep: &dyn Fn(&str) -> bool) {
        let node = self.graph.node(id);
        let is_cache =
            matches!(node.kind, Kind::Apply(_)) && matches!(node.ty.role, Role::KvCache { .. });
        if (is_cache || keep(&node.name)) && self.values.contains_key(&id) {
            let layer = self.layer(id, iteration);
            self.kept.insert((layer, node.name.clone()), self.gathered(id));
        }
    }

    /// Forgets values that nobody reads any more.
    pub(super) fn release(&mut self, values: &[NodeId]) {
        for id in values {
            self.values.remove(id);
        }
    }

    pub(super) fn values(mut self) -> Values<S> {
        let outputs: Vec<Arc<Vec<S>>> =
            self.graph.outputs().iter().filter_map(|o| self.values.remove(o)).collect();
        // Nobody else holds a value now, unless it is also kept: nothing is copied.
        self.values.clear();
        let outputs = outputs.into_iter().map(Arc::unwrap_or_clone).collect();
        let kept = self.kept.into_iter().map(|(k, v)| (k, Arc::unwrap_or_clone(v))).collect();
        Values { outputs, kept }
    }

    fn layer(&self, id: NodeId, iteration: u64) -> Option<u64> {
        let region = self.graph.region(id);
        let layer = || region.first_layer + iteration * region.layers + self.graph.node(id).layer;
        region.carry.map(|_| layer())
    }

    /// Where the rows of a value lie in the pool of a paged cache.
    fn places(&self, id: NodeId) -> Option<(&'a [usize], usize)> {
        let paged = self.manner.paged?;
        Some((paged.of(&self.graph.node(id).ty)?, paged.pool()))
    }

    /// The rows of a cache in the pool; any other value as it is.
    fn scattered(&self, id: NodeId, rows: Arc<Vec<S>>) -> Arc<Vec<S>> {
        let Some((places, pool)) = self.places(id) else { return rows };
        let width = self.graph.node(id).ty.width as usize;
        let mut all = vec![S::constant(0.0); pool * width];
        for (row, &place) in rows.chunks(width).zip(places) {
            all[place * width..(place + 1) * width].copy_from_slice(row);
        }
        Arc::new(all)
    }

    /// The rows of a cache in the order of tokens; any other value as it is.
    fn gathered(&self, id: NodeId) -> Arc<Vec<S>> {
        let value = &self.values[&id];
        let Some((places, _)) = self.places(id) else { return value.clone() };
        let width = self.graph.node(id).ty.width as usize;
        let row = |place: &usize| value[place * width..(place + 1) * width].iter().copied();
        Arc::new(places.iter().flat_map(row).collect())
    }

    fn given(&self, id: NodeId, iteration: u64) -> Arc<Vec<S>> {
        let node = self.graph.node(id);
        let name = TensorName { layer: self.layer(id, iteration), name: &node.name };
        let mut ty = node.ty;
        let Some(share) = node.share else {
            return self.source.shared(name, &ty, ty.rows.extent(self.step) as usize);
        };
        match share.layout {
            Layout::Columns { .. } => ty.width = share.whole,
            Layout::Rows { .. } => ty.rows = Dim::Fixed(share.whole),
            Layout::Experts { cut: Cut::Columns, groups, .. } => {
                ty.width = share.whole;
                ty.rows = Dim::Fixed(ty.rows.extent(self.step) as u64 * groups);
            }
            Layout::Experts { .. } => ty.rows = Dim::Fixed(share.whole),
            Layout::Whole | Layout::Tokens | Layout::Partial | Layout::First => {}
        }
        let whole = self.source.shared(name, &ty, ty.rows.extent(self.step) as usize);
        Arc::new(cut(&whole, ty.width as usize, &share, node.ty.elements(self.step) as usize))
    }

    /// The outside value in the first iteration, then the body's result of the one before.
    fn carried(&self, id: NodeId, iteration: u64) -> Arc<Vec<S>> {
        let outside = self.graph.operands(id)[0];
        let from = match self.graph.region(id).carry {
            Some(carry) if iteration > 0 => carry.back,
            _ => outside,
        };
        self.values[&from].clone()
    }

    fn view(&self, id: NodeId) -> Operand<'_, S> {
        let view = Operand::new(&self.values[&id], self.graph.node(id).ty.width as usize);
        self.places(id).map_or(view, |(places, _)| view.placed(places))
    }

    fn apply(&self, id: NodeId, iteration: u64, op: &Op) -> Vec<S> {
        let kernels = self.manner.kernels;
        let reads = kernels.reads(self.graph, id);
        let views: Vec<Operand<'_, S>> = reads.iter().map(|&o| self.view(o)).collect();
        let (ty, places) = (self.graph.node(id).ty, self.places(id));
        let width = ty.width as usize;
        let elements = places.map_or(ty.elements(self.step) as usize, |(_, pool)| pool * width);
        // What nobody writes is empty.
        let mut out = vec![S::constant(f64::NAN); elements];
        let target = Target::new(&mut out, width);
        let mut target = match places {
            Some((places, _)) => target.placed(places),
            None => target,
        };
        let layer = self.layer(id, iteration);
        let (graph, step) = (self.graph, self.step);
        let applied = Applied { graph, id, layer, op, step, operands: &views };
        if !kernels.apply(&applied, &mut target) {
            op.eval(self.step, &views, &mut target);
        }
        kernels.settle(self.graph, id, &mut out);
        out
    }
}

/// Evaluates a collective of a group: the ranks' values one behind the other go in, and come out so.
pub(super) fn meet<S: Scalar>(ranks: &mut [RankRun<'_, S>], group: &[usize], id: NodeId) {
    let Some(&first) = group.first() else { return };
    let graph = ranks[first].graph;
    let Some(op) = graph.op(id) else { return };
    let stacked: Vec<(Vec<S>, usize)> = graph
        .operands(id)
        .into_iter()
        .map(|o| {
            let all = group.iter().flat_map(|&r| ranks[r].values[&o].iter().copied()).collect();
            (all, graph.node(o).ty.width as usize)
        })
        .collect();
    let views: Vec<Operand<'_, S>> = stacked.iter().map(|(v, w)| Operand::new(v, *w)).collect();
    let (ty, step) = (graph.node(id).ty, ranks[first].step);
    let each = ty.elements(step) as usize;
    let mut out = vec![S::constant(f64::NAN); each * group.len()];
    op.eval(step, &views, &mut Target::new(&mut out, ty.width as usize));
    for (r, &rank) in group.iter().enumerate() {
        ranks[rank].values.insert(id, Arc::new(out[r * each..(r + 1) * each].to_vec()));
    }
}

/// The piece of a whole tensor with rows of `width` that a rank holds, zeros where it is padded.
fn cut<S: Scalar>(whole: &[S], width: usize, share: &Share, elements: usize) -> Vec<S> {
    let zero = S::constant(0.0);
    let piece = share.piece() as usize;
    match share.layout {
        Layout::Whole | Layout::Tokens | Layout::Partial => whole.to_vec(),
        Layout::First if share.rank.index == 0 => whole.to_vec(),
        Layout::First => vec![zero; elements],
        Layout::Experts { experts, groups, cut, parts } => {
            let blocks = Blocks { experts, groups, cut, parts };
            blocks.cut(whole, width, share.rank.index)
        }
        Layout::Rows { .. } => {
            let own = whole.iter().copied().skip(piece * elements).chain(std::iter::repeat(zero));
            own.take(elements).collect()
        }
        Layout::Columns { parts } => {
            let own = width.div_ceil(parts as usize);
            let columns = piece * own..(piece + 1) * own;
            whole
                .chunks(width)
                .flat_map(|row| columns.clone().map(|c| row.get(c).copied().unwrap_or(zero)))
                .collect()
        }
    }
}

/// Experts dealt to groups of ranks, each cut over the ranks of its group.
struct Blocks {
    experts: u64,
    groups: u64,
    cut: Cut,
    parts: u64,
}

impl Blocks {
    /// The piece of a rank, of a whole tensor with rows of `width`, expert after expert.
    fn cut<S: Scalar>(&self, whole: &[S], width: usize, rank: u64) -> Vec<S> {
        let zero = S::constant(0.0);
        let (group, part) = (rank / self.parts, (rank % self.parts) as usize);
        let (held, parts) = ((self.experts / self.groups) as usize, self.parts as usize);
        let block = whole.len() / self.experts as usize;
        let own = whole.chunks(block).skip(group as usize * held).take(held);
        let rows = (block / width).div_ceil(parts);
        let columns = width.div_ceil(parts);
        own.flat_map(|expert| -> Vec<S> {
            match self.cut {
                Cut::First if part == 0 => expert.to_vec(),
                Cut::First => vec![zero; expert.len()],
                Cut::Rows => {
                    let padded = expert.iter().copied().chain(std::iter::repeat(zero));
                    padded.skip(part * rows * width).take(rows * width).collect()
                }
                Cut::Columns => expert
                    .chunks(width)
                    .flat_map(|row| {
                        let own = part * columns..(part + 1) * columns;
                        own.map(|c| row.get(c).copied().unwrap_or(zero))
                    })
                    .collect(),
            }
        })
        .collect()
    }
}
