//! Known bugs of how a layer is put together. To add one: a row in the list below.

use super::execute::{Patches, Right};
use crate::graph::{Graph, Kind, NodeId, Source};
use crate::op::{Gate, LatentScores, Op, Scores};
use crate::tensor::{Role, WeightKind};

/// A known bug.
pub(super) struct Wrong {
    pub(super) name: &'static str,
    pub(super) says: &'static str,
    /// Where a layer may have it.
    pub(super) places: fn(&Graph) -> Vec<Place>,
    /// The values that a kernel with the bug has there.
    pub(super) values: fn(&Right<'_>, &[NodeId]) -> Patches,
}

/// A place where a layer may have a bug.
pub(super) struct Place {
    pub(super) form: Option<String>,
    pub(super) nodes: Vec<NodeId>,
}

/// Every known bug.
pub(super) const WRONG: &[Wrong] = &[
    Wrong {
        name: "addend-missing",
        says: "one side of a sum is left out",
        places: |graph| {
            let name = |id| &graph.node(id).name;
            let place = |id: NodeId, missing: NodeId, there: NodeId| Place {
                form: Some(format!("{} without {}", name(id), name(missing))),
                nodes: vec![id, there],
            };
            let sums = all(graph, |op| matches!(op, Op::Add(_))).into_iter();
            sums.flat_map(|id| {
                let [a, b] = [graph.operands(id)[0], graph.operands(id)[1]];
                [place(id, a, b), place(id, b, a)]
            })
            .collect()
        },
        values: |right, nodes| vec![(nodes[0], right.of(nodes[1]).to_vec())],
    },
    Wrong {
        name: "residual-normed",
        says: "the residual is taken behind the norm",
        places: |graph| {
            let sums = all(graph, |op| matches!(op, Op::Add(_))).into_iter();
            let place = |id: NodeId| {
                let operands = graph.operands(id);
                let norm = norm_of(graph, operands[0])?;
                let form = Some(graph.node(id).name.clone());
                Some(Place { form, nodes: vec![id, norm, operands[1]] })
            };
            sums.filter_map(place).collect()
        },
        values: |right, nodes| {
            let sum = right.of(nodes[1]).iter().zip(right.of(nodes[2])).map(|(a, b)| a + b);
            vec![(nodes[0], sum.collect())]
        },
    },
    Wrong {
        name: "norm-missing",
        says: "a norm is left out",
        places: |graph| each(graph, |op| matches!(op, Op::Norm(_))),
        values: |right, nodes| {
            vec![(nodes[0], right.of(right.graph.operands(nodes[0])[0]).to_vec())]
        },
    },
    Wrong {
        name: "norm-of-input",
        says: "the second norm reads what the layer was entered with",
        places: |graph| {
            let second = |id: &NodeId| {
                let of = graph.operands(*id)[0];
                matches!(graph.op(of), Some(Op::Add(_)))
            };
            let norms = all(graph, |op| matches!(op, Op::Norm(_))).into_iter().filter(second);
            norms.map(|id| place(graph, id)).collect()
        },
        values: |right, nodes| {
            let operands = right.graph.operands(nodes[0]);
            let entered = right.graph.operands(operands[0])[0];
            vec![(nodes[0], again(right, nodes[0], right.of(entered)))]
        },
    },
    Wrong {
        name: "norm-behind-rotation",
        says: "heads are normed behind the rotation, not before",
        places: |graph| {
            let normed =
                |id: &NodeId| matches!(graph.op(graph.operands(*id)[0]), Some(Op::Norm(_)));
            let nodes = all(graph, |op| matches!(op, Op::Rope(_)));
            let nodes: Vec<NodeId> = nodes.into_iter().filter(normed).collect();
            if nodes.is_empty() { vec![] } else { vec![Place { form: None, nodes }] }
        },
        values: |right, nodes| {
            let turned = |&id: &NodeId| {
                let norm = right.graph.operands(id)[0];
                let plain = right.of(right.graph.operands(norm)[0]);
                (id, again(right, norm, &again(right, id, plain)))
            };
            nodes.iter().map(turned).collect()
        },
    },
    Wrong {
        name: "projection-bias-missing",
        says: "the bias of a projection is not added",
        places: |graph| each(graph, |op| matches!(op, Op::MatMul(op) if op.bias)),
        values: |right, nodes| {
            let bias = right.of(right.graph.operands(nodes[0])[2]);
            let without = right.of(nodes[0]).iter().zip(bias.iter().cycle()).map(|(y, b)| y - b);
            vec![(nodes[0], without.collect())]
        },
    },
    Wrong {
        name: "expert-bias-missing",
        says: "the bias of the experts is not added",
        places: |graph| each(graph, |op| matches!(op, Op::ExpertBias(_))),
        values: |right, nodes| {
            vec![(nodes[0], right.of(right.graph.operands(nodes[0])[0]).to_vec())]
        },
    },
    Wrong {
        name: "weight-transposed",
        says: "a square weight is read as its transpose",
        places: |graph| {
            let square = |op: &Op| matches!(op, Op::MatMul(op) if op.inputs == op.outputs);
            let weights = all(graph, square).into_iter().map(|id| graph.operands(id)[1]);
            weights.map(|id| place(graph, id)).collect()
        },
        values: |right, nodes| {
            let (w, n) = (right.of(nodes[0]), right.width(nodes[0]));
            vec![(nodes[0], (0..w.len()).map(|i| w[i % n * n + i / n]).collect())]
        },
    },
    Wrong {
        name: "weights-swapped",
        says: "two weights of one shape are swapped",
        places: swaps,
        values: |right, nodes| {
            let [a, b] = [nodes[0], nodes[1]];
            vec![(a, right.of(b).to_vec()), (b, right.of(a).to_vec())]
        },
    },
    Wrong {
        name: "cache-late",
        says: "cached rows are read one row late",
        places: caches,
        values: |right, nodes| {
            rows_of_caches(right, nodes, |sequence, width| {
                [&sequence[width..], &sequence[sequence.len() - width..]].concat()
            })
        },
    },
    Wrong {
        name: "cache-stale",
        says: "the last cached row is that of the token before",
        places: caches,
        values: |right, nodes| {
            rows_of_caches(right, nodes, |sequence, width| {
                let last = sequence.len() - width;
                let before = last.saturating_sub(width);
                [&sequence[..last], &sequence[before..before + width]].concat()
            })
        },
    },
    Wrong {
        name: "cache-of-first",
        says: "every sequence reads the cache of the first",
        places: caches,
        values: |right, nodes| {
            let batch = right.step.sequences().count();
            let first = |&id: &NodeId| {
                let rows = right.of(id);
                (id, rows[..rows.len() / batch].repeat(batch))
            };
            nodes.iter().map(first).collect()
        },
    },
    Wrong {
        name: "position-table-missing",
        says: "no bias by position is added to the scores",
        places: |graph| {
            let table = Role::Weight(WeightKind::Position);
            let tables = graph.nodes().filter(|(_, node)| node.ty.role == table);
            tables.map(|(id, _)| place(graph, id)).collect()
        },
        values: |right, nodes| vec![(nodes[0], vec![0.0; right.of(nodes[0]).len()])],
    },
    Wrong {
        name: "score-scale-missing",
        says: "scores are not scaled",
        places: other_scores,
        values: |right, nodes| scaled(right, nodes[0], |_| 1.0),
    },
    Wrong {
        name: "score-scale-usual",
        says: "scores are scaled by 1/sqrt(d), not as the model has it",
        places: other_scores,
        values: |right, nodes| scaled(right, nodes[0], |dim| 1.0 / dim.sqrt()),
    },
    Wrong {
        name: "limit-missing",
        says: "gate and up are not bounded, and no 1 is added",
        places: |graph| each(graph, |op| matches!(op, Op::Gate(op) if op.limit.is_some())),
        values: |right, nodes| {
            let Some(Op::Gate(op)) = right.graph.op(nodes[0]) else { return vec![] };
            let op = Op::Gate(Gate { limit: None, ..op.clone() });
            let operands = right.graph.operands(nodes[0]);
            let operands: Vec<_> =
                operands.iter().map(|&o| (right.of(o), right.width(o))).collect();
            vec![(nodes[0], right.apply(nodes[0], &op, &operands))]
        },
    },
];

/// Weights whose mistaking for each other is known; encoders have the same names behind `encoder.`.
const SWAPS: &[[&str; 2]] = &[
    ["attn.norm.weight", "ffn.norm.weight"],
    ["attn.post_norm.weight", "ffn.post_norm.weight"],
    ["attn.norm.weight", "attn.post_norm.weight"],
    ["attn.q_norm.weight", "attn.k_norm.weight"],
    ["attn.q.weight", "attn.k.weight"],
    ["attn.k.weight", "attn.v.weight"],
    ["attn.k_up.weight", "attn.v_up.weight"],
    ["ffn.gate.weight", "ffn.up.weight"],
    ["experts.gate.weight", "experts.up.weight"],
];

fn all(graph: &Graph, is: impl Fn(&Op) -> bool) -> Vec<NodeId> {
    graph.nodes().map(|(id, _)| id).filter(|&id| graph.op(id).is_some_and(&is)).collect()
}

fn place(graph: &Graph, id: NodeId) -> Place {
    Place { form: Some(graph.node(id).name.clone()), nodes: vec![id] }
}

fn each(graph: &Graph, is: impl Fn(&Op) -> bool) -> Vec<Place> {
    all(graph, is).into_iter().map(|id| place(graph, id)).collect()
}

/// The norm that reads a value.
fn norm_of(graph: &Graph, value: NodeId) -> Option<NodeId> {
    let norms = all(graph, |op| matches!(op, Op::Norm(_))).into_iter();
    norms.into_iter().find(|&id| graph.operands(id)[0] == value)
}

/// A node's operator on another value in its first operand's place.
fn again(right: &Right<'_>, id: NodeId, x: &[f64]) -> Vec<f64> {
    let operands = right.graph.operands(id);
    let rest = operands[1..].iter().map(|&o| (right.of(o), right.width(o)));
    let operands: Vec<_> = [(x, right.width(operands[0]))].into_iter().chain(rest).collect();
    right.graph.op(id).map_or_else(Vec::new, |op| right.apply(id, op, &operands))
}

fn swaps(graph: &Graph) -> Vec<Place> {
    let bare = |name: &str| name.strip_prefix("encoder.").unwrap_or(name).to_owned();
    let weight = |name: &str| {
        let mut nodes = graph.nodes();
        nodes
            .find(|(_, node)| node.kind == Kind::Source(Source::Weight) && bare(&node.name) == name)
    };
    let pair = |names: &[&str; 2]| {
        let [(a, x), (b, y)] = [weight(names[0])?, weight(names[1])?];
        let form = Some(format!("{} and {}", x.name, y.name));
        (x.ty == y.ty).then(|| Place { form, nodes: vec![a, b] })
    };
    SWAPS.iter().filter_map(pair).collect()
}

/// All caches of self-attention, and of cross-attention, and each cache alone.
fn caches(graph: &Graph) -> Vec<Place> {
    let found = graph.nodes().filter(|(_, node)| node.kind == Kind::Source(Source::Cache));
    let nodes: Vec<NodeId> = found.map(|(id, _)| id).collect();
    let together = |cross: bool| {
        let of = |id: &&NodeId| graph.node(**id).name.starts_with("cross.") == cross;
        let nodes: Vec<NodeId> = nodes.iter().filter(of).copied().collect();
        let form = cross.then(|| "cross-attention".to_owned());
        (nodes.len() > 1).then_some(Place { form, nodes })
    };
    let alone = nodes.iter().map(|&id| place(graph, id));
    [together(false), together(true)].into_iter().flatten().chain(alone).collect()
}

/// Caches with other rows in each sequence; those without rows stay.
fn rows_of_caches(
    right: &Right<'_>,
    nodes: &[NodeId],
    other: fn(&[f64], usize) -> Vec<f64>,
) -> Patches {
    let batch = right.step.sequences().count();
    let filled = nodes.iter().filter(|&&id| !right.of(id).is_empty());
    let changed = filled.map(|&id| {
        let rows = right.of(id);
        let sequences = rows.chunks_exact(rows.len() / batch);
        (id, sequences.flat_map(|s| other(s, right.width(id))).collect())
    });
    changed.collect()
}

/// Scores of attention that no case of attention has.
fn other_scores(graph: &Graph) -> Vec<Place> {
    use crate::op::ScoreBias::Alibi;
    each(graph, |op| match op {
        Op::Scores(op) => !matches!(op.bias, None | Some(Alibi)),
        Op::LatentScores(_) => true,
        _ => false,
    })
}

/// Scores under another scale, which follows from the elements of a head.
fn scaled(right: &Right<'_>, id: NodeId, scale: fn(f64) -> f64) -> Patches {
    let op = match right.graph.op(id) {
        Some(Op::Scores(op)) => {
            Op::Scores(Scores { scale: scale(op.head_dim as f64), ..op.clone() })
        }
        Some(Op::LatentScores(op)) => {
            let dim = (op.rotary_dim + op.head_dim) as f64;
            Op::LatentScores(LatentScores { scale: scale(dim), ..op.clone() })
        }
        _ => return vec![],
    };
    let operands = right.graph.operands(id);
    let operands: Vec<_> = operands.iter().map(|&o| (right.of(o), right.width(o))).collect();
    vec![(id, right.apply(id, &op, &operands))]
}
