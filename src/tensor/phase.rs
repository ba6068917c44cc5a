//! The phases of a request: which graph a step runs.

use serde::Serialize;

/// A phase of generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The prompt at once.
    Prefill,
    /// One token per sequence.
    Decode,
}

impl Phase {
    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

/// A set of phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Phases(u8);

impl Phases {
    /// Prefill and decode: the phases of a decoder.
    pub const DECODER: Self = Self(1 << Phase::Prefill as u8 | 1 << Phase::Decode as u8);

    /// One phase alone.
    pub const fn only(phase: Phase) -> Self {
        Self(1 << phase as u8)
    }

    /// Whether a phase is among them.
    pub const fn contains(self, phase: Phase) -> bool {
        self.0 & (1 << phase as u8) != 0
    }

    /// Whether a phase is in both.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_it_was_made_of() {
        let decode = Phases::only(Phase::Decode);
        assert!(decode.contains(Phase::Decode) && !decode.contains(Phase::Prefill));
        assert!(decode.meets(Phases::DECODER) && !decode.meets(Phases::only(Phase::Prefill)));
    }
}
