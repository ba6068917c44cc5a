//! Quantities as people write them: three significant digits and a prefix.

use super::parse::Dimension;

/// `1234.5e9` bytes per second becomes `1.23 TB/s`.
pub(super) fn engineering(value: f64, dimension: Dimension) -> String {
    let (symbol, steps): (&str, &[(f64, &str)]) = match dimension {
        Dimension::Data => ("B", DECIMAL),
        Dimension::Work => ("FLOP", DECIMAL),
        Dimension::Time => ("s", TIME),
        Dimension::Energy => ("J", ENERGY),
        Dimension::Money => ("$", PLAIN),
        Dimension::Power => ("W", PLAIN),
        Dimension::WorkRate => ("FLOP/s", DECIMAL),
        Dimension::DataRate => ("B/s", DECIMAL),
        Dimension::MoneyRate => ("$/h", PLAIN),
        Dimension::Frequency => ("Hz", DECIMAL),
        Dimension::Intensity => ("FLOP/B", PLAIN),
        Dimension::Number => ("", PLAIN),
    };
    let (scale, prefix) = steps
        .iter()
        .find(|(scale, _)| value.abs() >= *scale * 0.9995)
        .or(steps.last())
        .copied()
        .unwrap_or((1.0, ""));
    format!("{} {prefix}{symbol}", three_digits(value / scale)).trim_end().to_owned()
}

const DECIMAL: &[(f64, &str)] =
    &[(1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];
const TIME: &[(f64, &str)] = &[(1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n")];
const ENERGY: &[(f64, &str)] =
    &[(1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p")];
const PLAIN: &[(f64, &str)] = &[(1.0, "")];

/// Three significant digits without exponent: `0.00123`, `0.123`, `1.23`, `12.3`, `1235`.
pub fn three_digits(value: f64) -> String {
    let size = value.abs();
    let digits = match size {
        0.0 => 0,
        s if s >= 99.95 => 0,
        s if s >= 9.995 => 1,
        s if s >= 0.9995 => 2,
        s if s >= 0.09995 => 3,
        s => (2.0 - (s * 1.0005).log10().floor()).min(12.0) as usize,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::super::*;

    #[test]
    fn three_significant_digits_with_prefix() {
        assert_eq!(BytesPerSecond::new(3.35e12).to_string(), "3.35 TB/s");
        assert_eq!(Seconds::new(7.0076e-3).to_string(), "7.01 ms");
        assert_eq!(Seconds::new(0.9999e-3).to_string(), "1.00 ms");
        assert_eq!(Flops::new(27.6e12).to_string(), "27.6 TFLOP");
        assert_eq!(Watts::new(400.0).to_string(), "400 W");
        assert_eq!(Bytes::new(0.0).to_string(), "0 B");
    }
}
