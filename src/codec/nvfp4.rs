//! NVFP4: 16 elements of e2m1 and an e4m3 scale, and a scale of the tensor (NVIDIA, "Introducing NVFP4 for
//! efficient and accurate low-precision inference", 2025).

use super::float::{Float, Overflow};
use super::groups::{Groups, largest};

/// NVFP4 with the scale of a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nvfp4 {
    /// What scales of groups are multiples of; `None` for one.
    pub tensor: Option<f32>,
}

impl Nvfp4 {
    /// Elements that share a scale.
    pub const GROUP: usize = 16;

    /// The scale with which a tensor's largest magnitude takes the largest scale and the largest element.
    pub fn for_largest(most: f32) -> Self {
        let whole = (Float::E4M3FN.largest() * Float::E2M1.largest()) as f32;
        Self { tensor: Some(most / whole) }
    }

    /// Scales in e4m3fn and elements as bits. Scales are at least the smallest normal number; elements beyond the
    /// largest number saturate.
    pub fn quantize(self, values: &[f32]) -> Groups {
        let (low, high) = (Float::E4M3FN.smallest_normal() as f32, Float::E4M3FN.largest() as f32);
        Groups::of(values, Self::GROUP, |values, codes| {
            let needed = largest(values) / Float::E2M1.largest() as f32;
            let needed = self.tensor.map_or(needed, |tensor| needed / tensor);
            let clamped = f64::from(needed.clamp(low, high));
            let scale = Float::E4M3FN.encode(clamped, Overflow::Saturate);
            // The reciprocal first, as the kernels have it.
            let factor =
                self.tensor.map_or(1.0, |tensor| 1.0 / tensor) / Float::E4M3FN.decode(scale) as f32;
            for (code, x) in codes.iter_mut().zip(values) {
                *code = Float::E2M1.encode(f64::from(x * factor), Overflow::Saturate) as u8;
            }
            scale as u8
        })
    }

    /// The values of groups.
    pub fn dequantize(self, groups: &Groups) -> Vec<f32> {
        groups.values(Self::GROUP, Float::E2M1, |scale| {
            self.tensor.unwrap_or(1.0) * Float::E4M3FN.decode(u32::from(scale)) as f32
        })
    }

    /// The values as the format has them.
    pub fn round(self, values: &[f32]) -> Vec<f32> {
        self.dequantize(&self.quantize(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_of_the_tensor_takes_up_its_range() {
        let values: Vec<f32> = (1..=32).map(|i| 1e-6 * i as f32).collect();
        let error = |format: Nvfp4| {
            let rounded = format.round(&values);
            let off = values.iter().zip(rounded).map(|(x, y)| (x - y).powi(2));
            off.sum::<f32>()
        };
        let scaled = error(Nvfp4::for_largest(largest(&values)));
        assert!(
            scaled * 20.0 < error(Nvfp4 { tensor: None }),
            "scales in e4m3 reach no further down"
        );
    }
}
