//! What sequences share of a paged KV cache: a prefix that all have, the prompt of samples and beams.

use std::fmt;
use std::num::NonZeroU64;

/// How several sequences go on from one prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Branching {
    /// Each on its own: they share the prompt (parallel sampling).
    #[default]
    Samples,
    /// A beam search: they also share what they generated before they parted (A81).
    Beams,
}

/// Which sequences of a batch share KV blocks (Kwon et al., arXiv 2309.06180, section 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sharing {
    /// First tokens of every prompt that are the same: a system prompt, whose keys and values are there
    /// before the request.
    pub prefix: u64,
    /// Sequences of one prompt: that many of the batch are one request.
    pub sequences: NonZeroU64,
    /// How they go on.
    pub branching: Branching,
}

/// The life of one sequence in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Tokens at the longest.
    pub tokens: u64,
    /// The last tokens that the layer keeps; all without a window.
    pub window: Option<u64>,
}

/// KV slots by how many sequences share them; a beam search has fractions, which are means.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Slots {
    /// Held once, for all sequences.
    pub common: f64,
    /// Held per request, for all of its sequences.
    pub per_request: f64,
}

impl Branching {
    /// What its sequences are called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Beams => "beams",
        }
    }
}

impl Default for Sharing {
    fn default() -> Self {
        Self::NONE
    }
}

impl Sharing {
    /// Every sequence on its own.
    pub const NONE: Self =
        Self { prefix: 0, sequences: NonZeroU64::MIN, branching: Branching::Samples };

    /// Whether anything is shared.
    pub const fn any(&self) -> bool {
        self.prefix > 0 || self.sequences.get() > 1
    }

    /// Requests of a batch of sequences; the last may have fewer than the others.
    pub const fn requests(&self, batch: u64) -> u64 {
        batch.div_ceil(self.sequences.get())
    }

    /// Requests of a batch by their number of sequences: those that have all, and the last, which has the
    /// rest.
    pub fn whole_and_rest(&self, batch: u64) -> [(u64, Self); 2] {
        let n = self.sequences.get();
        let rest = NonZeroU64::new(batch % n);
        let last = Self { sequences: rest.unwrap_or(NonZeroU64::MIN), ..*self };
        [(batch / n, *self), (u64::from(rest.is_some()), last)]
    }

    /// Tokens of a prompt that are there before its prefill: whole blocks of the prefix, and never
    /// the last token, whose logits are wanted.
    pub fn cached(&self, prompt: u64, block: NonZeroU64) -> u64 {
        whole(self.prefix.min(prompt.saturating_sub(1)), block)
    }

    /// Slots held at the longest context. Full blocks of the prefix are held once, full blocks of the
    /// prompt once per request; the block in which the prompt ends is copied by every sequence that
    /// writes to it, and what follows is their own.
    pub fn held(&self, span: Span, block: NonZeroU64) -> Slots {
        let size = block.get();
        let end = span.tokens.div_ceil(size) * size;
        // A window lies across that many blocks (A56).
        let first = span.window.map_or(0, |window| {
            let most = window.saturating_sub(1).div_ceil(size).saturating_add(1);
            end.saturating_sub(most.saturating_mul(size))
        });
        self.slots(span, first, end, block, size)
    }

    /// The slots among them that a token fills.
    pub fn used(&self, span: Span, block: NonZeroU64) -> Slots {
        let first = span.window.map_or(0, |window| span.tokens.saturating_sub(window));
        self.slots(span, first, span.tokens, block, 1)
    }

    /// Slots from `first` to `end`; branches of a beam search differ by whole `unit`s.
    fn slots(&self, span: Span, first: u64, end: u64, block: NonZeroU64, unit: u64) -> Slots {
        // Nothing is written behind a prompt that is not continued.
        let shared = if span.tokens > span.prompt { whole(span.prompt, block) } else { end };
        let prefix = self.cached(span.prompt, block);
        let own_from = shared.max(first);
        let own = match self.branching {
            Branching::Samples => self.sequences.get() as f64 * end.saturating_sub(own_from) as f64,
            Branching::Beams => self.tree(end.saturating_sub(own_from), span.tokens, end, unit),
        };
        Slots {
            common: prefix.saturating_sub(first) as f64,
            per_request: shared.saturating_sub(prefix.max(first)) as f64 + own,
        }
    }

    /// Slots of the tree of beams over the last `slots` slots before `end`, in units.
    ///
    /// Of K beams one is replaced by a fork of another in each step, so that j of their ancestors merge
    /// into one fewer at a rate of `j (j - 1) / (K (K - 1))` per step backwards (Moran's model): the
    /// mean time with j ancestors is its inverse. Ancestors are counted as if each number lasted its
    /// mean time (A81). A unit is copied by all ancestors that differ behind its last token.
    fn tree(&self, slots: u64, tokens: u64, end: u64, unit: u64) -> f64 {
        let beams = self.sequences.get();
        let units = slots.div_ceil(unit);
        // Empty slots of the last unit.
        let empty = (end - tokens.min(end)) as f64;
        // Units that end fewer tokens back than that; the last one does for any.
        let within = |back: f64| (((back + empty) / unit as f64).ceil() as u64).min(units) as f64;
        let pairs = (beams * (beams - 1)) as f64;
        let (mut sum, mut back, mut before) = (0.0, 0.0, 0.0);
        for ancestors in (2..=beams).rev() {
            back += pairs / (ancestors * (ancestors - 1)) as f64;
            sum += ancestors as f64 * (within(back) - before);
            before = within(back);
        }
        (sum + (units as f64 - before)) * unit as f64
    }
}

/// The tokens of `tokens` that fill whole blocks.
const fn whole(tokens: u64, block: NonZeroU64) -> u64 {
    tokens - tokens % block.get()
}

/// ` + prefix 512 + 4 samples`; nothing where nothing is shared.
impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix > 0 {
            write!(f, " + prefix {}", self.prefix)?;
        }
        match self.sequences.get() {
            1 => Ok(()),
            n => write!(f, " + {n} {}", self.branching.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(n: u64) -> NonZeroU64 {
        NonZeroU64::new(n).expect("above zero")
    }

    fn sharing(prefix: u64, sequences: u64, branching: Branching) -> Sharing {
        Sharing { prefix, sequences: size(sequences), branching }
    }

    fn span(prompt: u64, tokens: u64) -> Span {
        Span { prompt, tokens, window: None }
    }

    #[test]
    fn blocks_are_shared_while_they_are_full_and_alike() {
        let s = sharing(40, 4, Branching::Samples);
        // 2 blocks of prefix, 4 of the prompt's 6.25, and 4 x (4 blocks up to 160, from 96 on).
        let held = s.held(span(100, 150), size(16));
        assert_eq!(held, Slots { common: 32.0, per_request: 64.0 + 4.0 * 64.0 });
        let used = s.used(span(100, 150), size(16));
        assert_eq!(used, Slots { common: 32.0, per_request: 64.0 + 4.0 * 54.0 });
        // A prompt alone is shared to its end.
        assert_eq!(s.held(span(100, 100), size(16)).per_request, 80.0);
        // The last token is computed, even where all of the prompt is prefix.
        assert_eq!(s.cached(40, size(20)), 20);
        assert_eq!(sharing(64, 1, Branching::Samples).cached(64, size(16)), 48);
    }

    #[test]
    fn a_window_drops_what_is_shared_first() {
        let s = sharing(32, 2, Branching::Samples);
        let windowed = |window| s.held(Span { window: Some(window), ..span(64, 128) }, size(16));
        assert_eq!(windowed(4096), s.held(span(64, 128), size(16)));
        // ceil(47 / 16) + 1 = 4 blocks: all behind the prompt.
        assert_eq!(windowed(48), Slots { common: 0.0, per_request: 2.0 * 64.0 });
        // 6 blocks: two of the prompt's own, none of the prefix.
        assert_eq!(windowed(80), Slots { common: 0.0, per_request: 32.0 + 2.0 * 64.0 });
    }

    #[test]
    fn beams_hold_at_least_one_line_and_at_most_all() {
        for (beams, tokens) in [(2, 20), (4, 500), (8, 9000), (6, 17)] {
            let held = |s: Sharing| s.held(span(16, tokens), size(16)).per_request;
            let tree = held(sharing(0, beams, Branching::Beams));
            let apart = held(sharing(0, beams, Branching::Samples));
            let one = held(sharing(0, 1, Branching::Samples));
            assert!(one <= tree && tree <= apart, "{one} {tree} {apart}");
        }
        // With blocks of one token: two lines for the pair's mean time of one step, then one.
        let pair = sharing(0, 2, Branching::Beams);
        assert_eq!(pair.held(span(1, 101), size(1)).per_request, 1.0 + 101.0);
    }
}
