//! `cosim hardware`: the bundled devices and one's own.

use super::catalog;
use super::error::Error;
use super::files;
use super::terminal;
use crate::hardware::{self, Fidelity, Hardware, Machine};
use crate::report::{Column, Table};
use clap::Subcommand;

/// What to do with hardware profiles.
#[derive(Debug, Subcommand)]
pub enum HardwareCommand {
    /// List the bundled devices
    List {
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
    /// Show every figure of a device with its basis and citation
    Show {
        /// Device id or profile YAML
        device: String,
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
    /// Check a profile
    Check {
        /// Profile YAML
        file: String,
    },
    /// Print the JSON Schema of profiles
    Schema,
}

pub fn run(command: &HardwareCommand) -> Result<(), Error> {
    match command {
        HardwareCommand::List { json } => list(*json),
        HardwareCommand::Show { device, json } => show(&catalog::hardware(device)?, *json),
        HardwareCommand::Check { file } => check(file),
        HardwareCommand::Schema => files::print(&format!("{:#}\n", hardware::schema())),
    }
}

fn list(json: bool) -> Result<(), Error> {
    let devices: Result<Vec<Hardware>, _> =
        hardware::bundled::ids().into_iter().map(catalog::hardware).collect();
    let devices = devices?;
    if json {
        let ids: Vec<_> = devices
            .iter()
            .map(|d| serde_json::json!({"id": &*d.id, "name": &*d.name, "vendor": d.vendor.as_deref(), "year": d.year}))
            .collect();
        return files::print(&format!("{:#}\n", serde_json::Value::from(ids)));
    }
    let mut table = Table::new(vec![
        Column::text("id"),
        Column::text("name"),
        Column::number("16-bit matrix", ""),
        Column::number("DRAM", ""),
        Column::number("bandwidth", ""),
        Column::number("TDP", ""),
        Column::number("$ / h", ""),
    ]);
    for device in &devices {
        table.rows.push(list_row(device).to_vec());
    }
    files::print(&table.to_terminal(terminal::shape()))
}

fn list_row(device: &Hardware) -> [String; 7] {
    let machine = Machine::compile(device, Fidelity::Ideal);
    let blank = || "-".to_owned();
    let rate = machine.matrix(crate::dtype::Compute::Native16).ok();
    let bandwidth = machine.levels[machine.dram].bandwidth;
    [
        device.id.to_string(),
        device.name.to_string(),
        rate.map_or_else(blank, |e| e.rate.peak.to_string()),
        format!("{:.0} GiB", machine.capacity.get() / f64::from(1 << 30)),
        bandwidth.map_or_else(blank, |b| b.to_string()),
        machine.tdp.map_or_else(blank, |p| p.value.to_string()),
        machine.price(None).map_or_else(|_| blank(), |p| format!("{:.2}", p.price.value.get())),
    ]
}

fn show(device: &Hardware, json: bool) -> Result<(), Error> {
    if json {
        let rows: Vec<_> = device
            .describe()
            .iter()
            .map(|r| serde_json::json!({"path": &*r.path, "value": &*r.value, "basis": r.basis, "citation": &*r.citation, "note": r.note.as_deref()}))
            .collect();
        return files::print(&format!("{:#}\n", serde_json::Value::from(rows)));
    }
    let mut table = Table::new(vec![
        Column::text("figure"),
        Column::number("value", ""),
        Column::text("basis"),
        Column::text("citation"),
        Column::text("note"),
    ]);
    for row in device.describe() {
        let text = |t: &Option<std::sync::Arc<str>>| t.as_deref().unwrap_or("").to_owned();
        table.rows.push(vec![
            row.path.to_string(),
            row.value.to_string(),
            row.basis.to_string(),
            row.citation.to_string(),
            text(&row.note),
        ]);
    }
    let machine = Machine::compile(device, Fidelity::Realistic);
    let mut text =
        format!("{} ({})\n{}", device.name, device.id, table.to_terminal(terminal::shape()));
    for missing in &machine.not_modelled {
        text += &format!("not modelled: {missing}\n");
    }
    for fallback in &machine.fallbacks {
        text += &format!("fallback: {fallback}\n");
    }
    files::print(&text)
}

fn check(file: &str) -> Result<(), Error> {
    let device = catalog::hardware(file)?;
    let machine = Machine::compile(&device, Fidelity::Realistic);
    let mut text = format!("{file}: {} ({}) is a valid profile\n", device.name, device.id);
    for warning in device.warnings() {
        text += &format!("warning: {warning}\n");
    }
    for missing in &machine.not_modelled {
        text += &format!("not modelled: {missing}\n");
    }
    for fallback in &machine.fallbacks {
        text += &format!("fallback: {fallback}\n");
    }
    files::print(&text)
}
