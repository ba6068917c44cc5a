//! The roofs of the chart, the ridge points where they meet, and their labels.

use super::marks::RIDGE;
use super::{Emphasis, LogPlot, RooflineChart};
use crate::report::svg::{Canvas, Mark, Point, Rect, Scene, Segment, Text, Type};

/// A roof with its label along it.
struct Roof {
    line: Segment,
    class: &'static str,
    label: String,
    /// Start of the label's baseline.
    at: Point,
    angle: f64,
}

/// Where a memory roof meets a compute roof.
pub(super) struct Ridge {
    at: Point,
    /// Its value; none where many roofs cross and DRAM is not one of them.
    label: Option<String>,
    tooltip: String,
    main: bool,
}

/// All roofs of a chart.
pub(super) struct Roofs {
    roofs: Vec<Roof>,
    ridges: Vec<Ridge>,
    drop: Option<Segment>,
    blocked: Vec<Rect>,
}

/// A roof before its label has a place.
#[derive(Clone)]
struct Bare {
    line: Segment,
    class: &'static str,
    label: String,
    /// Whether the label prefers the line's end to its start.
    at_end: bool,
}

/// Distance of a label's baseline from its roof, above and below.
const ABOVE: f64 = 5.0;
const BELOW: f64 = -14.0;
/// With more ridge points than this only DRAM's show their values.
const NAMED_RIDGES: usize = 8;
/// Places tried along a roof.
const TRIES: usize = 24;

impl Roofs {
    /// Lays out roofs, ridges and labels; `marks` are the operators' places and reaches.
    pub(super) fn new(chart: &RooflineChart, plot: &LogPlot, marks: &[(Point, f64)]) -> Self {
        let ridges = ridges(chart, plot);
        let main =
            ridges.iter().filter(|r| r.main).map(|r| r.at).min_by(|a, b| a.y.total_cmp(&b.y));
        let drop = main.map(|at| Segment::new(at, Point::new(at.x, plot.frame.bottom)));
        let mut taken: Vec<(Point, f64)> = marks.to_vec();
        taken.extend(ridges.iter().map(|r| (r.at, RIDGE)));
        let bare = [compute_lines(chart, plot), memory_lines(chart, plot)].concat();
        let mut all = Self { roofs: vec![], ridges, drop, blocked: vec![] };
        let lines: Vec<Segment> = bare.iter().map(|b| b.line).chain(drop).collect();
        for roof in bare {
            all.add(&plot.frame, &taken, &lines, roof);
        }
        all
    }

    /// Adds a roof with its label where that covers least, from the outer end inwards.
    fn add(&mut self, frame: &Rect, taken: &[(Point, f64)], lines: &[Segment], bare: Bare) {
        let width = bare.width();
        let room = (bare.line.length() - width - 18.0).max(0.0);
        let starts = (0..TRIES).map(|step| {
            let inwards = 9.0 + room * step as f64 / (TRIES - 1) as f64;
            let end = bare.line.length() - inwards - width;
            (inwards / 60.0, if bare.at_end { end } else { inwards })
        });
        let price = |b: &Rect| -> f64 {
            let marks = taken.iter().filter(|(at, r)| b.nearest(*at).distance(*at) < *r + 2.0);
            let labels = self.blocked.iter().filter(|o| o.overlaps(b)).count();
            let lines = lines.iter().filter(|l| **l != bare.line && b.clip(**l).is_some()).count();
            let outside = usize::from(!frame.contains(b));
            (marks.count() * 10 + labels * 20 + lines * 6 + outside * 100) as f64
        };
        let best = starts
            .flat_map(|(cost, start)| [(cost, start, ABOVE), (cost + 6.0, start, BELOW)])
            .map(|(cost, start, lift)| {
                let covered: f64 = bare.boxes(start, lift).iter().map(price).sum();
                (cost + covered, start, lift)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let (_, start, lift) = best.expect("invariant: every roof has tries");
        self.blocked.extend(bare.boxes(start, lift));
        let (at, angle) = (bare.beside(start, lift), bare.angle());
        self.roofs.push(Roof { line: bare.line, class: bare.class, label: bare.label, at, angle });
    }

    /// Ridge points that show their value, with it.
    pub(super) fn named_ridges(&self) -> impl Iterator<Item = (Point, &str)> {
        self.ridges.iter().filter_map(|r| Some((r.at, r.label.as_deref()?)))
    }

    /// What labels keep clear of, inside the frame.
    pub(super) fn scene(&self, frame: Rect) -> Scene {
        let lines = self.roofs.iter().map(|r| r.line).chain(self.drop).collect();
        Scene { frame, blocked: self.blocked.clone(), lines }
    }

    /// Draws lines and ridge points.
    pub(super) fn draw_lines(&self, canvas: &Canvas) {
        canvas.group("roofs", || {
            if let Some(drop) = self.drop {
                canvas.line(drop, Mark::class("drop"));
            }
            for roof in self.roofs.iter().rev() {
                canvas.line(roof.line, Mark { class: roof.class, tooltip: &roof.label });
            }
            for ridge in &self.ridges {
                canvas.circle(ridge.at, RIDGE, Mark { class: "ridge", tooltip: &ridge.tooltip });
            }
        });
    }

    /// Draws the roofs' labels, over what crosses them.
    pub(super) fn draw_labels(&self, canvas: &Canvas) {
        for roof in &self.roofs {
            let class = if roof.class == "roof" { "strong halo" } else { "muted halo" };
            canvas.text(roof.at, &Text::new(&roof.label, Type::Small, class).turned(roof.angle));
        }
    }
}

impl Bare {
    fn width(&self) -> f64 {
        Text::new(&self.label, Type::Small, "strong").width()
    }

    fn angle(&self) -> f64 {
        let (from, to) = (self.line.from, self.line.to);
        (to.y - from.y).atan2(to.x - from.x).to_degrees()
    }

    /// The place a way along the roof and a lift above it.
    fn beside(&self, along: f64, lift: f64) -> Point {
        let (from, to, length) = (self.line.from, self.line.to, self.line.length().max(1.0));
        let up = ((to.y - from.y) / length, (from.x - to.x) / length);
        self.line.at(along / length).shifted(up.0 * lift, up.1 * lift)
    }

    /// Small boxes that cover the label, for a label may be turned.
    fn boxes(&self, start: f64, lift: f64) -> Vec<Rect> {
        let (width, count) = (self.width(), (self.width() / 8.0).ceil().max(1.0));
        let along = (0..=count as usize).map(|i| start + width * i as f64 / count);
        along.map(|along| Rect::around(self.beside(along, lift + 4.5), 9.0, 11.0)).collect()
    }
}

fn class(emphasis: Emphasis) -> &'static str {
    match emphasis {
        Emphasis::Main => "roof",
        Emphasis::Minor => "ceiling",
    }
}

/// Memory roofs in order, the first (DRAM) strong.
fn ranked_memory(chart: &RooflineChart) -> impl Iterator<Item = (Emphasis, &super::MemoryRoof)> {
    let rank = |i| if i == 0 { Emphasis::Main } else { Emphasis::Minor };
    chart.memory_roofs.iter().enumerate().map(move |(i, m)| (rank(i), m))
}

fn ridges(chart: &RooflineChart, plot: &LogPlot) -> Vec<Ridge> {
    let few = chart.compute_roofs.len() * chart.memory_roofs.len() <= NAMED_RIDGES;
    let pairs = ranked_memory(chart)
        .flat_map(|(rank, memory)| chart.compute_roofs.iter().map(move |c| (rank, memory, c)));
    let ridge = |(rank, memory, compute): (Emphasis, &super::MemoryRoof, &super::ComputeRoof)| {
        let intensity = compute.rate / memory.bandwidth;
        let named = few || rank == Emphasis::Main;
        Ridge {
            at: plot.at(intensity.get(), compute.rate.get()),
            label: named.then(|| intensity.to_string()),
            tooltip: format!("ridge point {intensity}\n{}\n{}", compute.label, memory.label),
            main: rank == Emphasis::Main && compute.emphasis == Emphasis::Main,
        }
    };
    pairs.map(ridge).collect()
}

/// Each compute roof from where the fastest memory reaches it to the right edge, highest first.
fn compute_lines(chart: &RooflineChart, plot: &LogPlot) -> Vec<Bare> {
    let fastest = chart.memory_roofs.iter().map(|m| m.bandwidth.get()).fold(0.0, f64::max);
    let mut roofs: Vec<_> = chart.compute_roofs.iter().collect();
    roofs.sort_by(|a, b| b.rate.get().total_cmp(&a.rate.get()));
    let line = |roof: &super::ComputeRoof| {
        let rate = roof.rate.get();
        let start = if fastest > 0.0 { rate / fastest } else { plot.x.start };
        let whole = Segment::new(plot.at(start, rate), plot.at(plot.x.end, rate));
        let (line, label) = (plot.frame.clip(whole)?, roof.label.clone());
        Some(Bare { line, class: class(roof.emphasis), label, at_end: true })
    };
    roofs.into_iter().filter_map(line).collect()
}

/// Each memory roof from the left or lower edge to where it reaches the highest compute roof.
fn memory_lines(chart: &RooflineChart, plot: &LogPlot) -> Vec<Bare> {
    let peak = chart.compute_roofs.iter().map(|r| r.rate.get()).fold(0.0, f64::max);
    let line = |(rank, roof): (Emphasis, &super::MemoryRoof)| {
        let bandwidth = roof.bandwidth.get();
        let end = if peak > 0.0 { peak / bandwidth } else { plot.x.end };
        let start = plot.x.start;
        let whole = Segment::new(plot.at(start, start * bandwidth), plot.at(end, end * bandwidth));
        let (line, label) = (plot.frame.clip(whole)?, roof.label.clone());
        Some(Bare { line, class: class(rank), label, at_end: false })
    };
    ranked_memory(chart).filter_map(line).collect()
}
