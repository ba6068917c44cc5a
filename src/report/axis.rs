//! What an axis shows: a name, a unit, and how its numbers are written.

/// Whether numbers take SI prefixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefixes {
    /// `12.3 ms`, `4.5 ktok/s`.
    Si,
    /// `2.29 $/h`, `700 W`.
    Plain,
}

/// Which end of an axis is the good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Less is better: latency, price, power.
    Lower,
    /// More is better: throughput.
    Higher,
}

/// The meaning of the numbers along one direction of a chart; they are in the unit without prefix.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// `Throughput`.
    pub name: String,
    /// `tok/s`.
    pub unit: String,
    /// How numbers are written.
    pub prefixes: Prefixes,
    /// Which end is good.
    pub better: Better,
}

impl Axis {
    /// An axis from its parts.
    pub fn new(name: &str, unit: &str, prefixes: Prefixes, better: Better) -> Self {
        Self { name: name.to_owned(), unit: unit.to_owned(), prefixes, better }
    }

    /// Name and unit, and which end is good.
    pub fn title(&self) -> String {
        let better = match self.better {
            Better::Lower => "lower is better",
            Better::Higher => "higher is better",
        };
        match self.unit.as_str() {
            "" => format!("{}, {better}", self.name),
            unit => format!("{} ({unit}), {better}", self.name),
        }
    }

    /// A value with three significant digits and its unit.
    pub fn value(&self, value: f64) -> String {
        let (number, prefix) = scaled(value, self.prefixes);
        format!("{} {prefix}{}", digits(number), self.unit)
    }

    /// A tick's value with its unit, without trailing zeros.
    pub fn tick(&self, value: f64) -> String {
        tick(value, &self.unit, self.prefixes)
    }
}

/// A tick of compute rate: `10 TFLOP/s`.
pub(super) fn rate_tick(value: f64) -> String {
    tick(value, "FLOP/s", Prefixes::Si)
}

/// A tick of intensity, whose axis names the unit: `100`.
pub(super) fn intensity_tick(value: f64) -> String {
    tick(value, "", Prefixes::Plain)
}

fn tick(value: f64, unit: &str, prefixes: Prefixes) -> String {
    let (number, prefix) = scaled(value, prefixes);
    let rounded = (number * 1e6).round() / 1e6;
    format!("{rounded} {prefix}{unit}").trim_end().to_owned()
}

const STEPS: [(f64, &str); 9] = [
    (1e18, "E"),
    (1e15, "P"),
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "u"),
];

fn scaled(value: f64, prefixes: Prefixes) -> (f64, &'static str) {
    if prefixes == Prefixes::Plain || value == 0.0 {
        return (value, "");
    }
    let step = STEPS.iter().find(|(scale, _)| value.abs() >= scale * 0.9995);
    let (scale, prefix) = step.copied().unwrap_or((1e-9, "n"));
    (value / scale, prefix)
}

fn digits(number: f64) -> String {
    let places = match number.abs() {
        n if n == 0.0 || n >= 99.95 => 0,
        n if n >= 9.995 => 1,
        n if n >= 0.9995 => 2,
        _ => 3,
    };
    format!("{number:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_carry_unit_and_prefix() {
        let time = Axis::new("TPOT", "s", Prefixes::Si, Better::Lower);
        assert_eq!(time.value(0.01234), "12.3 ms");
        assert_eq!(time.title(), "TPOT (s), lower is better");
        let price = Axis::new("Price", "$/h", Prefixes::Plain, Better::Lower);
        assert_eq!((price.value(0.5), price.tick(0.5)), ("0.500 $/h".into(), "0.5 $/h".into()));
        assert_eq!(rate_tick(1e13), "10 TFLOP/s");
        assert_eq!(intensity_tick(0.1), "0.1");
    }
}
