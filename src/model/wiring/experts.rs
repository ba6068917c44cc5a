//! Mixture of experts: router, choice, grouped projections, weighted sum, shared network.

use super::Wiring;
use crate::graph::{GraphError, NodeId};
use crate::model::architecture::Experts;
use crate::op::{Activate, Add, Choices, Combine, ExpertBias, GroupedMatMul, Held, MatMul, Route};
use crate::tensor::{Dim, WeightKind};

/// The experts of one layer under construction.
struct Routed {
    experts: Experts,
    choices: Choices,
    routes: NodeId,
}

impl Wiring<'_> {
    /// `sum_j weight_j expert_j(x)` over the experts of each token, plus the shared network.
    pub(super) fn experts(&mut self, x: NodeId, experts: &Experts) -> Result<NodeId, GraphError> {
        let (hidden, width) = (self.arch.hidden, experts.inner);
        let load = self.options.routing.load(experts.count, experts.active);
        let held = Held::all(experts.count);
        let choices = Choices { active: experts.active, ranks: 1, held, load };
        let routed = Routed { experts: *experts, choices, routes: self.route(x, experts)? };
        let (rows, ffn) = (Dim::Routed(experts.active), self.arch.ffn);
        let up = |w: &mut Self, name| w.grouped(name, (Dim::Tokens, x), (hidden, width), &routed);
        let inner = if ffn.gated {
            let (gate, up) = (up(self, "experts.gate")?, up(self, "experts.up")?);
            self.gate("experts.activation", rows, width, [gate, up])?
        } else {
            let up = up(self, "experts.up")?;
            let op = Activate::new(rows, width, ffn.activation);
            self.builder.apply("experts.activation", op, &[up])?
        };
        let down = self.grouped("experts.down", (rows, inner), (width, hidden), &routed)?;
        let combine = Combine { choices: routed.choices.clone(), width: hidden };
        let sum = self.builder.apply("experts.combine", combine, &[down, routed.routes])?;
        let Some(shared) = experts.shared else { return Ok(sum) };
        let shared = self.ffn("shared", x, shared)?;
        self.builder.apply("shared.add", Add { rows: Dim::Tokens, width: hidden }, &[sum, shared])
    }

    /// The experts of each token and their weights. The router's matrix stays plain under every
    /// scheme (A35).
    fn route(&mut self, x: NodeId, e: &Experts) -> Result<NodeId, GraphError> {
        let (inputs, outputs, bias) = (self.arch.hidden, e.count, e.router_bias);
        let weight = self.weight("experts.router.weight", WeightKind::Router, outputs, inputs);
        let mut operands = vec![x, weight];
        if bias {
            operands.push(self.weight("experts.router.bias", WeightKind::Bias, 1, outputs));
        }
        let router = MatMul { rows: Dim::Tokens, inputs, outputs, bias };
        let mut operands = vec![self.builder.apply("experts.router", router, &operands)?];
        if e.correction {
            let correction = self.weight("experts.route.bias", WeightKind::Bias, 1, e.count);
            operands.push(correction);
        }
        let route = Route {
            experts: e.count,
            active: e.active,
            scoring: e.scoring,
            normalise: e.normalise,
            groups: e.groups,
            scaling: e.scaling,
            correction: e.correction,
        };
        self.builder.apply("experts.route", route, &operands)
    }

    /// `x` times the matrix of each row's expert, with the expert's bias where the model has them.
    fn grouped(
        &mut self,
        name: &str,
        (rows, x): (Dim, NodeId),
        (inputs, outputs): (u64, u64),
        routed: &Routed,
    ) -> Result<NodeId, GraphError> {
        let (experts, routes) = (routed.experts.count, routed.routes);
        let choices = routed.choices.clone();
        let kind = WeightKind::Projection;
        let weight = self.weight(&format!("{name}.weight"), kind, experts * outputs, inputs);
        let product = GroupedMatMul { rows, choices: choices.clone(), inputs, outputs };
        let y = self.builder.apply(name, product, &[x, routes, weight])?;
        if !self.arch.ffn.bias {
            return Ok(y);
        }
        let bias = self.weight(&format!("{name}.bias"), WeightKind::Bias, experts, outputs);
        let add = ExpertBias { choices, width: outputs };
        self.builder.apply(format!("{name}_bias"), add, &[y, routes, bias])
    }
}
