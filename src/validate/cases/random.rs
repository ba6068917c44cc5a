//! Seeded inputs.

use crate::validate::{Array, Layout};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Draws the inputs of a case, one array behind the other.
pub(super) struct Random(ChaCha8Rng);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Uniform with variance 1.
    pub(super) fn unit(&mut self) -> f64 {
        let edge = 3f64.sqrt();
        self.0.random_range(-edge..edge)
    }

    /// Uniform in [0, 1).
    pub(super) fn fraction(&mut self) -> f64 {
        self.0.random()
    }

    /// Below a bound.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0.random_range(0..bound)
    }

    /// So many of some numbers, each once, in a random order.
    pub(super) fn distinct(&mut self, of: &[u64], count: usize) -> Vec<u64> {
        let mut all = of.to_vec();
        all.shuffle(&mut self.0);
        all.truncate(count);
        all
    }

    /// An array of numbers with variance 1, rounded to its form.
    pub(super) fn array(&mut self, layout: Layout) -> Array {
        self.scaled(layout, 0.0, 1.0)
    }

    /// The same with that mean and deviation.
    pub(super) fn scaled(&mut self, layout: Layout, mean: f64, deviation: f64) -> Array {
        let draw = |_| layout.stored.round(mean + deviation * self.unit());
        let values = (0..layout.elements()).map(draw).collect();
        Array { layout, values }
    }

    /// Numbers over a factor of four up to `top`, rounded to the array's form, so that a neighbour is another.
    pub(super) fn spread(&mut self, layout: Layout, top: f64) -> Array {
        let draw = |_| layout.stored.round(top * 4f64.powf(self.fraction() - 1.0));
        let values = (0..layout.elements()).map(draw).collect();
        Array { layout, values }
    }
}
