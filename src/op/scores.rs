//! Attention scores: the first third of attention.

use super::infer::{InferError, check};
use super::scalar::{Engine, Scalar};
use super::score_bias::{Buckets, ScoreBias, alibi_bf16, alibi_slope};
use super::split::{Found, Layout, Place, Split, SplitError, attention};
use super::{Operand, Operator, Pattern, Target, Work};
use crate::tensor::{Dim, Mask, Step, TensorType, WeightKind};

/// `s[(q, k), h] = cap(scale * sum_d q[q, h, d] key[k, h / (H/Hk), d]) + bias` for every visible pair.
///
/// Shapes: `q: [T, H Dh]`, `keys: [keys, Hk Dh]`, `s: [pairs, H]`, pairs packed by query. Masked pairs
/// are neither computed nor stored (A7). Work per pair and head: `2 Dh` matrix, 1 vector (scale); a
/// soft cap `c tanh(s / c)` adds 2 vector and 1 special (Gemma 2, arXiv 2408.00118), a bias by
/// distance 2 vector; one in bf16, `cap(scale (sum + b_h(k)))`, as many (A120). A learned bias has a table `[buckets, H]` as third operand, which is read whole
/// (A39), and adds 1 vector. Keys of positions are a cache `[C, H Dh]` as third operand, under the
/// causal mask only, and add `2 Dh` matrix (A51).
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Query heads (H).
    pub heads: u64,
    /// Key heads (Hk), a divisor of H.
    pub kv_heads: u64,
    /// Elements of a head (Dh).
    pub head_dim: u64,
    /// Visible pairs.
    pub mask: Mask,
    /// Factor on the scores, usually `1/sqrt(Dh)`.
    pub scale: f64,
    /// Soft cap (c).
    pub softcap: Option<f64>,
    /// What is added by the distance of query and key.
    pub bias: Option<ScoreBias>,
}

impl Scores {
    /// The buckets of a learned bias, whose table is the third operand.
    fn table(&self) -> Option<Buckets> {
        match self.bias {
            Some(ScoreBias::Relative(buckets)) => Some(buckets),
            Some(
                ScoreBias::Alibi
                | ScoreBias::AlibiShare { .. }
                | ScoreBias::AlibiBf16 { .. }
                | ScoreBias::PositionKeys,
            )
            | None => None,
        }
    }

    /// The capped and biased score of a query at position `from` with a key at position `to`.
    pub fn finish<S: Scalar>(&self, dot: S, head: u64, (from, to): (f64, f64), table: &[S]) -> S {
        let distance = from - to;
        let dot = match self.bias {
            Some(ScoreBias::AlibiBf16 { first, of }) => dot + alibi_bf16(first + head, of, to),
            _ => dot,
        };
        let score = dot * S::constant(self.scale);
        let score = match self.softcap {
            Some(c) => (score * S::constant(1.0 / c)).tanh() * S::constant(c),
            None => score,
        };
        match self.bias {
            Some(ScoreBias::Alibi) => {
                score + S::constant(-alibi_slope(head, self.heads)) * S::constant(distance)
            }
            Some(ScoreBias::AlibiShare { first, of }) => {
                score + S::constant(-alibi_slope(first + head, of)) * S::constant(distance)
            }
            Some(ScoreBias::Relative(buckets)) => {
                score + table[(buckets.of(-distance as i64) * self.heads + head) as usize]
            }
            Some(ScoreBias::AlibiBf16 { .. } | ScoreBias::PositionKeys) | None => score,
        }
    }

    fn has_position_keys(&self) -> bool {
        self.bias == Some(ScoreBias::PositionKeys)
    }

    /// What is read besides queries and keys.
    fn third(&self) -> Option<TensorType> {
        let causal = TensorType::cache(Dim::Context, self.heads, self.head_dim, Mask::Causal);
        let table = |b: Buckets| TensorType::weight(WeightKind::Position, b.count, self.heads);
        self.has_position_keys().then_some(causal).or(self.table().map(table))
    }
}

impl Operator for Scores {
    const NAME: &'static str = "scores";
    const FORMULA: &'static str = "s[q,k,h] = scale sum_d Q[q,h,d] K[k,h Hk/H,d] over visible pairs; 2 Dh matrix and 1 vector operations a pair and head";

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
        let q = TensorType::activation(Dim::Tokens, self.heads * self.head_dim);
        let keys = TensorType::keys(self.kv_heads, self.head_dim, self.mask);
        // Distances under another mask are not rows of the cache.
        let mask = if self.has_position_keys() { Mask::Causal } else { self.mask };
        let keys = if mask == self.mask { keys } else { TensorType::keys(0, 0, mask) };
        let third = self.third().map(|ty| ("bias", ty));
        let expected: Vec<_> = [("q", q), ("keys", keys)].into_iter().chain(third).collect();
        check(Self::NAME, operands, &expected)?;
        Ok(TensorType::activation(Dim::Pairs(self.mask), self.heads))
    }

    fn work(&self, step: &Step) -> Work {
        let scores = step.pairs(self.mask) * self.heads as f64;
        let (vector, special) = if self.softcap.is_some() { (3.0, 1.0) } else { (1.0, 0.0) };
        let dim = self.head_dim as f64;
        let products = if self.has_position_keys() { 2.0 } else { 1.0 };
        let (bias, third) = match self.bias {
            None => (0.0, 0.0),
            Some(ScoreBias::Alibi | ScoreBias::AlibiShare { .. } | ScoreBias::AlibiBf16 { .. }) => {
                (2.0, 0.0)
            }
            Some(ScoreBias::Relative(buckets)) => (1.0, (buckets.count * self.heads) as f64),
            Some(ScoreBias::PositionKeys) => (0.0, step.context() * self.heads as f64 * dim),
        };
        let queries = step.queries(self.mask) * self.heads as f64 * dim;
        let keys = step.visible_context(self.mask) * self.kv_heads as f64 * dim;
        Work {
            matrix: 2.0 * dim * products * scores,
            vector: (vector + bias) * scores,
            special: special * scores,
            reads: [queries, keys, third],
            writes: scores,
        }
    }

    fn pattern(&self, step: &Step) -> Pattern {
        Pattern::Attention {
            heads: self.heads as f64,
            kv_heads: self.kv_heads as f64,
            head_dim: self.head_dim as f64,
            pairs: step.pairs(self.mask),
        }
    }

    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>) {
        let (q, keys) = (&operands[0], &operands[1]);
        let dim = self.head_dim as usize;
        let entries = self.table().map_or(0, |b| b.count * self.heads) as usize;
        let heads = self.heads as usize;
        let table: Vec<S> = (0..entries).map(|i| operands[2].at(i / heads, i % heads)).collect();
        let positions = operands.get(2).filter(|_| self.has_position_keys());
        let mut pair = 0;
        for s in step.sequences() {
            let first_key = step.first_key(&s, self.mask);
            for i in 0..s.new {
                for key in s.visible(i, self.mask) {
                    let (query, row) = (s.first_token + i, first_key + key);
                    let (from, to) =
                        (s.query_position(i, self.mask), s.key_position(key, self.mask));
                    for h in 0..self.heads as usize {
                        let kv = h / (self.heads / self.kv_heads) as usize;
                        let dot = S::on(Engine::Matrix, || {
                            let query = |d: usize| q.at(query, h * dim + d);
                            let content = (0..dim).fold(S::constant(0.0), |sum, d| {
                                sum + query(d) * keys.at(row, kv * dim + d)
                            });
                            let Some(positions) = positions else { return content };
                            let distance = s.first_context + s.past + i - key;
                            (0..dim).fold(content, |sum, d| {
                                sum + query(d) * positions.at(distance, h * dim + d)
                            })
                        });
                        let score = S::on(Engine::Vector, || {
                            self.finish(dot, h as u64, (from as f64, to as f64), &table)
                        });
                        out.set(pair, h, score);
                    }
                    pair += 1;
                }
            }
        }
    }

    /// Heads of the rank; where there are more ranks than key heads, neighbours hold the same.
    fn split(&self, place: Place, operands: &[Found]) -> Result<Split, SplitError> {
        let (heads, kv_heads) = attention((self.heads, self.kv_heads), place, operands)?;
        let op = Self {
            heads: self.heads / heads,
            kv_heads: self.kv_heads / kv_heads,
            bias: self.bias.map(|bias| bias.share(self.heads, place.rank, heads)),
            ..self.clone()
        };
        let (result, keys) = (Layout::columns(heads), Layout::columns(kv_heads));
        let layouts = [result, keys, result];
        let operands = layouts[..2 + usize::from(self.third().is_some())].to_vec();
        Ok(Split { op: op.into(), operands, result })
    }

    fn groups(&self, operand: usize) -> Option<u64> {
        Some(if operand == 1 { self.kv_heads } else { self.heads })
    }
}
