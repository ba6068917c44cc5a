//! Speed-up of speculative decoding over acceptance and gamma: a heat map with the break-even
//! contour and the fastest gamma, and the same numbers as a table, as CSV and as JSON.

mod bands;
mod export;

use self::bands::{Bands, FASTER, SLOWER};
use super::legend::{Entry, Sample, draw_legend, legend_height};
use super::page::{Head, MARGIN, draw_notes, note_lines, notes_height};
use super::step::Limit;
use super::svg::{Align, Canvas, Mark, Point, Rect, Text, Type};
use crate::cost::speculative::{Surface, SurfacePoint};
use crate::workload::Acceptance;

/// What the chart shows.
#[derive(Debug)]
pub struct SurfaceChart<'a> {
    /// Target, draft and device.
    pub title: String,
    /// Workload.
    pub subtitle: String,
    /// Its points.
    pub surface: &'a Surface,
    /// The acceptance and gamma that were asked for.
    pub asked: Option<(f64, u64)>,
    /// Footnotes.
    pub notes: Vec<String>,
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 400.0;
const GUTTER: f64 = 62.0;
/// Rows that can each have a label.
const LABELLED: usize = 20;

/// The plot: a column for each acceptance, a row for each gamma, from below.
struct Plot {
    frame: Rect,
    rows: f64,
}

impl Plot {
    fn columns() -> f64 {
        Surface::acceptances().len() as f64
    }

    fn cell(&self) -> (f64, f64) {
        (self.frame.width() / Self::columns(), self.frame.height() / self.rows.max(1.0))
    }

    /// The middle of a cell, or what lies between two.
    fn at(&self, acceptance: f64, gamma: f64) -> Point {
        let (width, height) = self.cell();
        let column = acceptance * (Self::columns() - 1.0) + 0.5;
        Point::new(self.frame.left + width * column, self.frame.bottom - height * (gamma - 0.5))
    }
}

impl SurfaceChart<'_> {
    /// The chart as an SVG file.
    pub fn to_svg(&self) -> String {
        let points: Vec<SurfacePoint> = self.surface.points().collect();
        let bands = Bands::new(&points);
        let (head, entries) = (Head::new(&self.title, &self.subtitle, WIDTH), self.legend(&points));
        let room = WIDTH - 2.0 * MARGIN;
        let legend = head.height() + 6.0;
        let top = legend + legend_height(&entries, room) + 12.0;
        let frame = Rect::new(MARGIN + GUTTER, top, room - GUTTER, HEIGHT);
        let plot = Plot { frame, rows: self.surface.cycles().len() as f64 };
        let notes = note_lines(&self.notes, WIDTH);
        let under = frame.bottom + 54.0;
        let canvas = Canvas::new(WIDTH, under + notes_height(&notes));
        head.draw(&canvas);
        draw_legend(&canvas, Point::new(MARGIN, legend), room, &entries);
        draw_cells(&canvas, &plot, &bands, &points);
        self.draw_axes(&canvas, &plot);
        self.draw_lines(&canvas, &plot);
        draw_notes(&canvas, under, &notes);
        canvas.finish(&self.title, &self.description())
    }

    fn legend(&self, points: &[SurfacePoint]) -> Vec<Entry<'static>> {
        const CLASSES: [&str; SLOWER + FASTER] =
            ["h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8"];
        let bands = Bands::new(points);
        let present = |band: &usize| points.iter().any(|p| bands.of(p.speed_up) == *band);
        let swatch = |band: usize| {
            let (from, to) = bands.edges(band);
            let sample = Sample::Square(CLASSES[band], Limit::Compute);
            Entry { sample, text: format!("{from:.2} to {to:.2} x") }
        };
        let mut entries: Vec<_> = (0..SLOWER + FASTER).filter(present).map(swatch).collect();
        let lines = [("even", "break-even"), ("best", "fastest gamma")];
        entries.extend(
            lines.map(|(class, text)| Entry { sample: Sample::Line(class), text: text.to_owned() }),
        );
        if let Some((acceptance, gamma)) = self.asked {
            let speed_up = self.speed_up(acceptance, gamma);
            let text = format!("asked: gamma {gamma} at {acceptance}, {speed_up:.2} x");
            entries.push(Entry { sample: Sample::Diamond(6.0, "decode opaque"), text });
        }
        entries
    }

    fn speed_up(&self, acceptance: f64, gamma: u64) -> f64 {
        let cycle = self.surface.cycles().iter().find(|c| c.gamma == gamma);
        cycle.map_or(1.0, |c| c.speed_up(&Acceptance::Constant(acceptance)))
    }

    fn draw_axes(&self, canvas: &Canvas, plot: &Plot) {
        let frame = &plot.frame;
        canvas.group("axes", || {
            let corners = [
                (frame.left, frame.top),
                (frame.right, frame.top),
                (frame.right, frame.bottom),
                (frame.left, frame.bottom),
                (frame.left, frame.top),
            ];
            canvas.path(&corners.map(|(x, y)| Point::new(x, y)), Mark::class("frame"));
            for acceptance in Surface::acceptances().step_by(2) {
                let at = Point::new(plot.at(acceptance, 1.0).x, frame.bottom + 17.0);
                let label = format!("{acceptance:.1}");
                canvas.text(at, &Text::new(&label, Type::Small, "muted").align(Align::Middle));
            }
            let rows = self.surface.cycles().len();
            for cycle in self.surface.cycles().iter().step_by(rows.div_ceil(LABELLED).max(1)) {
                let at = Point::new(frame.left - 8.0, plot.at(0.0, cycle.gamma as f64).y + 4.0);
                let label = cycle.gamma.to_string();
                canvas.text(at, &Text::new(&label, Type::Small, "muted").align(Align::End));
            }
            let below = Point::new(frame.center().x, frame.bottom + 39.0);
            let title = Text::new("acceptance rate of a drafted token", Type::Body, "text");
            canvas.text(below, &title.align(Align::Middle));
            let beside = Point::new(frame.left - GUTTER + 26.0, frame.center().y);
            let title = Text::new("drafted tokens in a loop (gamma)", Type::Body, "text");
            canvas.text(beside, &title.align(Align::Middle).turned(-90.0));
        });
    }

    /// Where the loop is as fast as plain decoding, the fastest gamma of each rate, and what was
    /// asked for.
    fn draw_lines(&self, canvas: &Canvas, plot: &Plot) {
        let even = self.surface.cycles().iter().filter_map(|cycle| {
            let acceptance = cycle.break_even()?;
            Some(plot.at(acceptance, cycle.gamma as f64))
        });
        let best = Surface::acceptances().filter_map(|acceptance| {
            let best = self.surface.optimum(acceptance);
            let tip =
                format!("acceptance {acceptance}: gamma {}, {:.3} x", best.gamma, best.speed_up);
            (best.gamma > 0).then(|| (plot.at(acceptance, best.gamma as f64), tip))
        });
        let (even, best): (Vec<Point>, Vec<(Point, String)>) = (even.collect(), best.collect());
        canvas.group("lines", || {
            canvas.path(&even, Mark::class("even"));
            let path: Vec<Point> = best.iter().map(|(at, _)| *at).collect();
            canvas.path(&path, Mark::class("best"));
            for (at, tooltip) in &best {
                canvas.circle(*at, 3.6, Mark { class: "ridge", tooltip });
            }
            if let Some((acceptance, gamma)) = self.asked {
                let speed_up = self.speed_up(acceptance, gamma);
                let tooltip = format!("asked: {speed_up:.3} x");
                let mark = Mark { class: "decode opaque", tooltip: &tooltip };
                canvas.diamond(plot.at(acceptance, gamma as f64), 7.0, mark);
            }
        });
    }

    fn description(&self) -> String {
        let best = |acceptance: f64| {
            let best = self.surface.optimum(acceptance);
            format!("{acceptance}: {:.2} x with gamma {}", best.speed_up, best.gamma)
        };
        let rows: Vec<String> = Surface::acceptances().step_by(4).map(best).collect();
        format!("Speed-up over plain decoding. Fastest at acceptance {}.", rows.join("; "))
    }
}

fn draw_cells(canvas: &Canvas, plot: &Plot, bands: &Bands, points: &[SurfacePoint]) {
    let (width, height) = plot.cell();
    canvas.group("cells", || {
        for point in points {
            let class = format!("h{}", bands.of(point.speed_up));
            let tooltip = format!(
                "acceptance {}, gamma {}: {:.3} x",
                point.acceptance, point.cycle.gamma, point.speed_up
            );
            let at = plot.at(point.acceptance, point.cycle.gamma as f64);
            let mark = Mark { class: &class, tooltip: &tooltip };
            canvas.rect(&Rect::around(at, width, height), mark);
        }
    });
}
