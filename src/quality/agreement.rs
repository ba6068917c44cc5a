//! How far the predictions of one model are from those of another.

use super::likelihood::log_softmax;
use crate::op::scalar::Scalar;

/// KL divergence and agreement on the likeliest token, over rows of logits.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Agreement {
    rows: u64,
    kl: f64,
    largest: f64,
    same: u64,
}

impl Agreement {
    /// Adds rows of `vocabulary` logits of the reference and of the other model; rows that only one of them has do
    /// not count.
    pub fn add<S: Scalar, T: Scalar>(&mut self, reference: &[S], other: &[T], vocabulary: usize) {
        let vocabulary = vocabulary.max(1);
        for (p, q) in reference.chunks_exact(vocabulary).zip(other.chunks_exact(vocabulary)) {
            let (p, q) = (log_softmax(p), log_softmax(q));
            let term = |(p, q): (&f64, &f64)| if p.exp() == 0.0 { 0.0 } else { p.exp() * (p - q) };
            let kl: f64 = p.iter().zip(&q).map(term).sum();
            self.kl += kl;
            self.largest = if kl > self.largest || kl.is_nan() { kl } else { self.largest };
            self.same += u64::from(likeliest(&p) == likeliest(&q));
            self.rows += 1;
        }
    }

    /// Rows compared.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Mean of `KL(reference || other) = sum p ln(p / q)` over the rows, in nats.
    pub fn kl(&self) -> f64 {
        self.kl / self.rows as f64
    }

    /// The largest of them.
    pub const fn largest_kl(&self) -> f64 {
        self.largest
    }

    /// Share of rows whose likeliest token is the same, 0 to 1; of equal ones the first counts.
    pub fn top1(&self) -> f64 {
        self.same as f64 / self.rows as f64
    }
}

fn likeliest(p: &[f64]) -> Option<usize> {
    let better = |best: Option<usize>, i: usize| match best {
        Some(b) if p[i] <= p[b] || p[i].is_nan() => Some(b),
        _ if p[i].is_nan() => None,
        _ => Some(i),
    };
    (0..p.len()).fold(None, better)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_and_agreement_by_hand() {
        let ln = |p: [f64; 2]| p.map(f64::ln);
        let (p, q) = (ln([0.5, 0.5]), ln([0.25, 0.75]));
        let mut found = Agreement::default();
        found.add(&p, &p, 2);
        assert_eq!((found.kl(), found.top1()), (0.0, 1.0));
        found.add(&p, &q, 2);
        let kl = 0.5 * 2.0_f64.ln() + 0.5 * (2.0_f64 / 3.0).ln();
        assert!((found.kl() - kl / 2.0).abs() < 1e-15 && (found.largest_kl() - kl).abs() < 1e-15);
        assert_eq!((found.rows(), found.top1()), (2, 0.5));
    }

    #[test]
    fn impossible_tokens_and_nan() {
        let mut found = Agreement::default();
        found.add(&[0.0, f64::NEG_INFINITY], &[1.0_f32, 2.0], 2);
        assert!((found.kl() - (1.0 + 1.0_f64.exp()).ln()).abs() < 1e-6, "{found:?}");
        found.add(&[0.0, 1.0], &[f64::NAN, 1.0], 2);
        assert!(found.kl().is_nan() && found.largest_kl().is_nan() && found.top1() < 0.5);
    }
}
