//! The counting scalar: run an operator's meaning with it and read what was done.
//!
//! This is what makes a cost a measurement: `work` claims, the meter counts, a property test over
//! every operator holds the two equal.

use super::scalar::{Engine, Scalar};
use std::cell::Cell;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// Operations counted per engine class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Matrix operations.
    pub matrix: u64,
    /// Vector operations.
    pub vector: u64,
    /// Special operations.
    pub special: u64,
    /// Arithmetic outside any engine scope: an operator's mistake.
    pub unscoped: u64,
}

impl Counts {
    /// All operations.
    pub const fn total(&self) -> u64 {
        self.matrix + self.vector + self.special + self.unscoped
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.matrix += other.matrix;
        self.vector += other.vector;
        self.special += other.special;
        self.unscoped += other.unscoped;
    }
}

thread_local! {
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { matrix: 0, vector: 0, special: 0, unscoped: 0 }) };
    static ENGINE: Cell<Option<Engine>> = const { Cell::new(None) };
}

/// Counts what `body` computes with [`Metered`] numbers on this thread.
pub fn metered<R>(body: impl FnOnce() -> R) -> (R, Counts) {
    let before = COUNTS.replace(Counts::default());
    let result = body();
    (result, COUNTS.replace(before))
}

/// An `f64` whose operators count.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Metered(f64);

fn count(engine: Option<Engine>) {
    let mut counts = COUNTS.get();
    match engine {
        Some(Engine::Matrix) => counts.matrix += 1,
        Some(Engine::Vector) => counts.vector += 1,
        Some(Engine::Special) => counts.special += 1,
        None => counts.unscoped += 1,
    }
    COUNTS.set(counts);
}

fn arithmetic(value: f64) -> Metered {
    count(ENGINE.get());
    Metered(value)
}

fn special(value: f64) -> Metered {
    count(Some(Engine::Special));
    Metered(value)
}

impl Add for Metered {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        arithmetic(self.0 + other.0)
    }
}

impl Sub for Metered {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        arithmetic(self.0 - other.0)
    }
}

impl Mul for Metered {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        arithmetic(self.0 * other.0)
    }
}

impl Div for Metered {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        special(self.0 / other.0)
    }
}

impl Neg for Metered {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Scalar for Metered {
    fn constant(value: f64) -> Self {
        Self(value)
    }
    fn value(self) -> f64 {
        self.0
    }
    fn exp(self) -> Self {
        special(self.0.exp())
    }
    fn tanh(self) -> Self {
        special(self.0.tanh())
    }
    fn erf(self) -> Self {
        special(Scalar::erf(self.0))
    }
    fn rsqrt(self) -> Self {
        special(Scalar::rsqrt(self.0))
    }
    fn sin(self) -> Self {
        special(self.0.sin())
    }
    fn cos(self) -> Self {
        special(self.0.cos())
    }
    fn on<R>(engine: Engine, body: impl FnOnce() -> R) -> R {
        let outer = ENGINE.replace(Some(engine));
        let result = body();
        ENGINE.set(outer);
        result
    }
}
