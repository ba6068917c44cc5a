//! Bands of speed-up, a colour each.

use crate::cost::speculative::SurfacePoint;

/// Colours of the bands below and above a speed-up of 1.
pub(super) const SLOWER: usize = 3;
pub(super) const FASTER: usize = 6;

/// Bands of speed-up, alike in ratio: from the lowest to 1, and from 1 to the highest.
pub(super) struct Bands {
    low: f64,
    high: f64,
}

impl Bands {
    pub(super) fn new(points: &[SurfacePoint]) -> Self {
        let speed_ups = || points.iter().map(|p| p.speed_up);
        Self { low: speed_ups().fold(1.0, f64::min), high: speed_ups().fold(1.0, f64::max) }
    }

    pub(super) fn of(&self, speed_up: f64) -> usize {
        if speed_up <= 1.0 {
            let share = speed_up.ln() / self.low.ln();
            return match share.is_finite() {
                true => SLOWER - 1 - ((share * SLOWER as f64) as usize).min(SLOWER - 1),
                false => SLOWER - 1,
            };
        }
        let share = speed_up.ln() / self.high.ln();
        SLOWER + ((share * FASTER as f64) as usize).min(FASTER - 1)
    }

    /// The speed-ups between which a band lies.
    pub(super) fn edges(&self, band: usize) -> (f64, f64) {
        match band.checked_sub(SLOWER) {
            None => {
                let edge = |n: usize| self.low.powf(n as f64 / SLOWER as f64);
                (edge(SLOWER - band), edge(SLOWER - 1 - band))
            }
            Some(n) => {
                let edge = |n: usize| self.high.powf(n as f64 / FASTER as f64);
                (edge(n), edge(n + 1))
            }
        }
    }
}
