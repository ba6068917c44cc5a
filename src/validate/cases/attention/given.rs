//! What a kernel reads of a case's inputs, on the way from memory to numbers.

use super::Attention;
use super::schedule::Schedule;
use crate::validate::Inputs;
use std::borrow::Cow;

/// What becomes of inputs, which stay where they are if nothing does.
fn then<'a>(
    inputs: Cow<'a, Inputs>,
    step: impl for<'b> Fn(&'b Inputs) -> Cow<'b, Inputs>,
) -> Cow<'a, Inputs> {
    match inputs {
        Cow::Borrowed(inputs) => step(inputs),
        Cow::Owned(inputs) => {
            let changed = match step(&inputs) {
                Cow::Owned(changed) => Some(changed),
                Cow::Borrowed(_) => None,
            };
            Cow::Owned(changed.unwrap_or(inputs))
        }
    }
}

impl Schedule {
    /// Queries, keys and values as numbers by position, as the kernel reads them.
    pub(super) fn given<'a>(&self, case: &Attention, inputs: &'a Inputs) -> Cow<'a, Inputs> {
        let read = match self.bugs.memory {
            Some(memory) => Cow::Owned(memory(case, inputs)),
            None => Cow::Borrowed(inputs),
        };
        let placed = then(read, |inputs| case.contiguous(inputs, self.bugs.walk));
        let taken = match self.bugs.inputs {
            Some(taken) => Cow::Owned(taken(case, &placed)),
            None => placed,
        };
        then(taken, |inputs| case.dequantized(inputs, self.bugs.cache))
    }
}
