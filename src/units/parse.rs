//! Text with a unit to a number in SI, and back for messages.

/// The dimensions that text can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// Bytes.
    Data,
    /// Operations.
    Work,
    /// Seconds.
    Time,
    /// Joules.
    Energy,
    /// US dollars.
    Money,
    /// Watts.
    Power,
    /// Operations per second.
    WorkRate,
    /// Bytes per second.
    DataRate,
    /// Dollars per hour.
    MoneyRate,
    /// Hertz.
    Frequency,
    /// Operations per byte.
    Intensity,
    /// No unit.
    Number,
}

/// A base unit: symbol, dimension, factor to SI, and whether prefixes apply.
struct Unit {
    symbol: &'static str,
    dimension: Dimension,
    factor: f64,
    prefixed: bool,
}

const fn unit(symbol: &'static str, dimension: Dimension, factor: f64, prefixed: bool) -> Unit {
    Unit { symbol, dimension, factor, prefixed }
}

const UNITS: &[Unit] = &[
    unit("B", Dimension::Data, 1.0, true),
    unit("B/s", Dimension::DataRate, 1.0, true),
    unit("bit/s", Dimension::DataRate, 0.125, true),
    unit("FLOP", Dimension::Work, 1.0, true),
    unit("FLOP/s", Dimension::WorkRate, 1.0, true),
    unit("OP/s", Dimension::WorkRate, 1.0, true),
    unit("FLOP/B", Dimension::Intensity, 1.0, false),
    unit("s", Dimension::Time, 1.0, false),
    unit("ms", Dimension::Time, 1e-3, false),
    unit("us", Dimension::Time, 1e-6, false),
    unit("ns", Dimension::Time, 1e-9, false),
    unit("J", Dimension::Energy, 1.0, true),
    unit("mJ", Dimension::Energy, 1e-3, false),
    unit("pJ", Dimension::Energy, 1e-12, false),
    unit("$", Dimension::Money, 1.0, false),
    unit("W", Dimension::Power, 1.0, true),
    unit("$/h", Dimension::MoneyRate, 1.0, false),
    unit("Hz", Dimension::Frequency, 1.0, true),
    unit("%", Dimension::Number, 0.01, false),
    unit("", Dimension::Number, 1.0, false),
];

const PREFIXES: &[(&str, f64)] = &[
    ("", 1.0),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
];

impl Dimension {
    /// What it is, for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "a capacity in bytes",
            Self::Work => "a number of operations",
            Self::Time => "a time",
            Self::Energy => "an energy",
            Self::Money => "a price",
            Self::Power => "a power",
            Self::WorkRate => "a compute rate",
            Self::DataRate => "a bandwidth",
            Self::MoneyRate => "a price per hour",
            Self::Frequency => "a frequency",
            Self::Intensity => "an arithmetic intensity",
            Self::Number => "a plain number",
        }
    }

    /// How it is written, for messages.
    pub const fn example(self) -> &'static str {
        match self {
            Self::Data => "`80 GB` or `256 KiB`",
            Self::Work => "`27.6 TFLOP`",
            Self::Time => "`1.5 us`",
            Self::Energy => "`3.9 pJ`",
            Self::Money => "`1599 $`",
            Self::Power => "`700 W`",
            Self::WorkRate => "`989.4 TFLOP/s`",
            Self::DataRate => "`3.35 TB/s`",
            Self::MoneyRate => "`2.29 $/h`",
            Self::Frequency => "`1.41 GHz`",
            Self::Intensity => "`295 FLOP/B`",
            Self::Number => "`0.85` or `85 %`",
        }
    }
}

/// Text that is not a quantity of the wanted dimension.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ParseQuantityError {
    /// No leading number.
    #[error("`{found}` has no number; expected {what}, for instance {example}", what = .want.name(), example = .want.example())]
    NoNumber {
        /// The text.
        found: String,
        /// The wanted dimension.
        want: Dimension,
    },
    /// Zero or more only, and finite.
    #[error("`{found}` is negative or not finite; expected {what}, for instance {example}", what = .want.name(), example = .want.example())]
    OutOfRange {
        /// The text.
        found: String,
        /// The wanted dimension.
        want: Dimension,
    },
    /// A number without unit where one is needed.
    #[error("`{found}` has no unit; expected {what}, for instance {example}", what = .want.name(), example = .want.example())]
    NoUnit {
        /// The text.
        found: String,
        /// The wanted dimension.
        want: Dimension,
    },
    /// A unit of another dimension.
    #[error("`{found}` is {is}; expected {what}, for instance {example}", is = .is.name(), what = .want.name(), example = .want.example())]
    WrongDimension {
        /// The text.
        found: String,
        /// Its dimension.
        is: Dimension,
        /// The wanted dimension.
        want: Dimension,
    },
    /// A unit nobody knows.
    #[error("unknown unit `{unit}` in `{found}`; expected {what}, for instance {example}", what = .want.name(), example = .want.example())]
    UnknownUnit {
        /// The text.
        found: String,
        /// The unit part.
        unit: String,
        /// The wanted dimension.
        want: Dimension,
    },
}

/// Reads `number unit` as a non-negative value in the SI unit of `want`.
pub(super) fn parse(text: &str, want: Dimension) -> Result<f64, ParseQuantityError> {
    let text = text.trim();
    let found = crate::diagnostic::clip(text);
    let split = text
        .char_indices()
        .find(|(i, c)| !(c.is_ascii_digit() || ".+-_".contains(*c) || is_exponent(text, *i)))
        .map_or(text.len(), |(i, _)| i);
    let (number, symbol) = (text[..split].trim().replace('_', ""), text[split..].trim());
    let Ok(number) = number.parse::<f64>() else {
        return Err(ParseQuantityError::NoNumber { found, want });
    };
    if !number.is_finite() || number < 0.0 {
        return Err(ParseQuantityError::OutOfRange { found, want });
    }
    match lookup(symbol, want) {
        Some((dimension, factor)) if dimension == want => Ok(number * factor),
        Some((Dimension::Number, _)) => Err(ParseQuantityError::NoUnit { found, want }),
        Some((is, _)) => Err(ParseQuantityError::WrongDimension { found, is, want }),
        None => {
            let unit = crate::diagnostic::clip(symbol);
            Err(ParseQuantityError::UnknownUnit { found, unit, want })
        }
    }
}

fn is_exponent(text: &str, at: usize) -> bool {
    let (before, rest) = text.split_at(at);
    rest.starts_with(['e', 'E'])
        && before.ends_with(|c: char| c.is_ascii_digit() || c == '.')
        && rest[1..].trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit())
}

/// Dimension and factor of a unit symbol; a reading in the wanted dimension comes first.
fn lookup(symbol: &str, want: Dimension) -> Option<(Dimension, f64)> {
    let symbol = symbol.replace('µ', "u").replace("OPS", "OP/s").replace("FLOPS", "FLOP/s");
    let readings = UNITS.iter().flat_map(|u| {
        let prefixes = if u.prefixed { PREFIXES } else { &PREFIXES[..1] };
        prefixes.iter().filter_map(|(p, f)| {
            (symbol.strip_prefix(p) == Some(u.symbol)).then_some((u.dimension, f * u.factor))
        })
    });
    let all: Vec<_> = readings.collect();
    all.iter().find(|(d, _)| *d == want).or(all.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::super::*;

    #[test]
    fn decimal_and_binary_prefixes_differ() {
        assert_eq!("80 GB".parse(), Ok(Bytes::new(80e9)));
        assert_eq!("80 GiB".parse(), Ok(Bytes::new(80.0 * 1024f64.powi(3))));
        assert_eq!("3.35TB/s".parse(), Ok(BytesPerSecond::new(3.35e12)));
        assert_eq!("400 Gbit/s".parse(), Ok(BytesPerSecond::new(50e9)));
        assert_eq!("312 TFLOP/s".parse(), Ok(FlopsPerSecond::new(312e12)));
        assert_eq!("624 TOPS".parse(), Ok(FlopsPerSecond::new(624e12)));
        assert_eq!("1.5 us".parse(), Ok(Seconds::new(1.5e-6)));
        assert_eq!("1e3 B".parse(), Ok(Bytes::new(1000.0)));
        assert_eq!("85 %".parse(), Ok(Ratio::new(0.85)));
    }

    #[test]
    fn wrong_units_say_what_was_found_and_expected() {
        let shown = |e: Result<Bytes, ParseQuantityError>| e.expect_err("refused").to_string();
        assert_eq!(
            shown("80 GB/s".parse()),
            "`80 GB/s` is a bandwidth; expected a capacity in bytes, for instance `80 GB` or `256 KiB`"
        );
        assert!(shown("80 GBit/s".parse()).starts_with("unknown unit `GBit/s`"));
        assert!(shown("80".parse()).contains("has no unit"));
        assert!(shown("-1 GB".parse()).contains("negative"));
        assert!(shown("lots".parse()).contains("has no number"));
    }

    #[test]
    fn only_meaningful_arithmetic() {
        let time: Seconds = Bytes::new(2039e9) / BytesPerSecond::new(2039e9);
        assert_eq!(time, Seconds::new(1.0));
        assert_eq!(DollarsPerHour::new(3.6) * Seconds::new(1000.0), Dollars::new(1.0));
    }
}
