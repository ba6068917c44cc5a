//! Cached sequences that a step takes across the length at which LongRoPE changes its factors (A121).

use super::{Outcome, RunError, Session};
use crate::op::scalar::Scalar;
use crate::tensor::Logits;

impl<S: Scalar> Session<'_, S> {
    /// Whether the longest sequence is beyond the trained context with these tokens.
    pub(super) fn crosses(&self, tokens: &[Vec<u64>]) -> bool {
        let length = |(new, past): (&Vec<u64>, &u64)| new.len() as u64 + past;
        let longest = tokens.iter().zip(&self.past).map(length).max().unwrap_or(0);
        self.arch.position.turning().is_some_and(|context| longest > context)
    }

    /// All tokens in one step, where cached keys are turned otherwise than the step turns its own.
    pub(super) fn again(
        &mut self,
        tokens: &[Vec<u64>],
        logits: Logits,
        keep: &dyn Fn(&str) -> bool,
    ) -> Result<Option<Outcome<S>>, RunError> {
        let cached = self.past.iter().any(|&past| past > 0);
        let Some(context) = self.arch.position.turning().filter(|_| cached) else {
            return Ok(None);
        };
        if self.crosses(tokens) == self.beyond {
            return Ok(None);
        }
        let mut all = std::mem::take(&mut self.text);
        all.iter_mut().zip(tokens).for_each(|(text, new)| text.extend(new));
        self.caches.retain(|(_, name), _| name.starts_with("cross."));
        self.past.fill(0);
        self.text = vec![vec![]; tokens.len()];
        let outcome = self.step(&all, logits, keep)?;
        if !outcome.kept.is_empty() {
            return Err(RunError::Crossing { context });
        }
        if logits == Logits::Last {
            return Ok(Some(outcome));
        }
        let (mut rows, mut own) = (outcome.logits.chunks_exact(self.width()), vec![]);
        for (all, new) in all.iter().zip(tokens) {
            let before = all.len() - new.len();
            own.extend(rows.by_ref().take(all.len()).skip(before).flatten());
        }
        Ok(Some(Outcome { logits: own, ..outcome }))
    }
}
