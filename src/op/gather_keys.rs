//! The keys or values of all positions, brought together from the ranks that hold a stripe each.

use super::infer::{InferError, check};
use super::scalar::Scalar;
use super::split::{Found, Place, Split, SplitError, common_columns};
use super::{Exchange, MeshAxis, Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Mask, Step, TensorType};

/// `y[j R + r, :] = cache_r[j, :]` of every sequence, on every rank: rows in order of their positions.
///
/// Shapes: `cache: [C, Hk Dh]` and `y: [R C, Hk Dh]` on each of `R` ranks, `C` the context tokens that a rank
/// holds; `eval` takes and gives those of all ranks one behind the other. No arithmetic. Context parallelism
/// with an all-gather before attention (Grattafiori et al., The Llama 3 Herd of Models, arXiv 2407.21783,
/// section 3.3.2).
#[derive(Debug, Clone, PartialEq)]
pub struct GatherKeys {
    /// Key or value heads (Hk).
    pub kv_heads: u64,
    /// Elements of a head (Dh).
    pub head_dim: u64,
    /// The mask that the cache is kept under.
    pub mask: Mask,
    /// Ranks (R).
    pub ranks: u64,
}

impl GatherKeys {
    fn elements(&self, step: &Step) -> f64 {
        step.context() * (self.kv_heads * self.head_dim) as f64
    }
}

impl Operator for GatherKeys {
    const NAME: &'static str = "gather_keys";
    const FORMULA: &'static str = "y = the cached rows of all ranks in order of their positions, on every rank; no arithmetic";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let cache = TensorType::cache(Dim::Context, self.kv_heads, self.head_dim, self.mask);
        check(Self::NAME, operands, &[("cache", cache)])?;
        Ok(TensorType::activation(Dim::AllContext(self.ranks), self.kv_heads * self.head_dim))
    }

    fn work(&self, step: &Step) -> Work {
        let own = self.elements(step);
        Work { reads: [own, 0.0, 0.0], writes: self.ranks as f64 * own, ..Work::default() }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        Pattern::Collective {
            exchange: Exchange::AllGather,
            ranks: self.ranks,
            along: MeshAxis::Context,
            elements: self.ranks as f64 * self.elements(step),
        }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (rows, ranks) = (step.context() as usize, self.ranks as usize);
        for s in step.sequences() {
            for (j, rank) in (0..s.past + s.new).flat_map(|j| (0..ranks).map(move |r| (j, r))) {
                let (from, to) =
                    (rank * rows + s.first_context + j, s.first_context * ranks + j * ranks + rank);
                for i in 0..(self.kv_heads * self.head_dim) as usize {
                    let value = operands[0].at(from, i);
                    (0..ranks).for_each(|r| out.set(r * ranks * rows + to, i, value));
                }
            }
        }
    }

    fn split(&self, _: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let layout = common_columns(operands);
        let kv_heads = self.kv_heads / layout.column_parts();
        Ok(Split::alike(Self { kv_heads, ..self.clone() }, 1, layout))
    }

    fn groups(&self, _: usize) -> Option<u64> {
        Some(self.kv_heads)
    }
}
