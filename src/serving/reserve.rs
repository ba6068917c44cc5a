//! How many slots a contiguous cache reserves for a request.

/// A reservation policy (the Orca variants of Kwon et al., arXiv 2309.06180, section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reserve {
    /// The longest sequence that the model serves.
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
