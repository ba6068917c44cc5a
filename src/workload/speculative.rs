//! The choices of speculative decoding: who drafts, how much, and how often it is accepted.

use super::acceptance::Acceptance;
use crate::diagnostic::{Diagnostic, Place, clip};
use std::fmt;
use std::str::FromStr;

/// What proposes tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drafter {
    /// A smaller model: id or path.
    Model(String),
    /// Matches of the last tokens in the prompt: costs nothing.
    PromptLookup,
    /// That many heads on the last hidden state, one for each drafted position (Medusa, arXiv
    /// 2401.10774).
    Medusa(u64),
    /// That many multi-token-prediction modules, one for each drafted position (DeepSeek-V3, arXiv
    /// 2412.19437).
    Mtp(u64),
}

/// Tokens drafted in a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gamma {
    /// That many.
    Fixed(u64),
    /// As many as give the most tokens per second.
    Auto,
}

/// Speculative decoding as a scenario or the command line has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Speculative {
    /// What proposes tokens; `None` where tokens are decoded one by one.
    pub drafter: Option<Drafter>,
    /// Tokens drafted in a loop.
    pub gamma: Gamma,
    /// How often they are accepted.
    pub acceptance: Option<Acceptance>,
    /// Where the drafter is named in a file.
    pub place: Option<Place>,
}

impl Speculative {
    /// Plain decoding.
    pub const NONE: Self =
        Self { drafter: None, gamma: Gamma::Auto, acceptance: None, place: None };

    /// Drafter, gamma and acceptance, where there is a drafter.
    ///
    /// # Errors
    /// A drafter without acceptance, or one that drafts fewer tokens than gamma, or gamma beyond
    /// the positions that have an acceptance.
    pub fn checked(&self) -> Result<Option<(&Drafter, Gamma, &Acceptance)>, Diagnostic> {
        let Some(drafter) = &self.drafter else { return Ok(None) };
        let Some(acceptance) = &self.acceptance else {
            let message = format!("speculation with {drafter} has no acceptance rate");
            let hint = "for instance --acceptance 0.8";
            return Err(Diagnostic::new(message).hint(hint));
        };
        if let Gamma::Fixed(gamma) = self.gamma {
            let beyond = |most: u64, what: &str| {
                let message = format!("gamma {gamma} is beyond the {most} {what}");
                Diagnostic::new(message).hint(format!("at most {most}, or auto"))
            };
            if let Some(most) = drafter.limit().filter(|most| gamma > *most) {
                return Err(beyond(most, &format!("tokens that {drafter} drafts")));
            }
            if let Some(most) = acceptance.positions().filter(|most| gamma > *most) {
                return Err(beyond(most, "positions that have an acceptance rate"));
            }
        }
        Ok(Some((drafter, self.gamma, acceptance)))
    }
}

impl Drafter {
    /// Most tokens that it drafts; `None` where it goes on.
    pub const fn limit(&self) -> Option<u64> {
        match self {
            Self::Model(_) | Self::PromptLookup => None,
            Self::Medusa(heads) | Self::Mtp(heads) => Some(*heads),
        }
    }

    /// A drafter by name; `None` for `none`.
    ///
    /// # Errors
    /// Heads that are not a number of at least 1. Whether a model of that name exists shows when
    /// it is loaded.
    pub fn parse(text: &str) -> Result<Option<Self>, Diagnostic> {
        match text {
            "none" => Ok(None),
            _ if without_draft_model(text) => text.parse().map(Some),
            _ => Ok(Some(Self::Model(text.to_owned()))),
        }
    }
}

fn without_draft_model(text: &str) -> bool {
    let kind = text.split_once(':').map_or(text, |(kind, _)| kind);
    ["prompt-lookup", "medusa", "mtp"].contains(&kind)
}

impl FromStr for Drafter {
    type Err = Diagnostic;

    /// From `prompt-lookup`, `medusa:HEADS` or `mtp:MODULES`.
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let refused = || {
            let message = format!("unknown way to speculate `{}`", clip(text));
            Diagnostic::new(message)
                .hint("prompt-lookup, medusa:4 or mtp:1, with a number of heads")
        };
        if text == "prompt-lookup" {
            return Ok(Self::PromptLookup);
        }
        let (kind, count) = text.split_once(':').ok_or_else(refused)?;
        let count = count.parse::<u64>().ok().filter(|n| (1..=64).contains(n));
        let count = count.ok_or_else(|| {
            let message = format!("`{}` does not have 1 to 64 heads", clip(text));
            Diagnostic::new(message).hint("for instance medusa:4 or mtp:1")
        })?;
        match kind {
            "medusa" => Ok(Self::Medusa(count)),
            "mtp" => Ok(Self::Mtp(count)),
            _ => Err(refused()),
        }
    }
}

impl FromStr for Gamma {
    type Err = Diagnostic;

    /// From a number of at least 1, or `auto`.
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let count = text.trim().parse::<u64>().ok().filter(|n| (1..=256).contains(n));
        count.map(Self::Fixed).ok_or_else(|| {
            let message = format!("gamma is `{}`; expected 1 to 256 tokens, or auto", clip(text));
            Diagnostic::new(message).hint("without speculation, leave out the draft")
        })
    }
}

impl fmt::Display for Speculative {
    /// `llama-3-8b gamma 4 acceptance 0.8`; nothing for plain decoding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(drafter), Some(acceptance)) = (&self.drafter, &self.acceptance) else {
            return Ok(());
        };
        write!(f, "{drafter} gamma {} acceptance {acceptance}", self.gamma)
    }
}

impl fmt::Display for Drafter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(name) => f.write_str(name),
            Self::PromptLookup => f.write_str("prompt-lookup"),
            Self::Medusa(heads) => write!(f, "medusa:{heads}"),
            Self::Mtp(modules) => write!(f, "mtp:{modules}"),
        }
    }
}

impl fmt::Display for Gamma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(gamma) => write!(f, "{gamma}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for name in ["prompt-lookup", "medusa:4", "mtp:1", "llama-2-7b"] {
            let drafter = Drafter::parse(name).expect("a drafter").expect("not none");
            assert_eq!(drafter.to_string(), name);
        }
        assert_eq!(Drafter::parse("none"), Ok(None));
        for bad in ["medusa", "medusa:0", "mtp:x", "mtp:65"] {
            assert!(Drafter::parse(bad).is_err(), "{bad}");
        }
        for bad in ["0", "-1", "257", "1.5", ""] {
            assert!(bad.parse::<Gamma>().is_err(), "{bad}");
        }
        let falling: Acceptance = "0.8,0.7".parse().expect("rates");
        assert_eq!(falling.to_string(), "0.8/0.7");
        assert!("1.2".parse::<Acceptance>().is_err() && "x".parse::<Acceptance>().is_err());
    }

    #[test]
    fn choices_that_do_not_go_together_are_refused() {
        let choice = |drafter, gamma, rates: &str| Speculative {
            drafter: Some(drafter),
            gamma: Gamma::Fixed(gamma),
            acceptance: rates.parse().ok(),
            place: None,
        };
        assert!(choice(Drafter::Medusa(3), 4, "0.8").checked().is_err());
        assert!(choice(Drafter::PromptLookup, 4, "0.8,0.7").checked().is_err());
        assert!(choice(Drafter::PromptLookup, 4, "").checked().is_err());
        assert!(choice(Drafter::Medusa(4), 4, "0.8").checked().is_ok());
        assert_eq!(Speculative::NONE.checked(), Ok(None));
    }
}
