//! What is asked of a model: a generation or one phase, as steps.

use crate::tensor::{Step, StepError};

/// What is asked of the model: one static batch (A18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Prefill of `prompt` tokens, which yields token 1, then `output - 1` decode steps at contexts
    /// `prompt + 1` to `prompt + output - 1`.
    Generation {
        /// Sequences.
        batch: u64,
        /// Prompt tokens per sequence.
        prompt: u64,
        /// Generated tokens per sequence.
        output: u64,
    },
    /// One prefill step over `context` tokens.
    Prefill {
        /// Sequences.
        batch: u64,
        /// Prompt tokens per sequence.
        context: u64,
    },
    /// One decode step whose new token makes the context `context` tokens long.
    Decode {
        /// Sequences.
        batch: u64,
        /// Tokens attended to, the new one included.
        context: u64,
    },
}

/// A request that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A step of it cannot be.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Nothing to generate.
    #[error("output is 0; expected at least one token")]
    NoOutput,
}

impl Request {
    /// Sequences.
    pub const fn batch(&self) -> u64 {
        match *self {
            Self::Generation { batch, .. }
            | Self::Prefill { batch, .. }
            | Self::Decode { batch, .. } => batch,
        }
    }

    /// Longest context of a sequence.
    pub const fn longest_context(&self) -> u64 {
        match *self {
            Self::Generation { prompt, output, .. } => prompt.saturating_add(output),
            Self::Prefill { context, .. } | Self::Decode { context, .. } => context,
        }
    }

    /// The same request with another batch.
    pub const fn with_batch(self, batch: u64) -> Self {
        match self {
            Self::Generation { prompt, output, .. } => Self::Generation { batch, prompt, output },
            Self::Prefill { context, .. } => Self::Prefill { batch, context },
            Self::Decode { context, .. } => Self::Decode { batch, context },
        }
    }

    /// The prefill step and the contexts of the decode steps.
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn steps(&self) -> Result<(Option<Step>, Option<DecodeSpan>), RequestError> {
        match *self {
            Self::Generation { output: 0, .. } => Err(RequestError::NoOutput),
            Self::Generation { batch, prompt, output } => {
                let prefill = Step::prefill(batch, prompt)?;
                let last = prompt.saturating_add(output - 1);
                let span = DecodeSpan { batch, first: prompt.saturating_add(1), last };
                if output > 1 {
                    Step::decode(batch, last)?;
                }
                Ok((Some(prefill), (output > 1).then_some(span)))
            }
            Self::Prefill { batch, context } => Ok((Some(Step::prefill(batch, context)?), None)),
            Self::Decode { batch, context } => {
                Step::decode(batch, context)?;
                Ok((None, Some(DecodeSpan { batch, first: context, last: context })))
            }
        }
    }
}

/// Decode steps of one batch over consecutive contexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeSpan {
    /// Sequences.
    pub batch: u64,
    /// First context.
    pub first: u64,
    /// Last context.
    pub last: u64,
}

impl DecodeSpan {
    /// Number of steps.
    pub const fn steps(&self) -> u64 {
        self.last - self.first + 1
    }

    /// The step in the middle of the span.
    pub fn middle(&self) -> Step {
        self.step(self.first + (self.last - self.first) / 2)
    }

    /// The step at a context of the span.
    pub(super) fn step(&self, context: u64) -> Step {
        Step::decode(self.batch, context).expect("invariant: the span was checked at both ends")
    }
    /// The verify step of `tokens` new tokens, the first at a context of the span.
    pub(super) fn verify(&self, context: u64, tokens: u64) -> Step {
        Step::verify(self.batch, tokens, context - 1)
            .expect("invariant: the span was checked at both ends, and gamma is at least 0")
    }
}
