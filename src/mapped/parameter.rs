//! The parameters that describe how well a software stack uses a device.

use crate::units::{BytesPerSecond, Ratio, Seconds};

/// What a parameter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A fraction of a quoted figure.
    Fraction,
    /// Seconds.
    Time,
    /// Bytes per second.
    Bandwidth,
}

/// One parameter of a kind of kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameter {
    /// Its name in calibration files.
    pub name: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// Where a fit begins; in SI.
    pub start: f64,
    /// What data that says nothing about it leaves it at; in SI. A fit keeps near where it begins if that is
    /// the same.
    pub rest: f64,
    /// Least and largest value that physics allows; in SI.
    pub range: (f64, f64),
}

impl Parameter {
    /// Seconds of the host's that stand for none.
    pub const NOTHING: f64 = 1e-7;

    pub(super) const fn fraction(name: &'static str, start: f64, most: f64) -> Self {
        Self { name, unit: Unit::Fraction, start, rest: start, range: (0.01, most) }
    }

    pub(super) const fn time(name: &'static str, start: f64) -> Self {
        Self { name, unit: Unit::Time, start, rest: start, range: (1e-8, 1e-3) }
    }

    /// A time of the host's, which may be long, and is next to nothing where nothing is known of it.
    pub(super) const fn of_host(name: &'static str) -> Self {
        Self { name, unit: Unit::Time, start: 1e-3, rest: Self::NOTHING, range: (1e-8, 1.0) }
    }

    pub(super) const fn bandwidth(name: &'static str, start: f64) -> Self {
        Self { name, unit: Unit::Bandwidth, start, rest: start, range: (1e8, 1e13) }
    }

    /// A value of it as text with its unit, as calibration files hold it.
    pub fn show(&self, value: f64) -> String {
        match self.unit {
            Unit::Fraction => format!("{value:.4}"),
            Unit::Time => Seconds::new(value).to_string(),
            Unit::Bandwidth => BytesPerSecond::new(value).to_string(),
        }
    }

    /// The value in SI of a text.
    ///
    /// # Errors
    /// Another unit, or a value outside the range.
    pub fn parse(&self, text: &str) -> Result<f64, String> {
        let value = match self.unit {
            Unit::Fraction => text.parse::<Ratio>().map(Ratio::get).map_err(|e| e.to_string()),
            Unit::Time => text.parse::<Seconds>().map(Seconds::get).map_err(|e| e.to_string()),
            Unit::Bandwidth => {
                text.parse::<BytesPerSecond>().map(BytesPerSecond::get).map_err(|e| e.to_string())
            }
        }?;
        let (least, most) = self.range;
        if (least..=most).contains(&value) {
            return Ok(value);
        }
        let (least, most) = (self.show(least), self.show(most));
        Err(format!("`{text}` is outside {least} to {most}"))
    }
}
