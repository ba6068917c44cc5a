//! Encoders of the types with scale and minimum per sub-block: q2_k, q4_k, q5_k.

use super::k::{self, N};
use super::search::{Line, line};
use super::{half, planes, put_half};

/// Times that the two scales of a block are fitted again to the codes found.
const ROUNDS: usize = 3;

/// A type: elements of a sub-block, the largest code, the largest scale and minimum of a sub-block.
#[derive(Clone, Copy)]
struct Shape {
    sub: usize,
    top: f32,
    scale_top: f32,
}

/// Integers of a block, and the error that they leave.
#[derive(Clone, Copy)]
struct Fit {
    d: f32,
    dmin: f32,
    scales: [u8; 16],
    minima: [u8; 16],
    error: f32,
}

/// 2 bits, sub-blocks of 16 with scale and minimum of 4 bits.
pub(super) fn to_q2_k(values: &[f32], bytes: &mut [u8]) {
    let shape = Shape { sub: 16, top: 3.0, scale_top: 15.0 };
    let fit = fit(values, shape);
    for (byte, (scale, minimum)) in bytes.iter_mut().zip(fit.scales.iter().zip(fit.minima)) {
        *byte = scale | minimum << 4;
    }
    planes::write::<2, 32>(&fit.codes(values, shape), 0, &mut bytes[16..80]);
    put_half(fit.d, &mut bytes[80..]);
    put_half(fit.dmin, &mut bytes[82..]);
}

/// 4 bits, sub-blocks of 32 with scale and minimum of 6 bits.
pub(super) fn to_q4_k(values: &[f32], bytes: &mut [u8]) {
    let codes = six_bit(values, 15.0, bytes);
    planes::write::<4, 32>(&codes, 0, &mut bytes[16..]);
}

/// 5 bits, sub-blocks of 32 with scale and minimum of 6 bits.
pub(super) fn to_q5_k(values: &[f32], bytes: &mut [u8]) {
    let codes = six_bit(values, 31.0, bytes);
    planes::write::<1, 32>(&codes, 4, &mut bytes[16..48]);
    planes::write::<4, 32>(&codes, 0, &mut bytes[48..]);
}

/// The first 16 bytes of q4_k and q5_k, and the codes.
fn six_bit(values: &[f32], top: f32, bytes: &mut [u8]) -> [u8; N] {
    let shape = Shape { sub: 32, top, scale_top: 63.0 };
    let fit = fit(values, shape);
    put_half(fit.d, bytes);
    put_half(fit.dmin, &mut bytes[2..]);
    k::pack_scales_and_minima(&fit.scales[..8], &fit.minima[..8], &mut bytes[4..16]);
    fit.codes(values, shape)
}

fn fit(values: &[f32], shape: Shape) -> Fit {
    let mut lines = [Line::default(); 16];
    for (line_of, values) in lines.iter_mut().zip(values.chunks_exact(shape.sub)) {
        *line_of = line(values, shape.top);
    }
    let largest = |of: fn(&Line) -> f32| lines.iter().map(of).fold(0.0, f32::max);
    let d = largest(|l| l.scale) / shape.scale_top;
    let dmin = largest(|l| l.minimum) / shape.scale_top;
    let mut best = integers(values, &lines, shape, [d, dmin]);
    for _ in 0..ROUNDS {
        let again = integers(values, &lines, shape, best.refitted(values, shape));
        if again.error >= best.error {
            break;
        }
        best = again;
    }
    best
}

/// The scales and minima of sub-blocks as integers: of those around the lines the ones that leave least.
fn integers(values: &[f32], lines: &[Line; 16], shape: Shape, scales: [f32; 2]) -> Fit {
    let [d, dmin] = scales.map(in_half);
    let mut fit = Fit { d, dmin, scales: [0; 16], minima: [0; 16], error: 0.0 };
    for (i, values) in values.chunks_exact(shape.sub).enumerate() {
        let mut least = f32::INFINITY;
        for minimum in around(lines[i].minimum, dmin, shape.scale_top) {
            for scale in around(lines[i].scale, d, shape.scale_top) {
                let line = Line { scale: d * scale, minimum: dmin * minimum };
                let error = line.error(values, shape.top);
                if error < least {
                    least = error;
                    (fit.scales[i], fit.minima[i]) = (scale as u8, minimum as u8);
                }
            }
        }
        fit.error += least;
    }
    fit
}

/// The whole number nearest to `x / unit` and those beside it.
fn around(x: f32, unit: f32, top: f32) -> impl Iterator<Item = f32> {
    let middle = if unit == 0.0 { 0.0 } else { (x / unit).round().clamp(0.0, top) };
    [-1.0, 0.0, 1.0].into_iter().map(move |by| middle + by).filter(move |n| *n >= 0.0 && *n <= top)
}

fn in_half(x: f32) -> f32 {
    let mut bytes = [0; 2];
    put_half(x, &mut bytes);
    half(&bytes)
}

impl Fit {
    fn line(&self, i: usize) -> Line {
        let [scale, minimum] = [self.scales[i], self.minima[i]].map(f32::from);
        Line { scale: self.d * scale, minimum: self.dmin * minimum }
    }

    /// The scales of the block that fit its codes best: least squares in both.
    fn refitted(&self, values: &[f32], shape: Shape) -> [f32; 2] {
        let n = shape.sub as f32;
        let (mut ss, mut sm, mut mm, mut xs, mut xm) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (i, values) in values.chunks_exact(shape.sub).enumerate() {
            let sums = self.line(i).sums(values, shape.top);
            let [s, m] = [self.scales[i], self.minima[i]].map(f32::from);
            ss += s * s * sums.qq;
            sm += s * m * sums.q;
            mm += m * m * n;
            xs += s * sums.xq;
            xm += m * sums.x;
        }
        let determinant = ss * mm - sm * sm;
        if determinant > 0.0 {
            let d = (xs * mm - xm * sm) / determinant;
            return [d, (sm * d - xm) / mm];
        }
        [if ss > 0.0 { xs / ss } else { self.d }, self.dmin]
    }

    fn codes(&self, values: &[f32], shape: Shape) -> [u8; N] {
        let mut codes = [0; N];
        let subs = values.chunks_exact(shape.sub).zip(codes.chunks_exact_mut(shape.sub));
        for (i, (values, codes)) in subs.enumerate() {
            let line = self.line(i);
            for (code, x) in codes.iter_mut().zip(values) {
                *code = line.code(*x, shape.top) as u8;
            }
        }
        codes
    }
}
