//! What a cache still holds of bytes that are used again and again.

/// A set that fills so much of the cache is held whole.
const WHOLE: f64 = 0.95;
/// A set that fills so much of it is gone before it is used again.
const GONE: f64 = 1.1;

/// The fraction of a set of bytes that a cache holds when the set is gone through in turn.
///
/// A cache that drops what was used longest ago holds a set that fits and nothing of one that does
/// not: each byte is dropped before it comes up again. Between 0.95 and 1.1 of the capacity the
/// fraction falls in a line (A141).
pub fn hit(set: f64, capacity: f64) -> f64 {
    if !set.is_finite() || capacity <= 0.0 {
        return 0.0;
    }
    (1.0 - (set / capacity - WHOLE) / (GONE - WHOLE)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::hit;

    #[test]
    fn a_set_is_held_until_it_no_longer_fits() {
        assert_eq!(hit(0.5, 1.0), 1.0);
        assert_eq!(hit(0.95, 1.0), 1.0);
        assert!((hit(1.025, 1.0) - 0.5).abs() < 1e-12);
        assert_eq!(hit(1.1, 1.0), 0.0);
        assert_eq!((hit(f64::INFINITY, 1.0), hit(1.0, 0.0)), (0.0, 0.0));
    }
}
