//! One forward pass of the model: which sequences take part, with how many new and past tokens.

use super::mask::Mask;
use super::stripe::Stripe;
use smallvec::SmallVec;
use std::num::NonZeroU64;

/// Sequences that are alike: `count` of them, each with `past` cached and `new` tokens to process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Group {
    /// Number of sequences.
    pub count: u64,
    /// Tokens processed in this step, per sequence.
    pub new: u64,
    /// Tokens whose keys and values are cached already, per sequence.
    pub past: u64,
    /// Positions that the encoder kept, per sequence; 0 without an encoder.
    pub source: u64,
}

/// Which tokens get logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Logits {
    /// The last new token of each sequence.
    Last,
    /// Every new token: a verify step of speculative decoding.
    All,
}

/// A forward pass over groups of sequences. Made only by its constructors; costs fold over groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    groups: SmallVec<[Group; 2]>,
    logits: Logits,
}

/// A step that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// No sequence, or a group of none.
    #[error("batch is 0; expected at least one sequence")]
    NoSequence,
    /// A group that processes nothing.
    #[error("{0} is 0; expected at least one token")]
    NoToken(&'static str),
    /// Beyond what any model or counter holds.
    #[error("{what} {found} is above the limit of {limit}")]
    TooLarge {
        /// Which number.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The limit.
        limit: u64,
    },
}

/// Where one sequence lies in the packed tensors of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// Row of its first new token in `[tokens, ..]`.
    pub first_token: usize,
    /// New tokens.
    pub new: usize,
    /// Row of its first cached token in `[past, ..]`.
    pub first_past: usize,
    /// Cached tokens before the step.
    pub past: usize,
    /// Row of its first key in `[context, ..]`.
    pub first_context: usize,
    /// Row of its first kept position in `[source, ..]`.
    pub first_source: usize,
    /// Positions that the encoder kept.
    pub source: usize,
}

/// Largest batch of a group, and largest context of a sequence.
const LIMIT: u64 = 1 << 32;

impl Step {
    /// Processes `prompt` tokens of `batch` sequences at once, from an empty cache.
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn prefill(batch: u64, prompt: u64) -> Result<Self, StepError> {
        Self::one(Group { count: batch, new: prompt, past: 0, source: 0 }, Logits::Last, "prompt")
    }

    /// One token per sequence; `context` counts the new token, whose key and value are attended to.
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn decode(batch: u64, context: u64) -> Result<Self, StepError> {
        let past = context.checked_sub(1).ok_or(StepError::NoToken("context"))?;
        Self::one(Group { count: batch, new: 1, past, source: 0 }, Logits::Last, "context")
    }

    /// Checks `tokens` draft tokens per sequence at once, with logits for each.
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn verify(batch: u64, tokens: u64, past: u64) -> Result<Self, StepError> {
        Self::one(Group { count: batch, new: tokens, past, source: 0 }, Logits::All, "draft tokens")
    }

    /// A chunk of a longer prompt: `chunk` tokens behind `past` cached ones.
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn chunked(batch: u64, chunk: u64, past: u64) -> Result<Self, StepError> {
        Self::one(Group { count: batch, new: chunk, past, source: 0 }, Logits::Last, "chunk")
    }

    /// Runs an encoder over `source` positions of `batch` sequences at once.
    ///
    /// # Errors
    /// Zero or absurdly large numbers.
    pub fn encode(batch: u64, source: u64) -> Result<Self, StepError> {
        let group = Group { count: batch, new: source, past: 0, source };
        Self::one(group, Logits::Last, "source")
    }

    /// The same step of sequences whose encoder kept `source` positions each.
    ///
    /// # Errors
    /// Absurdly large numbers.
    pub fn with_source(mut self, source: u64) -> Result<Self, StepError> {
        for group in &mut self.groups {
            group.source = source;
            check(group, "new tokens")?;
        }
        Ok(self)
    }

    /// Any mix of groups in one pass, for instance a chunk of one prompt beside decodes of others.
    ///
    /// # Errors
    /// No group, or a group with zero or absurdly large numbers.
    pub fn mixed(groups: impl IntoIterator<Item = Group>) -> Result<Self, StepError> {
        let groups: SmallVec<[Group; 2]> = groups.into_iter().collect();
        if groups.is_empty() {
            return Err(StepError::NoSequence);
        }
        groups.iter().try_for_each(|g| check(g, "new tokens"))?;
        Ok(Self { groups, logits: Logits::Last })
    }

    /// The same step with logits for every new token.
    pub fn with_all_logits(self) -> Self {
        Self { logits: Logits::All, ..self }
    }

    fn one(group: Group, logits: Logits, what: &'static str) -> Result<Self, StepError> {
        check(&group, what)?;
        Ok(Self { groups: SmallVec::from_slice(&[group]), logits })
    }

    /// The groups.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Number of sequences.
    pub fn batch(&self) -> f64 {
        self.sum(|g| g.count as f64)
    }

    /// New tokens over all sequences.
    pub fn tokens(&self) -> f64 {
        self.sum(|g| g.count as f64 * g.new as f64)
    }

    /// Rows that get logits.
    pub fn logit_rows(&self) -> f64 {
        match self.logits {
            Logits::Last => self.batch(),
            Logits::All => self.tokens(),
        }
    }

    /// Which tokens get logits.
    pub fn logits(&self) -> Logits {
        self.logits
    }

    /// Tokens cached before the step, over all sequences.
    pub fn past(&self) -> f64 {
        self.sum(|g| g.count as f64 * g.past as f64)
    }

    /// Tokens cached after the step, over all sequences.
    pub fn context(&self) -> f64 {
        self.sum(|g| g.count as f64 * (g.past + g.new) as f64)
    }

    /// Tokens of a stripe cached before the step, over all sequences.
    pub fn past_part(&self, stripe: Stripe) -> f64 {
        self.sum(|g| g.count as f64 * stripe.held(g.past) as f64)
    }

    /// Tokens of a stripe cached after the step, over all sequences.
    pub fn context_part(&self, stripe: Stripe) -> f64 {
        self.sum(|g| g.count as f64 * stripe.held(g.past + g.new) as f64)
    }

    /// Positions that the encoder kept, over all sequences.
    pub fn source(&self) -> f64 {
        self.sum(|g| g.count as f64 * g.source as f64)
    }

    /// (query, key) pairs that the mask lets through, over all sequences (A7).
    ///
    /// Causal: `sum_i (past + i)` for `i` in `1..=new`; sliding: `sum_i min(past + i, window)`; full:
    /// `new^2`; cross: `new source`.
    pub fn pairs(&self, mask: Mask) -> f64 {
        self.sum(|g| g.count as f64 * pairs(g, mask))
    }

    /// New tokens that see a key: all, but for those before the first of a stripe.
    pub fn queries(&self, mask: Mask) -> f64 {
        let Mask::Part { stripe, window } = mask else { return self.tokens() };
        let sees = |own: &u64| {
            stripe.held(*own) > stripe.held(window.map_or(0, |w| own.saturating_sub(w)))
        };
        self.sum(|g| g.count as f64 * (g.past + 1..=g.past + g.new).filter(sees).count() as f64)
    }

    /// Rows of keys that at least one new query sees: all of the context, under a window `w` the
    /// last `new + w - 1`, in an encoder the new tokens, in cross-attention the source.
    pub fn visible_context(&self, mask: Mask) -> f64 {
        self.sum(|g| {
            let context = g.past + g.new;
            let seen = match mask {
                Mask::Full => g.new,
                Mask::Cross => g.source,
                Mask::Causal => context,
                Mask::Sliding { window } => context.min(g.new + window - 1),
                Mask::Striped { stripe, window } => {
                    let first = stripe.position(g.past as usize) as u64 + 1;
                    let last = first + (g.new - 1) * stripe.of;
                    match window {
                        // Windows that do not meet.
                        Some(w) if w <= stripe.of => return g.count as f64 * pairs(g, mask),
                        window => last - first.saturating_sub(window.unwrap_or(first)),
                    }
                }
                Mask::Part { stripe, window } => {
                    let (first, end) = part(g, stripe, window);
                    end - first
                }
            };
            g.count as f64 * seen as f64
        })
    }

    /// KV blocks of `block` tokens that hold the rows of [`Self::visible_context`], over all
    /// sequences: entries of block tables that attention reads.
    pub fn visible_blocks(&self, mask: Mask, block: NonZeroU64) -> f64 {
        self.sum(|g| {
            let (first, end) = match mask {
                Mask::Full => return 0.0,
                Mask::Cross => (0, g.source),
                Mask::Causal => (0, g.past + g.new),
                Mask::Sliding { window } => ((g.past + 1).saturating_sub(window), g.past + g.new),
                // Brought together, keys lie in one run.
                Mask::Striped { .. } => return 0.0,
                Mask::Part { stripe, window } => part(g, stripe, window),
            };
            if first == end {
                return 0.0;
            }
            g.count as f64 * (end.div_ceil(block.get()) - first / block.get()) as f64
        })
    }

    /// Distinct positions of the new tokens: the rows of a position table that are read.
    pub fn distinct_positions(&self) -> f64 {
        if let [g] = self.groups[..] {
            return g.new as f64;
        }
        let mut spans: Vec<(u64, u64)> =
            self.groups.iter().map(|g| (g.past, g.past + g.new)).collect();
        spans.sort_unstable();
        let mut reached = 0;
        let mut count = 0;
        for (start, end) in spans {
            count += end.saturating_sub(start.max(reached));
            reached = reached.max(end);
        }
        count as f64
    }

    /// The sequences with their places in packed tensors, in order.
    pub fn sequences(&self) -> impl Iterator<Item = Sequence> + '_ {
        let singles = self.groups.iter().flat_map(|g| (0..g.count).map(move |_| *g));
        singles.scan((0, 0, 0, 0), |(token, past_row, context, source_row), g| {
            let [new, past, source] = [g.new, g.past, g.source].map(|n| n as usize);
            let sequence = Sequence {
                first_token: *token,
                new,
                first_past: *past_row,
                past,
                first_context: *context,
                first_source: *source_row,
                source,
            };
            *token += new;
            *past_row += past;
            *context += past + new;
            *source_row += source;
            Some(sequence)
        })
    }

    /// Row of a sequence's first key in the keys that attention under a mask reads.
    pub fn first_key(&self, sequence: &Sequence, mask: Mask) -> usize {
        match mask {
            Mask::Full => sequence.first_token,
            Mask::Cross => sequence.first_source,
            Mask::Causal | Mask::Sliding { .. } => sequence.first_context,
            Mask::Striped { stripe, .. } => sequence.first_context * stripe.of as usize,
            Mask::Part { stripe, .. } => {
                let before = |s: &Sequence| s.first_token < sequence.first_token;
                let rows = |s: Sequence| stripe.held((s.past + s.new) as u64) as usize;
                self.sequences().take_while(before).map(rows).sum()
            }
        }
    }

    /// Row of a sequence's first key of a stripe in what is cached of it before the step.
    pub fn first_past_part(&self, sequence: &Sequence, stripe: Stripe) -> usize {
        let before = |s: &Sequence| s.first_token < sequence.first_token;
        let rows = |s: Sequence| stripe.held(s.past as u64) as usize;
        self.sequences().take_while(before).map(rows).sum()
    }

    fn sum(&self, f: impl Fn(&Group) -> f64) -> f64 {
        self.groups.iter().map(f).sum()
    }
}

impl Sequence {
    /// Numbers of the keys that new token `i` sees, among those that attention under the mask reads:
    /// positions, but for the keys of a stripe.
    pub fn visible(&self, i: usize, mask: Mask) -> std::ops::Range<usize> {
        let own = self.query_position(i, mask) + 1;
        let first = |window: Option<u64>| window.map_or(0, |w| own.saturating_sub(w as usize));
        match mask {
            Mask::Full => 0..self.new,
            Mask::Cross => 0..self.source,
            Mask::Causal | Mask::Sliding { .. } | Mask::Striped { .. } => first(mask.window())..own,
            Mask::Part { stripe, window } => {
                let held = |positions: usize| stripe.held(positions as u64) as usize;
                held(first(window))..held(own)
            }
        }
    }

    /// Position of new token `i` in its sequence.
    pub const fn query_position(&self, i: usize, mask: Mask) -> usize {
        match mask {
            Mask::Striped { stripe, .. } => stripe.position(self.past + i),
            _ => self.past + i,
        }
    }

    /// Position of a key in its sequence.
    pub const fn key_position(&self, key: usize, mask: Mask) -> usize {
        match mask {
            Mask::Part { stripe, .. } => stripe.position(key),
            _ => key,
        }
    }
}

fn pairs(g: &Group, mask: Mask) -> f64 {
    let (new, past) = (g.new as f64, g.past as f64);
    let causal = |new: f64| new * past + new * (new + 1.0) / 2.0;
    match mask {
        Mask::Full => new * new,
        Mask::Cross => new * g.source as f64,
        Mask::Causal => causal(new),
        Mask::Sliding { window } => {
            let growing = new.min((window as f64 - past).max(0.0));
            causal(growing) + (new - growing) * window as f64
        }
        Mask::Striped { stripe, window } => {
            let first = stripe.position(g.past as usize) as u64 + 1;
            // Queries that see all before them, and the others, that see a window each.
            let growing = match window {
                None => g.new,
                Some(w) if w < first => 0,
                Some(w) => g.new.min((w - first) / stripe.of + 1),
            };
            let n = growing as f64;
            let rising = n * first as f64 + stripe.of as f64 * n * (n - 1.0) / 2.0;
            rising + (g.new - growing) as f64 * window.unwrap_or(0) as f64
        }
        Mask::Part { stripe, window } => {
            let seen = |own: u64| {
                let first = window.map_or(0, |w| own.saturating_sub(w));
                (stripe.held(own) - stripe.held(first)) as f64
            };
            (g.past + 1..=g.past + g.new).map(seen).sum()
        }
    }
}

/// Keys of a stripe that new tokens see: from the first, up to one behind the last.
fn part(g: &Group, stripe: Stripe, window: Option<u64>) -> (u64, u64) {
    let first = window.map_or(0, |w| (g.past + 1).saturating_sub(w));
    (stripe.held(first), stripe.held(g.past + g.new))
}

fn check(group: &Group, what: &'static str) -> Result<(), StepError> {
    let large = |what, found| StepError::TooLarge { what, found, limit: LIMIT };
    match *group {
        Group { count: 0, .. } => Err(StepError::NoSequence),
        Group { new: 0, .. } => Err(StepError::NoToken(what)),
        Group { count, .. } if count > LIMIT => Err(large("batch", count)),
        Group { new, .. } if new > LIMIT => Err(large(what, new)),
        Group { past, .. } if past > LIMIT => Err(large("context", past)),
        Group { source, .. } if source > LIMIT => Err(large("source", source)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn closed_forms_equal_enumeration(
            groups in prop::collection::vec((1..4u64, 1..9u64, 0..9u64, 0..7u64), 1..4),
            window in 1..12u64,
            block in 1..6u64,
            (of, rank) in (1..5u64, 0..5u64),
            within: bool,
        ) {
            let stripe = Stripe { rank: rank % of, of };
            let bound = within.then_some(window);
            let [striped, part] =
                [Mask::Striped { stripe, window: bound }, Mask::Part { stripe, window: bound }];
            let block = NonZeroU64::new(block).expect("above zero");
            let groups = groups.iter().map(|&(count, new, past, source)| Group { count, new, past, source });
            let step = Step::mixed(groups).expect("valid");
            let plain = [Mask::Full, Mask::Cross, Mask::Causal, Mask::Sliding { window }];
            for mask in plain.into_iter().chain([striped, part]) {
                let mut pairs = 0;
                let mut seen = 0;
                let (mut blocks, mut queries) = (0, 0);
                for s in step.sequences() {
                    let mut touched = vec![false; ((s.past + s.new) * of as usize).max(s.source)];
                    for i in 0..s.new {
                        pairs += s.visible(i, mask).len();
                        queries += usize::from(!s.visible(i, mask).is_empty());
                        touched[s.visible(i, mask)].fill(true);
                    }
                    seen += touched.iter().filter(|t| **t).count();
                    let each = touched.chunks(block.get() as usize);
                    blocks += each.filter(|b| b.contains(&true)).count();
                }
                prop_assert_eq!(step.pairs(mask), pairs as f64);
                prop_assert_eq!(step.visible_context(mask), seen as f64);
                if mask != Mask::Cross {
                    prop_assert_eq!(step.queries(mask), queries as f64);
                }
                if mask != Mask::Full && mask != striped {
                    prop_assert_eq!(step.visible_blocks(mask, block), blocks as f64);
                }
            }
            let positions: std::collections::BTreeSet<usize> =
                step.sequences().flat_map(|s| s.past..s.past + s.new).collect();
            prop_assert_eq!(step.distinct_positions(), positions.len() as f64);
        }
    }

    #[test]
    fn impossible_steps_are_refused() {
        assert_eq!(Step::prefill(0, 4), Err(StepError::NoSequence));
        assert_eq!(Step::decode(1, 0), Err(StepError::NoToken("context")));
        assert_eq!(Step::mixed([]), Err(StepError::NoSequence));
        assert!(Step::prefill(1, u64::MAX).is_err());
    }
}
