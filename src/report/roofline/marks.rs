//! Marks of operators: size, shape, legend and words.

use super::{RooflinePoint, percent};
use crate::report::legend::{Entry, Sample};
use crate::report::step::Phase;
use crate::report::svg::{Canvas, Mark, Point, Request, Text, Type};

/// Radius of a marker whose operator takes all of its phase's time.
const FULL: f64 = 24.0;
/// Share below which markers no longer shrink.
const LEAST: f64 = 0.02;
/// Radius of a ridge point's mark.
pub(super) const RIDGE: f64 = 3.5;

/// Only positive values have a place on logarithmic axes.
pub(super) fn is_drawn(point: &RooflinePoint) -> bool {
    let positive = |v: f64| v > 0.0 && v.is_finite();
    positive(point.intensity.get()) && positive(point.attained.get())
}

/// Radius of a circle whose area is the share.
pub(super) fn radius(share: f64) -> f64 {
    FULL * share.clamp(LEAST, 1.0).sqrt()
}

/// Half diagonal of a diamond with the circle's area.
fn diamond(share: f64) -> f64 {
    radius(share) * std::f64::consts::FRAC_PI_2.sqrt()
}

/// Reach of a triangle with the circle's area.
fn triangle(share: f64) -> f64 {
    radius(share) * (std::f64::consts::PI / 1.8).sqrt()
}

/// How far a mark reaches from its centre.
pub(super) fn reach(point: &RooflinePoint) -> f64 {
    match point.phase {
        Phase::Encode => triangle(point.share),
        Phase::Prefill => radius(point.share),
        Phase::Decode => diamond(point.share),
    }
}

/// Colour of a phase's marks.
pub(super) fn fill(phase: Phase) -> &'static str {
    match phase {
        Phase::Encode => "c3 edge",
        Phase::Prefill => "prefill",
        Phase::Decode => "decode",
    }
}

/// Colour of a phase's labels.
pub(super) fn ink(phase: Phase) -> &'static str {
    match phase {
        Phase::Encode => "front-ink halo",
        Phase::Prefill => "prefill-ink halo",
        Phase::Decode => "decode-ink halo",
    }
}

/// Draws a phase's shape of the given reach.
pub(super) fn shape(canvas: &Canvas, at: Point, phase: Phase, reach: f64, mark: Mark<'_>) {
    match phase {
        Phase::Encode => canvas.triangle(at, reach, mark),
        Phase::Prefill => canvas.circle(at, reach, mark),
        Phase::Decode => canvas.diamond(at, reach, mark),
    }
}

/// Asks for a place for a ridge point's value.
pub(super) fn ridge_request(anchor: Point, label: &str) -> Request {
    let width = Text::new(label, Type::Small, "text").width() + 2.0;
    Request {
        anchor,
        radius: RIDGE,
        leader: RIDGE,
        farthest: 120.0,
        width,
        height: Type::Small.size() + 2.0,
    }
}

/// An operator in a footnote.
pub(super) fn brief(point: &RooflinePoint) -> String {
    let share = percent(point.share);
    format!("{} ({} {share}, {})", point.label, point.phase.name(), point.bound)
}

/// What a mark says when pointed at.
pub(super) fn tooltip(point: &RooflinePoint) -> String {
    let phase = point.phase.name();
    let mut lines = vec![
        format!("{} ({phase})", point.label),
        format!("{} of {phase} time", percent(point.share)),
        format!("attained {}", point.attained),
        format!("intensity {} at DRAM", point.intensity),
        format!("bound: {}", point.bound),
    ];
    lines.extend(point.detail.lines().map(str::to_owned));
    lines.join("\n")
}

/// What the marks mean; an encoder's only where there is one.
pub(super) fn legend_entries(points: &[RooflinePoint]) -> Vec<Entry<'static>> {
    let entry = |sample, text: &str| Entry { sample, text: text.to_owned() };
    let size = |share: f64| Sample::Circle(radius(share), "sample");
    let encodes = points.iter().any(|p| p.phase == Phase::Encode);
    let encode = entry(Sample::Triangle(7.5, fill(Phase::Encode)), "encode operator");
    let others = vec![
        entry(Sample::Circle(7.0, "prefill"), "prefill operator"),
        entry(Sample::Diamond(8.5, "decode"), "decode operator"),
        entry(Sample::Circle(RIDGE, "ridge"), "ridge point"),
        entry(Sample::None, "area = share of its phase’s time:"),
        entry(size(LEAST), "≤ 2 %"),
        entry(size(0.1), "10 %"),
        entry(size(0.4), "40 %"),
    ];
    encodes.then_some(encode).into_iter().chain(others).collect()
}
