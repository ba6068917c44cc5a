//! What some tensors of a model take in place of a scheme's own format.

use super::scheme::Scheme;
use crate::diagnostic::Place;

/// A stretch of layers, ends included; below 0 counted from the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers {
    /// First.
    pub from: i64,
    /// Last.
    pub to: i64,
}

/// Another scheme for the tensors of some layers, or of some names.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// The layers that it is for; empty for all, and for tensors outside layers.
    pub layers: Vec<Layers>,
    /// The tensors that it is for, `*` for any text; `None` for all projections.
    pub tensors: Option<String>,
    /// What they take.
    pub scheme: Scheme,
    /// Where it was written.
    pub place: Option<Place>,
}

impl Layers {
    /// Whether it holds a layer of a model with so many.
    pub fn contains(self, layer: u64, layers: u64) -> bool {
        let at = |n: i64| if n < 0 { n.saturating_add_unsigned(layers) } else { n };
        let layer = i64::try_from(layer).unwrap_or(i64::MAX);
        (at(self.from)..=at(self.to)).contains(&layer)
    }
}

impl Override {
    /// Whether it is for a layer of a model with so many; `None` is outside of layers.
    pub fn is_for_layer(&self, layer: Option<u64>, layers: u64) -> bool {
        match layer {
            Some(layer) => {
                self.layers.is_empty() || self.layers.iter().any(|l| l.contains(layer, layers))
            }
            None => self.layers.is_empty(),
        }
    }

    /// Whether it is for tensors of that name, `attn.q.weight` for instance; the ending `.weight` may
    /// be left out of a pattern.
    pub fn is_for_tensor(&self, name: &str, projection: bool) -> bool {
        let Some(pattern) = &self.tensors else { return projection };
        let bare = name.strip_suffix(".weight").unwrap_or(name);
        fits(pattern, name) || fits(pattern, bare)
    }
}

/// Whether a text fits a pattern in which `*` stands for any text: what is between two of them is
/// sought from the left, which finds it if any place does.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    let between = text.strip_prefix(head).and_then(|t| t.strip_suffix(tail));
    let mut parts = middle.split('*');
    let left = between.and_then(|text| parts.try_fold(text, |t, part| Some(t.split_once(part)?.1)));
    left.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_layers() {
        assert!(fits("attn.*", "attn.q") && fits("*.down", "ffn.down") && fits("*", ""));
        assert!(fits("*experts*", "experts.up.weight") && !fits("attn.*", "ffn.up"));
        assert!(!fits("*q", "attn.k") && fits("a*b*c", "a1b2b3c"));
        assert!(!fits("ab*ba", "aba") && fits("**", "") && fits("*a**b*", "xaxbx"));
        assert!(!fits("*a*b", "ba") && !fits(&"*q".repeat(60), "attn.qk"));
        let last = Layers { from: -2, to: -1 };
        assert!(last.contains(31, 32) && last.contains(30, 32) && !last.contains(29, 32));
        assert!(Layers { from: 0, to: 3 }.contains(3, 32));
    }
}
