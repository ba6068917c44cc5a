//! Experts dealt to devices: of a group whose tokens are the same, and over replicas whose tokens differ.

use super::{ShardError, Ways};
use crate::graph::{Builder, Graph, Kind, NodeId, Share};
use crate::op::split::{Cut, Layout, Rank};
use crate::op::{
    Activate, Choices, Combine, Dealing, Dispatch, ExpertBias, Gate, GroupedMatMul, Held, Op,
    Quantize, ReturnTokens,
};
use crate::tensor::{Dim, TensorType};
use std::collections::BTreeMap;

/// The graph that one of several replicas runs, its experts dealt to all of them.
///
/// Each replica has sequences of its own and all other weights. A [`Dispatch`] sends tokens to the
/// replicas that hold their experts, [`ReturnTokens`] brings back what those made of them (Rajbhandari et
/// al., DeepSpeed-MoE, arXiv 2201.05596; DeepSeek-V3, arXiv 2412.19437). Between the products only the rows
/// of experts that a device holds are computed, also where they are dealt inside a tensor-parallel group
/// alone. [`super::tensor_parallel`] cuts what each device of a replica runs out of the result.
///
/// # Errors
/// Experts that do not divide.
pub fn expert_parallel(graph: &Graph, replica: Rank, ways: Ways) -> Result<Graph, ShardError> {
    if replica.of == 1 && ways.expert_groups == 1 {
        return Ok(graph.clone());
    }
    let groups = replica.of * ways.expert_groups;
    let of_layer = |(id, _)| match graph.op(id) {
        Some(Op::GroupedMatMul(product)) => Some(product.choices.held.of),
        _ => None,
    };
    if let Some(experts) =
        graph.nodes().filter_map(of_layer).find(|experts| !experts.is_multiple_of(groups))
    {
        return Err(ShardError::Experts { experts, groups });
    }
    let builder = Builder::new();
    let mut rewrite =
        Rewrite { graph, replica, builder, made: BTreeMap::new(), sent: BTreeMap::new() };
    let nodes: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    for body in nodes.chunk_by(|a, b| graph.node(*a).region == graph.node(*b).region) {
        for &id in body {
            rewrite.builder.layer(graph.node(id).layer);
            rewrite.node(id)?;
        }
        if let Some(carry) = graph.region(body[0]).carry {
            let (entry, back) = (rewrite.made[&carry.entry], rewrite.made[&carry.back]);
            rewrite.builder.leave(entry, back)?;
        }
    }
    let outputs: Vec<NodeId> = graph.outputs().iter().map(|o| rewrite.made[o]).collect();
    Ok(rewrite.builder.finish(&outputs, &graph.fusions))
}

struct Rewrite<'a> {
    graph: &'a Graph,
    replica: Rank,
    builder: Builder,
    made: BTreeMap<NodeId, NodeId>,
    /// Values as the replicas have sent them to each other.
    sent: BTreeMap<NodeId, NodeId>,
}

impl Rewrite<'_> {
    fn node(&mut self, id: NodeId) -> Result<(), ShardError> {
        let node = self.graph.node(id);
        let made = match &node.kind {
            Kind::Source(source) => match self.block(id) {
                Some((ty, share)) => self.builder.share(node.name.clone(), *source, ty, share),
                None => self.builder.source(node.name.clone(), *source, node.ty),
            },
            Kind::Carry => {
                let entry = self.made[&self.graph.operands(id)[0]];
                let region = self.graph.region(id);
                self.builder.first_layer(region.first_layer);
                self.builder.enter(region.name.clone(), region.count, region.layers, entry)
            }
            Kind::Apply(op) => self.apply(id, op)?,
        };
        self.made.insert(id, made);
        Ok(())
    }

    /// The block of experts that the replica holds of a tensor of them all.
    fn block(&self, id: NodeId) -> Option<(TensorType, Share)> {
        let experts = self.graph.readers(id).into_iter().find_map(|r| match self.graph.op(r) {
            Some(
                Op::GroupedMatMul(GroupedMatMul { choices, .. })
                | Op::ExpertBias(ExpertBias { choices, .. }),
            ) => Some(choices.held.of),
            _ => None,
        });
        let (experts, Dim::Fixed(whole)) = (experts?, self.graph.node(id).ty.rows) else {
            return None;
        };
        let groups = self.replica.of;
        let layout = Layout::Experts { experts, groups, cut: Cut::Rows, parts: 1 };
        let ty = TensorType { rows: Dim::Fixed(whole / groups), ..self.graph.node(id).ty };
        (groups > 1).then_some((ty, Share { layout, rank: self.replica, whole }))
    }

    fn apply(&mut self, id: NodeId, op: &Op) -> Result<NodeId, ShardError> {
        let name = &self.graph.node(id).name;
        let operands = self.graph.operands(id);
        let mut made: Vec<NodeId> = operands.iter().map(|o| self.made[o]).collect();
        let op: Op = match op {
            Op::GroupedMatMul(product) => {
                let choices = self.dealt(&product.choices);
                let of_tokens = product.rows == product.choices.tokens();
                if of_tokens {
                    made[0] = self.sent(operands[0], operands[1], &product.choices)?;
                }
                made[1] = self.sent(operands[1], operands[1], &product.choices)?;
                let rows = if of_tokens { choices.tokens() } else { choices.rows() };
                GroupedMatMul { rows, choices, ..product.clone() }.into()
            }
            Op::ExpertBias(bias) => {
                made[1] = self.sent(operands[1], operands[1], &bias.choices)?;
                ExpertBias { choices: self.dealt(&bias.choices), ..bias.clone() }.into()
            }
            Op::Combine(combine) => {
                made[1] = self.sent(operands[1], operands[1], &combine.choices)?;
                let op = Combine { choices: self.dealt(&combine.choices), ..combine.clone() };
                let sum = self.builder.apply(name.clone(), op, &made)?;
                return self.back(name, sum, operands[1], combine);
            }
            Op::Gate(_) | Op::Activate(_) | Op::Quantize(_) => {
                let Some((choices, routes)) = self.routed(id) else {
                    return Ok(self.builder.apply(name.clone(), op.clone(), &made)?);
                };
                made.push(self.sent(routes, routes, &choices)?);
                let choices = self.dealt(&choices);
                let (rows, choices) = (choices.rows(), Some(choices));
                match op.clone() {
                    Op::Gate(gate) => Gate { rows, choices, ..gate }.into(),
                    Op::Activate(activate) => Activate { rows, choices, ..activate }.into(),
                    Op::Quantize(quantize) => Quantize { rows, choices, ..quantize }.into(),
                    other => other,
                }
            }
            other => other.clone(),
        };
        Ok(self.builder.apply(name.clone(), op, &made)?)
    }

    /// The choices behind the rows of a value, and the node that makes them; `None` where its rows are
    /// no choices.
    fn routed(&self, id: NodeId) -> Option<(Choices, NodeId)> {
        let operands = self.graph.operands(id);
        match self.graph.op(id)? {
            Op::GroupedMatMul(GroupedMatMul { choices, .. })
            | Op::ExpertBias(ExpertBias { choices, .. }) => Some((choices.clone(), operands[1])),
            Op::Gate(_) | Op::Activate(_) | Op::Quantize(_) => self.routed(operands[0]),
            _ => None,
        }
    }

    /// What the replica computes of the choices of all replicas' tokens.
    fn dealt(&self, choices: &Choices) -> Choices {
        let Rank { index, of } = self.replica;
        let held = self.dealing(choices).held(index);
        Choices { ranks: of, held, load: choices.load.dealt(of), ..choices.clone() }
    }

    fn dealing(&self, choices: &Choices) -> Dealing {
        let ranks = self.replica.of;
        let first = Held { count: choices.held.count / ranks, ..choices.held };
        let (one, all) = (choices.load.dealt(ranks), choices.load.clone());
        Dealing { active: choices.active, ranks, first, one, all }
    }

    /// A value of tokens behind a dispatch by their routes.
    fn sent(
        &mut self,
        value: NodeId,
        routes: NodeId,
        choices: &Choices,
    ) -> Result<NodeId, ShardError> {
        if self.replica.of == 1 {
            return Ok(self.made[&value]);
        }
        if let Some(&sent) = self.sent.get(&value) {
            return Ok(sent);
        }
        let from = self.graph.node(value);
        let op = Dispatch { width: from.ty.width, dealing: self.dealing(choices) };
        let operands = [self.made[&value], self.made[&routes]];
        let sent = self.builder.apply(format!("{}.dispatch", from.name), op, &operands)?;
        self.sent.insert(value, sent);
        Ok(sent)
    }

    /// The sums of all replicas back where their tokens came from.
    fn back(
        &mut self,
        name: &str,
        sum: NodeId,
        routes: NodeId,
        combine: &Combine,
    ) -> Result<NodeId, ShardError> {
        if self.replica.of == 1 {
            return Ok(sum);
        }
        let op = ReturnTokens { width: combine.width, dealing: self.dealing(&combine.choices) };
        let operands = [sum, self.made[&routes]];
        Ok(self.builder.apply(format!("{name}.return"), op, &operands)?)
    }
}
