//! Labels of operators: marks that lie on one another share a list of names.

use super::marks::{fill, ink, shape};
use super::{RooflineChart, RooflinePoint, percent};
use crate::report::step::Phase;
use crate::report::svg::{Canvas, Mark, Placed, Point, Request, Segment, Text, Type};

/// Marks closer than this, in pixels, share a label.
const TOGETHER: f64 = 12.0;
const LINE: f64 = 14.0;
/// Room for the small mark before a name in a list.
const BULLET: f64 = 11.0;

/// One label: the operators it names and where their marks are.
pub(super) struct Callout {
    pub(super) members: Vec<usize>,
    anchor: Point,
    /// Reach of the whole heap, and of its largest mark.
    reach: f64,
    largest: f64,
}

/// Groups marks, given largest first, around the largest of each heap.
pub(super) fn callouts(marks: &[(usize, Point, f64)]) -> Vec<Callout> {
    let mut all: Vec<Callout> = vec![];
    for (index, at, reach) in marks {
        match all.iter_mut().find(|c| c.anchor.distance(*at) < TOGETHER) {
            Some(heap) => {
                heap.members.push(*index);
                heap.reach = heap.reach.max(heap.anchor.distance(*at) + reach);
            }
            None => all.push(Callout {
                members: vec![*index],
                anchor: *at,
                reach: *reach,
                largest: *reach,
            }),
        }
    }
    all
}

impl Callout {
    /// Asks for a place for the list.
    pub(super) fn request(&self, chart: &RooflineChart) -> Request {
        let width = |i: &usize| {
            let name = label(&chart.points[*i]);
            Text::new(&name, Type::Small, "text").width()
        };
        let widest = self.members.iter().map(width).fold(0.0, f64::max);
        let bullet = if self.members.len() > 1 { BULLET } else { 0.0 };
        Request {
            anchor: self.anchor,
            radius: self.reach,
            // A diamond's side is nearer to its centre than its corner.
            leader: self.largest * std::f64::consts::FRAC_1_SQRT_2,
            farthest: f64::INFINITY,
            width: widest + bullet + 2.0,
            height: LINE * self.members.len() as f64,
        }
    }

    /// Draws names, and in a list a small mark before each.
    pub(super) fn draw(&self, canvas: &Canvas, chart: &RooflineChart, placed: &Placed) {
        if self.members.len() > 1 {
            draw_bracket(canvas, placed);
        }
        for (row, index) in self.members.iter().enumerate() {
            let point = &chart.points[*index];
            let line = Point::new(placed.rect.left, placed.rect.top + LINE * (row as f64 + 0.5));
            let at = if self.members.len() > 1 {
                draw_bullet(canvas, line.shifted(5.0, 0.0), point.phase);
                line.shifted(BULLET, 4.0)
            } else {
                line.shifted(0.0, 4.0)
            };
            canvas.text(at, &Text::new(&label(point), Type::Small, ink(point.phase)));
        }
    }
}

fn draw_bullet(canvas: &Canvas, at: Point, phase: Phase) {
    let reach = match phase {
        Phase::Prefill => 3.0,
        Phase::Encode | Phase::Decode => 3.8,
    };
    shape(canvas, at, phase, reach, Mark::class(&format!("{} opaque", fill(phase))));
}

/// The line along a list's side that its leader reaches.
fn draw_bracket(canvas: &Canvas, placed: &Placed) {
    let rect = &placed.rect;
    let Some(leader) = placed.leader else { return };
    let x = match leader.to.x {
        x if (x - rect.left).abs() < 2.0 => rect.left - 1.0,
        x if (x - rect.right).abs() < 2.0 => rect.right + 1.0,
        _ => return,
    };
    let side = Segment::new(Point::new(x, rect.top + 1.0), Point::new(x, rect.bottom - 1.0));
    canvas.line(side, Mark::class("leader"));
}

/// `o_proj 8.1 %`.
fn label(point: &RooflinePoint) -> String {
    format!("{} {}", point.label, percent(point.share))
}
