//! The choices of experts that a rank computes: whose tokens, and of which experts.

use super::scalar::Scalar;
use super::split::Place;
use super::{ExpertLoad, Held, Operand};
use crate::tensor::{Dim, Step, TensorType};

/// Rows behind the router: `k` for each token of `R` ranks, of which those of the experts held here
/// are computed.
///
/// Token `t` of rank `r` is row `r T + t`; its `j`-th choice is row `(r T + t) k + j`. Where tokens come
/// from other ranks, a row that none was sent for is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Choices {
    /// Experts per token (k).
    pub active: u64,
    /// Ranks whose tokens come here (R), as many of each; 1 where a rank has its own alone.
    pub ranks: u64,
    /// The experts to choose from (E) that are held here.
    pub held: Held,
    /// How many of them the tokens of a step choose.
    pub load: ExpertLoad,
}

impl Choices {
    /// Rows of tokens.
    pub const fn tokens(&self) -> Dim {
        if self.ranks == 1 { Dim::Tokens } else { Dim::Gathered(self.ranks) }
    }

    /// Rows of choices.
    pub const fn rows(&self) -> Dim {
        Dim::Routed(self.active * self.ranks)
    }

    /// The choices themselves: `k` expert numbers a token, and behind them their weights.
    pub const fn routes(&self) -> TensorType {
        TensorType::activation(self.tokens(), 2 * self.active)
    }

    /// Tokens of all ranks.
    fn all(&self, step: &Step) -> f64 {
        self.ranks as f64 * step.tokens()
    }

    /// Expected choices of the experts held here.
    pub fn computed(&self, step: &Step) -> f64 {
        self.load.rows(self.all(step))
    }

    /// Expected tokens with such a choice.
    pub fn chosen(&self, step: &Step) -> f64 {
        self.load.tokens(self.all(step))
    }

    /// Expected distinct experts among them.
    pub fn distinct(&self, step: &Step) -> f64 {
        self.load.distinct(self.all(step))
    }

    /// Expert numbers read: of all own tokens, or of those that were sent here.
    pub fn numbers(&self, step: &Step) -> f64 {
        let tokens = if self.ranks == 1 { step.tokens() } else { self.chosen(step) };
        tokens * self.active as f64
    }

    /// Place of the `j`-th expert of a token among those held here; `None` where it is held elsewhere
    /// or nothing came.
    pub fn place<S: Scalar>(&self, routes: &Operand<'_, S>, token: usize, j: usize) -> Option<u64> {
        let came = self.ranks == 1 || routes.is_filled(token);
        came.then(|| routes.at(token, j).value() as u64).and_then(|e| self.held.place(e))
    }

    /// Expected rows of `all` that an operator computes, and expert numbers that it reads to know
    /// which: all and none without choices.
    pub(super) fn filled(choices: Option<&Self>, all: Dim, step: &Step) -> (f64, f64) {
        match choices {
            None => (all.extent(step), 0.0),
            Some(choices) => (choices.computed(step), choices.numbers(step)),
        }
    }

    /// The rows of `all` that an operator computes; with choices the last operand is `routes`.
    pub(super) fn computed_rows<S: Scalar>(
        choices: Option<&Self>,
        all: Dim,
        step: &Step,
        operands: &[Operand<'_, S>],
    ) -> Vec<usize> {
        let rows = 0..all.extent(step) as usize;
        let (Some(choices), Some(routes)) = (choices, operands.last()) else {
            return rows.collect();
        };
        let k = choices.active as usize;
        rows.filter(|row| choices.place(routes, row / k, row % k).is_some()).collect()
    }

    /// What a rank of a tensor-parallel group computes of them, the experts dealt to the group.
    #[must_use]
    pub fn dealt(&self, place: Place) -> Self {
        let load = self.load.dealt(place.expert_groups);
        Self { held: place.held(self.held), load, ..self.clone() }
    }
}
