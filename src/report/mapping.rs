//! How kernels are mapped, and what would make them faster: as a table and as lines.

use super::table::{Column, Table};
use crate::cost::{MappedPart, PhaseCost};
use crate::mapped::{Kind, Lever};
use crate::units::Seconds;
use serde::Serialize;
use std::fmt::Write;

/// The least gain that is worth a word.
const WORTH: f64 = 1.03;
/// Levers that are named.
const NAMED: usize = 2;

/// The mapped kernels of a phase; `None` where all take the roofline's time.
pub fn mapping_table(phase: &PhaseCost) -> Option<Table> {
    let mut table = Table::new(vec![
        Column::text("operator"),
        Column::text("kernel"),
        Column::text("shape"),
        Column::number("tile", ""),
        Column::number("split", ""),
        Column::number("waves", ""),
        Column::number("in cache", "%"),
        Column::text("80 % of a launch"),
        Column::text("faster with"),
    ]);
    for operator in &phase.operators {
        for part in &operator.mapping {
            table.rows.push(row(&operator.name, part));
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

fn row(operator: &str, part: &MappedPart) -> Vec<String> {
    let mapped = &part.mapped;
    let tiled = tiled(part);
    let or_none = |shown: bool, text: String| if shown { text } else { "-".to_owned() };
    let [low, high] = part.range;
    vec![
        operator.to_owned(),
        kernel(part),
        part.shape.words(),
        or_none(tiled, format!("{:.0} x {:.0}", mapped.tile.0, mapped.tile.1)),
        or_none(tiled, format!("{:.0}", mapped.split)),
        or_none(tiled, format!("{:.2}", mapped.waves)),
        or_none(caches(part), format!("{:.0}", 100.0 * mapped.resident)),
        format!("{low} to {high}"),
        levers(&part.gains),
    ]
}

/// Whether a part is cut into tiles.
fn tiled(part: &MappedPart) -> bool {
    part.mapped.tile.0 > 0.0
}

/// Whether a part reads and writes through the cache.
fn caches(part: &MappedPart) -> bool {
    !matches!(part.shape.kind(), Kind::AllReduce | Kind::Exchange)
}

/// The kind of kernel, with the format that products and attention are told by.
fn kernel(part: &MappedPart) -> String {
    match part.shape.kind() {
        kind @ Kind::Stream => kind.name().to_owned(),
        kind => format!("{} {}", kind.name(), part.format),
    }
}

/// `DRAM bandwidth x2: 1.62 x, no launch: 1.12 x`.
fn levers(gains: &[(Lever, f64)]) -> String {
    let worth = gains.iter().filter(|(_, gain)| *gain >= WORTH).take(NAMED);
    let words: Vec<String> =
        worth.map(|(lever, gain)| format!("{}: {gain:.2} x", lever.words())).collect();
    if words.is_empty() { "nothing alone".to_owned() } else { words.join(", ") }
}

/// Lines that say how the time of one launch follows from its mapping.
pub fn mapping_lines(parts: &[MappedPart]) -> String {
    let mut text = String::new();
    for part in parts {
        let mapped = &part.mapped;
        let _ = writeln!(text, "  mapped as {}: {}", kernel(part), part.shape.words());
        if tiled(part) {
            let (rows, columns) = mapped.tile;
            let _ = writeln!(
                text,
                "    tile {rows:.0} x {columns:.0}, split {:.0}, {:.2} waves: units {}",
                mapped.split,
                mapped.waves,
                Seconds::new(mapped.units)
            );
        }
        if caches(part) {
            let (resident, dram) = (100.0 * mapped.resident, Seconds::new(mapped.dram));
            let _ = writeln!(text, "    {resident:.0} % in the cache already: DRAM {dram}");
        }
        let [low, high] = part.range;
        let _ = writeln!(
            text,
            "    time {}, 80 %: {low} to {high} ({}, {})",
            Seconds::new(mapped.seconds),
            part.basis,
            part.origin
        );
        let _ = writeln!(text, "    faster with {}", levers(&part.gains));
    }
    text
}

/// A mapped part in JSON.
#[derive(Debug, Serialize)]
pub struct MappingJson {
    kind: &'static str,
    format: &'static str,
    shape: String,
    tile: Option<[f64; 2]>,
    split: Option<f64>,
    waves: Option<f64>,
    resident: Option<f64>,
    units_s: f64,
    dram_s: f64,
    time_s: f64,
    time_s_low: f64,
    time_s_high: f64,
    basis: &'static str,
    origin: String,
    gains: Vec<GainJson>,
}

#[derive(Debug, Serialize)]
struct GainJson {
    with: &'static str,
    times_as_fast: f64,
}

/// Parts in JSON.
pub fn mapping_json(parts: &[MappedPart]) -> Vec<MappingJson> {
    let gain =
        |(lever, gain): &(Lever, f64)| GainJson { with: lever.words(), times_as_fast: *gain };
    let part = |p: &MappedPart| MappingJson {
        kind: p.shape.kind().name(),
        format: p.format,
        shape: p.shape.words(),
        tile: tiled(p).then_some([p.mapped.tile.0, p.mapped.tile.1]),
        split: tiled(p).then_some(p.mapped.split),
        waves: tiled(p).then_some(p.mapped.waves),
        resident: caches(p).then_some(p.mapped.resident),
        units_s: p.mapped.units,
        dram_s: p.mapped.dram,
        time_s: p.mapped.seconds,
        time_s_low: p.range[0].get(),
        time_s_high: p.range[1].get(),
        basis: p.basis.name(),
        origin: p.origin.clone(),
        gains: p.gains.iter().map(gain).collect(),
    };
    parts.iter().map(part).collect()
}
