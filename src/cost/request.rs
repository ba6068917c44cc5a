//! What is asked of a model: a generation or one phase, as steps.

use crate::mapping::Footprint;
use crate::tensor::{BeyondReserve, KvLayout, Step, StepError};

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
    /// A sequence that no reservation holds.
    #[error(transparent)]
    Reserve(#[from] BeyondReserve),
    /// Nothing to generate.
    #[error("output is 0; expected at least one token")]
    NoOutput,
    /// A prefix that no prompt begins with.
    #[error("a shared prefix of {prefix} tokens is longer than the {tokens} of the prompt")]
    Prefix {
        /// Tokens of the prefix.
        prefix: u64,
        /// Tokens of the prompt, or of the context of a decode step.
        tokens: u64,
    },
    /// A prefix where the prompt is the encoder's.
    #[error("the prompt of an encoder has no prefix whose keys and values are kept")]
    EncoderPrefix,
    /// Samples or beams of an unknown prompt.
    #[error("a decode step alone does not say which prompt its sequences share")]
    NoPrompt,
    /// A context that the decoder's own tokens fill.
    #[error(
        "context leaves the encoder nothing behind the decoder's own tokens; expected at least {least}"
    )]
    NoSource {
        /// The shortest that leaves a position.
        least: u64,
    },
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

    /// Longest context of a sequence; of the decoder where it begins with `start` tokens behind an
    /// encoder.
    pub fn longest_context(&self, start: Option<u64>) -> u64 {
        let (own, _) = self.split(start);
        match *self {
            Self::Generation { output, .. } => own.saturating_add(output),
            Self::Prefill { .. } => own,
            Self::Decode { .. } => own.saturating_add(u64::from(start.is_some())),
        }
    }

    /// KV slots held for a sequence in a layer without a window, under a layout; `more` tokens are
    /// kept behind the longest context for a moment.
    ///
    /// # Errors
    /// A sequence longer than the layout reserves.
    pub fn kv_slots(
        &self,
        start: Option<u64>,
        layout: &KvLayout,
        more: u64,
    ) -> Result<u64, BeyondReserve> {
        let longest = self.longest_context(start);
        let output = match *self {
            Self::Generation { output, .. } => output,
            Self::Prefill { .. } | Self::Decode { .. } => 0,
        };
        layout.slots(longest.saturating_sub(output), output.saturating_add(more))
    }

    /// Positions that an encoder reads, where there is one.
    pub fn source(&self, start: Option<u64>) -> u64 {
        self.split(start).1
    }

    /// Tokens of the decoder before it generates (in a decode step without an encoder, its whole
    /// context), and positions of the encoder. Behind an encoder the request's prompt is the
    /// encoder's, and the context of a decode step counts both sides, the new token included (A41).
    fn split(&self, start: Option<u64>) -> (u64, u64) {
        let tokens = match *self {
            Self::Generation { prompt, .. } => prompt,
            Self::Prefill { context, .. } | Self::Decode { context, .. } => context,
        };
        match (start, self) {
            (None, _) => (tokens, 0),
            (Some(start), Self::Decode { .. }) => (start, tokens.saturating_sub(start + 1)),
            (Some(start), _) => (start, tokens),
        }
    }

    /// Requests that the sequences of the batch belong to, and tokens of each prompt that are there
    /// before.
    fn shared(&self, start: Option<u64>, layout: &KvLayout) -> Result<(u64, u64), RequestError> {
        let batch = self.batch();
        let Some((sharing, block)) = layout.shared() else { return Ok((batch, 0)) };
        let prefix = sharing.prefix;
        let (tokens, _) = self.split(start);
        match (self, start) {
            (_, Some(_)) if prefix > 0 => Err(RequestError::EncoderPrefix),
            _ if prefix > tokens => Err(RequestError::Prefix { prefix, tokens }),
            (Self::Decode { .. }, _) if sharing.sequences.get() > 1 => Err(RequestError::NoPrompt),
            _ => Ok((sharing.requests(batch), sharing.cached(tokens, block))),
        }
    }

    /// Tokens of the decoder before it generates; in a decode step all that it attends to.
    pub fn prompt(&self, start: Option<u64>) -> u64 {
        match self {
            Self::Decode { .. } => self.longest_context(start),
            _ => self.split(start).0,
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

    /// The steps of this request by phase. Sequences of one prompt are encoded and prefilled once, and
    /// a prefix that all share is there before (A80). Where the positions of a sequence are dealt to
    /// devices, a prefill is that of a device's share, of which the last may be padded (A87).
    ///
    /// # Errors
    /// Zero or absurdly large numbers, and a prefix, samples or beams that the request cannot have.
    pub fn steps(&self, footprint: &Footprint) -> Result<Steps, RequestError> {
        let start = footprint.start();
        let layout = &footprint.placement.layout;
        let (requests, cached) = self.shared(start, layout)?;
        let batch = self.batch();
        let (own, source) = self.split(start);
        let encode = || match (start, source) {
            (None, _) => Ok(None),
            (Some(start), 0) if matches!(self, Self::Decode { .. }) => {
                Err(RequestError::NoSource { least: start.saturating_add(2) })
            }
            (Some(_), _) => Ok(Some(Step::encode(requests, source)?)),
        };
        let decode = |first: u64, last: u64| -> Result<DecodeSpan, RequestError> {
            Step::decode(batch, last)?.with_source(source)?;
            Ok(DecodeSpan { batch, first, last, source })
        };
        let share = |tokens: u64| tokens.div_ceil(footprint.context);
        let prefill = || match cached {
            0 => Step::prefill(requests, share(own))?.with_source(source),
            _ => Step::chunked(requests, share(own - cached), share(cached)),
        };
        match *self {
            Self::Generation { output: 0, .. } => Err(RequestError::NoOutput),
            Self::Generation { output, .. } => {
                let (encode, prefill) = (encode()?, Some(prefill()?));
                let last = own.saturating_add(output - 1);
                let more = output > 1;
                let decode = more.then(|| decode(own.saturating_add(1), last)).transpose()?;
                Ok(Steps { encode, prefill, decode })
            }
            Self::Prefill { .. } => {
                Ok(Steps { encode: encode()?, prefill: Some(prefill()?), decode: None })
            }
            Self::Decode { .. } => {
                encode()?;
                let context = self.longest_context(start);
                let decode = Some(decode(context, context)?);
                Ok(Steps { encode: None, prefill: None, decode })
            }
        }
    }
}

/// The steps of a request by phase.
#[derive(Debug, Clone, PartialEq)]
pub struct Steps {
    /// The encoder's input at once; `None` without an encoder.
    pub encode: Option<Step>,
    /// The prompt at once, or what the decoder begins with behind an encoder.
    pub prefill: Option<Step>,
    /// One token per sequence and step.
    pub decode: Option<DecodeSpan>,
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
    /// Positions that an encoder kept, per sequence; 0 without one.
    pub source: u64,
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
        let step = Step::decode(self.batch, context);
        step.and_then(|step| step.with_source(self.source))
            .expect("invariant: the span was checked at both ends")
    }

    /// The verify step of `tokens` new tokens, the first at a context of the span.
    pub(super) fn verify(&self, context: u64, tokens: u64) -> Step {
        let step = Step::verify(self.batch, tokens, context - 1);
        step.and_then(|step| step.with_source(self.source))
            .expect("invariant: the span was checked at both ends, and gamma is at least 0")
    }
}
