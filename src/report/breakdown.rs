//! Where the time goes: one stacked bar per phase, and under it the same as a table.

use super::legend::{Entry, Sample, draw_legend, draw_textured};
use super::page::{Head, MARGIN, draw_notes, note_lines, notes_height, percent};
use super::step::{Limit, Phase};
use super::svg::{Align, Canvas, Mark, Point, Rect, Segment, Text, Type, Weight, ellipsis};
use crate::units::Seconds;

/// What a breakdown shows.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakdownChart {
    /// Device and model.
    pub title: String,
    /// Batch, context, format.
    pub subtitle: String,
    /// One bar each.
    pub phases: Vec<PhaseBreakdown>,
    /// Footnotes.
    pub notes: Vec<String>,
}

/// One phase's time.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseBreakdown {
    /// Which phase.
    pub phase: Phase,
    /// Its operators, in the order of the graph.
    pub parts: Vec<BreakdownPart>,
    /// What 80 % of measurements lie between, where kernels are mapped.
    pub range: Option<[Seconds; 2]>,
}

/// One operator's time.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakdownPart {
    /// The operator.
    pub operator: String,
    /// Its time, all layers together.
    pub time: Seconds,
    /// The kind of its limit: the texture.
    pub limit: Limit,
    /// What limits it, in words.
    pub bound: String,
    /// Further lines of the tooltip.
    pub detail: String,
}

const WIDTH: f64 = 960.0;
const BAR: f64 = 44.0;
const BAR_STEP: f64 = 88.0;
const BAR_LEFT: f64 = 148.0;
const ROW: f64 = 21.0;
/// Offsets of the table's columns in a phase: ends of time and share, start of the bound.
const TIME: f64 = 84.0;
const SHARE: f64 = 140.0;
const BOUND: f64 = 158.0;
/// Operators with a colour of their own; the rest share the last.
const COLORS: usize = 11;

/// An operator's row, with its colour in every phase.
struct Row<'a> {
    operator: &'a str,
    class: String,
}

impl PhaseBreakdown {
    /// The phase's time.
    pub fn total(&self) -> Seconds {
        self.parts.iter().map(|p| p.time).sum()
    }

    fn share(&self, time: Seconds) -> f64 {
        let total = self.total();
        if total > Seconds::ZERO { time / total } else { 0.0 }
    }
}

impl BreakdownChart {
    /// The chart as an SVG file.
    pub fn to_svg(&self) -> String {
        let rows = self.rows();
        let head = Head::new(&self.title, &self.subtitle, WIDTH);
        let bars = head.height() + 34.0;
        let table = bars + BAR_STEP * self.phases.len() as f64 + 16.0;
        let bottom = table + ROW * (rows.len() as f64 + 1.0) + 10.0;
        let notes = note_lines(&self.notes, WIDTH);
        let canvas = Canvas::new(WIDTH, bottom + notes_height(&notes));
        head.draw(&canvas);
        let legend = Point::new(MARGIN, head.height());
        draw_legend(&canvas, legend, WIDTH - 2.0 * MARGIN, &self.legend_entries());
        for (index, phase) in self.phases.iter().enumerate() {
            let id = format!("{}-bar", phase.phase.name());
            canvas.group(&id, || draw_bar(&canvas, bars + BAR_STEP * index as f64, phase, &rows));
        }
        canvas.group("table", || self.draw_table(&canvas, table, &rows));
        draw_notes(&canvas, bottom, &notes);
        canvas.finish(&format!("{}, time by operator", self.title), &self.description())
    }

    /// The textures that occur, and what they mean.
    fn legend_entries(&self) -> Vec<Entry<'static>> {
        let parts = || self.phases.iter().flat_map(|p| &p.parts);
        let occurs = |limit: &Limit| parts().any(|p| p.limit == *limit);
        let entry = |limit: Limit| Entry {
            sample: Sample::Square("neutral", limit),
            text: format!("{} bound", limit.name()),
        };
        Limit::ALL.into_iter().filter(occurs).map(entry).collect()
    }

    /// Operators by the larger of their shares, so that colours mean the same in every bar.
    fn rows(&self) -> Vec<Row<'_>> {
        let mut ranked: Vec<(&str, f64)> = vec![];
        for phase in &self.phases {
            for part in &phase.parts {
                let share = phase.share(part.time);
                match ranked.iter_mut().find(|(name, _)| *name == part.operator) {
                    Some(row) => row.1 = row.1.max(share),
                    None => ranked.push((&part.operator, share)),
                }
            }
        }
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        let class = |index: usize| format!("c{}", index.min(COLORS));
        let rows = ranked.into_iter().enumerate();
        rows.map(|(index, (operator, _))| Row { operator, class: class(index) }).collect()
    }

    fn draw_table(&self, canvas: &Canvas, top: f64, rows: &[Row<'_>]) {
        let column = |index: usize| {
            let room = WIDTH - MARGIN - 230.0;
            230.0 + room / self.phases.len().max(1) as f64 * index as f64
        };
        let head = |x: f64, text: &str, align: Align| {
            let text = Text::new(text, Type::Small, "strong").align(align);
            canvas.text(Point::new(x, top + 14.0), &text);
        };
        head(MARGIN + 20.0, "operator", Align::Start);
        for (index, phase) in self.phases.iter().enumerate() {
            head(column(index) + TIME, &format!("{} time", phase.phase.name()), Align::End);
            head(column(index) + SHARE, "share", Align::End);
            head(column(index) + BOUND, "bound by", Align::Start);
        }
        for (number, row) in rows.iter().enumerate() {
            let base = top + ROW * (number as f64 + 1.0) + 14.0;
            let rule = [MARGIN, WIDTH - MARGIN].map(|x| Point::new(x, base - 14.0));
            canvas.line(Segment::new(rule[0], rule[1]), Mark::class("grid"));
            let swatch = Rect::new(MARGIN, base - 10.5, 13.0, 13.0);
            canvas.rect(&swatch, Mark::class(&format!("{} edge", row.class)));
            let name = ellipsis(row.operator, Type::Small.size(), Weight::Regular, 180.0);
            canvas.text(Point::new(MARGIN + 20.0, base), &Text::new(&name, Type::Small, "text"));
            for (index, phase) in self.phases.iter().enumerate() {
                draw_cells(canvas, Point::new(column(index), base), phase, row);
            }
        }
    }

    fn description(&self) -> String {
        let phase = |p: &PhaseBreakdown| {
            let part = |b: &BreakdownPart| format!("{} {} ({})", b.operator, b.time, b.bound);
            let parts: Vec<String> = p.parts.iter().map(part).collect();
            let within = p.range.map_or(String::new(), |[a, b]| format!(" (80 %: {a} to {b})"));
            format!("{}, {}{within} in all: {}.", p.phase.name(), p.total(), parts.join("; "))
        };
        let phases: Vec<String> = self.phases.iter().map(phase).collect();
        format!("Time by operator. {}", phases.join(" "))
    }
}

/// Time, share and bound of one operator in one phase; its times add up where it occurs twice.
fn draw_cells(canvas: &Canvas, at: Point, phase: &PhaseBreakdown, row: &Row<'_>) {
    let parts = || phase.parts.iter().filter(|p| p.operator == row.operator);
    let Some(first) = parts().next() else {
        canvas.text(at.shifted(TIME, 0.0), &Text::new("–", Type::Small, "muted").align(Align::End));
        return;
    };
    let time: Seconds = parts().map(|p| p.time).sum();
    let (share, time) = (percent(phase.share(time)), time.to_string());
    canvas.text(at.shifted(TIME, 0.0), &Text::new(&time, Type::Small, "text").align(Align::End));
    canvas.text(at.shifted(SHARE, 0.0), &Text::new(&share, Type::Small, "text").align(Align::End));
    let bound = ellipsis(&first.bound, Type::Small.size(), Weight::Regular, 170.0);
    canvas.text(at.shifted(BOUND, 0.0), &Text::new(&bound, Type::Small, "muted"));
}

/// One phase: its name and total at the left, its parts in the table's order.
fn draw_bar(canvas: &Canvas, top: f64, phase: &PhaseBreakdown, rows: &[Row<'_>]) {
    let middle = top + BAR / 2.0;
    let name = phase.phase.name();
    canvas.text(Point::new(MARGIN, middle - 8.0), &Text::new(name, Type::Body, "strong"));
    let total = phase.total().to_string();
    canvas.text(Point::new(MARGIN, middle + 7.0), &Text::new(&total, Type::Small, "muted"));
    if let Some([low, high]) = phase.range {
        let within = format!("{low} to {high}");
        canvas.text(Point::new(MARGIN, middle + 20.0), &Text::new(&within, Type::Note, "muted"));
    }
    let room = WIDTH - MARGIN - BAR_LEFT;
    let mut left = BAR_LEFT;
    for row in rows {
        for part in phase.parts.iter().filter(|p| p.operator == row.operator) {
            let width = phase.share(part.time) * room;
            let rect = Rect::new(left, top, width, BAR);
            draw_textured(canvas, &rect, &row.class, part.limit, &tooltip(phase, part));
            draw_name(canvas, &rect, part, phase.share(part.time));
            left += width;
        }
    }
}

/// Name and value under the part, each where it fits.
fn draw_name(canvas: &Canvas, rect: &Rect, part: &BreakdownPart, share: f64) {
    let (time, share) = (part.time.to_string(), percent(share));
    let fits = |text: &Text<'_>| text.width() + 5.0 <= rect.width();
    let name = Text::new(&part.operator, Type::Small, "text");
    if !fits(&name) {
        return;
    }
    canvas.text(Point::new(rect.left + 1.0, rect.bottom + 14.0), &name);
    for value in [format!("{time}, {share}"), share] {
        let value = Text::new(&value, Type::Note, "muted");
        if fits(&value) {
            return canvas.text(Point::new(rect.left + 1.0, rect.bottom + 28.0), &value);
        }
    }
}

fn tooltip(phase: &PhaseBreakdown, part: &BreakdownPart) -> String {
    let mut lines = vec![
        format!("{} ({})", part.operator, phase.phase.name()),
        format!("{}, {}", part.time, percent(phase.share(part.time))),
        format!("bound: {}", part.bound),
    ];
    lines.extend(part.detail.lines().map(str::to_owned));
    lines.join("\n")
}
