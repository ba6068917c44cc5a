//! The roofline chart: attained rate over arithmetic intensity at DRAM, under the machine's roofs.

use super::axis::{intensity_tick, rate_tick};
use super::legend::{draw_legend, legend_height};
use super::logplot::{AxisText, LogPlot, padded};
use super::page::{Head, MARGIN, draw_notes, listed, note_lines, notes_height, percent};
use super::step::Phase;
use super::svg::{Canvas, Mark, Placed, Point, Rect, Request, Text, Type, place};
use crate::units::{BytesPerSecond, FlopsPerByte, FlopsPerSecond};

mod callouts;
mod marks;
mod roofs;

use marks::{brief, fill, is_drawn, legend_entries, reach, ridge_request, shape, tooltip};

/// What a roofline shows.
#[derive(Debug, Clone, PartialEq)]
pub struct RooflineChart {
    /// Device and model.
    pub title: String,
    /// Batch, context, format.
    pub subtitle: String,
    /// Horizontal roofs.
    pub compute_roofs: Vec<ComputeRoof>,
    /// Diagonal roofs; the first is DRAM, at which the x axis counts bytes.
    pub memory_roofs: Vec<MemoryRoof>,
    /// Operators.
    pub points: Vec<RooflinePoint>,
    /// Footnotes: efficiencies, what is not modelled.
    pub notes: Vec<String>,
}

/// How strongly a roof is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emphasis {
    /// The roof that the workload meets.
    Main,
    /// A lower or unused ceiling.
    Minor,
}

/// A peak rate.
#[derive(Debug, Clone, PartialEq)]
pub struct ComputeRoof {
    /// `bf16 matrix 312 TFLOP/s`.
    pub label: String,
    /// The peak.
    pub rate: FlopsPerSecond,
    /// How strongly it is drawn.
    pub emphasis: Emphasis,
}

/// A bandwidth.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryRoof {
    /// `DRAM 2.04 TB/s`.
    pub label: String,
    /// The peak.
    pub bandwidth: BytesPerSecond,
}

/// An operator in one phase.
#[derive(Debug, Clone, PartialEq)]
pub struct RooflinePoint {
    /// The operator.
    pub label: String,
    /// Where it ran.
    pub phase: Phase,
    /// Operations per byte moved at DRAM.
    pub intensity: FlopsPerByte,
    /// Operations over time.
    pub attained: FlopsPerSecond,
    /// Part of its phase's time, 0 to 1: the marker's area.
    pub share: f64,
    /// What limits it.
    pub bound: String,
    /// Further lines of the tooltip.
    pub detail: String,
}

const WIDTH: f64 = 960.0;
const PLOT_HEIGHT: f64 = 486.0;
const GUTTER: f64 = 108.0;
const BELOW: f64 = 52.0;
/// Everything that has a place before anything is drawn.
struct Layout {
    plot: LogPlot,
    roofs: roofs::Roofs,
    callouts: Vec<callouts::Callout>,
    /// Indices of drawn points, larger markers first.
    drawn: Vec<usize>,
    /// Labels of ridges, then callouts.
    labels: Vec<Option<Placed>>,
    notes: Vec<String>,
}

impl RooflineChart {
    /// The chart as an SVG file.
    pub fn to_svg(&self) -> String {
        let layout = self.layout();
        let bottom = layout.plot.frame.bottom + BELOW;
        let canvas = Canvas::new(WIDTH, bottom + notes_height(&layout.notes));
        self.head().draw(&canvas);
        let legend = Point::new(MARGIN, self.head().height());
        draw_legend(&canvas, legend, WIDTH - 2.0 * MARGIN, &legend_entries(&self.points));
        layout.plot.draw_grid(&canvas);
        layout.roofs.draw_lines(&canvas);
        self.draw_points(&canvas, &layout);
        self.draw_labels(&canvas, &layout);
        let x = "Arithmetic intensity at DRAM (FLOP/B: operations per byte moved)";
        let y = "Attained rate (FLOP/s)";
        let x = AxisText { title: x, tick: &intensity_tick };
        let y = AxisText { title: y, tick: &rate_tick };
        layout.plot.draw_axes(&canvas, &x, &y, GUTTER);
        draw_notes(&canvas, bottom, &layout.notes);
        canvas.finish(&format!("{}, {}", self.title, self.subtitle), &self.description())
    }

    fn head(&self) -> Head {
        Head::new(&self.title, &self.subtitle, WIDTH)
    }

    fn layout(&self) -> Layout {
        let plot = self.plot();
        let mut drawn: Vec<usize> =
            (0..self.points.len()).filter(|i| is_drawn(&self.points[*i])).collect();
        drawn.sort_by(|a, b| self.points[*b].share.total_cmp(&self.points[*a].share));
        let mark = |i: &usize| (*i, self.place_of(&plot, *i), reach(&self.points[*i]));
        let marks: Vec<(usize, Point, f64)> = drawn.iter().map(mark).collect();
        let places: Vec<(Point, f64)> = marks.iter().map(|(_, at, reach)| (*at, *reach)).collect();
        let roofs = roofs::Roofs::new(self, &plot, &places);
        let callouts = callouts::callouts(&marks);
        let ridges = roofs.named_ridges().map(|(at, label)| ridge_request(at, label));
        let requests: Vec<Request> =
            ridges.chain(callouts.iter().map(|c| c.request(self))).collect();
        let labels = place(&roofs.scene(plot.frame.grown(-2.0)), &requests);
        let unnamed = callouts.iter().zip(&labels[roofs.named_ridges().count()..]);
        let unnamed = unnamed.filter(|(_, l)| l.is_none()).flat_map(|(c, _)| &c.members);
        let notes = self.all_notes(&unnamed.copied().collect::<Vec<_>>());
        Layout { plot, roofs, callouts, drawn, labels, notes: note_lines(&notes, WIDTH) }
    }

    /// Axes that hold every drawn point and ridge with room around.
    fn plot(&self) -> LogPlot {
        let entries = legend_entries(&self.points);
        let top = self.head().height() + legend_height(&entries, WIDTH - 2.0 * MARGIN) + 10.0;
        let frame = Rect::new(
            MARGIN + GUTTER - 14.0,
            top,
            WIDTH - 2.0 * MARGIN - GUTTER + 14.0,
            PLOT_HEIGHT,
        );
        let points = || self.points.iter().filter(|p| is_drawn(p));
        let rates = || self.compute_roofs.iter().map(|r| r.rate);
        let ridges = rates().flat_map(|r| self.memory_roofs.iter().map(move |m| r / m.bandwidth));
        let x = padded(points().map(|p| p.intensity).chain(ridges).map(|i| i.get()), 0.4, 3.0);
        let y = padded(points().map(|p| p.attained).chain(rates()).map(|r| r.get()), 0.35, 3.0);
        LogPlot::new(frame, x, y)
    }

    fn place_of(&self, plot: &LogPlot, index: usize) -> Point {
        plot.at(self.points[index].intensity.get(), self.points[index].attained.get())
    }

    fn draw_points(&self, canvas: &Canvas, layout: &Layout) {
        canvas.group("points", || {
            for index in &layout.drawn {
                let point = &self.points[*index];
                let at = self.place_of(&layout.plot, *index);
                let tooltip = tooltip(point);
                let mark = Mark { class: fill(point.phase), tooltip: &tooltip };
                shape(canvas, at, point.phase, reach(point), mark);
            }
        });
    }

    fn draw_labels(&self, canvas: &Canvas, layout: &Layout) {
        let (ridges, points) = layout.labels.split_at(layout.roofs.named_ridges().count());
        canvas.group("labels", || {
            for leader in layout.labels.iter().flatten().filter_map(|p| p.leader) {
                canvas.line(leader, Mark::class("leader"));
            }
            layout.roofs.draw_labels(canvas);
            for ((_, label), placed) in layout.roofs.named_ridges().zip(ridges) {
                let Some(Placed { rect, .. }) = placed else { continue };
                let at = Point::new(rect.left, rect.bottom - 3.0);
                canvas.text(at, &Text::new(label, Type::Small, "muted halo"));
            }
            for (callout, placed) in layout.callouts.iter().zip(points) {
                if let Some(placed) = placed {
                    callout.draw(canvas, self, placed);
                }
            }
        });
    }

    fn all_notes(&self, unnamed: &[usize]) -> Vec<String> {
        let silent: Vec<String> = self.points.iter().filter(|p| !is_drawn(p)).map(brief).collect();
        let unnamed: Vec<String> = unnamed.iter().map(|i| brief(&self.points[*i])).collect();
        let mut notes = vec![];
        if !silent.is_empty() {
            notes.push(format!("Not drawn, moves data without FLOPs: {}.", listed(&silent)));
        }
        if !unnamed.is_empty() {
            notes.push(format!("Drawn without label, for room: {}.", listed(&unnamed)));
        }
        notes.extend(self.notes.iter().cloned());
        notes
    }

    fn description(&self) -> String {
        let roofs = self.compute_roofs.iter().map(|r| r.label.as_str());
        let roofs: Vec<&str> =
            roofs.chain(self.memory_roofs.iter().map(|r| r.label.as_str())).collect();
        let points: Vec<String> = self
            .points
            .iter()
            .map(|p| {
                let (label, phase) = (&p.label, p.phase.name());
                format!(
                    "{label} ({phase}): {} at {}, {}",
                    p.attained,
                    p.intensity,
                    percent(p.share)
                )
            })
            .collect();
        format!("Log-log roofline. Roofs: {}. Operators: {}.", roofs.join(", "), points.join("; "))
    }
}
