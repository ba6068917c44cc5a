//! Text made safe for XML and HTML, in content and in attributes.

use std::fmt::Write;

/// Escapes markup and drops characters that XML 1.0 forbids.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

/// Writes a coordinate with at most two decimals and no trailing zeros.
pub(super) fn push_number(out: &mut String, value: f64) {
    let hundredths = (value * 100.0).round() as i64;
    let sign = if hundredths < 0 { "-" } else { "" };
    let (whole, part) = (hundredths.abs() / 100, hundredths.abs() % 100);
    let written = match part {
        0 => write!(out, "{sign}{whole}"),
        p if p % 10 == 0 => write!(out, "{sign}{whole}.{}", p / 10),
        p => write!(out, "{sign}{whole}.{p:02}"),
    };
    written.expect("invariant: writing to a string cannot fail");
}

/// A coordinate with at most two decimals and no trailing zeros.
pub(super) fn number(value: f64) -> String {
    let mut out = String::new();
    push_number(&mut out, value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_control_characters_never_pass() {
        assert_eq!(escape("a<b & \"c\"\u{1}"), "a&lt;b &amp; &quot;c&quot;");
    }

    #[test]
    fn decimals_are_few_and_trimmed() {
        let shown = [3.0, 2.5, 0.0625, -0.001, -1.05].map(number);
        assert_eq!(shown, ["3", "2.5", "0.06", "0", "-1.05"]);
    }
}
