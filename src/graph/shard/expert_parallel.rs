//! Experts dealt to devices: of a group whose tokens are the same, and over replicas whose tokens differ.

use super::{ShardError, Ways};
use crate::graph::rewrite::{Copy, Rewrite, rewrite};
use crate::graph::{Graph, NodeId, Share, Source};
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
    rewrite(Dealt { copy: Copy::new(graph), replica, sent: BTreeMap::new() })
}

struct Dealt<'a> {
    copy: Copy<'a>,
    replica: Rank,
    /// Values as the replicas have sent them to each other.
    sent: BTreeMap<NodeId, NodeId>,
}

impl<'a> Rewrite<'a> for Dealt<'a> {
    type Error = ShardError;

    fn copy(&mut self) -> &mut Copy<'a> {
        &mut self.copy
    }

    fn source(&mut self, id: NodeId, source: Source) -> NodeId {
        match self.block(id) {
            Some((ty, share)) => {
                let name = self.copy.graph.node(id).name.clone();
                self.copy.builder.share(name, source, ty, share)
            }
            None => self.copy.source(id, source),
        }
    }

    fn apply(&mut self, id: NodeId, op: &Op) -> Result<NodeId, ShardError> {
        let name = &self.copy.graph.node(id).name;
        let operands = self.copy.graph.operands(id);
        let mut made = self.copy.operands(id);
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
                let sum = self.copy.builder.apply(name.clone(), op, &made)?;
                return self.back(name, sum, operands[1], combine);
            }
            Op::Gate(_) | Op::Activate(_) | Op::Quantize(_) => {
                let Some((choices, routes)) = self.routed(id) else {
                    return Ok(self.copy.builder.apply(name.clone(), op.clone(), &made)?);
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
        Ok(self.copy.builder.apply(name.clone(), op, &made)?)
    }
}

impl Dealt<'_> {
    /// The block of experts that the replica holds of a tensor of them all.
    fn block(&self, id: NodeId) -> Option<(TensorType, Share)> {
        let experts =
            self.copy.graph.readers(id).into_iter().find_map(|r| match self.copy.graph.op(r) {
                Some(
                    Op::GroupedMatMul(GroupedMatMul { choices, .. })
                    | Op::ExpertBias(ExpertBias { choices, .. }),
                ) => Some(choices.held.of),
                _ => None,
            });
        let (experts, Dim::Fixed(whole)) = (experts?, self.copy.graph.node(id).ty.rows) else {
            return None;
        };
        let groups = self.replica.of;
        let layout = Layout::Experts { experts, groups, cut: Cut::Rows, parts: 1 };
        let ty = TensorType { rows: Dim::Fixed(whole / groups), ..self.copy.graph.node(id).ty };
        (groups > 1).then_some((ty, Share { layout, rank: self.replica, whole }))
    }

    /// The choices behind the rows of a value, and the node that makes them; `None` where its rows are
    /// no choices.
    fn routed(&self, id: NodeId) -> Option<(Choices, NodeId)> {
        let operands = self.copy.graph.operands(id);
        match self.copy.graph.op(id)? {
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
            return Ok(self.copy.made[&value]);
        }
        if let Some(&sent) = self.sent.get(&value) {
            return Ok(sent);
        }
        let from = self.copy.graph.node(value);
        let op = Dispatch { width: from.ty.width, dealing: self.dealing(choices) };
        let operands = [self.copy.made[&value], self.copy.made[&routes]];
        let sent = self.copy.builder.apply(format!("{}.dispatch", from.name), op, &operands)?;
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
        let operands = [sum, self.copy.made[&routes]];
        Ok(self.copy.builder.apply(format!("{name}.return"), op, &operands)?)
    }
}
