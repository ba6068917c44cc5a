//! The roofs of the chart, the ridge points where they meet, and their labels.

use super::{Emphasis, LogPlot, RIDGE, RooflineChart};
use crate::report::svg::{Align, Canvas, Mark, Point, Rect, Scene, Segment, Text, Type};

/// A roof with its label along it.
struct Roof {
    line: Segment,
    class: &'static str,
    label: String,
    at: Point,
    angle: f64,
    align: Align,
}

/// Where a memory roof meets a compute roof.
pub(super) struct Ridge {
    pub(super) at: Point,
    pub(super) label: String,
    tooltip: String,
    main: bool,
}

/// All roofs of a chart.
pub(super) struct Roofs {
    roofs: Vec<Roof>,
    pub(super) ridges: Vec<Ridge>,
    drop: Option<Segment>,
    blocked: Vec<Rect>,
}

/// Distance of a label's baseline from its roof.
const LIFT: f64 = 5.0;

impl Roofs {
    /// Lays out roofs, ridges and labels; `marks` are the operators' places and reaches.
    pub(super) fn new(chart: &RooflineChart, plot: &LogPlot, marks: &[(Point, f64)]) -> Self {
        let ridges = ridges(chart, plot);
        let main = ridges.iter().filter(|r| r.main).map(|r| r.at).min_by(|a, b| a.y.total_cmp(&b.y));
        let drop = main.map(|at| Segment::new(at, Point::new(at.x, plot.frame.bottom)));
        let mut all = Self { roofs: vec![], ridges, drop, blocked: vec![] };
        let mut taken: Vec<(Point, f64)> = marks.to_vec();
        taken.extend(all.ridges.iter().map(|r| (r.at, RIDGE)));
        for (line, class, label) in compute_lines(chart, plot) {
            all.add(plot, &taken, line, class, label, Align::End);
        }
        for (line, class, label) in memory_lines(chart, plot) {
            all.add(plot, &taken, line, class, label, Align::Start);
        }
        all
    }

    /// Adds a roof with its label where it covers least, from the outer end inwards.
    fn add(
        &mut self,
        plot: &LogPlot,
        taken: &[(Point, f64)],
        line: Segment,
        class: &'static str,
        label: String,
        align: Align,
    ) {
        let width = Text::new(&label, Type::Small, "strong").width();
        let (dx, dy) = (line.to.x - line.from.x, line.to.y - line.from.y);
        let length = line.length().max(1.0);
        let normal = (dy / length, -dx / length);
        let room = (length - width - 16.0).max(0.0);
        let steps = (0..24).map(|step| 8.0 + room * f64::from(step) / 23.0);
        let candidates = steps.flat_map(|along| [(along, LIFT), (along, -LIFT - 9.0)]);
        let boxes = |along: f64, lift: f64| -> Vec<Rect> {
            let start = match align {
                Align::End => length - along - width,
                _ => along,
            };
            let count = (width / 8.0).ceil().max(1.0);
            (0..=count as usize)
                .map(|i| {
                    let at = line.at((start + width * i as f64 / count) / length);
                    let at = at.shifted(normal.0 * (lift + 4.5), normal.1 * (lift + 4.5));
                    Rect::around(at, 9.0, 11.0)
                })
                .collect()
        };
        let price = |boxes: &[Rect]| -> f64 {
            let hit = |b: &Rect| {
                let marks = taken.iter().filter(|(at, r)| b.nearest(*at).distance(*at) < *r + 2.0);
                let labels = self.blocked.iter().filter(|o| o.overlaps(b)).count();
                let lines = self.roofs.iter().filter(|r| b.clip(r.line).is_some()).count();
                let outside = usize::from(!plot.frame.contains(b));
                marks.count() * 10 + labels * 20 + lines * 4 + outside * 100
            };
            boxes.iter().map(hit).sum::<usize>() as f64
        };
        let best = candidates
            .map(|(along, lift)| {
                let below = if lift < 0.0 { 6.0 } else { 0.0 };
                (price(&boxes(along, lift)) + below + along / 60.0, along, lift)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let (_, along, lift) = best.unwrap_or((0.0, 8.0, LIFT));
        self.blocked.extend(boxes(along, lift));
        let along = if align == Align::End { length - along } else { along };
        let at = line.at(along / length).shifted(normal.0 * lift, normal.1 * lift);
        let angle = dy.atan2(dx).to_degrees();
        self.roofs.push(Roof { line, class, label, at, angle, align });
    }

    /// What labels keep clear of; the caller sets the frame.
    pub(super) fn scene(&self) -> Scene {
        let lines = self.roofs.iter().map(|r| r.line).chain(self.drop).collect();
        Scene { frame: Rect::new(0.0, 0.0, 0.0, 0.0), blocked: self.blocked.clone(), lines }
    }

    /// Draws lines, ridge points and the roofs' labels.
    pub(super) fn draw(&self, canvas: &Canvas) {
        canvas.group("roofs", || {
            if let Some(drop) = self.drop {
                canvas.line(drop, Mark::class("drop"));
            }
            for roof in &self.roofs {
                canvas.line(roof.line, Mark { class: roof.class, tooltip: &roof.label });
            }
            for ridge in &self.ridges {
                canvas.circle(ridge.at, RIDGE, Mark { class: "ridge", tooltip: &ridge.tooltip });
            }
            for roof in &self.roofs {
                let class = if roof.class == "roof" { "strong halo" } else { "muted halo" };
                let text = Text::new(&roof.label, Type::Small, class).align(roof.align);
                canvas.text(roof.at, &text.turned(roof.angle));
            }
        });
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
    let pairs = ranked_memory(chart)
        .flat_map(|(rank, memory)| chart.compute_roofs.iter().map(move |c| (rank, memory, c)));
    pairs
        .map(|(rank, memory, compute)| {
            let intensity = compute.rate / memory.bandwidth;
            Ridge {
                at: plot.at(intensity.get(), compute.rate.get()),
                label: intensity.to_string(),
                tooltip: format!(
                    "ridge point {intensity}\n{}\n{}",
                    compute.label, memory.label
                ),
                main: rank == Emphasis::Main && compute.emphasis == Emphasis::Main,
            }
        })
        .collect()
}

/// Each compute roof from where the fastest memory reaches it to the right edge.
fn compute_lines(chart: &RooflineChart, plot: &LogPlot) -> Vec<(Segment, &'static str, String)> {
    let fastest = chart.memory_roofs.iter().map(|m| m.bandwidth.get()).fold(0.0, f64::max);
    let mut roofs: Vec<_> = chart.compute_roofs.iter().collect();
    roofs.sort_by(|a, b| b.rate.get().total_cmp(&a.rate.get()));
    let line = |roof: &super::ComputeRoof| {
        let rate = roof.rate.get();
        let start = if fastest > 0.0 { rate / fastest } else { plot.x.start };
        let whole = Segment::new(plot.at(start, rate), plot.at(plot.x.end, rate));
        let line = plot.frame.clip(whole)?;
        Some((line, class(roof.emphasis), roof.label.clone()))
    };
    roofs.into_iter().filter_map(line).collect()
}

/// Each memory roof from the left or lower edge to where it reaches the highest compute roof.
fn memory_lines(chart: &RooflineChart, plot: &LogPlot) -> Vec<(Segment, &'static str, String)> {
    let peak = chart.compute_roofs.iter().map(|r| r.rate.get()).fold(0.0, f64::max);
    let line = |(rank, roof): (Emphasis, &super::MemoryRoof)| {
        let bandwidth = roof.bandwidth.get();
        let end = if peak > 0.0 { peak / bandwidth } else { plot.x.end };
        let start = plot.x.start;
        let whole = Segment::new(plot.at(start, start * bandwidth), plot.at(end, end * bandwidth));
        Some((plot.frame.clip(whole)?, class(rank), roof.label.clone()))
    };
    ranked_memory(chart).filter_map(line).collect()
}
