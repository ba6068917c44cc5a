//! Groups of neighbours with a scale each, as codes: what [`Mx`](super::Mx) and [`Nvfp4`](super::Nvfp4) make.

use super::float::Float;

/// Scales and elements as bits, a byte each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Groups {
    /// A scale per group.
    pub scales: Vec<u8>,
    /// An element each, in the lower bits.
    pub codes: Vec<u8>,
}

impl Groups {
    /// Groups of `size` along the values, the last one shorter where they do not fill it; `encode` gives a
    /// scale and fills in the codes.
    pub(super) fn of(
        values: &[f32],
        size: usize,
        mut encode: impl FnMut(&[f32], &mut [u8]) -> u8,
    ) -> Self {
        let mut codes = vec![0; values.len()];
        let groups = values.chunks(size).zip(codes.chunks_mut(size));
        let scales = groups.map(|(values, codes)| encode(values, codes)).collect();
        Self { scales, codes }
    }

    /// Their values: element times scale, in f32.
    pub(super) fn values(
        &self,
        size: usize,
        element: Float,
        scale: impl Fn(u8) -> f32,
    ) -> Vec<f32> {
        let table: Vec<f32> = (0..1 << element.bits()).map(|c| element.decode(c) as f32).collect();
        let at = |code: u8| table[usize::from(code) & (table.len() - 1)];
        let groups = self.codes.chunks(size).zip(&self.scales);
        let each = groups.map(|(codes, s)| (codes, scale(*s)));
        let mut out = Vec::with_capacity(self.codes.len());
        each.for_each(|(codes, scale)| out.extend(codes.iter().map(|c| at(*c) * scale)));
        out
    }
}

/// The largest magnitude, NaN where there is one.
pub(super) fn largest(values: &[f32]) -> f32 {
    let most = values.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    if values.iter().any(|x| x.is_nan()) { f32::NAN } else { most }
}
