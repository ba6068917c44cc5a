//! Which part of the rows a shape belongs to.

/// A half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Fitted.
    First,
    /// Scored.
    Second,
}

/// The half of a key of device, operator, format and shape: by a hash of its text, so that the same shape is
/// never on both sides, on any machine.
pub fn half(key: &str) -> Half {
    if hash(key) & 1 == 0 { Half::First } else { Half::Second }
}

/// The half of a key in another cut of the same rows; cut 0 is that of [`half`].
pub(super) fn half_of(cut: u64, key: &str) -> Half {
    if cut == 0 { half(key) } else { half(&format!("{cut} {key}")) }
}

/// Which of `folds` a key belongs to, within either half.
pub(super) fn fold(key: &str, folds: u64) -> u64 {
    (hash(key) >> 1) % folds
}

/// The upper bits of the 64-bit FNV-1a hash.
fn hash(key: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash >> 20
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

    #[test]
    fn every_fold_has_its_share_of_either_half() {
        let keys: Vec<String> = (0..2000).map(|i| format!("h100 gemm bf16 {i} 4096")).collect();
        for side in [Half::First, Half::Second] {
            for part in 0..5 {
                let mine = keys.iter().filter(|k| half(k) == side && fold(k, 5) == part).count();
                assert!((160..240).contains(&mine), "{side:?} {part}: {mine}");
            }
        }
    }
}
