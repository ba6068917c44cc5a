//! Right kernels that differ in the order of their sums.

use super::{Attention, Schedule};
use crate::validate::{Inputs, Outputs};
use std::borrow::Cow;

/// Keys of a tile, parts of the keys, and whether scores sum from a head's last element on.
const ORDERS: [(usize, usize, bool); 6] =
    [(64, 1, false), (64, 1, true), (8, 1, false), (32, 4, true), (16, 2, true), (128, 1, false)];

/// Elements whose errors say how large the largest of a right kernel's may be (A105).
const SAMPLE: usize = 4096;

/// So many emulations that they have `SAMPLE` elements together, if there are; tiles of 64 keys at least, and of a
/// quantized cache also with numbers rounded to the kernel's format (A130).
pub(super) fn of(case: &Attention, inputs: &Inputs) -> Vec<Outputs> {
    let count = SAMPLE.div_ceil(case.out_elements()).clamp(1, ORDERS.len());
    let format = Some(case.dtype.float());
    let run = |schedule: Schedule, turned: bool| {
        let inputs =
            if turned { Cow::Owned(reversed(case, inputs)) } else { Cow::Borrowed(inputs) };
        vec![schedule.run::<f32>(case, &inputs)]
    };
    let mut outputs = vec![];
    for (tile, splits, turned) in ORDERS.into_iter().take(count) {
        let folded =
            Schedule { tile, splits, probabilities: format, output: format, ..Schedule::PLAIN };
        outputs.push(run(folded, turned));
        if case.kv.dtype.is_some() {
            outputs.push(run(Schedule { cache: format, ..folded }, turned));
        }
    }
    outputs
}

/// Heads of queries and keys turned end to end: the same scores, summed in the other order.
fn reversed(case: &Attention, inputs: &Inputs) -> Inputs {
    let turned = |name: &str| -> Vec<f64> {
        let heads = inputs.of(name).chunks_exact(case.head_dim as usize);
        heads.flat_map(|head| head.iter().rev().copied()).collect()
    };
    inputs.with("q", turned("q")).with("k", turned("k"))
}
