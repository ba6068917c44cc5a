//! Predicted against measured times: scores as a table and as CSV, rows as CSV, a log-log chart.

use super::legend::{Entry, Sample, draw_legend, legend_height};
use super::logplot::{AxisText, LogPlot, padded};
use super::page::{Head, MARGIN, draw_notes, note_lines, notes_height};
use super::svg::{Canvas, Mark, Rect, Segment};
use super::table::{Column, Table};
use crate::calibrate::{Score, Scored};
use crate::units::Seconds;
use std::collections::BTreeSet;

/// Scores as a table.
pub fn scores_table(scores: &[Score]) -> Table {
    let mut table = Table::new(vec![
        Column::text("op"),
        Column::text("device"),
        Column::text("dtype"),
        Column::number("rows", ""),
        Column::number("median APE", "%"),
        Column::number("mean APE", "%"),
        Column::number("90th APE", "%"),
        Column::number("bias", "%"),
        Column::number("in 80 % interval", "%"),
    ]);
    for score in scores {
        let numbers = [score.median_ape, score.mean_ape, score.p90_ape];
        let mut row =
            vec![score.op.clone(), score.device.clone(), score.dtype.clone(), score.n.to_string()];
        row.extend(numbers.map(|n| format!("{n:.1}")));
        row.push(format!("{:+.1}", score.bias));
        row.push(format!("{:.0}", score.coverage80));
        table.rows.push(row);
    }
    table
}

/// Scores as CSV.
///
/// # Errors
/// None: memory takes every byte.
pub fn scores_csv(scores: &[Score]) -> Result<String, csv::Error> {
    let mut out = csv::Writer::from_writer(vec![]);
    for score in scores {
        out.serialize(score)?;
    }
    Ok(text(out))
}

/// Every row with its prediction; those faster than the datasheet allows are marked.
///
/// # Errors
/// None: memory takes every byte.
pub fn rows_csv(rows: &[Scored], faster: &[Scored]) -> Result<String, csv::Error> {
    let mut out = csv::Writer::from_writer(vec![]);
    out.write_record([
        "op",
        "line",
        "device",
        "dtype",
        "shape",
        "measured_us",
        "predicted_us",
        "error_percent",
        "in_interval",
        "faster_than_datasheet",
    ])?;
    let all = rows.iter().map(|r| (r, false)).chain(faster.iter().map(|r| (r, true)));
    for (row, faster) in all {
        out.write_record([
            row.op.as_str(),
            &row.line.to_string(),
            &row.device,
            &row.dtype,
            &row.shape,
            &format!("{:.4}", row.measured * 1e6),
            &format!("{:.4}", row.predicted * 1e6),
            &format!("{:.2}", row.error()),
            &row.covered.to_string(),
            &faster.to_string(),
        ])?;
    }
    Ok(text(out))
}

fn text(out: csv::Writer<Vec<u8>>) -> String {
    String::from_utf8_lossy(&out.into_inner().unwrap_or_default()).into_owned()
}

/// Predicted over measured times, a colour for each operator.
#[derive(Debug, Clone, Copy)]
pub struct AccuracyChart<'a> {
    /// The rows.
    pub rows: &'a [Scored],
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 620.0;
const GUTTER: f64 = 78.0;
/// Points that are drawn of more rows.
const POINTS: usize = 2500;
/// How far the lines beside the diagonal lie from it.
const BESIDE: f64 = 1.2;
const CLASSES: [&str; 6] = ["c0", "c1", "c3", "c9", "c8", "c6"];

impl AccuracyChart<'_> {
    /// The chart as an SVG file.
    pub fn to_svg(&self) -> String {
        let ops: BTreeSet<&str> = self.rows.iter().map(|r| r.op.as_str()).collect();
        let ops: Vec<&str> = ops.into_iter().collect();
        let class =
            |op: &str| CLASSES[ops.iter().position(|o| *o == op).unwrap_or(0) % CLASSES.len()];
        let title = "Predicted against measured times";
        let subtitle =
            format!("{} measurements; on the line a prediction is right", self.rows.len());
        let head = Head::new(title, &subtitle, WIDTH);
        let mut entries: Vec<Entry<'_>> = ops
            .iter()
            .map(|op| Entry { sample: Sample::Circle(4.0, class(op)), text: (*op).to_owned() })
            .collect();
        entries.push(Entry { sample: Sample::Line("drop"), text: "20 % beside it".to_owned() });
        let room = WIDTH - 2.0 * MARGIN;
        let legend = head.height() + 6.0;
        let top = legend + legend_height(&entries, room) + 12.0;
        let frame = Rect::new(MARGIN + GUTTER, top, room - GUTTER, HEIGHT);
        let every = self.rows.len().div_ceil(POINTS).max(1);
        let mut notes = vec![];
        if every > 1 {
            notes.push(format!("one of {every} rows is drawn; the scores are over all"));
        }
        let notes = note_lines(&notes, WIDTH);
        let under = frame.bottom + 54.0;
        let canvas = Canvas::new(WIDTH, under + notes_height(&notes));
        head.draw(&canvas);
        draw_legend(&canvas, super::svg::Point::new(MARGIN, legend), room, &entries);
        let both = self.rows.iter().flat_map(|r| [r.measured, r.predicted]);
        let range = padded(both, 0.1, 1.0);
        let plot = LogPlot::new(frame, range.clone(), range.clone());
        plot.draw_grid(&canvas);
        canvas.group("lines", || {
            for (factor, class) in [(1.0, "roof"), (BESIDE, "drop"), (1.0 / BESIDE, "drop")] {
                let (from, to) = (range.start * BESIDE, range.end / BESIDE);
                let ends = [from, to].map(|x| plot.at(x, x * factor));
                canvas.line(Segment::new(ends[0], ends[1]), Mark::class(class));
            }
        });
        canvas.group("rows", || {
            for row in self.rows.iter().step_by(every) {
                let at = plot.at(row.measured, row.predicted);
                let tip = format!(
                    "{} line {}: {} {}: {} measured, {} predicted",
                    row.op,
                    row.line,
                    row.device,
                    row.shape,
                    Seconds::new(row.measured),
                    Seconds::new(row.predicted)
                );
                canvas.circle(at, 2.2, Mark { class: class(&row.op), tooltip: &tip });
            }
        });
        let tick =
            |v: f64| super::Axis::new("", "s", super::Prefixes::Si, super::Better::Lower).tick(v);
        plot.draw_axes(
            &canvas,
            &AxisText { title: "Measured (s)", tick: &tick },
            &AxisText { title: "Predicted (s)", tick: &tick },
            GUTTER,
        );
        draw_notes(&canvas, under, &notes);
        let description = format!("{} rows of {}", self.rows.len(), ops.join(", "));
        canvas.finish(title, &description)
    }
}
