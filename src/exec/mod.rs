//! The reference executor: runs the same graph that the cost model prices.
//!
//! Operators run in their defining form, one after the other; fusions change nothing. With the
//! counting scalar ([`crate::op::meter::Metered`]) a run of a whole model is metered. The graphs of
//! the ranks of a [`Mesh`] run in lock-step, one node at a time over all of them; at a collective the
//! values of the ranks along its axis meet.
//!
//! [`Kernels`] say how nodes are computed: [`Defining`] leaves each to its operator, [`Fast`] has kernels of
//! its own that are held equal to the operators'. A value lives from the node that makes it to the last
//! that reads it.

mod fast;
mod kernels;
mod lifetimes;
mod metering;
mod paged;
mod rank;
mod rounded;

use crate::graph::{Graph, Kind, NodeId};
use crate::op::scalar::Scalar;
use crate::op::{MeshAxis, Pattern};
use crate::tensor::{Step, TensorSource};
pub use fast::{Fast, Real, Strided, attend};
pub use kernels::{Applied, Defining, Kernels};
use lifetimes::Lifetimes;
pub use metering::{MeteredStep, Metering};
pub use paged::PagedRows;
use rank::RankRun;
pub use rounded::Rounded;
use std::collections::BTreeMap;

/// What a step returns.
#[derive(Debug, Clone, PartialEq)]
pub struct Values<S> {
    /// The graph's outputs, in order.
    pub outputs: Vec<Vec<S>>,
    /// Every named value that was asked to be kept, and the KV cache after the step, by layer and
    /// name of the node.
    pub kept: BTreeMap<(Option<u64>, String), Vec<S>>,
}

/// A step as it is run: with which kernels, and where the rows of a paged cache lie.
#[derive(Clone, Copy)]
struct Manner<'a, S> {
    paged: Option<&'a PagedRows>,
    kernels: &'a dyn Kernels<S>,
}

/// Runs one step of a graph; `keep` names the nodes whose values are returned beside the cache.
pub fn run<S: Scalar>(
    graph: &Graph,
    step: &Step,
    source: &dyn TensorSource<S>,
    keep: &dyn Fn(&str) -> bool,
) -> Values<S> {
    let mut values = run_ranks(std::slice::from_ref(graph), step, source, keep);
    values.pop().expect("invariant: one graph, one result")
}

/// Runs one step with the KV cache in a pool of blocks: appended rows are written where the block
/// tables say, and attention reads them there. Rows go in and come out in the order of tokens.
pub fn run_paged<S: Scalar>(
    graph: &Graph,
    step: &Step,
    source: &dyn TensorSource<S>,
    rows: &PagedRows,
    keep: &dyn Fn(&str) -> bool,
) -> Values<S> {
    run_with(graph, step, source, (&Defining, Some(rows)), keep)
}

/// Runs one step of a graph with the given kernels, and with a paged cache where there is one.
pub fn run_with<S: Scalar>(
    graph: &Graph,
    step: &Step,
    source: &dyn TensorSource<S>,
    (kernels, paged): (&dyn Kernels<S>, Option<&PagedRows>),
    keep: &dyn Fn(&str) -> bool,
) -> Values<S> {
    let manner = Manner { paged, kernels };
    let graphs = std::slice::from_ref(graph);
    let mut values = run_all(graphs, Mesh::group(1), step, &[source], manner, keep);
    values.pop().expect("invariant: one graph, one result")
}

/// Runs one step of the graphs of a group of ranks; each returns its own values. The source gives
/// whole tensors, of which each rank takes its share.
pub fn run_ranks<S: Scalar>(
    graphs: &[Graph],
    step: &Step,
    source: &dyn TensorSource<S>,
    keep: &dyn Fn(&str) -> bool,
) -> Vec<Values<S>> {
    run_mesh(graphs, Mesh::group(graphs.len()), step, &[source], keep)
}

/// Ranks of devices that run together, tensor-parallel groups one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mesh {
    /// Ranks of a tensor-parallel group.
    pub tensor: usize,
    /// Groups that hold a part of the positions each.
    pub context: usize,
    /// Stages of a pipeline, where they run at once.
    pub pipeline: usize,
    /// Replicas.
    pub data: usize,
}

impl Mesh {
    /// One tensor-parallel group.
    pub const fn group(tensor: usize) -> Self {
        Self { tensor, context: 1, pipeline: 1, data: 1 }
    }

    /// Ranks between one and the next along an axis.
    const fn stride(self, along: MeshAxis) -> usize {
        match along {
            MeshAxis::Tensor => 1,
            MeshAxis::Context => self.tensor,
            MeshAxis::Pipeline => self.tensor * self.context,
            MeshAxis::Data => self.tensor * self.context * self.pipeline,
        }
    }

    const fn ranks(self) -> usize {
        self.tensor * self.groups()
    }

    /// Tensor-parallel groups.
    const fn groups(self) -> usize {
        self.context * self.pipeline * self.data
    }
}

/// Runs one step of the graphs of all ranks of a mesh; each returns its own values. Every
/// tensor-parallel group runs a step of that shape, on values of its own source. The graphs have the same
/// nodes; the regions of stages may have other counts where no exchange between them lies inside.
///
/// # Panics
/// Other than a graph for each rank and a source for each group.
pub fn run_mesh<S: Scalar>(
    graphs: &[Graph],
    mesh: Mesh,
    step: &Step,
    sources: &[&dyn TensorSource<S>],
    keep: &dyn Fn(&str) -> bool,
) -> Vec<Values<S>> {
    let manner = Manner { paged: None, kernels: &Defining };
    run_all(graphs, mesh, step, sources, manner, keep)
}

fn run_all<S: Scalar>(
    graphs: &[Graph],
    mesh: Mesh,
    step: &Step,
    sources: &[&dyn TensorSource<S>],
    manner: Manner<'_, S>,
    keep: &dyn Fn(&str) -> bool,
) -> Vec<Values<S>> {
    let Some(first) = graphs.first() else { return vec![] };
    assert_eq!(
        (graphs.len(), sources.len()),
        (mesh.ranks(), mesh.groups()),
        "a graph and a source each"
    );
    let sources = sources.iter().flat_map(|source| std::iter::repeat_n(*source, mesh.tensor));
    let mut ranks: Vec<RankRun<'_, S>> = graphs
        .iter()
        .zip(sources)
        .map(|(graph, source)| RankRun::new(graph, step, source, manner))
        .collect();
    let nodes: Vec<NodeId> = first.nodes().map(|(id, _)| id).collect();
    let lifetimes = Lifetimes::of(first, &|id| manner.kernels.reads(first, id));
    // Nodes of a region lie together, in order of execution.
    for body in nodes.chunk_by(|a, b| first.node(*a).region == first.node(*b).region) {
        let most = graphs.iter().map(|graph| graph.region(body[0]).count).max().unwrap_or(0);
        for iteration in 0..most {
            let runs = |rank: &&mut RankRun<'_, S>| rank.count(body[0]) > iteration;
            for &id in body {
                match meeting(first, id, step) {
                    Some((along, n)) => {
                        for group in groups(ranks.len(), mesh.stride(along), n) {
                            if group.iter().all(|&r| ranks[r].count(body[0]) > iteration) {
                                rank::meet(&mut ranks, &group, id);
                            }
                        }
                    }
                    None => {
                        ranks.iter_mut().filter(runs).for_each(|rank| rank.node(id, iteration));
                    }
                }
                ranks.iter_mut().filter(runs).for_each(|rank| {
                    rank.keep(id, iteration, keep);
                    rank.release(lifetimes.behind_node(id));
                });
            }
        }
        ranks.iter_mut().for_each(|rank| rank.release(lifetimes.behind_region(body[0])));
    }
    ranks.into_iter().map(RankRun::values).collect()
}

/// Along which axis how many ranks exchange values at this node, where they do.
fn meeting(graph: &Graph, id: NodeId, step: &Step) -> Option<(MeshAxis, usize)> {
    let Kind::Apply(op) = &graph.node(id).kind else { return None };
    match op.pattern(step) {
        Pattern::Collective { ranks, along, .. } if ranks > 1 => Some((along, ranks as usize)),
        _ => None,
    }
}

/// The ranks in groups of `n`, `stride` apart.
fn groups(ranks: usize, stride: usize, n: usize) -> impl Iterator<Item = Vec<usize>> {
    let firsts = (0..ranks).filter(move |rank| (rank / stride).is_multiple_of(n));
    firsts.map(move |first| (0..n).map(|i| first + i * stride).collect())
}
