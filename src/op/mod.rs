//! The closed operator set.
//!
//! An operator knows three things, in one file, all required: its types ([`Operator::infer`]), its
//! demand ([`Operator::work`], [`Operator::pattern`]) and its meaning ([`Operator::eval`]). It
//! knows no bytes, no number format and no chip. `work` is held equal to what the meter counts
//! while `eval` runs, by a property test over every operator.
//!
//! To add an operator: one file here, one name in the list below, one case in the property test.

mod activation;
mod add;
mod all_gather;
mod all_reduce;
mod broadcast;
mod choices;
mod combine;
mod conv1d;
mod dealing;
mod dispatch;
mod embedding;
mod expand;
mod expert_bias;
mod gate;
mod gather_keys;
mod gather_tokens;
mod grouped_matmul;
mod head_matmul;
mod infer;
mod kv_append;
mod latent_scores;
mod matmul;
mod merge_attention;
pub mod meter;
mod norm;
mod operand;
mod pairs;
mod partial_softmax;
mod position;
mod position_keys;
mod quantize;
mod reduce_scatter;
mod return_tokens;
mod rope;
mod route;
mod routing;
mod sample;
pub mod scalar;
mod score_bias;
mod scores;
mod select;
mod send;
mod softmax;
mod softmax_sums;
pub mod split;
mod weighted_sum;
mod work;

pub use activation::{Activate, Activation};
pub use add::Add;
pub use all_gather::AllGather;
pub use all_reduce::AllReduce;
pub use broadcast::Broadcast;
pub use choices::Choices;
pub use combine::Combine;
pub use conv1d::Conv1d;
pub use dealing::Dealing;
pub use dispatch::Dispatch;
pub use embedding::Embedding;
pub use expand::Expand;
pub use expert_bias::ExpertBias;
pub use gate::Gate;
pub use gather_keys::GatherKeys;
pub use gather_tokens::GatherTokens;
pub use grouped_matmul::GroupedMatMul;
pub use head_matmul::{Fold, HeadMatMul};
pub use infer::InferError;
pub use kv_append::KvAppend;
pub use latent_scores::LatentScores;
pub use matmul::MatMul;
pub use merge_attention::MergeAttention;
pub use norm::{Norm, NormKind};
pub use operand::{Operand, Target, Touched};
pub use partial_softmax::PartialSoftmax;
pub use position::Position;
pub use position_keys::PositionKeys;
pub use quantize::Quantize;
pub use reduce_scatter::ReduceScatter;
pub use return_tokens::ReturnTokens;
pub use rope::{Pairing, Rope, RopeScaling};
pub use route::{Groups, Route, Scoring};
pub use routing::{ExpertLoad, Held, ParseRoutingError, Routing};
pub use sample::{Sample, Sampler};
pub use score_bias::{Buckets, ScoreBias, alibi_slope};
pub use scores::Scores;
pub use select::Select;
pub use send::Send;
pub use softmax::Softmax;
pub use softmax_sums::SoftmaxSums;
pub use weighted_sum::WeightedSum;
pub use work::{Exchange, MAX_OPERANDS, MeshAxis, Pattern, Work};

use crate::tensor::{Step, TensorType};
use scalar::Scalar;
use split::{Found, Place, Split, SplitError};

/// What every operator states; nothing has a default.
pub trait Operator {
    /// Name in graphs and tables.
    const NAME: &'static str;
    /// One line of mathematics.
    const FORMULA: &'static str;
    /// Type of the result, or which operand does not fit.
    ///
    /// # Errors
    /// Wrong number of operands, or an operand whose shape or role differs from what the operator
    /// was made for.
    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError>;
    /// Operations and distinct elements touched in this step.
    fn work(&self, step: &Step) -> Work;
    /// Shape of the data access in this step.
    fn pattern(&self, step: &Step) -> Pattern;
    /// The meaning: reads operands, writes every row of the result that the step computes.
    fn eval<S: Scalar>(&self, step: &Step, operands: &[Operand<'_, S>], out: &mut Target<'_, S>);
    /// What one rank of a group runs. Unless an operator has a rule of its own, every rank computes
    /// all of it from whole operands, which is right for any operator and saves nothing.
    ///
    /// # Errors
    /// A group that the operator cannot be split over.
    fn split(&self, _: Place, operands: &[Found]) -> Result<Split, SplitError>
    where
        Self: Clone + Into<Op>,
    {
        Ok(Split::whole(self.clone().into(), operands.len()))
    }
    /// Column groups of an operand that are used together, heads for instance: what a split of the
    /// operand keeps in one piece. `None` where any column stands alone; 1, the whole row, unless
    /// an operator says otherwise.
    fn groups(&self, _operand: usize) -> Option<u64> {
        Some(1)
    }
}

macro_rules! operators {
    ($($name:ident),* $(,)?) => {
        /// Any operator.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Op {
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $name($name),)*
        }

        impl Op {
            /// Names of all operators.
            pub const NAMES: &'static [&'static str] = &[$($name::NAME,)*];

            /// Name in graphs and tables.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => $name::NAME,)* }
            }

            /// One line of mathematics.
            pub fn formula(&self) -> &'static str {
                match self { $(Self::$name(_) => $name::FORMULA,)* }
            }

            /// See [`Operator::infer`].
            ///
            /// # Errors
            /// An operand that does not fit.
            pub fn infer(&self, operands: &[TensorType]) -> Result<TensorType, InferError> {
                match self { $(Self::$name(op) => op.infer(operands),)* }
            }

            /// See [`Operator::work`].
            pub fn work(&self, step: &Step) -> Work {
                match self { $(Self::$name(op) => op.work(step),)* }
            }

            /// See [`Operator::pattern`].
            pub fn pattern(&self, step: &Step) -> Pattern {
                match self { $(Self::$name(op) => op.pattern(step),)* }
            }

            /// See [`Operator::split`].
            ///
            /// # Errors
            /// A group that the operator cannot be split over.
            pub fn split(&self, place: Place, operands: &[Found]) -> Result<Split, SplitError> {
                match self { $(Self::$name(op) => op.split(place, operands),)* }
            }

            /// See [`Operator::groups`].
            pub fn groups(&self, operand: usize) -> Option<u64> {
                match self { $(Self::$name(op) => op.groups(operand),)* }
            }

            /// See [`Operator::eval`].
            pub fn eval<S: Scalar>(
                &self,
                step: &Step,
                operands: &[Operand<'_, S>],
                out: &mut Target<'_, S>,
            ) {
                match self { $(Self::$name(op) => op.eval(step, operands, out),)* }
            }
        }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Self { Self::$name(op) }
        })*
    };
}

operators! {
    MatMul, Embedding, Position, Norm, Rope, KvAppend, Scores, Softmax, WeightedSum,
    Gate, Activate, Add, Select, Sample, Route, GroupedMatMul, ExpertBias, Combine,
    AllReduce, AllGather, Send, Broadcast, Conv1d, Expand, HeadMatMul, LatentScores,
    ReduceScatter, GatherTokens, PositionKeys, Quantize, Dispatch, ReturnTokens,
    GatherKeys, PartialSoftmax, SoftmaxSums, MergeAttention,
}
