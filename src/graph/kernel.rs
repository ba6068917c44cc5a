//! Kernels: the nodes that run as one launch, and how often.

use super::Graph;
use super::node::{Kind, NodeId};

/// One launch: its nodes in order of execution, and how often it runs in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// The fusion's name with the nodes' prefix, or the node's own name.
    pub name: String,
    /// Its operators.
    pub nodes: Vec<NodeId>,
    /// Launches per step.
    pub count: u64,
}

impl Graph {
    /// The kernels of a step in order of execution.
    ///
    /// A kernel that reaches across iterations (a residual add with the next layer's norm) runs
    /// `count - 1` times; what precedes it in the first iteration and what is left of it in the
    /// last run once on their own.
    pub fn kernels(&self) -> Vec<Kernel> {
        let mut kernels: Vec<(Option<NodeId>, Kernel)> = vec![];
        for (id, node) in self.nodes().filter(|(_, n)| matches!(n.kind, Kind::Apply(_))) {
            let count = self.region(id).count;
            let fused = node.fused.as_ref();
            let open = fused.and_then(|(_, first)| {
                kernels.iter_mut().find(|(of, _)| *of == Some(*first)).map(|(_, k)| k)
            });
            match (open, fused) {
                (Some(kernel), _) => kernel.nodes.push(id),
                (None, Some((name, first))) => {
                    kernels.push((
                        Some(*first),
                        Kernel { name: name.clone(), nodes: vec![id], count },
                    ));
                }
                (None, None) => {
                    let name = node.name.clone();
                    kernels.push((None, Kernel { name, nodes: vec![id], count }));
                }
            }
        }
        kernels.into_iter().flat_map(|(_, kernel)| self.split_at_iteration(kernel)).collect()
    }

    fn split_at_iteration(&self, kernel: Kernel) -> Vec<Kernel> {
        let back = self.region(kernel.nodes[0]).carry.map(|c| c.back);
        let crosses = |n: &NodeId| {
            back.is_some_and(|b| kernel.nodes.contains(&b) && self.reads_across_iterations(b, *n))
        };
        let (mut next, mut this): (Vec<NodeId>, Vec<NodeId>) = (vec![], vec![]);
        for n in &kernel.nodes {
            let follows = self.operands(*n).iter().any(|o| next.contains(o));
            if crosses(n) || follows { next.push(*n) } else { this.push(*n) }
        }
        if next.is_empty() {
            return vec![kernel];
        }
        let once = |nodes: &[NodeId]| {
            nodes
                .iter()
                .map(|&n| {
                    let name = self.node(n).name.clone();
                    Kernel { name, nodes: vec![n], count: 1 }
                })
                .collect::<Vec<_>>()
        };
        let mut parts = once(&next);
        if kernel.count > 1 {
            let nodes = [this.clone(), next].concat();
            parts.push(Kernel { name: kernel.name, nodes, count: kernel.count - 1 });
        }
        parts.extend(once(&this));
        parts
    }
}
