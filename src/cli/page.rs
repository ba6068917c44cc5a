//! What a sweep writes beside its CSV: charts, the index page, and the table on the terminal.

use super::error::Error;
use super::page_charts::{comparisons, device_charts};
use crate::graph::shard::Parallel;
use crate::par::Pool;
use crate::report::html::{Card, Cell, Figure, SweepPage};
use crate::report::{Column, Table};
use crate::sweep::{Grid, Row};
use crate::units::three_digits;
use crate::workload::Scenario;

/// Rows that the page and the terminal show; the CSV has all.
const PAGE_ROWS: u64 = 1000;
const TERMINAL_ROWS: usize = 80;
/// Devices that get charts of their own.
const CARDS: usize = 200;

/// Texts to write, and to print.
pub struct SweepReport {
    /// File name in the report folder, and its text.
    pub files: Vec<(String, String)>,
    /// What every row of the table shares.
    pub heading: String,
    /// The table for the terminal.
    pub table: Table,
    /// Lines under it.
    pub remarks: Vec<String>,
}

pub fn render(
    scenario: &Scenario,
    grid: &Grid,
    command: &str,
    pool: &Pool,
) -> Result<SweepReport, Error> {
    let mut rows = vec![];
    grid.for_each(0..grid.len().min(PAGE_ROWS), |_, row| rows.push(cells(row)));
    let (columns, rows, constant) = without_constants(columns(grid), rows);
    let text = |row: &Vec<Cell>| row.iter().map(|c| c.text.clone()).collect();
    let table = Table {
        columns: columns.clone(),
        rows: rows.iter().take(TERMINAL_ROWS).map(text).collect(),
    };
    let (mut files, overview) = comparisons(scenario, grid);
    let shown: Vec<usize> = (0..grid.variants.len().min(CARDS)).collect();
    let charts = pool.map(&shown, |&device| device_charts(scenario, grid, device));
    let mut cards: Vec<Card> = vec![];
    for charts in charts {
        let (card, svgs) = charts?;
        cards.push(card);
        files.extend(svgs);
    }
    let mut remarks = vec![];
    if grid.len() > table.rows.len() as u64 {
        remarks.push(format!(
            "the first {} of {} points; sweep.csv has all",
            table.rows.len(),
            grid.len()
        ));
    }
    let page = page(scenario, grid, command, (columns, rows, &constant), overview, cards);
    files.push(("index.html".to_owned(), page.to_html()));
    Ok(SweepReport { files, heading: constant, table, remarks })
}

fn page(
    scenario: &Scenario,
    grid: &Grid,
    command: &str,
    (summary_columns, rows, constant): (Vec<Column>, Vec<Vec<Cell>>, &str),
    overview: Vec<Figure>,
    cards: Vec<Card>,
) -> SweepPage {
    let mut notes = vec![
        "Times are of kernels mapped onto a device's units, caches and DRAM where its profile has what that needs, with what software stacks were measured to reach on it or on devices like it; elsewhere of the roofline, with dense datasheet peaks times stated efficiencies. Each device lists which, and what is not modelled. TTFT has no queueing; TPOT is the mean of the decode steps.".to_owned(),
        "Energy is TDP x time, or by clocks, bytes and engines where a profile has a measured draw; money is the profile's hourly price x time, one device fully used. Blank: no figure.".to_owned(),
        "Charts show the first technique and the first traffic point of each device.".to_owned(),
    ];
    if grid.len() > PAGE_ROWS {
        notes.push(format!(
            "The table shows the first {PAGE_ROWS} of {} points; sweep.csv has all.",
            grid.len()
        ));
    }
    if grid.variants.len() > CARDS {
        notes.push(format!(
            "Charts are drawn for the first {CARDS} of {} devices.",
            grid.variants.len()
        ));
    }
    let what = if scenario.description.is_empty() { &scenario.name } else { &scenario.description };
    if !constant.is_empty() {
        notes.insert(0, format!("The same in every row: {constant}."));
    }
    SweepPage {
        title: format!("{}: {what}", scenario.name),
        command: command.to_owned(),
        summary_columns,
        rows,
        overview,
        cards,
        notes,
    }
}

/// Columns that say what was asked and hold one value throughout go into a line of text.
fn without_constants(
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
) -> (Vec<Column>, Vec<Vec<Cell>>, String) {
    let asked = ["model", "quant", "parallel", "speculative", "batch", "prompt", "output", "times"];
    let constant = |i: usize| {
        asked.contains(&columns[i].name.as_str())
            && rows.iter().all(|r| r[i].text == rows[0][i].text)
    };
    let (gone, kept): (Vec<usize>, Vec<usize>) = (0..columns.len()).partition(|&i| constant(i));
    let shared = gone.iter().filter_map(|&i| {
        let text = &rows.first()?[i].text;
        if text.is_empty() {
            return None;
        }
        Some(format!("{} {text} {}", columns[i].name, columns[i].unit).trim_end().to_owned())
    });
    let shared: Vec<String> = shared.collect();
    let rows = rows.into_iter().map(|row| {
        let cells = row.into_iter().enumerate();
        cells.filter(|(i, _)| kept.contains(i)).map(|(_, cell)| cell).collect()
    });
    let rows = rows.collect();
    let columns = kept.iter().map(|&i| columns[i].clone()).collect();
    (columns, rows, shared.join(", "))
}

fn columns(grid: &Grid) -> Vec<Column> {
    let mut columns = vec![Column::text("hardware")];
    columns.extend(
        grid.hardware_paths.iter().map(|p| Column::text(p.trim_start_matches("hardware."))),
    );
    columns.extend([
        Column::text("model"),
        Column::text("quant"),
        Column::text("parallel"),
        Column::text("speculative"),
        Column::number("batch", ""),
        Column::number("prompt", "tok"),
        Column::number("output", "tok"),
        Column::number("TTFT", "ms"),
        Column::number("TPOT", "ms"),
        Column::number("throughput", "tok/s"),
        Column::text("decode bound"),
        Column::text("times"),
        Column::number("memory", "GiB"),
        Column::number("of", "GiB"),
        Column::number("max batch", ""),
        Column::number("energy", "J/tok"),
        Column::number("cost", "$/Mtok"),
        Column::text("status"),
    ]);
    columns
}

fn cells(row: &Row<'_>) -> Vec<Cell> {
    let count = |n: u64| Cell::number(n.to_string(), n as f64);
    let mut cells = vec![Cell::link(row.variant.id.to_string(), row.variant.id.to_string())];
    cells.extend(row.variant.settings.iter().map(Cell::text));
    cells.push(Cell::text(&row.technique.model));
    cells.push(Cell::text(row.technique.scheme.name()));
    let parallel = Some(row.technique.plan.parallel).filter(|p| *p != Parallel::ONE);
    cells.push(Cell::text(parallel.map_or(String::new(), |p| p.to_string())));
    cells.push(Cell::text(row.technique.speculative.to_string()));
    cells.extend([row.traffic.batch, row.traffic.prompt, row.traffic.output].map(count));
    let figures = row.figures.as_ref();
    let timed = figures.filter(|_| row.status.shows_times());
    let times = timed.map(|f| &f.summary);
    let ms = |t: crate::units::Seconds| t.get() * 1e3;
    cells.push(number(times.and_then(|s| s.prefill).map(ms)));
    cells.push(number(times.and_then(|s| s.decode_step).map(ms)));
    let tokens = row.traffic.batch as f64 * row.traffic.output as f64;
    cells.push(number(times.map(|s| tokens / s.total.get())));
    cells.push(Cell::text(times.and_then(|s| s.decode_bound).map_or("", |b| row.bound_name(b))));
    cells.push(Cell::text(timed.map_or("", |f| f.fidelity)));
    let gib = |b: crate::units::Bytes| b.get() / f64::from(1 << 30);
    cells.push(number(figures.map(|f| gib(f.summary.memory.total()))));
    cells.push(number(figures.map(|f| gib(f.capacity.capacity))));
    cells.push(figures.map_or_else(Cell::default, |f| count(f.capacity.max_batch)));
    cells.push(number(timed.and_then(|f| f.economics.energy_per_token).map(|v| v.get())));
    cells.push(number(timed.and_then(|f| f.economics.per_million).map(|v| v.get())));
    cells.push(Cell::text(row.status.text()));
    cells
}

/// Three significant digits or more, blank where there is no value.
fn number(value: Option<f64>) -> Cell {
    let Some(value) = value else { return Cell::default() };
    Cell::number(three_digits(value), value)
}
