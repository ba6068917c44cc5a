//! Appending keys or values to their cache.

use super::infer::{InferError, check};
use super::scalar::Scalar;
use super::split::{Found, Place, Split, SplitError, common_columns};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Mask, Step, Stripe, TensorType};

/// The cache with the step's new rows behind each sequence's past rows.
///
/// Shapes: `new: [T, Hk Dh]`, `past: [P, Hk Dh]`, result `[C, Hk Dh]`. No arithmetic; `T Hk Dh`
/// elements read and as many written: past rows stay where they lie. Under the
/// mask of a stripe, the rank's own positions are kept: new rows of others go elsewhere. Under the
/// cross mask an encode step, whose source is its own tokens, writes the whole cache, `[source, Hk Dh]`: there is
/// no past.
#[derive(Debug, Clone, PartialEq)]
pub struct KvAppend {
    /// Key or value heads (Hk).
    pub kv_heads: u64,
    /// Elements of a head (Dh).
    pub head_dim: u64,
    /// The mask of the attention that reads the cache: under a window older rows are dropped.
    pub mask: Mask,
}

impl Operator for KvAppend {
    const NAME: &'static str = "kv_append";
    const FORMULA: &'static str =
        "cache = past ++ new, in place; T Hk Dh elements read and written";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let cache = |rows| TensorType::cache(rows, self.kv_heads, self.head_dim, self.mask);
        let (past, context) = match self.mask {
            Mask::Part { stripe, .. } => (Dim::PastPart(stripe), Dim::ContextPart(stripe)),
            _ => (Dim::Past, Dim::Context),
        };
        let new = TensorType::activation(Dim::Tokens, self.kv_heads * self.head_dim);
        if self.mask == Mask::Cross {
            check(Self::NAME, operands, &[("new", new)])?;
            return Ok(cache(Dim::Source));
        }
        check(Self::NAME, operands, &[("new", new), ("past", cache(past))])?;
        Ok(cache(context))
    }

    fn work(&self, step: &Step) -> Work {
        let rows = match self.mask {
            Mask::Part { stripe, .. } => step.context_part(stripe) - step.past_part(stripe),
            _ => step.tokens(),
        };
        let elements = rows * (self.kv_heads * self.head_dim) as f64;
        Work { reads: [elements, 0.0, 0.0], writes: elements, ..Work::default() }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Stream
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        for s in step.sequences() {
            let (stripe, first, first_past) = match self.mask {
                Mask::Part { stripe, .. } => {
                    (stripe, step.first_key(&s, self.mask), step.first_past_part(&s, stripe))
                }
                Mask::Cross => (Stripe::ALL, s.first_source, s.first_past),
                _ => (Stripe::ALL, s.first_context, s.first_past),
            };
            let past = stripe.held(s.past as u64) as usize;
            let kept = if self.mask == Mask::Cross { 0 } else { past };
            for i in 0..kept {
                out.adopt(first + i, &operands[1], first_past + i);
            }
            let own = (0..s.new).filter(|i| stripe.holds(s.past + i));
            for (row, i) in (first + kept..).zip(own) {
                for d in 0..(self.kv_heads * self.head_dim) as usize {
                    let value = operands[0].at(s.first_token + i, d);
                    out.set(row, d, value);
                }
            }
        }
    }

    fn split(&self, _: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let layout = common_columns(&operands[..1]);
        let kv_heads = self.kv_heads / layout.column_parts();
        Ok(Split::alike(Self { kv_heads, ..self.clone() }, operands.len(), layout))
    }

    fn groups(&self, _: usize) -> Option<u64> {
        Some(self.kv_heads)
    }
}
