//! Measured tables from files, and the devices that their names mean.

use super::catalog;
use super::error::Error;
use super::files;
use crate::calibrate::{self, Measured, hardware_of};
use crate::diagnostic::Diagnostic;
use crate::hardware::Machine;
use crate::hardware::{Fidelity, bundled};
use crate::mapped::calibration::{self, Calibration, Tuning};
use crate::mapped::{Chip, NotMapped};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

/// Largest table that is read, bytes: some millions of rows.
const LARGEST: usize = 256 << 20;

/// Tables, and which profile a device's name in them means.
#[derive(Debug, clap::Args)]
pub struct MeasuredArgs {
    /// Measured tables: CSV files in the schema of `tools/measure.py`
    #[arg(required = true, value_name = "DATA.csv")]
    pub data: Vec<String>,
    /// The device that a name in the tables means: NAME=HARDWARE, an id or a profile YAML
    #[arg(long, value_name = "NAME=HARDWARE", value_parser = mapping)]
    pub map: Vec<(String, String)>,
    /// Calibration files beside the bundled ones; the last goes first
    #[arg(long, value_name = "FILE")]
    pub calibration: Vec<String>,
}

fn mapping(text: &str) -> Result<(String, String), String> {
    let (name, hardware) = text.split_once('=').ok_or("expected NAME=HARDWARE")?;
    if name.is_empty() || hardware.is_empty() {
        return Err("expected NAME=HARDWARE, such as my-gpu=h100-sxm".to_owned());
    }
    Ok((name.to_owned(), hardware.to_owned()))
}

/// A device as kernels see it, or why they do not.
#[derive(Debug)]
pub struct Device {
    /// Id of its profile.
    pub id: String,
    /// Its figures.
    pub chip: Result<Chip, NotMapped>,
    /// The device.
    pub machine: Machine,
}

impl MeasuredArgs {
    /// The tables.
    pub fn read(&self) -> Result<Vec<Measured>, Error> {
        let twice = |i: &usize| self.data[..*i].contains(&self.data[*i]);
        if let Some(i) = (1..self.data.len()).find(twice) {
            return Err(Diagnostic::new(format!("{} is named twice", self.data[i])).into());
        }
        let read = |file: &String| -> Result<Measured, Error> {
            let op = Path::new(file).file_stem().and_then(|s| s.to_str()).unwrap_or(file);
            let source = files::read_within(file, LARGEST)?;
            Ok(calibrate::read(op, file, &source.text)?)
        };
        self.data.iter().map(read).collect()
    }

    /// The devices of rows by their names in the tables.
    pub fn devices(&self, tables: &[Measured]) -> Result<BTreeMap<String, Device>, Error> {
        let mut found = BTreeMap::new();
        for table in tables {
            let kernels = table.rows.iter().map(|r| (&r.device, r.line));
            let requests = table.requests.iter().map(|r| (&r.device, r.line));
            for (name, line) in kernels.chain(requests) {
                if !found.contains_key(name.as_ref()) {
                    found.insert(name.to_string(), self.device(name, (&table.file, line))?);
                }
            }
        }
        Ok(found)
    }

    /// What is said of mappings whose name no row has.
    pub fn unused(&self, devices: &BTreeMap<String, Device>) -> String {
        let of = |(name, _): &(String, String)| {
            let unknown = Diagnostic::unknown("device", name, devices.keys().map(String::as_str));
            let hint = unknown.hint.unwrap_or_default();
            format!("--map {name}: no row is of it; {hint}\n")
        };
        self.map.iter().filter(|(name, _)| !devices.contains_key(name)).map(of).collect()
    }

    fn device(&self, name: &str, (file, line): (&str, u64)) -> Result<Device, Error> {
        let ids = bundled::ids();
        let mapped = self.map.iter().find(|(from, _)| from == name).map(|(_, to)| to.as_str());
        let Some(hardware) = mapped.or_else(|| hardware_of(name, &ids)) else {
            let unknown = Diagnostic::unknown("device", name, ids);
            let hint = unknown.hint.clone().unwrap_or_default();
            let hint = format!(
                "{file} line {line} has it; say which it is with --map {name}=HARDWARE; {hint}"
            );
            return Err(unknown.hint(hint).into());
        };
        device(hardware)
    }

    /// The bundled calibrations with those that were given before them.
    pub fn tuning(&self) -> Result<Tuning, Error> {
        let mut tuning = bundled_tuning()?;
        for file in &self.calibration {
            let calibration = Calibration::parse(&files::read(file)?)?;
            let chip = self.calibrated(&calibration.hardware)?.chip.map_err(not_mapped)?;
            tuning = tuning.with(chip, calibration);
        }
        Ok(tuning)
    }

    /// The device of a calibration: one that a name is mapped to, else a bundled one.
    fn calibrated(&self, id: &str) -> Result<Device, Error> {
        for (_, hardware) in &self.map {
            let mapped = device(hardware)?;
            if mapped.id == id {
                return Ok(mapped);
            }
        }
        device(id)
    }
}

/// The bundled calibrations, read once.
pub fn bundled_tuning() -> Result<Tuning, Error> {
    static READ: OnceLock<Tuning> = OnceLock::new();
    if let Some(tuning) = READ.get() {
        return Ok(tuning.clone());
    }
    let tuning = Tuning::new(calibration::bundled::all()?, |id| device(id).ok()?.chip.ok());
    Ok(READ.get_or_init(|| tuning).clone())
}

/// A device by id or path.
pub fn device(hardware: &str) -> Result<Device, Error> {
    let profile = catalog::hardware(hardware)?;
    let machine = Machine::compile(&profile, Fidelity::Realistic);
    Ok(Device { id: profile.id.to_string(), chip: Chip::new(&machine), machine })
}

/// What is said of a device that kernels cannot be mapped onto.
pub fn not_mapped(error: NotMapped) -> Error {
    let hint = "give these figures in a profile that extends it";
    Diagnostic::new(error.to_string()).hint(hint).into()
}
