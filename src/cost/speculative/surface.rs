//! Speed-up over acceptance and gamma.

use super::cycle::Cycle;
use super::optimal::{Optimum, optimal_gamma};
use crate::workload::Acceptance;

/// Steps of the acceptance rate from 0 to 1.
const STEPS: u32 = 20;

/// The loops of one request, from one drafted token upwards.
#[derive(Debug, Clone, PartialEq)]
pub struct Surface {
    cycles: Vec<Cycle>,
}

/// One point of a surface.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SurfacePoint {
    /// Constant acceptance rate.
    pub acceptance: f64,
    /// The loop.
    pub cycle: Cycle,
    /// How many times as fast as plain decoding.
    pub speed_up: f64,
    /// Whether no other gamma of the surface is faster at this rate, and plain decoding is not.
    pub optimal: bool,
}

impl Surface {
    /// The surface over loops of `1, 2, ...` drafted tokens, as
    /// [`super::Speculator::cycles`] gives them.
    pub fn new(cycles: Vec<Cycle>) -> Self {
        Self { cycles }
    }

    /// The loops, by gamma from 1.
    pub fn cycles(&self) -> &[Cycle] {
        &self.cycles
    }

    /// The acceptance rates of the grid, from 0 to 1.
    pub fn acceptances() -> impl ExactSizeIterator<Item = f64> {
        (0..STEPS + 1).map(|i| f64::from(i) / f64::from(STEPS))
    }

    /// The fastest loop at a constant rate; gamma 0 where none is faster than plain decoding.
    pub fn optimum(&self, acceptance: f64) -> Optimum {
        let rate = Acceptance::Constant(acceptance);
        let cycle = |gamma: u64| self.cycles[gamma as usize - 1];
        optimal_gamma(&rate, self.cycles.len() as u64, cycle)
    }

    /// Every point of the grid, acceptance by acceptance.
    pub fn points(&self) -> impl Iterator<Item = SurfacePoint> {
        Self::acceptances().flat_map(|acceptance| {
            let best = self.optimum(acceptance).gamma;
            self.cycles.iter().map(move |&cycle| SurfacePoint {
                acceptance,
                cycle,
                speed_up: cycle.speed_up(&Acceptance::Constant(acceptance)),
                optimal: cycle.gamma == best,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Seconds;

    #[test]
    fn the_optimum_is_the_highest_point_of_its_rate_and_break_even_parts_the_rows() {
        let loops = |gamma: u64| Cycle {
            gamma,
            draft: Seconds::new(0.11 * gamma as f64),
            verify: Seconds::new(1.0 + 0.02 * gamma as f64),
            plain: Seconds::new(1.0),
        };
        let surface = Surface::new((1..=16).map(loops).collect());
        let points: Vec<SurfacePoint> = surface.points().collect();
        assert_eq!(points.len(), 21 * 16);
        for row in points.chunks(16) {
            let best = row.iter().map(|p| p.speed_up).fold(1.0, f64::max);
            let found = surface.optimum(row[0].acceptance);
            assert_eq!(found.speed_up, best);
            let marked: Vec<u64> =
                row.iter().filter(|p| p.optimal).map(|p| p.cycle.gamma).collect();
            assert_eq!(marked, if found.gamma > 0 { vec![found.gamma] } else { vec![] });
        }
        for point in &points {
            let pays = point.cycle.break_even().is_some_and(|a| point.acceptance > a);
            assert_eq!(point.speed_up > 1.0, pays, "{point:?}");
        }
        assert_eq!(surface.optimum(0.0).gamma, 0);
        assert_eq!(surface.optimum(1.0).gamma, 16);
    }
}
