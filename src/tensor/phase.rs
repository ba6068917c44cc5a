//! The phases of a request: which graph a step runs.

use serde::Serialize;

/// A phase of generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The input of an encoder at once (A43), with the keys and values that each decoder layer keeps of it.
    Encode,
    /// The prompt at once; behind an encoder, the tokens that the decoder begins with.
    Prefill,
    /// One token per sequence.
    Decode,
}

impl Phase {
    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

/// A set of phases, and what the prefill among them processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Phases {
    set: u8,
    /// Tokens of a prefill behind an encoder.
    start: Option<u64>,
}

impl Phases {
    /// Prefill and decode: the phases of a decoder.
    pub const DECODER: Self =
        Self { set: 1 << Phase::Prefill as u8 | 1 << Phase::Decode as u8, start: None };

    /// Prefill and decode of a decoder that begins with `start` tokens behind an encoder.
    pub const fn behind_encoder(start: u64) -> Self {
        Self { start: Some(start), ..Self::DECODER }
    }

    /// One phase alone.
    pub const fn only(phase: Phase) -> Self {
        Self { set: 1 << phase as u8, start: None }
    }

    /// Whether a phase is among them.
    pub const fn contains(self, phase: Phase) -> bool {
        self.set & (1 << phase as u8) != 0
    }

    /// Tokens that a prefill behind an encoder processes; `None` where it processes the prompt.
    pub const fn start(self) -> Option<u64> {
        self.start
    }

    /// Whether a phase is in both.
    pub const fn meets(self, other: Self) -> bool {
        self.set & other.set != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_it_was_made_of() {
        let decode = Phases::only(Phase::Decode);
        assert!(decode.contains(Phase::Decode) && !decode.contains(Phase::Prefill));
        let behind = Phases::behind_encoder(4);
        assert!(behind.meets(decode) && !behind.contains(Phase::Encode));
        assert_eq!((behind.start(), decode.start()), (Some(4), None));
        assert!(decode.meets(Phases::DECODER) && !decode.meets(Phases::only(Phase::Prefill)));
    }
}
