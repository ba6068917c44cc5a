//! Memory traffic of the forward pass of attention: naive, fused, and fused at the level of tiles.

use crate::hardware::Machine;
use crate::units::Bytes;

/// Attention over whole sequences, every query seeing every key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    /// Sequences.
    pub batch: u64,
    /// Heads.
    pub heads: u64,
    /// Tokens of a sequence (N).
    pub tokens: u64,
    /// Elements of a head (d).
    pub head_dim: u64,
    /// Bytes of an element.
    pub element: Bytes,
}

/// One pass over one tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// What moves: `read Q`, `write S`.
    pub what: &'static str,
    /// Whether the tensor is `N x N`, else `N x d`.
    pub square: bool,
    /// How often all of it moves.
    pub times: u64,
}

/// Passes of materialised attention: `S = Q K^T`, `P = softmax(S)`, `O = P V`, each from and to
/// memory (Dao et al., arXiv 2205.14135, algorithm 0).
pub const NAIVE: &[Pass] = &[
    pass("read Q", false),
    pass("read K", false),
    pass("write S", true),
    pass("read S", true),
    pass("write P", true),
    pass("read P", true),
    pass("read V", false),
    pass("write O", false),
];

/// Passes of fused attention whose re-reads stay on chip.
pub const FUSED: &[Pass] =
    &[pass("read Q", false), pass("read K", false), pass("read V", false), pass("write O", false)];

const fn pass(what: &'static str, square: bool) -> Pass {
    Pass { what, square, times: 1 }
}

/// Traffic at the level of tiles (A31).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tiled {
    /// Keys in a tile: on-chip bytes over `4 d` elements.
    pub block: u64,
    /// Passes of an `N x d` tensor into a unit: `2 + 2 ceil(N / block)`.
    pub passes: u64,
    /// Bytes into the units.
    pub inner: Bytes,
    /// Bytes that pass DRAM.
    pub dram: Bytes,
    /// Whether a cache outside the units holds what is read again.
    pub held: bool,
}

impl AttentionShape {
    /// Bytes of passes over all sequences and heads.
    pub fn bytes(&self, passes: &[Pass]) -> Bytes {
        passes.iter().map(|p| self.tensor(p.square) * p.times as f64).sum()
    }

    /// Bytes of an `N x N` tensor, or of an `N x d` one, of all sequences and heads.
    pub fn tensor(&self, square: bool) -> Bytes {
        let width = if square { self.tokens } else { self.head_dim };
        self.element * (self.batch * self.heads) as f64 * self.tokens as f64 * width as f64
    }

    /// Tiles of a unit with `on_chip` bytes: keys and values pass once, queries and results once
    /// for each tile of keys. An outer cache of `cache` bytes that holds the queries and results of
    /// the heads that `units` work on at once serves what is read again.
    pub fn tiled(&self, on_chip: Bytes, cache: Option<Bytes>, units: u64) -> Tiled {
        let element = self.element.get();
        let block = (on_chip.get() / (4.0 * self.head_dim as f64 * element)).floor();
        let block = (block as u64).clamp(1, self.tokens.max(1));
        let passes = 2 + 2 * self.tokens.div_ceil(block);
        let at_once = units.min(self.batch * self.heads) as f64;
        let again = self.element * (2 * self.tokens * self.head_dim) as f64 * at_once;
        let held = cache.is_some_and(|cache| again <= cache);
        let inner = self.tensor(false) * passes as f64;
        let dram = if held { self.bytes(FUSED) } else { inner };
        Tiled { block, passes, inner, dram, held }
    }

    /// [`Self::tiled`] on a machine: the innermost level of a known capacity is the unit's, the
    /// level outside it, if it is not DRAM, the cache. `None` without a known inner level.
    pub fn tiled_on(&self, machine: &Machine) -> Option<Tiled> {
        let (index, level) = machine.levels[..machine.dram]
            .iter()
            .enumerate()
            .find(|(_, l)| l.instance_capacity().is_some())?;
        let outer = machine.levels[index + 1..machine.dram].last();
        let cache = outer.and_then(|l| l.capacity);
        Some(self.tiled(level.instance_capacity()?, cache, u64::from(level.instances)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPT2: AttentionShape = AttentionShape {
        batch: 64,
        heads: 16,
        tokens: 1024,
        head_dim: 64,
        element: Bytes::new(2.0),
    };

    #[test]
    fn every_materialised_pass_is_counted_and_fused_holds_no_square() {
        assert_eq!(NAIVE.iter().filter(|p| p.square).count(), 4);
        assert!(FUSED.iter().all(|p| !p.square));
        let (square, flat) = (2.0 * 1024f64.powi(4), 2.0 * 1024f64.powi(2) * 64.0);
        assert_eq!(GPT2.bytes(NAIVE).get(), 4.0 * square + 4.0 * flat);
        assert_eq!(GPT2.bytes(FUSED).get(), 4.0 * flat);
    }

    #[test]
    fn tiles_pass_as_in_the_paper_and_a_cache_serves_what_is_read_again() {
        let sram = Bytes::new(192.0 * 1024.0);
        let tiled = GPT2.tiled(sram, Some(Bytes::new(40e6)), 108);
        assert_eq!((tiled.block, tiled.passes, tiled.held), (384, 2 + 2 * 3, true));
        assert_eq!(tiled.dram, GPT2.bytes(FUSED));
        assert_eq!(tiled.inner.get(), 8.0 * GPT2.tensor(false).get());
        let bare = GPT2.tiled(sram, None, 108);
        assert_eq!(bare.dram, bare.inner);
    }
}
