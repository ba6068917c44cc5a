//! The quantities and the products and quotients that have a meaning.

use super::parse::Dimension;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Sub};

/// A number with a dimension, stored in its SI unit.
pub trait Quantity: Copy {
    /// The dimension: its name, unit and examples for messages.
    const DIMENSION: Dimension;
    /// From the value in the SI unit.
    fn from_si(value: f64) -> Self;
    /// The value in the SI unit.
    fn si(self) -> f64;
}

macro_rules! quantities {
    ($($(#[$doc:meta])* $name:ident: $dimension:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
        pub struct $name(f64);

        impl $name {
            /// None of it.
            pub const ZERO: Self = Self(0.0);
            /// From the value in the SI unit.
            pub const fn new(value: f64) -> Self { Self(value) }
            /// The value in the SI unit.
            pub const fn get(self) -> f64 { self.0 }
            /// The larger of two.
            pub fn max(self, other: Self) -> Self { Self(self.0.max(other.0)) }
            /// The smaller of two.
            pub fn min(self, other: Self) -> Self { Self(self.0.min(other.0)) }
        }
        impl Quantity for $name {
            const DIMENSION: Dimension = Dimension::$dimension;
            fn from_si(value: f64) -> Self { Self(value) }
            fn si(self) -> f64 { self.0 }
        }
        impl Add for $name { type Output = Self; fn add(self, o: Self) -> Self { Self(self.0 + o.0) } }
        impl AddAssign for $name { fn add_assign(&mut self, o: Self) { self.0 += o.0 } }
        impl Sub for $name { type Output = Self; fn sub(self, o: Self) -> Self { Self(self.0 - o.0) } }
        impl Mul<f64> for $name { type Output = Self; fn mul(self, k: f64) -> Self { Self(self.0 * k) } }
        impl Div<f64> for $name { type Output = Self; fn div(self, k: f64) -> Self { Self(self.0 / k) } }
        impl Div for $name { type Output = f64; fn div(self, o: Self) -> f64 { self.0 / o.0 } }
        impl Sum for $name { fn sum<I: Iterator<Item = Self>>(i: I) -> Self { Self(i.map(|q| q.0).sum()) } }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&super::display::engineering(self.0, Dimension::$dimension))
            }
        }
        impl std::str::FromStr for $name {
            type Err = super::parse::ParseQuantityError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                super::parse::parse(text, Dimension::$dimension).map(Self)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.serialize_f64(self.0) }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

quantities! {
    /// An amount of data, bytes.
    Bytes: Data;
    /// Arithmetic operations; a fused multiply-add is two.
    Flops: Work;
    /// Time, seconds.
    Seconds: Time;
    /// Energy, joules.
    Joules: Energy;
    /// Money, US dollars.
    Dollars: Money;
    /// Power, watts.
    Watts: Power;
    /// Operations per second.
    FlopsPerSecond: WorkRate;
    /// Bandwidth, bytes per second.
    BytesPerSecond: DataRate;
    /// Price of time, dollars per hour.
    DollarsPerHour: MoneyRate;
    /// Clock frequency, hertz.
    Hertz: Frequency;
    /// Arithmetic intensity or ridge point, operations per byte.
    FlopsPerByte: Intensity;
    /// A fraction of a peak or a factor, without unit.
    Ratio: Number;
}

macro_rules! relations {
    ($($a:ident / $b:ident = $c:ident;)*) => {$(
        impl Div<$b> for $a { type Output = $c; fn div(self, o: $b) -> $c { $c(self.0 / o.0) } }
        impl Mul<$c> for $b { type Output = $a; fn mul(self, o: $c) -> $a { $a(self.0 * o.0) } }
        impl Mul<$b> for $c { type Output = $a; fn mul(self, o: $b) -> $a { $a(self.0 * o.0) } }
    )*};
}

relations! {
    Bytes / BytesPerSecond = Seconds;
    Flops / FlopsPerSecond = Seconds;
    FlopsPerSecond / BytesPerSecond = FlopsPerByte;
    Flops / Bytes = FlopsPerByte;
    Joules / Watts = Seconds;
}

impl Div<Seconds> for Bytes {
    type Output = BytesPerSecond;
    fn div(self, time: Seconds) -> BytesPerSecond {
        BytesPerSecond(self.0 / time.0)
    }
}

impl Div<Seconds> for Flops {
    type Output = FlopsPerSecond;
    fn div(self, time: Seconds) -> FlopsPerSecond {
        FlopsPerSecond(self.0 / time.0)
    }
}

impl Mul<Seconds> for DollarsPerHour {
    type Output = Dollars;
    fn mul(self, time: Seconds) -> Dollars {
        Dollars(self.0 * time.0 / 3600.0)
    }
}
