//! What-ifs of attention: the same model with other key-value heads or another window, in the decoder
//! alone where there is an encoder too (A44).

use super::Architecture;
use crate::diagnostic::{Diagnostic, clip, nearest_hint};
use std::fmt;

/// How many key-value heads serve the query heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeadForm {
    /// One for each query head.
    Mha,
    /// One for all (Shazeer, arXiv 1911.02150).
    Mqa,
    /// So many, each for a group of query heads (Ainslie et al., arXiv 2305.13245).
    Gqa(u64),
}

/// What the queries of every layer see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WindowForm {
    /// All keys.
    Full,
    /// The last so many keys, the query's own included.
    Tokens(u64),
}

/// Changes of a model's attention; what is not named stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct WhatIf {
    /// Other key-value heads.
    pub heads: Option<HeadForm>,
    /// Another window, in every layer.
    pub window: Option<WindowForm>,
}

impl std::str::FromStr for HeadForm {
    type Err = Diagnostic;

    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let groups = |g: &str| g.parse().ok().filter(|g| *g > 0).map(Self::Gqa);
        let found = match text {
            "mha" => Some(Self::Mha),
            "mqa" => Some(Self::Mqa),
            _ => text.strip_prefix("gqa-").and_then(groups),
        };
        found.ok_or_else(|| {
            let hint = nearest_hint(text, &["mha", "mqa", "gqa-8"]);
            Diagnostic::new(format!("unknown form of heads `{}`", clip(text))).hint(hint)
        })
    }
}

impl std::str::FromStr for WindowForm {
    type Err = Diagnostic;

    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        if text == "full" {
            return Ok(Self::Full);
        }
        let tokens = text.parse().ok().filter(|n| *n > 0 && *n <= 1 << 40);
        tokens.map(Self::Tokens).ok_or_else(|| {
            let message = format!("window is `{}`; expected tokens, or `full`", clip(text));
            Diagnostic::new(message).hint("for instance 4096")
        })
    }
}

impl fmt::Display for HeadForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mha => f.write_str("mha"),
            Self::Mqa => f.write_str("mqa"),
            Self::Gqa(groups) => write!(f, "gqa-{groups}"),
        }
    }
}

impl fmt::Display for WindowForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Tokens(tokens) => write!(f, "window-{tokens}"),
        }
    }
}

impl Architecture {
    /// This model with other attention, and an id and name that say so; the same model where
    /// nothing changes.
    ///
    /// # Errors
    /// Groups that do not divide the query heads.
    pub fn what_if(&self, change: &WhatIf) -> Result<Self, Diagnostic> {
        let mut model = self.clone();
        let mut said = vec![];
        if let Some(form) = change.heads {
            model.attention.kv_heads = kv_heads(self, form)?;
            if model.attention.kv_heads != self.attention.kv_heads {
                said.push(form.to_string());
            }
        }
        if let Some(form) = change.window {
            model.attention.windows = vec![match form {
                WindowForm::Full => None,
                WindowForm::Tokens(tokens) => Some(tokens),
            }];
            if model.attention.windows != self.attention.windows {
                said.push(form.to_string());
            }
        }
        if said.is_empty() {
            return Ok(self.clone());
        }
        model.id = format!("{}+{}", self.id, said.join("+"));
        model.name = format!("{} as {}", self.name, said.join(", "));
        Ok(model)
    }
}

fn kv_heads(model: &Architecture, form: HeadForm) -> Result<u64, Diagnostic> {
    let heads = model.attention.heads;
    match form {
        HeadForm::Mha => Ok(heads),
        HeadForm::Mqa => Ok(1),
        HeadForm::Gqa(groups) if heads.is_multiple_of(groups) => Ok(groups),
        HeadForm::Gqa(groups) => {
            let id = &model.id;
            let message = format!("{groups} groups do not divide the {heads} query heads of {id}");
            let divisors = (1..=heads.min(4096)).filter(|g| heads.is_multiple_of(*g));
            let divisors: Vec<String> = divisors.map(|g| g.to_string()).collect();
            Err(Diagnostic::new(message).hint(format!("it takes {}", divisors.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::load_bundled;

    fn heads(form: HeadForm) -> WhatIf {
        WhatIf { heads: Some(form), ..WhatIf::default() }
    }

    #[test]
    fn only_key_and_value_projections_change_their_size() {
        let gqa = load_bundled("llama-3-8b").expect("bundled");
        let mha = gqa.what_if(&heads(HeadForm::Mha)).expect("divides");
        let more = mha.parameters().total - gqa.parameters().total;
        // k and v: 32 in place of 8 heads of 128, from 4096, in 32 layers.
        assert_eq!(more, 2 * 24 * 128 * 4096 * 32);
        assert_eq!((mha.id.as_str(), mha.name.as_str()), ("llama-3-8b+mha", "Llama 3 8B as mha"));
    }

    #[test]
    fn the_models_own_form_changes_nothing() {
        let model = load_bundled("mistral-7b").expect("bundled");
        let own = WhatIf {
            heads: Some(HeadForm::Gqa(8)),
            window: model.attention.windows[0].map(WindowForm::Tokens),
        };
        assert_eq!(model.what_if(&own).expect("divides"), model);
    }

    #[test]
    fn forms_read_as_they_are_written() {
        for text in ["mha", "mqa", "gqa-8"] {
            assert_eq!(text.parse::<HeadForm>().expect("a form").to_string(), text);
        }
        for text in ["gqa", "gqa-0", "gqa-x", "MHA", ""] {
            assert!(text.parse::<HeadForm>().is_err(), "{text}");
        }
        assert!("0".parse::<WindowForm>().is_err() && "none".parse::<WindowForm>().is_err());
    }
}
