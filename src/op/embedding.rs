//! Token embedding.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::split::{Found, Layout, Place, Split, SplitError, share};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Role, Step, TensorType, WeightKind};

/// `y[t, :] = table[ids[t] - first, :] (* scale)`, zeros where the table has no such row.
///
/// Shapes: `ids: [T, 1]`, `table: [V, D]`, `y: [T, D]`. Work: `T D` vector operations with a scale,
/// else none. The distinct rows read depend on the ids; `min(T, V)` rows are counted: all tokens
/// of the step distinct, the most there can be (A6).
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// Rows of the table (V).
    pub vocabulary: u64,
    /// Features (D).
    pub width: u64,
    /// Id of the table's first row: 0, or where a rank's share of a larger table begins.
    pub first: u64,
    /// Factor on the result (Gemma: sqrt(D)).
    pub scale: Option<f64>,
}

impl Operator for Embedding {
    const NAME: &'static str = "embedding";
    const FORMULA: &'static str = "y[t,:] = scale table[ids[t],:]; min(T, V) distinct rows read";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let ids = TensorType { rows: Dim::Tokens, width: 1, role: Role::TokenIds };
        let table = TensorType::weight(WeightKind::Embedding, self.vocabulary, self.width);
        check(Self::NAME, operands, &[("ids", ids), ("table", table)])?;
        Ok(TensorType::activation(Dim::Tokens, self.width))
    }

    fn work(&self, step: &Step) -> Work {
        let (t, d) = (step.tokens(), self.width as f64);
        Work {
            vector: if self.scale.is_some() { t * d } else { 0.0 },
            reads: [t, t.min(self.vocabulary as f64) * d, 0.0],
            writes: t * d,
            ..Work::default()
        }
    }

    fn pattern(&self, _: &Step) -> Pattern {
        Pattern::Gather
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (ids, table) = (&operands[0], &operands[1]);
        for t in 0..step.tokens() as usize {
            let row = ids.index(t).checked_sub(self.first as usize);
            let row = row.filter(|&row| row < self.vocabulary as usize);
            for d in 0..self.width as usize {
                let value = row.map_or(S::constant(0.0), |row| table.at(row, d));
                let value = match self.scale {
                    Some(scale) => S::on(Engine::Vector, || value * S::constant(scale)),
                    None => value,
                };
                out.set(t, d, value);
            }
        }
    }

    /// Rows of the rank: the rows of other ranks are zeros, which leaves a sum.
    fn split(&self, place: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let ranks = place.rank.of;
        if ranks == 1 {
            return Ok(Split::whole(self.clone().into(), operands.len()));
        }
        let vocabulary = share(self.vocabulary, ranks);
        let first = self.first + place.rank.index * vocabulary;
        let op = Self { vocabulary, first, ..self.clone() };
        let operands = vec![Layout::Whole, Layout::rows(ranks)];
        Ok(Split { op: op.into(), operands, result: Layout::Partial })
    }
}
