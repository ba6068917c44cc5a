//! How far predictions lie from measurements.

use serde::Serialize;
use statrs::statistics::{Data, Distribution, OrderStatistics};

/// A row with its prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Operator: the file's name without extension.
    pub op: String,
    /// The table's name of the device.
    pub device: String,
    /// Format.
    pub dtype: String,
    /// Line in the file.
    pub line: u64,
    /// What was measured, in words.
    pub shape: String,
    /// Seconds measured.
    pub measured: f64,
    /// Seconds predicted.
    pub predicted: f64,
    /// Whether the measurement lies in the 80 % interval.
    pub covered: bool,
    /// Whether what was published is a rate, whose error counts: predicted over measured rate.
    pub rate: bool,
}

impl Scored {
    /// `(predicted - measured) / measured`, in percent.
    pub fn error(&self) -> f64 {
        let (more, less) = if self.rate {
            (self.measured, self.predicted)
        } else {
            (self.predicted, self.measured)
        };
        100.0 * (more - less) / less
    }
}

/// Errors of a group of rows, all in percent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Operator, or `all`.
    pub op: String,
    /// Device, or `all`.
    pub device: String,
    /// Format, or `all`.
    pub dtype: String,
    /// Rows.
    pub n: usize,
    /// Median absolute percentage error.
    pub median_ape: f64,
    /// Mean absolute percentage error.
    pub mean_ape: f64,
    /// 90th percentile of the absolute percentage errors.
    pub p90_ape: f64,
    /// Mean signed percentage error.
    pub bias: f64,
    /// Share of the rows inside the 80 % interval.
    pub coverage80: f64,
}

/// The score of rows; `None` without any.
pub fn score<'a>(
    (op, device, dtype): (&str, &str, &str),
    rows: impl IntoIterator<Item = &'a Scored>,
) -> Option<Score> {
    let rows: Vec<&Scored> = rows.into_iter().collect();
    if rows.is_empty() {
        return None;
    }
    let count = rows.len() as f64;
    let mut errors = Data::new(rows.iter().map(|r| r.error().abs()).collect::<Vec<f64>>());
    let mean_ape = errors.mean()?;
    Some(Score {
        op: op.to_owned(),
        device: device.to_owned(),
        dtype: dtype.to_owned(),
        n: rows.len(),
        median_ape: errors.median(),
        mean_ape,
        p90_ape: errors.quantile(0.9),
        bias: rows.iter().map(|r| r.error()).sum::<f64>() / count,
        coverage80: 100.0 * rows.iter().filter(|r| r.covered).count() as f64 / count,
    })
}

/// The median of values.
pub fn median(values: Vec<f64>) -> f64 {
    Data::new(values).median()
}

/// The quantile of values.
pub(super) fn quantile(values: Vec<f64>, at: f64) -> f64 {
    Data::new(values).quantile(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_of_what_was_published() {
        let row = |rate| Scored {
            op: String::new(),
            device: String::new(),
            dtype: String::new(),
            line: 2,
            shape: String::new(),
            measured: 2.0,
            predicted: 1.0,
            covered: false,
            rate,
        };
        // Half the time is twice the rate.
        assert_eq!([row(false).error(), row(true).error()], [-50.0, 100.0]);
    }
}
