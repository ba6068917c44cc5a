//! The scalar that an operator's meaning is written over: f32, f64, or the counting [`Metered`].
//!
//! [`Metered`]: super::meter::Metered

use std::ops::{Add, Div, Mul, Neg, Sub};

/// The class of engine that runs an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Matrix multiply-accumulate (tensor core, systolic array).
    Matrix,
    /// Element-wise arithmetic (SIMD lanes).
    Vector,
    /// exp, tanh, erf, sin, cos, rsqrt, division: one special operation each.
    Special,
}

/// A number that operators compute with.
///
/// Counting rules, held by [`super::meter::Metered`]: `+`, `-`, `*` are one operation of the
/// engine class whose scope is open (a multiply-add is two); every function marked special below
/// is one special operation wherever it stands; negation, comparison and maximum are free.
pub trait Scalar:
    Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// A constant; counts nothing.
    fn constant(value: f64) -> Self;
    /// The value.
    fn value(self) -> f64;
    /// `e^x`; special.
    fn exp(self) -> Self;
    /// Hyperbolic tangent; special.
    fn tanh(self) -> Self;
    /// Error function; special.
    fn erf(self) -> Self;
    /// `1 / sqrt(x)`; special.
    fn rsqrt(self) -> Self;
    /// Sine; special.
    fn sin(self) -> Self;
    /// Cosine; special.
    fn cos(self) -> Self;
    /// The larger; free.
    fn maximum(self, other: Self) -> Self {
        if other > self { other } else { self }
    }
    /// Runs `body` with its arithmetic attributed to `engine`.
    fn on<R>(engine: Engine, body: impl FnOnce() -> R) -> R;
}

macro_rules! plain_scalar {
    ($type:ident) => {
        impl Scalar for $type {
            fn constant(value: f64) -> Self {
                value as $type
            }
            fn value(self) -> f64 {
                f64::from(self)
            }
            fn exp(self) -> Self {
                $type::exp(self)
            }
            fn tanh(self) -> Self {
                $type::tanh(self)
            }
            fn erf(self) -> Self {
                statrs::function::erf::erf(f64::from(self)) as $type
            }
            fn rsqrt(self) -> Self {
                1.0 / self.sqrt()
            }
            fn sin(self) -> Self {
                $type::sin(self)
            }
            fn cos(self) -> Self {
                $type::cos(self)
            }
            fn on<R>(_: Engine, body: impl FnOnce() -> R) -> R {
                body()
            }
        }
    };
}

plain_scalar!(f32);
plain_scalar!(f64);
