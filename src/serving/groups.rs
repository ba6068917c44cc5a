//! Sharing within a request: several sequences over one prompt.

use super::allocator::AllocError;
use super::tables::Tables;
use rand::Rng;
use std::num::NonZeroU64;

/// How the sequences of a request go on from its prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decoding {
    /// Each on its own: only the prompt's blocks are shared.
    Parallel,
    /// A beam search: in a step one beam, picked evenly, is replaced by a fork of another with
    /// probability `replace` (A25).
    Beam {
        /// Probability of a replacement per step.
        replace: f64,
    },
}

/// A request with several sequences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// Samples or beams, at least one.
    pub sequences: u64,
    /// How they go on.
    pub decoding: Decoding,
    /// Prompt tokens.
    pub prompt: u64,
    /// Tokens that each sequence generates.
    pub output: u64,
}

impl Group {
    /// Blocks held, and blocks that the same sequences would hold unshared, each summed over the
    /// decode steps.
    ///
    /// # Errors
    /// A pool that is too small for the request.
    pub fn run(
        &self,
        block_size: NonZeroU64,
        random: &mut impl Rng,
    ) -> Result<(u64, u64), AllocError> {
        let unshared = |tokens: u64| self.sequences * tokens.div_ceil(block_size.get());
        let most = unshared(self.prompt + self.output) + self.sequences;
        let pool = u32::try_from(most).map_err(|_| AllocError::TooLong(self.output))?;
        let mut tables = Tables::new(pool, block_size);
        tables.create(0)?;
        (0..self.prompt).try_for_each(|_| tables.append(0).map(|_| ()))?;
        (1..self.sequences).try_for_each(|child| tables.fork(0, child))?;
        let mut sums = (0, 0);
        for done in 1..=self.output {
            self.replace(&mut tables, random)?;
            (0..self.sequences).try_for_each(|id| tables.append(id).map(|_| ()))?;
            sums.0 += tables.blocks().count() - tables.blocks().free();
            sums.1 += unshared(self.prompt + done);
        }
        Ok(sums)
    }

    fn replace(&self, tables: &mut Tables, random: &mut impl Rng) -> Result<(), AllocError> {
        let Decoding::Beam { replace } = self.decoding else { return Ok(()) };
        if self.sequences < 2 || random.random::<f64>() >= replace {
            return Ok(());
        }
        let pruned = random.random_range(0..self.sequences);
        let parent = (pruned + random.random_range(1..self.sequences)) % self.sequences;
        tables.prune(pruned)?;
        tables.fork(parent, pruned)
    }
}

/// The fraction of blocks that sharing saves over requests: 1 - held / unshared, summed over
/// their decode steps.
///
/// # Errors
/// A request that is too long to count.
pub fn saving(
    requests: impl IntoIterator<Item = Group>,
    block_size: NonZeroU64,
    random: &mut impl Rng,
) -> Result<f64, AllocError> {
    let (mut held, mut unshared) = (0, 0);
    for request in requests {
        let sums = request.run(block_size, random)?;
        held += sums.0;
        unshared += sums.1;
    }
    Ok(if unshared > 0 { 1.0 - held as f64 / unshared as f64 } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn samples_share_the_prompt_and_beams_that_never_split_share_all_but_their_tail() {
        let size = NonZeroU64::new(16).expect("above zero");
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let group = Group { sequences: 4, decoding: Decoding::Parallel, prompt: 64, output: 64 };
        let (held, unshared) = group.run(size, &mut random).expect("fits");
        // Unshared 4 (4 + b), held 4 + 4 b blocks, with b = 1, 2, 3, 4 for 16 steps each.
        let (want_held, want) = [1, 2, 3, 4]
            .iter()
            .fold((0, 0), |s, b| (s.0 + 16 * (4 + 4 * b), s.1 + 16 * 4 * (4 + b)));
        assert_eq!((held, unshared), (want_held, want));
        let alone = Group { sequences: 1, ..group };
        assert_eq!(saving([alone], size, &mut random), Ok(0.0));
        let beams = Group { decoding: Decoding::Beam { replace: 1.0 }, ..group };
        let never = Group { decoding: Decoding::Beam { replace: 0.0 }, ..group };
        let [more, same] = [beams, never].map(|g| saving([g], size, &mut random).expect("fits"));
        let parallel = saving([group], size, &mut random).expect("fits");
        assert!(more > parallel && (same - parallel).abs() < 1e-12, "{more} {same} {parallel}");
    }
}
