//! The predicted time of a measured row.

use super::case::{Attention, Case, Experts, Method, Storage};
use super::protocol::Protocol;
use super::score::Scored;
use super::table::Row;
use crate::dtype::Format;
use crate::mapped::calibration::{Interval, Tuning, Wanted};
use crate::mapped::{
    AllReduce, Attended, Chip, Decode, Exchange, Grouped, Kind, Mapped, Matmul, Operand, Prefill,
    Shape, Stream, Unfused,
};
use crate::provenance::Basis;

/// The operator whose parameters quantization takes.
const QUANTIZE: &str = "quant_bf16_to_fp8";

/// A predicted time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Seconds.
    pub seconds: f64,
    /// What the kernel's mapping is.
    pub mapped: Mapped,
    /// What measurements lie within.
    pub interval: Interval,
    /// How its parameters are known.
    pub basis: Basis,
}

/// Predicts rows of one device under one stack.
#[derive(Debug, Clone)]
pub struct Predictor<'a> {
    /// The device.
    pub chip: &'a Chip,
    /// Id of its profile.
    pub hardware: &'a str,
    /// The stack.
    pub stack: &'a str,
    /// Calibrations.
    pub tuning: &'a Tuning,
}

impl Predictor<'_> {
    /// The time of a row; `None` where the device has no engine for its format, or no link.
    pub fn predict(&self, row: &Row) -> Option<Prediction> {
        let (kind, format) = (row.case.kind(), row.case.format());
        let tuned = self.tuning.get(self.chip, self.wanted(kind, &format));
        let mapped = map(self.chip, row, &tuned.values)?;
        let seconds = mapped.seconds + self.beside(row);
        Some(Prediction { seconds, mapped, interval: tuned.interval, basis: tuned.basis })
    }

    /// A row with its predicted time; `None` as [`Self::predict`].
    pub fn scored(&self, op: &str, row: &Row) -> Option<Scored> {
        let prediction = self.predict(row)?;
        let measured = row.time.get();
        Some(Scored {
            op: op.to_owned(),
            device: row.device.to_string(),
            dtype: row.dtype.clone(),
            line: row.line,
            shape: row.case.words(),
            measured,
            predicted: prediction.seconds,
            covered: prediction.interval.holds(prediction.seconds, measured),
            rate: false,
        })
    }

    /// Seconds that a row's time holds beside its kernel.
    pub fn beside(&self, row: &Row) -> f64 {
        beside(row).map_or(0.0, |(op, stream)| {
            let tuned = self.tuning.get(self.chip, self.wanted(Kind::Stream, op));
            stream.map(self.chip, &tuned.values).seconds
        })
    }

    fn wanted<'a>(&'a self, kind: Kind, format: &'a str) -> Wanted<'a> {
        Wanted { hardware: self.hardware, stack: self.stack, kind, format }
    }
}

/// The kernel of a row on a chip with given parameters.
pub(super) fn map(chip: &Chip, row: &Row, p: &[f64]) -> Option<Mapped> {
    Some(shape(chip, row)?.map(chip, p))
}

/// The shape of a row's kernel; `None` where the chip has no engine for its format, or no link.
fn shape(chip: &Chip, row: &Row) -> Option<Shape> {
    Some(match &row.case {
        Case::Gemm { m, n, k, format } => {
            Shape::Matmul(gemm(chip, [*m, *n, *k], format, row.protocol)?)
        }
        Case::Prefill(a) => {
            let attention = prefill(chip, a, row.protocol)?;
            match a.method {
                Method::Fused => Shape::Prefill(attention),
                Method::Unfused { masked } => {
                    Shape::Unfused(Unfused { attention, passes: if masked { 2.0 } else { 0.0 } })
                }
            }
        }
        Case::Decode(a) => Shape::Decode(decode(a, row.protocol)),
        Case::Elementwise { bytes, elements, .. } => {
            Shape::Stream(Stream { bytes: bytes * elements, set: bytes * elements })
        }
        Case::AllReduce { .. } | Case::Exchange { .. } if chip.link <= 0.0 => return None,
        Case::Exchange { devices, bytes, .. } => {
            Shape::Exchange(Exchange { devices: *devices, bytes: *bytes, link: chip.link })
        }
        Case::Experts(layer) => Shape::Grouped(experts(chip, layer)?),
        Case::AllReduce { devices, bytes, .. } => {
            Shape::AllReduce(AllReduce { devices: *devices, bytes: *bytes, link: chip.link })
        }
    })
}

/// The peak of a format; of the other 16-bit float where the device has just one of both.
fn peak(chip: &Chip, format: Format) -> Option<f64> {
    let other = match format {
        Format::Bf16 => Format::Fp16,
        Format::Fp16 => Format::Bf16,
        other => other,
    };
    Some(chip.peak(format).or_else(|| chip.peak(other))?.get())
}

fn gemm(chip: &Chip, [m, n, k]: [f64; 3], format: &Storage, how: Protocol) -> Option<Matmul> {
    let weights = n * k * format.bytes;
    let activations = m * k * format.activation + m * n * 2.0;
    let warm = how.weights_set(weights, activations, chip.cache);
    Some(Matmul {
        groups: 1.0,
        m,
        n,
        k,
        a: Operand { bytes: format.activation, set: activations + weights },
        b: Operand { bytes: format.bytes, set: warm },
        out: if format.activation > 2.0 { format.activation } else { 2.0 },
        peak: peak(chip, format.engine)?,
    })
}

/// The products of a layer of experts on one rank, every expert with as many tokens as any other.
fn experts(chip: &Chip, layer: &Experts) -> Option<Grouped> {
    let Experts { tokens, hidden, inner, chosen, experts, format, .. } = layer;
    let rows = tokens * chosen / layer.ep;
    let groups = (experts.min(tokens * chosen) / layer.ep).max(1.0);
    let inner = inner / layer.tp;
    let cold = |bytes: f64| Operand { bytes, set: f64::INFINITY };
    let product = |n: f64, k: f64| -> Option<Matmul> {
        Some(Matmul {
            groups,
            m: rows / groups,
            n,
            k,
            a: Operand { bytes: format.activation, set: rows * (k * format.activation + 2.0 * n) },
            b: cold(format.bytes),
            out: 2.0,
            peak: peak(chip, format.engine)?,
        })
    };
    // Tokens go to their experts and come back, and the activation reads two and writes one.
    let beside = rows * (4.0 * hidden + 3.0 * inner) * 2.0;
    Some(Grouped { up: product(2.0 * inner, *hidden)?, down: product(*hidden, inner)?, beside })
}

/// Bytes of the projections' packed result, which the rotation reads.
fn packed(a: &Attention) -> f64 {
    a.batch * a.queries * (a.heads + 2.0 * a.kv_heads) * a.head_dim * 2.0
}

/// Bytes of rotated queries, and of what goes to the cache.
fn rotated(a: &Attention) -> f64 {
    let elements = a.batch * a.queries * a.head_dim;
    elements * (a.heads * a.format.bytes + 2.0 * a.kv_heads * a.kv.bytes)
}

fn over(a: &Attention, element: f64, beside: f64) -> Attended {
    Attended {
        batch: a.batch,
        queries: a.queries,
        keys: a.keys,
        heads: a.heads,
        kv_heads: a.kv_heads,
        head_dim: a.head_dim,
        element,
        kv_element: a.kv.bytes,
        beside,
    }
}

fn prefill(chip: &Chip, a: &Attention, how: Protocol) -> Option<Prefill> {
    // Kernels multiply in the cache's format where units multicast, else in the queries'.
    let narrow = a.kv.bytes < a.format.bytes && chip.cluster > 1.0;
    let engine = if narrow { a.kv.engine } else { a.format.engine };
    Some(Prefill {
        over: over(a, a.format.bytes, if how.rotates { packed(a) } else { 0.0 }),
        peak: peak(chip, engine)?,
        causal: a.causal,
        share: 1.0,
        before: if how.rotates { packed(a) + rotated(a) } else { 0.0 },
    })
}

fn decode(a: &Attention, how: Protocol) -> Decode {
    Decode { over: over(a, 2.0, if how.warm { 0.0 } else { f64::INFINITY }), apart: None }
}

/// The least time that the datasheet allows a row: its matrix operations over the quoted peak, and, where
/// its bytes are twice what the cache holds and cannot come from it, those over the DRAM's bandwidth.
pub fn roof(chip: &Chip, row: &Row) -> f64 {
    let of_bytes = |bytes: f64| if bytes > 2.0 * chip.cache { bytes / chip.dram } else { 0.0 };
    match shape(chip, row) {
        Some(Shape::Matmul(g)) => (g.flops() / g.peak).max(of_bytes(g.total_bytes())),
        Some(Shape::Prefill(p) | Shape::Unfused(Unfused { attention: p, .. })) => {
            (p.flops() / p.peak).max(of_bytes(p.over.bytes()))
        }
        Some(Shape::Decode(d)) => of_bytes(d.over.bytes()),
        Some(Shape::Stream(s)) => of_bytes(s.bytes),
        Some(Shape::Grouped(layer)) => {
            let of = |g: Matmul| (g.flops() / g.peak).max(of_bytes(g.total_bytes()));
            of(layer.up) + of(layer.down)
        }
        Some(Shape::AllReduce(_) | Shape::Exchange(_) | Shape::Whole(_)) | None => 0.0,
    }
}

/// What a row's time holds beside its kernel: the operator whose parameters it takes, and its bytes.
pub(super) fn beside(row: &Row) -> Option<(&'static str, Stream)> {
    match &row.case {
        Case::Gemm { m, k, format, .. } if row.protocol.quantizes && format.quantizes() => {
            let bytes = m * k * (2.0 + format.activation);
            Some((QUANTIZE, Stream { bytes, set: bytes }))
        }
        _ => None,
    }
}
