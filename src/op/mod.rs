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
mod conv1d;
mod embedding;
mod gate;
mod infer;
mod kv_append;
mod matmul;
pub mod meter;
mod norm;
mod operand;
mod position;
mod rope;
mod sample;
pub mod scalar;
mod score_bias;
mod scores;
mod select;
mod softmax;
mod weighted_sum;
mod work;

pub use activation::{Activate, Activation};
pub use add::Add;
pub use conv1d::Conv1d;
pub use embedding::Embedding;
pub use gate::Gate;
pub use infer::InferError;
pub use kv_append::KvAppend;
pub use matmul::MatMul;
pub use norm::{Norm, NormKind};
pub use operand::{Operand, Target, Touched};
pub use position::Position;
pub use rope::{Pairing, Rope, RopeScaling};
pub use sample::{Sample, Sampler};
pub use score_bias::{Buckets, ScoreBias, alibi_slope};
pub use scores::Scores;
pub use select::Select;
pub use softmax::Softmax;
pub use weighted_sum::WeightedSum;
pub use work::{MAX_OPERANDS, Pattern, Work};

use crate::tensor::{Step, TensorType};
use scalar::Scalar;

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
    Gate, Activate, Add, Select, Sample, Conv1d,
}
