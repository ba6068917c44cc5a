//! Known bugs of quantization.

use super::QuantizeCase;
use super::blocks::BUGS;
use super::given::Given;
use super::variant::{Rounding, Variant};
use crate::codec::ScaleMode;
use crate::validate::{Case, Inputs, Mutant};

type Named = (&'static str, &'static str, Variant);

/// The bugs on a case.
pub(super) fn of(case: &QuantizeCase) -> Vec<Mutant<'_>> {
    let of = |(name, says, variant): Named| {
        Mutant::new(name, says, move |inputs: &Inputs, p| case.by(inputs, p, variant))
    };
    if case.element.block().is_some() {
        let bugs = BUGS.iter().map(|&(name, says, way)| (name, says, Variant { way, ..RIGHT }));
        return bugs.map(of).collect();
    }
    let mut mutants: Vec<Mutant<'_>> = rounded().into_iter().map(of).collect();
    mutants.extend(scaled().into_iter().map(of));
    if case.static_scales.is_some() {
        mutants.extend(given().into_iter().map(of));
        return mutants;
    }
    mutants.push(Mutant::new(
        "scale-inverse",
        "scales are written as their inverses",
        |inputs, p| {
            let mut out = case.eval(inputs, p);
            out[1].iter_mut().for_each(|s| *s = 1.0 / *s);
            out
        },
    ));
    mutants
}

const RIGHT: Variant = Variant::RIGHT;

/// Of codes.
fn rounded() -> [Named; 7] {
    let rounding = |rounding| Variant { rounding, ..RIGHT };
    [
        ("half-away", "halves are rounded away from zero", rounding(Rounding::HalfAway)),
        ("truncated", "quotients are cut, not rounded", rounding(Rounding::Truncate)),
        ("floor", "quotients are rounded down", rounding(Rounding::Floor)),
        (
            "wraps",
            "codes beyond the range wrap, where scales are not given under one too small by half",
            Variant { wraps: true, ..RIGHT },
        ),
        (
            "overflow-special",
            "what overflows becomes NaN or infinity",
            Variant { special: true, ..RIGHT },
        ),
        (
            "zero-missing",
            "the zero point is not added to the codes",
            Variant { zero_missing: true, ..RIGHT },
        ),
        ("codes-swapped", "neighbouring codes are swapped", Variant { swapped: true, ..RIGHT }),
    ]
}

/// Of scales.
fn scaled() -> [Named; 8] {
    let mode = |mode| Variant { mode: Some(mode), ..RIGHT };
    [
        (
            "one-more",
            "the scale is for one code more: 128, 8 or 16",
            Variant { one_more: true, ..RIGHT },
        ),
        (
            "abs-missing",
            "the largest element is taken for the largest magnitude",
            Variant { signed_largest: true, ..RIGHT },
        ),
        ("whole-matrix", "one scale for the whole matrix", Variant { whole: true, ..RIGHT }),
        ("scale-floor", "the power of two is rounded down", mode(ScaleMode::Floor)),
        ("scale-ceil", "the power of two is rounded up", mode(ScaleMode::Ceil)),
        ("scale-even", "the power of two is of the rounded maximum", mode(ScaleMode::Even)),
        (
            "scale-rceil",
            "the power of two is that under which nothing saturates",
            mode(ScaleMode::RoundUp),
        ),
        (
            "tensor-scale-missing",
            "the matrix has no scale",
            Variant { tensor_missing: true, ..RIGHT },
        ),
    ]
}

/// Of scales that are given.
fn given() -> [Named; 4] {
    let given = |given| Variant { given, ..RIGHT };
    [
        ("scale-missing", "numbers are not divided by their scale", given(Given::Missing)),
        ("scale-multiplied", "numbers are multiplied by their scale", given(Given::Inverse)),
        ("scale-neighbour", "the scale of the group behind", given(Given::Neighbour)),
        ("scale-found", "the scale is of the numbers, not the given one", given(Given::Found)),
    ]
}
