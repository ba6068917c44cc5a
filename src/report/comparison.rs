//! Accelerators compared on two axes, both logarithmic, with the Pareto front.

use super::axis::Axis;
use super::legend::{Entry, SHAPE_REACH, Sample, draw_legend, draw_shape, legend_height};
use super::logplot::{AxisText, LogPlot, padded};
use super::page::{Head, MARGIN, draw_notes, listed, note_lines, notes_height};
use super::svg::{Canvas, Mark, Placed, Point, Rect, Request, Scene, Segment, Text, Type, place};

mod front;

/// What a comparison shows.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonChart {
    /// The question.
    pub title: String,
    /// Workload.
    pub subtitle: String,
    /// What is spent, as a rule.
    pub x: Axis,
    /// What is got for it.
    pub y: Axis,
    /// Accelerators.
    pub points: Vec<ComparisonPoint>,
    /// All groups, in the order of their shapes, so that charts of one page agree; the points' own
    /// where empty.
    pub groups: Vec<String>,
    /// The point that is asked for, whose label comes before all others.
    pub chosen: Option<usize>,
    /// Accelerators without a place, each with its reason.
    pub omitted: Vec<(String, String)>,
    /// Footnotes.
    pub notes: Vec<String>,
}

/// An accelerator.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonPoint {
    /// Its name.
    pub label: String,
    /// In the x axis' unit, without prefix.
    pub x: f64,
    /// In the y axis' unit, without prefix.
    pub y: f64,
    /// Its vendor: colour and shape.
    pub group: String,
    /// Further lines of the tooltip.
    pub detail: String,
}

const WIDTH: f64 = 960.0;
const PLOT_HEIGHT: f64 = 470.0;
const GUTTER: f64 = 96.0;
const BELOW: f64 = 52.0;
/// A label off the front that finds no room this near is left out.
const NEARBY: f64 = 40.0;

impl ComparisonChart {
    /// The chart as an SVG file.
    pub fn to_svg(&self) -> String {
        let (groups, plot) = (self.groups(), self.plot());
        let front = self.front();
        let entries = legend_entries(&groups);
        let labels = self.labels(&plot, &front);
        let notes = note_lines(&self.all_notes(&labels), WIDTH);
        let bottom = plot.frame.bottom + BELOW;
        let canvas = Canvas::new(WIDTH, bottom + notes_height(&notes));
        self.head().draw(&canvas);
        let legend = Point::new(MARGIN, self.head().height());
        draw_legend(&canvas, legend, WIDTH - 2.0 * MARGIN, &entries);
        plot.draw_grid(&canvas);
        let line = self.front_line(&plot, &front);
        canvas.path(&line, Mark { class: "front", tooltip: "Pareto front" });
        self.draw_points(&canvas, &plot, &groups);
        self.draw_labels(&canvas, &labels, &front);
        let (x, y) = (self.x.title(), self.y.title());
        let x = AxisText { title: &x, tick: &|v| self.x.tick(v) };
        let y = AxisText { title: &y, tick: &|v| self.y.tick(v) };
        plot.draw_axes(&canvas, &x, &y, GUTTER);
        draw_notes(&canvas, bottom, &notes);
        canvas.finish(&self.title, &self.description(&front))
    }

    fn head(&self) -> Head {
        Head::new(&self.title, &self.subtitle, WIDTH)
    }

    fn groups(&self) -> Vec<&str> {
        if !self.groups.is_empty() {
            return self.groups.iter().map(String::as_str).collect();
        }
        let mut groups: Vec<&str> = self.points.iter().map(|p| p.group.as_str()).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    fn plot(&self) -> LogPlot {
        let entries = legend_entries(&self.groups());
        let top = self.head().height() + legend_height(&entries, WIDTH - 2.0 * MARGIN) + 8.0;
        let left = MARGIN + GUTTER - 14.0;
        let frame = Rect::new(left, top, WIDTH - MARGIN - left, PLOT_HEIGHT);
        let points = || self.points.iter().filter(|p| is_drawn(p));
        let x = padded(points().map(|p| p.x), 0.14, 0.9);
        LogPlot::new(frame, x, padded(points().map(|p| p.y), 0.12, 0.9))
    }

    fn at(&self, plot: &LogPlot, index: usize) -> Point {
        plot.at(self.points[index].x, self.points[index].y)
    }

    /// The labels' places; the front's first.
    fn labels(&self, plot: &LogPlot, front: &[usize]) -> Vec<(usize, Option<Placed>)> {
        let (order, named) = self.order(front);
        let line = self.front_line(plot, front);
        let lines = line.windows(2).map(|w| Segment::new(w[0], w[1])).collect();
        let at = |i: &usize| self.at(plot, *i);
        let around = |i: &usize| Rect::around(at(i), SHAPE_REACH * 1.6, SHAPE_REACH * 1.6);
        let blocked = order[named..].iter().map(around).collect();
        let farthest = |i: &usize| if self.stands_out(*i, front) { f64::INFINITY } else { NEARBY };
        let requests = order[..named].iter();
        let requests = requests.map(|i| request(at(i), &self.points[*i].label, farthest(i)));
        let scene = Scene { frame: plot.frame.grown(-2.0), blocked, lines };
        let placed = place(&scene, &requests.collect::<Vec<_>>());
        order.into_iter().zip(placed.into_iter().chain(std::iter::repeat(None))).collect()
    }

    fn draw_points(&self, canvas: &Canvas, plot: &LogPlot, groups: &[&str]) {
        canvas.group("points", || {
            for (index, point) in self.points.iter().enumerate().filter(|(_, p)| is_drawn(p)) {
                let group = groups.iter().position(|g| *g == point.group).unwrap_or(0);
                draw_shape(canvas, self.at(plot, index), group, &self.tooltip(point));
            }
        });
    }

    fn draw_labels(&self, canvas: &Canvas, labels: &[(usize, Option<Placed>)], front: &[usize]) {
        canvas.group("labels", || {
            let placed = || labels.iter().filter_map(|(i, p)| Some((*i, (*p)?)));
            for leader in placed().filter_map(|(_, p)| p.leader) {
                canvas.line(leader, Mark::class("leader"));
            }
            for (index, Placed { rect, .. }) in placed() {
                let strong = self.stands_out(index, front);
                let class = if strong { "strong halo" } else { "text halo" };
                let at = Point::new(rect.left, rect.bottom - 3.0);
                canvas.text(at, &Text::new(&self.points[index].label, Type::Small, class));
            }
        });
    }

    fn stands_out(&self, index: usize, front: &[usize]) -> bool {
        self.chosen == Some(index) || front.contains(&index)
    }

    fn tooltip(&self, point: &ComparisonPoint) -> String {
        let mut lines = vec![
            format!("{} ({})", point.label, point.group),
            format!("{}: {}", self.x.name, self.x.value(point.x)),
            format!("{}: {}", self.y.name, self.y.value(point.y)),
        ];
        lines.extend(point.detail.lines().map(str::to_owned));
        lines.join("\n")
    }

    fn all_notes(&self, labels: &[(usize, Option<Placed>)]) -> Vec<String> {
        let unnamed = labels.iter().filter(|(_, p)| p.is_none());
        let unnamed: Vec<String> = unnamed.map(|(i, _)| self.points[*i].label.clone()).collect();
        let mut notes = vec![];
        if !unnamed.is_empty() {
            notes.push(format!("Drawn without label, for room: {}.", listed(&unnamed)));
        }
        let undrawn = self.points.iter().filter(|p| !is_drawn(p));
        let undrawn = undrawn.map(|p| (p.label.as_str(), "no positive value"));
        let omitted = self.omitted.iter().map(|(label, reason)| (label.as_str(), reason.as_str()));
        let mut by_reason: Vec<(&str, Vec<&str>)> = vec![];
        for (label, reason) in omitted.chain(undrawn) {
            match by_reason.iter_mut().find(|(r, _)| *r == reason) {
                Some((_, labels)) => labels.push(label),
                None => by_reason.push((reason, vec![label])),
            }
        }
        for (reason, labels) in by_reason {
            notes.push(format!("Not shown, {reason}: {}.", labels.join(", ")));
        }
        notes.extend(self.notes.iter().cloned());
        notes
    }

    fn description(&self, front: &[usize]) -> String {
        let value = |p: &ComparisonPoint| {
            format!("{}: {} at {}", p.label, self.y.value(p.y), self.x.value(p.x))
        };
        let points: Vec<String> = self.points.iter().map(value).collect();
        let front: Vec<&str> = front.iter().map(|i| self.points[*i].label.as_str()).collect();
        let (x, y) = (&self.x.name, &self.y.name);
        let (front, points) = (front.join(", "), points.join("; "));
        format!("{y} against {x}. Pareto front: {front}. All: {points}.")
    }
}

/// Only positive values have a place on logarithmic axes.
fn is_drawn(point: &ComparisonPoint) -> bool {
    [point.x, point.y].iter().all(|v| *v > 0.0 && v.is_finite())
}

fn request(anchor: Point, label: &str, farthest: f64) -> Request {
    let width = Text::new(label, Type::Small, "strong").width() + 2.0;
    let reach = SHAPE_REACH * 1.15;
    Request {
        anchor,
        radius: reach,
        leader: reach,
        farthest,
        width,
        height: Type::Small.size() + 2.0,
    }
}

fn legend_entries(groups: &[&str]) -> Vec<Entry<'static>> {
    let group = |(index, name): (usize, &&str)| Entry {
        sample: Sample::Shape(index),
        text: (*name).to_owned(),
    };
    let front = Entry {
        sample: Sample::Line("front"),
        text: "Pareto front: no other is better on both axes".to_owned(),
    };
    groups.iter().enumerate().map(group).chain([front]).collect()
}
