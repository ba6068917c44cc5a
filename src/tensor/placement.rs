//! Where a server keeps what outlives a step: how the KV cache is laid out, and what lies in host
//! memory.

use super::mask::Mask;
use super::sharing::Sharing;
use std::fmt;
use std::num::NonZeroU64;

/// How many slots a contiguous cache reserves for a request (the Orca variants of Kwon et al., arXiv
/// 2309.06180, section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reserve {
    /// The longest sequence that is served.
    Max,
    /// The prompt, and the output rounded up to a power of two: at most twice the output.
    Pow2,
    /// Exactly what the request will need.
    Oracle,
}

impl Reserve {
    /// Every policy with its name.
    pub const ALL: &'static [(&'static str, Self)] =
        &[("max", Self::Max), ("pow2", Self::Pow2), ("oracle", Self::Oracle)];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::Pow2 => "pow2",
            Self::Oracle => "oracle",
        }
    }

    /// Slots reserved for a request; never less than it needs, else never above `max_length`.
    pub fn slots(self, prompt: u64, output: u64, max_length: u64) -> u64 {
        let needed = prompt.saturating_add(output);
        let wanted = match self {
            Self::Max => max_length,
            Self::Pow2 => {
                let rounded = output.checked_next_power_of_two().unwrap_or(output);
                prompt.saturating_add(rounded).min(max_length)
            }
            Self::Oracle => needed,
        };
        wanted.max(needed)
    }
}

/// How the KV cache of a sequence lies in memory. A slot holds the keys and values of one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KvLayout {
    /// One run of slots, reserved when a request is admitted.
    Contiguous {
        /// How many.
        reserve: Reserve,
        /// Tokens of the longest sequence that is served.
        longest: u64,
    },
    /// KV blocks of that many slots, found through a block table (Kwon et al., arXiv 2309.06180).
    Paged {
        /// Slots of a block.
        block: NonZeroU64,
        /// Which sequences share blocks.
        sharing: Sharing,
    },
}

/// A request that is longer than the longest that a reservation holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sequence of {tokens} tokens is longer than the {longest} that the KV cache reserves")]
pub struct BeyondReserve {
    /// Tokens of the sequence.
    pub tokens: u64,
    /// Slots reserved.
    pub longest: u64,
}

impl Default for KvLayout {
    fn default() -> Self {
        Self::Contiguous { reserve: Reserve::Oracle, longest: u64::MAX }
    }
}

impl KvLayout {
    /// Bytes of an entry of a block table (A55): a 32-bit integer, as in vLLM's (`torch.int32` in
    /// `vllm/v1/worker/block_table.py`).
    pub const ENTRY: f64 = 4.0;

    /// Slots held for a sequence of `prompt` tokens that grows by `output`, in a layer without a
    /// window.
    ///
    /// # Errors
    /// More tokens than a contiguous cache reserves.
    pub fn slots(&self, prompt: u64, output: u64) -> Result<u64, BeyondReserve> {
        let tokens = prompt.saturating_add(output);
        match *self {
            Self::Contiguous { longest, .. } if tokens > longest => {
                Err(BeyondReserve { tokens, longest })
            }
            Self::Contiguous { reserve: Reserve::Pow2, .. } if output == 0 => Ok(tokens),
            Self::Contiguous { reserve, longest } => Ok(reserve.slots(prompt, output, longest)),
            Self::Paged { block, .. } => Ok(whole_blocks(tokens, block)),
        }
    }

    /// Slots held in a layer that keeps `window` tokens, where one without a window holds `slots`:
    /// in a paged cache a window lies across up to `ceil((w - 1) / B) + 1` blocks (A56).
    pub fn within(&self, slots: u64, window: Option<u64>) -> u64 {
        let Some(window) = window else { return slots };
        match *self {
            Self::Contiguous { .. } => slots.min(window),
            Self::Paged { block, .. } => {
                let most = window.saturating_sub(1).div_ceil(block.get()).saturating_add(1);
                slots.min(most.saturating_mul(block.get()))
            }
        }
    }

    /// Slots held for `tokens` whose number is known before: what an encoder keeps.
    pub fn known(&self, tokens: u64) -> u64 {
        self.block().map_or(tokens, |block| whole_blocks(tokens, block))
    }

    /// Which sequences share blocks, and the slots of a block; `None` where none do.
    pub fn shared(&self) -> Option<(Sharing, NonZeroU64)> {
        match *self {
            Self::Paged { block, sharing } if sharing.any() => Some((sharing, block)),
            _ => None,
        }
    }

    /// Requests of a batch of sequences: fewer where several go on from one prompt.
    pub fn requests(&self, batch: u64) -> u64 {
        self.shared().map_or(batch, |(sharing, _)| sharing.requests(batch))
    }

    /// Slots of a block of a paged cache.
    pub const fn block(&self) -> Option<NonZeroU64> {
        match self {
            Self::Contiguous { .. } => None,
            Self::Paged { block, .. } => Some(*block),
        }
    }
}

fn whole_blocks(tokens: u64, block: NonZeroU64) -> u64 {
    tokens.div_ceil(block.get()).saturating_mul(block.get())
}

impl fmt::Display for KvLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contiguous { reserve: Reserve::Oracle, .. } => f.write_str("contiguous"),
            Self::Contiguous { reserve: Reserve::Max, longest } => {
                write!(f, "contiguous max:{longest}")
            }
            Self::Contiguous { reserve, .. } => write!(f, "contiguous {}", reserve.name()),
            Self::Paged { block, sharing } => write!(f, "paged:{block}{sharing}"),
        }
    }
}

/// What lies in host memory and passes the host link whenever it is used (A57, A58).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Offload {
    /// The KV cache.
    pub kv: bool,
    /// The weights.
    pub weights: bool,
}

impl Offload {
    /// Everything stays on the device.
    pub const NONE: Self = Self { kv: false, weights: false };

    /// Whether anything lies in host memory.
    pub const fn any(self) -> bool {
        self.kv || self.weights
    }

    /// Whether a value of that kind lies in host memory.
    pub const fn holds(self, kept: Kept) -> bool {
        match kept {
            Kept::No => false,
            Kept::Weight => self.weights,
            Kept::Cache(_) => self.kv,
        }
    }
}

impl fmt::Display for Offload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.kv, self.weights) {
            (false, false) => "none",
            (true, false) => "kv",
            (false, true) => "weights",
            (true, true) => "kv+weights",
        })
    }
}

/// Layout of the KV cache, and what lies in host memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Placement {
    /// How the KV cache lies in memory.
    pub layout: KvLayout,
    /// What lies in host memory.
    pub offload: Offload,
}

/// What outlives a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kept {
    /// Nothing: a value of the step.
    No,
    /// A weight.
    Weight,
    /// Keys or values, with the mask of the attention that reads them.
    Cache(Mask),
}
