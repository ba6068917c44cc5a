//! What a server asks of KV memory.

use super::usage::Usage;

/// What a request needs of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Prompt tokens.
    pub prompt: u64,
    /// Tokens that it generates before it ends; only an oracle knows them beforehand.
    pub output: u64,
    /// Tokens of the output that exist already: above zero where a preempted request returns.
    pub done: u64,
}

impl Demand {
    /// Tokens to cache when it is admitted.
    pub const fn tokens(&self) -> u64 {
        self.prompt + self.done
    }

    /// Tokens cached when it ends.
    pub const fn total(&self) -> u64 {
        self.prompt + self.output
    }
}

/// A request that the allocator cannot serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AllocError {
    /// No room at present.
    #[error("the KV memory is full")]
    Full,
    /// Longer than the memory or the reservation will ever be.
    #[error("request of {0} tokens is longer than the allocator can ever hold")]
    TooLong(u64),
    /// No request of that number.
    #[error("no request {0} in the cache")]
    Unknown(u64),
    /// A request of that number is there already.
    #[error("request {0} is in the cache already")]
    Exists(u64),
}

/// A policy for KV memory. Requests are known by numbers.
pub trait Allocator {
    /// Token slots of the pool.
    fn slots(&self) -> u64;

    /// Makes room for a request and caches its first tokens.
    ///
    /// # Errors
    /// [`AllocError::Full`] and nothing changed; [`AllocError::TooLong`]; a number in use.
    fn admit(&mut self, id: u64, demand: &Demand) -> Result<(), AllocError>;

    /// Caches one more token of a request.
    ///
    /// # Errors
    /// [`AllocError::Full`] and nothing changed; an unknown number.
    fn append(&mut self, id: u64) -> Result<(), AllocError>;

    /// Frees all that a request holds.
    ///
    /// # Errors
    /// An unknown number.
    fn release(&mut self, id: u64) -> Result<(), AllocError>;

    /// What the slots of one request are spent on; `external` is what its placement rounds up.
    ///
    /// # Errors
    /// An unknown number.
    fn usage_of(&self, id: u64) -> Result<Usage, AllocError>;

    /// What the slots of the pool are spent on; they add up to [`Self::slots`].
    fn usage(&self) -> Usage;
}
