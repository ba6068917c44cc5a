//! For every operator, what `work` claims equals what the meter counts while `eval` runs:
//! operations per engine class, and distinct elements touched per operand.

mod experts;
mod operators;

use cosim::op::meter::{Metered, metered};
use cosim::op::scalar::Scalar;
use cosim::op::*;
use cosim::tensor::{Group, Mask, Role, Step, TensorType};
use experts::{choices, routes};
use operators::{cases, sizes, steps};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Reproducible values in (0, 1); token ids run through the vocabulary so that as many distinct
/// rows as possible are read.
fn values(operand: &TensorType, step: &Step, vocabulary: u64, ranks: u64) -> Vec<Metered> {
    let elements = operand.elements(step) as u64 * ranks;
    (0..elements)
        .map(|i| match operand.role {
            Role::TokenIds => Metered::constant((i % vocabulary) as f64),
            _ => Metered::constant(((i * 37 + 11) % 101) as f64 / 101.0 + 0.001),
        })
        .collect()
}

fn compare(op: &Op, operands: &[TensorType], step: &Step) -> Result<(), TestCaseError> {
    let result = op.infer(operands).map_err(|e| TestCaseError::fail(e.to_string()))?;
    let vocabulary = match op {
        Op::Embedding(e) => e.vocabulary,
        _ => 1,
    };
    // A collective's `eval` is that of all ranks, its `work` that of one.
    let ranks = match op.pattern(step) {
        Pattern::Collective { ranks, .. } => ranks,
        _ => 1,
    };
    let mut data: Vec<_> = operands.iter().map(|o| values(o, step, vocabulary, ranks)).collect();
    if let Some(routes) = routes(op, step) {
        let at = match op {
            Op::Gate(_) | Op::Activate(_) | Op::Quantize(_) => operands.len() - 1,
            _ => 1,
        };
        data[at] = routes;
    }
    let touched: Vec<_> = data.iter().map(|d| Touched::none(d.len())).collect();
    let views: Vec<_> = operands
        .iter()
        .zip(&data)
        .zip(&touched)
        .map(|((o, d), t)| Operand::new(d, o.width as usize).recorded(t))
        .collect();
    let mut out =
        vec![Metered::constant(f64::NAN); result.elements(step) as usize * ranks as usize];
    let written = Touched::none(out.len());
    let mut target = Target::new(&mut out, result.width as usize).recorded(&written);
    let ((), counts) = metered(|| op.eval(step, &views, &mut target));

    let work = op.work(step);
    prop_assert_eq!(counts.unscoped, 0, "{} computes outside an engine scope", op.name());
    let all = |claims: f64| {
        let claims = claims * ranks as f64;
        // A rank's share of a collective may be a fraction of an element.
        if ranks > 1 { claims.round() } else { claims }
    };
    let counted = [counts.matrix, counts.vector, counts.special].map(|c| c as f64);
    let claimed = [work.matrix, work.vector, work.special].map(all);
    prop_assert_eq!(claimed, counted, "operations of {:?}", op);
    let mut reads = [0.0; MAX_OPERANDS];
    for (read, touched) in reads.iter_mut().zip(&touched) {
        *read = touched.count() as f64;
    }
    prop_assert_eq!(work.reads.map(all), reads, "elements read by {:?}", op);
    prop_assert_eq!(all(work.writes), written.count() as f64, "elements written by {:?}", op);
    // Rows of experts that other ranks hold stay empty; every other row is written.
    let elsewhere = match (op, choices(op)) {
        (Op::Combine(_), Some(choices)) => choices.ranks > 1,
        (_, Some(choices)) => !choices.held.is_all(),
        (op, None) => matches!(op, Op::Dispatch(_)),
    };
    let holes = out.iter().filter(|v| v.value().is_nan()).count();
    let expected = if elsewhere { out.len() - written.count() } else { 0 };
    prop_assert_eq!(holes, expected, "{} leaves holes", op.name());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn work_equals_what_eval_does(sizes in sizes(), step in steps()) {
        let cases = cases(&sizes, &step);
        let covered: BTreeSet<&str> = cases.iter().map(|(op, _)| op.name()).collect();
        let all: BTreeSet<&str> = Op::NAMES.iter().copied().collect();
        prop_assert_eq!(covered, all, "an operator has no case here");
        for (op, operands) in &cases {
            match op {
                // What an encoder keeps are its own tokens.
                Op::KvAppend(KvAppend { mask: Mask::Cross, .. }) => {
                    let groups = step.groups().iter().map(|g| Group { source: g.new, ..*g });
                    compare(op, operands, &Step::mixed(groups).expect("valid"))?;
                }
                _ => compare(op, operands, &step)?,
            }
        }
    }
}
