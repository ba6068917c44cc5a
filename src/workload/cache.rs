//! How the KV cache is laid out and what lies in host memory, as scenarios and arguments name it.

use super::raw::{RawKvCache, Scalar};
use crate::diagnostic::{Diagnostic, clip};
use crate::tensor::{Branching, KvLayout, Offload, Reserve, Sharing};
use crate::yaml::{Position, Source, Spanned};
use std::num::NonZeroU64;

/// A block of vLLM, tokens (Kwon et al., arXiv 2309.06180, section 7.2).
const DEFAULT_BLOCK: NonZeroU64 = NonZeroU64::MIN.saturating_add(15);

/// The kinds of layout, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutKind {
    /// One run of slots a sequence.
    Contiguous,
    /// KV blocks.
    Paged,
}

/// What was chosen of a layout; the rest has defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheChoice {
    /// The kind; contiguous by default.
    pub kind: Option<LayoutKind>,
    /// Tokens of a KV block; 16 by default.
    pub block: Option<NonZeroU64>,
    /// What a contiguous cache reserves, and for the longest sequence; an oracle by default.
    pub reserve: Option<(Reserve, u64)>,
    /// Tokens that all prompts begin with.
    pub prefix: Option<u64>,
    /// Sequences of a prompt that go on each on its own.
    pub samples: Option<NonZeroU64>,
    /// Sequences of a prompt's beam search.
    pub beams: Option<NonZeroU64>,
}

/// One choice, as an axis sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheSetting {
    /// The kind, with the block size where it is named with it.
    Layout(LayoutKind, Option<NonZeroU64>),
    /// Tokens of a KV block.
    Block(NonZeroU64),
    /// What a contiguous cache reserves.
    Reserve(Reserve, u64),
    /// Tokens that all prompts begin with.
    Prefix(u64),
    /// Sequences of a prompt that go on each on its own.
    Samples(NonZeroU64),
    /// Sequences of a prompt's beam search.
    Beams(NonZeroU64),
}

impl CacheSetting {
    /// The paths of a scenario that set a choice.
    pub const PATHS: [&'static str; 6] = [
        "kv_cache.layout",
        "kv_cache.block_size",
        "kv_cache.reserve",
        "kv_cache.shared_prefix",
        "kv_cache.samples",
        "kv_cache.beams",
    ];

    /// The setting of a path; `None` where the path is another.
    ///
    /// # Errors
    /// A value that does not fit the path.
    pub fn parse(path: &str, text: &str) -> Result<Option<Self>, Diagnostic> {
        Ok(Some(match path {
            "kv_cache.layout" => {
                let (kind, block) = layout(path, text)?;
                Self::Layout(kind, block)
            }
            "kv_cache.block_size" => Self::Block(block_size(path, text)?),
            "kv_cache.reserve" => {
                let (reserve, longest) = reserve(path, text)?;
                Self::Reserve(reserve, longest)
            }
            "kv_cache.shared_prefix" => Self::Prefix(prefix(path, text)?),
            "kv_cache.samples" => Self::Samples(sequences(path, text)?),
            "kv_cache.beams" => Self::Beams(sequences(path, text)?),
            _ => return Ok(None),
        }))
    }
}

impl CacheChoice {
    /// Makes a choice; another kind of layout drops what belongs to the one before.
    pub const fn set(&mut self, setting: CacheSetting) {
        match setting {
            CacheSetting::Layout(LayoutKind::Contiguous, _) => {
                (self.kind, self.block) = (Some(LayoutKind::Contiguous), None);
                (self.prefix, self.samples, self.beams) = (None, None, None);
            }
            CacheSetting::Layout(LayoutKind::Paged, block) => {
                (self.kind, self.reserve) = (Some(LayoutKind::Paged), None);
                if block.is_some() {
                    self.block = block;
                }
            }
            CacheSetting::Block(block) => self.block = Some(block),
            CacheSetting::Reserve(reserve, longest) => self.reserve = Some((reserve, longest)),
            CacheSetting::Prefix(tokens) => self.prefix = Some(tokens),
            CacheSetting::Samples(n) => self.samples = Some(n),
            CacheSetting::Beams(n) => self.beams = Some(n),
        }
    }

    /// The layout: paged where sequences share blocks and none is chosen.
    ///
    /// # Errors
    /// A block size or sharing of a contiguous cache, a reservation of a paged one, or samples of a beam
    /// search.
    pub fn layout(&self) -> Result<KvLayout, Diagnostic> {
        let sharing = self.sharing()?;
        let kind = self.kind.unwrap_or(match sharing.any() {
            true => LayoutKind::Paged,
            false => LayoutKind::Contiguous,
        });
        match (kind, self.block, self.reserve) {
            (LayoutKind::Contiguous, _, _) if sharing.any() => {
                let message = "sequences share nothing of a contiguous KV cache";
                Err(Diagnostic::new(message)
                    .hint("a shared prefix, samples and beams go with the layout `paged`"))
            }
            (LayoutKind::Contiguous, Some(block), _) => {
                let message = format!("a contiguous KV cache has no blocks of {block} tokens");
                Err(Diagnostic::new(message).hint("a block size goes with the layout `paged`"))
            }
            (LayoutKind::Paged, _, Some((reserve, _))) => {
                let message =
                    format!("a paged KV cache reserves nothing, so no `{}`", reserve.name());
                Err(Diagnostic::new(message)
                    .hint("a reservation goes with the layout `contiguous`"))
            }
            (LayoutKind::Contiguous, None, None) => Ok(KvLayout::default()),
            (LayoutKind::Contiguous, None, Some((reserve, longest))) => {
                Ok(KvLayout::Contiguous { reserve, longest })
            }
            (LayoutKind::Paged, block, None) => {
                Ok(KvLayout::Paged { block: block.unwrap_or(DEFAULT_BLOCK), sharing })
            }
        }
    }

    fn sharing(&self) -> Result<Sharing, Diagnostic> {
        let several = |n: Option<NonZeroU64>| n.filter(|n| n.get() > 1);
        let (sequences, branching) = match (several(self.samples), several(self.beams)) {
            (Some(samples), Some(beams)) => {
                let message = format!("{samples} samples and {beams} beams of one prompt");
                return Err(Diagnostic::new(message).hint("samples or beams, the other is 1"));
            }
            (None, Some(beams)) => (beams, Branching::Beams),
            (samples, None) => (samples.unwrap_or(NonZeroU64::MIN), Branching::Samples),
        };
        Ok(Sharing { prefix: self.prefix.unwrap_or(0), sequences, branching })
    }

    /// The choices of a scenario file.
    pub(super) fn read(raw: Option<&RawKvCache>, source: &Source) -> Result<Self, Diagnostic> {
        let mut choice = Self::default();
        let Some(raw) = raw else { return Ok(choice) };
        let fields = [
            &raw.layout,
            &raw.block_size,
            &raw.reserve,
            &raw.shared_prefix,
            &raw.samples,
            &raw.beams,
        ];
        let mut last = None;
        for (path, field) in CacheSetting::PATHS.into_iter().zip(fields) {
            let Some(text) = field else { continue };
            let at = |d: Diagnostic| d.at(source.place(Position::from(text)));
            last = Some(text);
            if let Some(setting) = CacheSetting::parse(path, &text.value.0).map_err(at)? {
                choice.set(setting);
            }
        }
        choice.layout().map_err(|d| match last {
            Some(text) => d.at(source.place(Position::from(text))),
            None => d,
        })?;
        Ok(choice)
    }
}

fn layout(name: &str, text: &str) -> Result<(LayoutKind, Option<NonZeroU64>), Diagnostic> {
    match text.trim().split_once(':') {
        Some(("paged", size)) => Ok((LayoutKind::Paged, Some(block_size(name, size)?))),
        None if text.trim() == "paged" => Ok((LayoutKind::Paged, None)),
        None if text.trim() == "contiguous" => Ok((LayoutKind::Contiguous, None)),
        _ => {
            let names = ["contiguous", "paged", "paged:16"];
            Err(Diagnostic::unknown("KV cache layout", text, names))
        }
    }
}

fn block_size(name: &str, text: &str) -> Result<NonZeroU64, Diagnostic> {
    text.trim().parse().map_err(|_| {
        let found = clip(text);
        let message = format!(
            "{name}: a KV block of `{found}` tokens; expected a whole number of at least 1"
        );
        Diagnostic::new(message).hint("16 is usual")
    })
}

/// Most sequences of one prompt.
const MOST_SEQUENCES: u64 = 1024;

fn sequences(name: &str, text: &str) -> Result<NonZeroU64, Diagnostic> {
    let number = text.trim().parse::<NonZeroU64>().ok().filter(|n| n.get() <= MOST_SEQUENCES);
    number.ok_or_else(|| {
        let found = clip(text);
        let message = format!(
            "{name}: `{found}` sequences of a prompt; expected a whole number from 1 to {MOST_SEQUENCES}"
        );
        Diagnostic::new(message).hint("1 shares nothing")
    })
}

fn prefix(name: &str, text: &str) -> Result<u64, Diagnostic> {
    text.trim().parse().map_err(|_| {
        let message =
            format!("{name}: a prefix of `{}` tokens; expected a whole number", clip(text));
        Diagnostic::new(message).hint("0 shares nothing")
    })
}

fn reserve(name: &str, text: &str) -> Result<(Reserve, u64), Diagnostic> {
    match text.trim().split_once(':') {
        None if text.trim() == "pow2" => Ok((Reserve::Pow2, u64::MAX)),
        None if text.trim() == "oracle" => Ok((Reserve::Oracle, u64::MAX)),
        Some(("max", longest)) => {
            let longest = longest.trim().parse::<u64>().ok().filter(|n| *n > 0);
            longest.map(|n| (Reserve::Max, n)).ok_or_else(|| {
                let message = format!("{name}: `{}` reserves no number of tokens", clip(text));
                Diagnostic::new(message).hint("for instance max:2048")
            })
        }
        _ => {
            let message = format!("{name}: unknown reservation `{}`", clip(text));
            Err(Diagnostic::new(message).hint("expected one of: max:2048, pow2, oracle"))
        }
    }
}

/// What lies in host memory, from `none`, `kv`, `weights` or both with a comma, slash or plus between.
///
/// # Errors
/// Another name.
pub fn parse_offload(text: &str) -> Result<Offload, Diagnostic> {
    if text.trim() == "none" {
        return Ok(Offload::NONE);
    }
    let mut offload = Offload::NONE;
    for part in text.split([',', '/', '+']).map(str::trim) {
        match part {
            "kv" => offload.kv = true,
            "weights" => offload.weights = true,
            other => {
                let names = ["none", "kv", "weights", "kv+weights"];
                return Err(Diagnostic::unknown("part to offload", other, names));
            }
        }
    }
    Ok(offload)
}

/// The offload of a scenario file.
pub(super) fn offload(
    raw: Option<&Spanned<Scalar>>,
    source: &Source,
) -> Result<Offload, Diagnostic> {
    let Some(text) = raw else { return Ok(Offload::NONE) };
    parse_offload(&text.value.0).map_err(|d| d.at(source.place(Position::from(text))))
}
