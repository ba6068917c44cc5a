//! Experts dealt to ranks that have tokens of their own.

use super::scalar::Scalar;
use super::split::Place;
use super::{Exchange, ExpertLoad, Held, MeshAxis, Operand, Pattern};
use crate::tensor::Step;

/// How experts are dealt to the ranks of a group whose tokens differ: in blocks, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Dealing {
    /// Experts per token (k).
    pub active: u64,
    /// Ranks (R).
    pub ranks: u64,
    /// The experts of the first rank; those of the next lie `E / R` further.
    pub first: Held,
    /// How many of a rank's experts the tokens of a step choose.
    pub one: ExpertLoad,
    /// How many of all the ranks' experts they choose.
    pub all: ExpertLoad,
}

impl Dealing {
    /// The experts of a rank.
    pub const fn held(&self, rank: u64) -> Held {
        let first = self.first.first + rank * (self.first.of / self.ranks);
        Held { first, ..self.first }
    }

    /// Expected tokens of all ranks that choose an expert of one.
    pub(super) fn received(&self, step: &Step) -> f64 {
        self.one.tokens(self.ranks as f64 * step.tokens())
    }

    /// The dealing among the ranks that have the same place in their tensor-parallel groups.
    pub(super) fn dealt(&self, place: Place) -> Self {
        let groups = place.expert_groups;
        let (one, all) = (self.one.dealt(groups), self.all.dealt(groups));
        Self { first: place.held(self.first), one, all, ..self.clone() }
    }

    /// The ranks whose experts a token chose.
    pub(super) fn targets<S: Scalar>(&self, routes: &Operand<'_, S>, token: usize) -> Vec<usize> {
        let chosen: Vec<u64> =
            (0..self.active as usize).map(|j| routes.at(token, j).value() as u64).collect();
        let has = |q: &u64| chosen.iter().any(|&e| self.held(*q).place(e).is_some());
        (0..self.ranks).filter(has).map(|q| q as usize).collect()
    }

    /// The exchange of rows of `width` elements, there or back.
    pub(super) fn exchange(&self, step: &Step, width: u64) -> Pattern {
        Pattern::Collective {
            exchange: Exchange::AllToAll,
            ranks: self.ranks,
            along: MeshAxis::Data,
            elements: self.received(step) * width as f64,
        }
    }
}
