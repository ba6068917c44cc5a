//! How blocks keep codes: planes of 1, 2 or 4 bits of every element.
//!
//! A plane is cut into runs of `STRIDE` bytes. A run holds `STRIDE * 8 / BITS` elements: first the lowest bits
//! of its bytes, one behind the other, then the bits above them, and so on.

/// Ors the bits of a plane, moved up by `shift`, into the codes of all elements.
pub(super) fn read<const BITS: usize, const STRIDE: usize>(
    plane: &[u8],
    shift: u32,
    codes: &mut [u8],
) {
    for (run, codes) in plane.chunks_exact(STRIDE).zip(codes.chunks_exact_mut(STRIDE * 8 / BITS)) {
        for (at, codes) in codes.chunks_exact_mut(STRIDE).enumerate() {
            for (code, byte) in codes.iter_mut().zip(run) {
                *code |= (byte >> (at * BITS) & ones::<BITS>()) << shift;
            }
        }
    }
}

/// Writes bits `shift` and above of the codes into a plane of zeros.
pub(super) fn write<const BITS: usize, const STRIDE: usize>(
    codes: &[u8],
    shift: u32,
    plane: &mut [u8],
) {
    for (run, codes) in plane.chunks_exact_mut(STRIDE).zip(codes.chunks_exact(STRIDE * 8 / BITS)) {
        for (at, codes) in codes.chunks_exact(STRIDE).enumerate() {
            for (code, byte) in codes.iter().zip(run.iter_mut()) {
                *byte |= (code >> shift & ones::<BITS>()) << (at * BITS);
            }
        }
    }
}

const fn ones<const BITS: usize>() -> u8 {
    ((1 << BITS) - 1) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_lie_in_runs_of_bytes() {
        let mut codes = [0; 16];
        read::<2, 4>(&[0b11_10_01_00, 1, 2, 3], 2, &mut codes);
        assert_eq!(codes, [0, 4, 8, 12, 4, 0, 0, 0, 8, 0, 0, 0, 12, 0, 0, 0]);
        let mut plane = [0; 4];
        write::<2, 4>(&codes, 2, &mut plane);
        assert_eq!(plane, [0b11_10_01_00, 1, 2, 3]);
    }
}
