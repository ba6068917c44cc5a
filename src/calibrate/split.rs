//! Which half of the rows a shape belongs to.

/// A half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Fitted.
    First,
    /// Scored.
    Second,
}

/// The half of a key of device, operator, format and shape: by the 64-bit FNV-1a hash of its text, so that
/// the same shape is never on both sides, on any machine.
pub fn half(key: &str) -> Half {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    if (hash >> 20) & 1 == 0 { Half::First } else { Half::Second }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_fixed_and_about_equal() {
        let keys: Vec<String> = (0..1000).map(|i| format!("h100 gemm bf16 {i} 4096")).collect();
        let first = keys.iter().filter(|k| half(k) == Half::First).count();
        assert!((430..570).contains(&first), "{first}");
        assert_eq!(half("a"), half("a"));
    }
}
