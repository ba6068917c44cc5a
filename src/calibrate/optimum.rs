//! The smallest value of a function of few variables, by the simplex of Nelder and Mead (1965).

use argmin::core::{CostFunction, Error, Executor, State};
use argmin::solver::neldermead::NelderMead;

struct Cost<F>(F);

impl<F: Fn(&[f64]) -> f64> CostFunction for Cost<F> {
    type Param = Vec<f64>;
    type Output = f64;
    fn cost(&self, x: &Vec<f64>) -> Result<f64, Error> {
        Ok((self.0)(x))
    }
}

/// Sides of the simplexes that are begun with, one after the other, each at the best point so far.
const SIDES: [f64; 4] = [0.3, -0.3, 0.2, -0.1];

/// The point where `f` is smallest near `start`, with `steps` steps from each of four simplexes.
pub(super) fn minimum(f: impl Fn(&[f64]) -> f64, start: &[f64], steps: u64) -> Vec<f64> {
    let mut best = start.to_vec();
    for side in SIDES {
        let corner = |i: usize| {
            let mut corner = best.clone();
            corner[i] += side;
            corner
        };
        let mut simplex = vec![best.clone()];
        simplex.extend((0..best.len()).map(corner));
        let solver = NelderMead::new(simplex).with_sd_tolerance(1e-7);
        let found = solver.and_then(|solver| {
            Executor::new(Cost(&f), solver).configure(|state| state.max_iters(steps)).run()
        });
        if let Some(point) = found.ok().and_then(|found| found.state().get_best_param().cloned()) {
            best = point;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::minimum;

    #[test]
    fn the_valley_of_rosenbrock_is_followed() {
        let f = |x: &[f64]| (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2);
        let found = minimum(f, &[-1.2, 1.0], 400);
        assert!(found.iter().all(|x| (x - 1.0).abs() < 1e-3), "{found:?}");
    }
}
