//! Speculative sampling: a draft proposes tokens, the target accepts or replaces them, and what comes out is
//! distributed as the target alone would draw it (Leviathan et al., arXiv 2211.17192, algorithm 1; Chen et
//! al., arXiv 2302.01318, algorithm 2).

use super::generate::probabilities;
use super::state::{RunError, Session};
use crate::op::scalar::Scalar;
use crate::tensor::Logits;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Probability that a drafted token is accepted: `min(1, p / q)`.
pub fn acceptance(p: f64, q: f64) -> f64 {
    if p >= q { 1.0 } else { p / q }
}

/// What takes a rejected token's place is drawn from: `max(0, p - q)`, normalised; `p` where nothing is
/// left of it, as rounding may have it.
pub fn residual(p: &[f64], q: &[f64]) -> Vec<f64> {
    let left: Vec<f64> = p.iter().zip(q).map(|(p, q)| (p - q).max(0.0)).collect();
    let sum: f64 = left.iter().sum();
    if sum > 0.0 { left.into_iter().map(|x| x / sum).collect() } else { p.to_vec() }
}

/// An index drawn with these probabilities at a uniform number in `[0, 1)`.
pub fn drawn(weights: &[f64], uniform: f64) -> u64 {
    let mut sum = 0.0;
    let found = weights.iter().position(|w| {
        sum += w;
        uniform < sum
    });
    // Rounding may leave the sum below the number: the last index that can be drawn.
    found.or_else(|| weights.iter().rposition(|w| *w > 0.0)).unwrap_or(0) as u64
}

/// How many of the drafted tokens are accepted, and the token behind them.
///
/// `p[i]` and `q[i]` are the target's and the draft's distributions of drafted token `i`; `p` has one more.
/// `uniform` gives numbers in `[0, 1)`.
pub fn verify(
    p: &[Vec<f64>],
    q: &[Vec<f64>],
    drafted: &[u64],
    uniform: &mut dyn FnMut() -> f64,
) -> (usize, u64) {
    for (i, &token) in drafted.iter().enumerate() {
        let at = token as usize;
        if uniform() >= acceptance(p[i][at], q[i][at]) {
            return (i, drawn(&residual(&p[i], &q[i]), uniform()));
        }
    }
    (drafted.len(), drawn(&p[drafted.len()], uniform()))
}

/// What a speculative run made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Speculation {
    /// Tokens, as many as were asked for.
    pub tokens: Vec<u64>,
    /// Verify steps of the target.
    pub steps: u64,
    /// How often the draft at a position was looked at: all before it were accepted.
    pub offered: Vec<u64>,
    /// How often it was accepted.
    pub accepted: Vec<u64>,
}

impl Speculation {
    /// Acceptance rate of each position, where all before it were accepted; `None` where none was
    /// looked at.
    pub fn rates(&self) -> Vec<Option<f64>> {
        let rate = |(a, n): (&u64, &u64)| (*n > 0).then(|| *a as f64 / *n as f64);
        self.accepted.iter().zip(&self.offered).map(rate).collect()
    }
}

/// `softmax(logits / temperature)`; at 0 all on the largest logit, the first among equals.
fn distribution<S: Scalar>(logits: &[S], temperature: f64) -> Vec<f64> {
    if temperature > 0.0 {
        return probabilities(logits, temperature);
    }
    let better = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
    let best = (0..logits.len()).fold(0, better);
    (0..logits.len()).map(|i| f64::from(u8::from(i == best))).collect()
}

/// A target and its draft, each going on with the same sequence.
pub struct Pair<'s, 'a, S> {
    /// Whose distribution counts.
    pub target: &'s mut Session<'a, S>,
    /// Who proposes; over the same vocabulary.
    pub draft: &'s mut Session<'a, S>,
}

impl<S: Scalar> Pair<'_, '_, S> {
    /// Goes on with `count` tokens, `gamma` drafted at a time; greedy at temperature 0.
    ///
    /// # Errors
    /// As [`Session::step`], for either model; one without a head.
    pub fn generate(
        &mut self,
        prompt: &[u64],
        (count, gamma): (usize, usize),
        (temperature, stream): (f64, &mut ChaCha8Rng),
        each: &mut dyn FnMut(&[u64]),
    ) -> Result<Speculation, RunError> {
        self.target.has_head()?;
        self.draft.has_head()?;
        let mut made = Speculation {
            offered: vec![0; gamma],
            accepted: vec![0; gamma],
            ..Speculation::default()
        };
        // All tokens so far; each session has seen a beginning of them.
        let mut text = prompt.to_vec();
        while made.tokens.len() < count {
            let (drafted, q) = self.draft(&text, gamma, (temperature, stream))?;
            let p = self.score(&text, &drafted, temperature)?;
            let (accepted, next) = verify(&p, &q, &drafted, &mut || stream.random());
            for i in 0..(accepted + 1).min(gamma) {
                made.offered[i] += 1;
                made.accepted[i] += u64::from(i < accepted);
            }
            let new: Vec<u64> = drafted[..accepted].iter().copied().chain([next]).collect();
            let fresh = new.len().min(count - made.tokens.len());
            each(&new[..fresh]);
            made.tokens.extend(&new[..fresh]);
            made.steps += 1;
            text.extend(new);
            // The last token is seen in the next step.
            let seen = text.len() as u64 - 1;
            self.target.truncate(seen);
            self.draft.truncate(seen);
        }
        Ok(made)
    }

    /// Drafted tokens with the distributions that they were drawn from.
    fn draft(
        &mut self,
        text: &[u64],
        gamma: usize,
        (temperature, stream): (f64, &mut ChaCha8Rng),
    ) -> Result<(Vec<u64>, Vec<Vec<f64>>), RunError> {
        let (mut drafted, mut q) = (vec![], vec![]);
        let mut next = text[seen(self.draft)..].to_vec();
        for _ in 0..gamma {
            let logits = self.draft.step(&[next], Logits::Last, &|_| false)?.logits;
            let of = distribution(&logits, temperature);
            let token = drawn(&of, stream.random());
            drafted.push(token);
            q.push(of);
            next = vec![token];
        }
        Ok((drafted, q))
    }

    /// The target's distributions of the drafted tokens and of the one behind them.
    fn score(
        &mut self,
        text: &[u64],
        drafted: &[u64],
        temperature: f64,
    ) -> Result<Vec<Vec<f64>>, RunError> {
        let new = [&text[seen(self.target)..], drafted].concat();
        let logits = self.target.step(&[new], Logits::All, &|_| false)?.logits;
        let rows: Vec<&[S]> = logits.chunks_exact(self.target.width()).collect();
        let first = rows.len() - drafted.len() - 1;
        Ok(rows[first..].iter().map(|row| distribution(row, temperature)).collect())
    }
}

/// Tokens that a session has cached.
fn seen<S: Scalar>(session: &Session<'_, S>) -> usize {
    session.past().first().map_or(0, |&past| past as usize)
}
