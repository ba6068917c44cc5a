//! Feed-forward network: gated or plain.

use super::Wiring;
use crate::graph::{GraphError, NodeId};
use crate::op::{Activate, Gate};
use crate::tensor::Dim;

impl Wiring<'_> {
    /// `down(f(gate(x)) up(x))`, or `down(f(up(x)))` without a gate.
    pub(super) fn ffn(&mut self, x: NodeId) -> Result<NodeId, GraphError> {
        let ffn = self.arch.ffn;
        let (hidden, width, function) = (self.arch.hidden, ffn.inner, ffn.activation);
        let inner = if ffn.gated {
            let gate = self.project("ffn.gate", x, (hidden, width), ffn.bias)?;
            let up = self.project("ffn.up", x, (hidden, width), ffn.bias)?;
            self.builder.apply("ffn.activation", Gate { width, function }, &[gate, up])?
        } else {
            let up = self.project("ffn.up", x, (hidden, width), ffn.bias)?;
            let op = Activate { rows: Dim::Tokens, width, function };
            self.builder.apply("ffn.activation", op, &[up])?
        };
        self.project("ffn.down", inner, (width, hidden), ffn.bias)
    }
}
