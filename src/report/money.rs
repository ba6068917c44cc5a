//! Sums of money as tables have them.

use crate::units::{Dollars, three_digits};

/// Three decimals, and three significant digits below a tenth: `19.386`, `0.0123`.
pub fn dollars(sum: Dollars) -> String {
    let value = sum.get();
    if value.abs() >= 0.1 { format!("{value:.3}") } else { three_digits(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_sums_keep_their_digits() {
        let shown = [19.386, 0.1, 0.0123, 0.000_012_345, 0.0].map(|v| dollars(Dollars::new(v)));
        assert_eq!(shown, ["19.386", "0.100", "0.0123", "0.0000123", "0"]);
    }
}
