//! Labels beside their marks: no label covers another, a mark, or the frame's edge; a label that
//! stands off its mark gets a leader line.
//!
//! Greedy in the order of the requests over a fixed ring of candidates, then a few rounds in which
//! each label may move to a cheaper place. Overlaps are forbidden; distance, lines crossed and
//! leaders crossed have a price.

use super::geometry::{Point, Rect, Segment};

/// A mark that wants a label.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Centre of the mark.
    pub anchor: Point,
    /// Reach of the mark, which no label covers.
    pub radius: f64,
    /// How far from its centre the leader starts; no more than the reach.
    pub leader: f64,
    /// How far from its mark the label may stand.
    pub farthest: f64,
    /// Width of the label.
    pub width: f64,
    /// Height of the label.
    pub height: f64,
}

/// What labels keep clear of.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Labels stay inside.
    pub frame: Rect,
    /// Labels never cover these; leaders avoid to run under them.
    pub blocked: Vec<Rect>,
    /// Labels avoid covering these lines, leaders avoid crossing them.
    pub lines: Vec<Segment>,
}

/// Where a label goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed {
    /// The label.
    pub rect: Rect,
    /// The line from mark to label, where they are apart.
    pub leader: Option<Segment>,
}

const GAPS: [f64; 16] = [
    2.0, 5.0, 9.0, 14.0, 20.0, 27.0, 36.0, 47.0, 60.0, 75.0, 92.0, 112.0, 136.0, 164.0, 196.0,
    232.0,
];
const DIRECTIONS: usize = 32;
const ROUNDS: usize = 4;
/// Clear space between labels, and between labels and marks.
const CLEAR: f64 = 2.0;
/// Farther labels get a leader.
const NEAR: f64 = 6.0;
/// Taller labels are lists and always get a leader.
const LIST: f64 = 20.0;

/// Places the labels; `None` where there is no room.
pub fn place(scene: &Scene, requests: &[Request]) -> Vec<Option<Placed>> {
    let mut placed: Vec<Option<Placed>> = vec![None; requests.len()];
    for _ in 0..ROUNDS {
        let before = placed.clone();
        for index in 0..requests.len() {
            placed[index] = None;
            placed[index] = cheapest(scene, requests, &placed, index);
        }
        if placed == before {
            break;
        }
    }
    placed
}

fn cheapest(
    scene: &Scene,
    requests: &[Request],
    placed: &[Option<Placed>],
    index: usize,
) -> Option<Placed> {
    candidates(&requests[index])
        .filter_map(|c| Some((cost(scene, requests, placed, index, &c)?, c)))
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn candidates(request: &Request) -> impl Iterator<Item = Placed> + '_ {
    GAPS.iter().filter(|gap| **gap <= request.farthest).flat_map(move |gap| {
        (0..DIRECTIONS).map(move |step| {
            let angle = step as f64 / DIRECTIONS as f64 * std::f64::consts::TAU;
            let (cos, sin) = (angle.cos(), -angle.sin());
            let away = request.radius + gap;
            let reach = |part: f64, half: f64| (part * 1.6).clamp(-1.0, 1.0) * half;
            let center = request.anchor.shifted(
                cos * away + reach(cos, request.width / 2.0),
                sin * away + reach(sin, request.height / 2.0),
            );
            let rect = Rect::around(center, request.width, request.height);
            Placed { rect, leader: leader(request, &rect) }
        })
    })
}

fn leader(request: &Request, rect: &Rect) -> Option<Segment> {
    // Not at a corner, and at a short label's middle.
    let inset = (rect.height() / 2.0).min(7.0);
    let inner = Rect { top: rect.top + inset, bottom: rect.bottom - inset, ..*rect };
    let inner = Rect { left: inner.left - 1.0, right: inner.right + 1.0, ..inner };
    let end = inner.nearest(request.anchor);
    let above = end.x == request.anchor.x;
    let end = if above { rect.nearest(request.anchor) } else { end };
    let length = request.anchor.distance(end);
    let gap = rect.nearest(request.anchor).distance(request.anchor) - request.radius;
    let apart = gap > NEAR || request.height > LIST;
    (apart && length > 0.0).then(|| {
        Segment::new(Segment::new(request.anchor, end).at(request.leader.min(length) / length), end)
    })
}

/// The price of a candidate; `None` where it covers something.
fn cost(
    scene: &Scene,
    requests: &[Request],
    placed: &[Option<Placed>],
    index: usize,
    candidate: &Placed,
) -> Option<f64> {
    let (rect, own) = (&candidate.rect, &requests[index]);
    let room = rect.grown(CLEAR);
    let covers_mark =
        |r: &Request| rect.nearest(r.anchor).distance(r.anchor) < r.radius + CLEAR - 0.5;
    if !scene.frame.contains(&room)
        || scene.blocked.iter().any(|b| b.overlaps(&room))
        || requests.iter().any(covers_mark)
        || placed.iter().flatten().any(|p| clash(p, candidate))
    {
        return None;
    }
    let distance = rect.nearest(own.anchor).distance(own.anchor) - own.radius;
    let crossed = scene.lines.iter().filter(|l| rect.clip(**l).is_some()).count();
    let mut price = distance + 40.0 * crossed as f64;
    let center = rect.center();
    price += if center.y > own.anchor.y + 1.0 { 1.5 } else { 0.0 };
    price += if center.x < own.anchor.x - 1.0 { 1.0 } else { 0.0 };
    if let Some(line) = &candidate.leader {
        let under = scene.blocked.iter().filter(|b| b.clip(*line).is_some()).count();
        let others = requests.iter().enumerate().filter(|(i, _)| *i != index);
        let passed = others.filter(|(_, r)| passes(line, own, r)).count();
        let lines = scene.lines.iter().filter(|l| l.crosses(line)).count();
        let leaders = placed.iter().flatten().filter_map(|p| p.leader);
        let leaders = leaders.filter(|l| l.crosses(line)).count();
        price += 6.0
            + 12.0 * under as f64
            + 35.0 * passed as f64
            + 5.0 * lines as f64
            + 120.0 * leaders as f64;
    }
    Some(price)
}

/// Whether a leader runs over another mark; marks that overlap its own do not count.
fn passes(line: &Segment, own: &Request, other: &Request) -> bool {
    own.anchor.distance(other.anchor) > other.radius
        && line.distance(other.anchor) < other.radius + 1.0
}

/// Whether labels overlap or one's leader runs through the other.
fn clash(a: &Placed, b: &Placed) -> bool {
    let through = |label: &Rect, line: Option<Segment>| {
        line.is_some_and(|l| label.grown(1.0).clip(l).is_some())
    };
    a.rect.grown(CLEAR).overlaps(&b.rect)
        || through(&a.rect, b.leader)
        || through(&b.rect, a.leader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn labels_cover_nothing_and_stay_inside(
            points in prop::collection::vec((10.0..390.0, 10.0..290.0, 2.0..14.0, 20.0..90.0), 1..30)
        ) {
            let frame = Rect::new(0.0, 0.0, 400.0, 300.0);
            let requests: Vec<Request> = points.iter()
                .map(|(x, y, radius, width)| Request {
                    anchor: Point::new(*x, *y), radius: *radius, leader: *radius, farthest: 250.0, width: *width, height: 13.0,
                })
                .collect();
            let scene = Scene { frame, blocked: vec![Rect::new(150.0, 100.0, 80.0, 14.0)], lines: vec![] };
            let placed = place(&scene, &requests);
            prop_assert_eq!(&placed, &place(&scene, &requests));
            let labels: Vec<Rect> = placed.iter().flatten().map(|p| p.rect).collect();
            for (i, label) in labels.iter().enumerate() {
                prop_assert!(frame.contains(label));
                prop_assert!(!scene.blocked[0].overlaps(label));
                prop_assert!(labels[..i].iter().all(|other| !other.overlaps(label)));
                prop_assert!(requests.iter().all(|r| label.nearest(r.anchor).distance(r.anchor) >= r.radius));
            }
        }
    }

    #[test]
    fn a_lone_label_sits_by_its_mark_without_leader() {
        let scene =
            Scene { frame: Rect::new(0.0, 0.0, 200.0, 100.0), blocked: vec![], lines: vec![] };
        let request = Request {
            anchor: Point::new(50.0, 50.0),
            radius: 5.0,
            leader: 5.0,
            farthest: 250.0,
            width: 40.0,
            height: 12.0,
        };
        let placed = place(&scene, &[request])[0].expect("there is room");
        assert_eq!(placed.leader, None);
        assert!(placed.rect.nearest(request.anchor).distance(request.anchor) < 10.0);
    }
}
