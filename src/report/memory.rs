//! Memory of each device against its capacity: weights, KV cache and activations, stacked.

use super::axis::{Axis, Better, Prefixes};
use super::legend::{Entry, Sample, draw_legend, legend_height};
use super::page::{Head, MARGIN, draw_notes, note_lines, notes_height};
use super::step::Limit;
use super::svg::{
    Align, Canvas, Mark, Point, Rect, Segment, Text, Type, Weight, ellipsis, text_width,
};
use crate::units::Bytes;

/// What the chart shows.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryChart {
    /// The question.
    pub title: String,
    /// Workload.
    pub subtitle: String,
    /// One bar per device, from the top.
    pub stacks: Vec<MemoryStack>,
    /// Footnotes.
    pub notes: Vec<String>,
}

/// What a device holds, and what it can hold.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryStack {
    /// The device, or its rank.
    pub label: String,
    /// Name and bytes of each part, in order from the axis; parts of one name share a colour.
    pub parts: Vec<(String, Bytes)>,
    /// Its DRAM.
    pub capacity: Bytes,
}

const WIDTH: f64 = 960.0;
const STEP: f64 = 24.0;
const BAR: f64 = 15.0;
const MOST_LABEL: f64 = 250.0;
const VALUES: f64 = 150.0;
/// Longest bar, in multiples of the most that any device holds.
const CUT: f64 = 4.0;
/// Colours of the parts, in order of first appearance.
const CLASSES: [&str; 6] = ["c0", "c9", "c3", "c2", "c5", "c4"];

impl MemoryStack {
    /// Everything it holds.
    pub fn total(&self) -> Bytes {
        self.parts.iter().map(|(_, bytes)| *bytes).sum()
    }

    /// Whether it holds no more than it can.
    pub fn fits(&self) -> bool {
        self.total() <= self.capacity
    }
}

/// Where names end and bars run.
struct Columns {
    left: f64,
    right: f64,
    most: f64,
}

impl Columns {
    fn at(&self, bytes: Bytes) -> f64 {
        self.left + (bytes.get() / self.most).min(1.0) * (self.right - self.left)
    }
}

impl MemoryChart {
    /// The chart as an SVG file.
    pub fn to_svg(&self) -> String {
        let head = Head::new(&self.title, &self.subtitle, WIDTH);
        let (columns, legend) = (self.columns(), self.legend());
        let room = WIDTH - 2.0 * MARGIN;
        let top = head.height() + legend_height(&legend, room) + 8.0;
        let bottom = top + STEP * self.stacks.len() as f64 + 4.0;
        let mut notes = self.notes.clone();
        if self.stacks.iter().any(|s| s.capacity.get() > columns.most) {
            notes.push(format!("Bars are cut at {CUT} times the most that a device holds."));
        }
        let notes = note_lines(&notes, WIDTH);
        let canvas = Canvas::new(WIDTH, bottom + notes_height(&notes));
        head.draw(&canvas);
        draw_legend(&canvas, Point::new(MARGIN, head.height()), room, &legend);
        canvas.group("stacks", || {
            for (i, stack) in self.stacks.iter().enumerate() {
                self.draw_stack(&canvas, &columns, top + STEP * i as f64, stack);
            }
        });
        draw_notes(&canvas, bottom, &notes);
        canvas.finish(&self.title, &self.description())
    }

    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = vec![];
        for (name, _) in self.stacks.iter().flat_map(|s| &s.parts) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    fn class(&self, name: &str) -> &'static str {
        let place = self.names().iter().position(|n| *n == name).unwrap_or(0);
        CLASSES[place % CLASSES.len()]
    }

    fn legend(&self) -> Vec<Entry<'static>> {
        let square = |class, text: &str| Entry {
            sample: Sample::Square(class, Limit::Compute),
            text: text.to_owned(),
        };
        let parts = self.names().into_iter().map(|name| square(self.class(name), name));
        let mut legend: Vec<Entry<'static>> = parts.collect();
        legend.push(square("track", "free"));
        if self.stacks.iter().any(|s| !s.fits()) {
            let sample = Sample::Square("neutral", Limit::Memory);
            legend.push(Entry { sample, text: "beyond the capacity".to_owned() });
        }
        legend
    }

    fn columns(&self) -> Columns {
        let size = Type::Small.size();
        let names = self.stacks.iter().map(|s| text_width(&s.label, size, Weight::Regular));
        let most = self.stacks.iter().map(|s| s.total().max(s.capacity).get());
        let most = most.fold(f64::MIN_POSITIVE, f64::max);
        Columns {
            left: MARGIN + names.fold(0.0, f64::max).min(MOST_LABEL) + 10.0,
            right: WIDTH - MARGIN - VALUES,
            most: self.cut().map_or(most, |cut| most.min(cut)),
        }
    }

    /// Where bars are cut, so that what is held stays legible beside a large capacity.
    fn cut(&self) -> Option<f64> {
        let held = self.stacks.iter().map(|s| s.total().get()).fold(0.0, f64::max);
        (held > 0.0).then_some(CUT * held)
    }

    fn draw_stack(&self, canvas: &Canvas, columns: &Columns, top: f64, stack: &MemoryStack) {
        let base = top + BAR - 3.5;
        let size = Type::Small.size();
        let name = ellipsis(&stack.label, size, Weight::Regular, MOST_LABEL);
        let name = Text::new(&name, Type::Small, "text").align(Align::End);
        canvas.text(Point::new(columns.left - 9.0, base), &name);
        let span = |from: Bytes, to: Bytes| {
            Rect::new(columns.at(from), top, columns.at(to) - columns.at(from), BAR)
        };
        canvas.rect(&span(Bytes::ZERO, stack.capacity), Mark::class("track"));
        let mut from = Bytes::ZERO;
        for (name, bytes) in &stack.parts {
            let tooltip = format!("{}\n{name}: {}", stack.label, shown(*bytes));
            let mark = Mark { class: self.class(name), tooltip: &tooltip };
            canvas.rect(&span(from, from + *bytes), mark);
            from += *bytes;
        }
        if !stack.fits() {
            canvas.rect(&span(stack.capacity, from), Mark::class("diagonal"));
        }
        if stack.capacity.get() <= columns.most {
            let x = columns.at(stack.capacity);
            let ends = [top - 3.0, top + BAR + 3.0].map(|y| Point::new(x, y));
            canvas.line(Segment::new(ends[0], ends[1]), Mark::class("roof"));
        }
        let text = format!("{} of {}", shown(from), shown(stack.capacity));
        let class = if stack.fits() { "text" } else { "strong" };
        let text = Text::new(&text, Type::Small, class).align(Align::End);
        canvas.text(Point::new(WIDTH - MARGIN, base), &text);
    }

    fn description(&self) -> String {
        let row = |s: &MemoryStack| {
            let parts = s.parts.iter().map(|(name, bytes)| format!("{name} {}", shown(*bytes)));
            let parts: Vec<String> = parts.collect();
            format!("{}: {} of {}", s.label, parts.join(", "), shown(s.capacity))
        };
        let rows: Vec<String> = self.stacks.iter().map(row).collect();
        format!("Memory against capacity. {}.", rows.join("; "))
    }
}

fn shown(bytes: Bytes) -> String {
    Axis::new("memory", "B", Prefixes::Si, Better::Lower).value(bytes.get())
}
