//! Feed-forward network: gated or plain.

use super::Wiring;
use crate::graph::{GraphError, NodeId};
use crate::op::{Activate, Gate};
use crate::tensor::Dim;

impl Wiring<'_> {
    /// `down(f(gate(x)) up(x))`, or `down(f(up(x)))` without a gate, of inner width `width`; `name`
    /// begins the names of its nodes.
    pub(super) fn ffn(&mut self, name: &str, x: NodeId, width: u64) -> Result<NodeId, GraphError> {
        let (ffn, hidden) = (self.arch.ffn, self.arch.hidden);
        let node = |part: &str| format!("{name}.{part}");
        let up = |w: &mut Self, part: &str| w.project(&node(part), x, (hidden, width), ffn.bias);
        let inner = if ffn.gated {
            let (gate, up) = (up(self, "gate")?, up(self, "up")?);
            self.gate(&node("activation"), Dim::Tokens, width, [gate, up])?
        } else {
            let up = up(self, "up")?;
            let op = Activate::new(Dim::Tokens, width, ffn.activation);
            self.builder.apply(node("activation"), op, &[up])?
        };
        self.project(&node("down"), inner, (width, hidden), ffn.bias)
    }

    /// The gated activation of rows of `width`.
    pub(super) fn gate(
        &mut self,
        name: &str,
        rows: Dim,
        width: u64,
        operands: [NodeId; 2],
    ) -> Result<NodeId, GraphError> {
        let function = self.arch.ffn.activation;
        let limit = self.arch.experts.and_then(|experts| experts.limit);
        self.builder.apply(name, Gate { rows, width, function, limit, choices: None }, &operands)
    }
}
