//! What a stack's host takes, and what its steps reach where kernels were not timed: fitted to whole requests.

use super::price::{Priced, Unpriced};
use super::table::RequestRow;
use crate::calibrate::score::{Score, Scored, score};
use crate::calibrate::solve::{Sample, Solution, interval, solve};
use crate::calibrate::split::{Half, half};
use crate::cost::Silicon;
use crate::hardware::Machine;
use crate::mapped::calibration::{Fitted, Interval, Kernels, Tuning, Wanted};
use crate::mapped::{Chip, Kind, Parameter};
use crate::provenance::Basis;

/// A device with the requests that were measured on it.
#[derive(Debug, Clone)]
pub struct Device<'a> {
    /// Id of its profile.
    pub hardware: &'a str,
    /// Its figures.
    pub chip: &'a Chip,
    /// The device.
    pub machine: &'a Machine,
    /// Its rows.
    pub rows: Vec<&'a RequestRow>,
}

/// What was fitted to requests.
#[derive(Debug, Clone)]
pub struct RequestFit {
    /// For each device, by its place.
    pub kernels: Vec<Kernels>,
    /// Scores of the half of the rows that the other half's fit has not seen.
    pub scores: Vec<Score>,
    /// Names of parameters that the rows do not tell, each with its device; the host's are of all.
    pub held: Vec<String>,
    /// Lines without a predicted time, and why.
    pub left: Vec<(u64, Unpriced)>,
}

/// Rows for each parameter, at least.
const ROWS_PER_PARAMETER: usize = 2;

/// What is fitted to each device, and where its values begin among all.
struct Layout {
    kinds: Vec<Vec<(Kind, usize)>>,
    parameters: Vec<Parameter>,
}

impl Layout {
    fn new(devices: &[Device<'_>], stack: &str, tuning: &Tuning, apart: bool) -> Self {
        let mut parameters = vec![];
        let mut push = |kind: Kind| {
            let at = parameters.len();
            parameters.extend_from_slice(kind.parameters());
            (kind, at)
        };
        let host = push(Kind::Host);
        let of = |device: &Device<'_>| {
            let mut kinds = vec![host];
            let wanted =
                Wanted { hardware: device.hardware, stack, kind: Kind::Matmul, format: "bf16" };
            if tuning.get(device.chip, wanted).basis != Basis::Calibrated {
                kinds.push(push(Kind::Whole));
            }
            if apart {
                kinds.push(push(Kind::Apart));
            }
            kinds
        };
        let kinds = devices.iter().map(of).collect();
        Self { kinds, parameters }
    }

    /// That each device's rows, and all together, can tell what is fitted to them.
    fn check(
        &self,
        devices: &[Device<'_>],
        samples: &[Request<'_>],
        left: &[(u64, Unpriced)],
    ) -> Result<(), Unpriced> {
        let enough = |rows: usize, parameters: usize| {
            let least = ROWS_PER_PARAMETER * parameters;
            let few = || Unpriced::few(rows, parameters, least, left.first());
            if rows < least { Err(few()) } else { Ok(()) }
        };
        for (device, kinds) in devices.iter().zip(&self.kinds) {
            // What the host takes is told by all devices together.
            let told = kinds.iter().filter(|(kind, _)| *kind != Kind::Host || devices.len() == 1);
            let own: usize = told.map(|(kind, _)| kind.parameters().len()).sum();
            enough(of_device(samples, device), own)?;
        }
        enough(samples.len(), self.parameters.len())
    }
}

/// How many samples are of a device.
fn of_device(samples: &[Request<'_>], device: &Device<'_>) -> usize {
    samples.iter().filter(|s| s.hardware == device.hardware).count()
}

struct Request<'a> {
    priced: Priced<'a>,
    base: &'a Silicon,
    kinds: Vec<(Kind, usize)>,
    hardware: &'a str,
}

impl Request<'_> {
    fn silicon(&self, p: &[f64], interval: Interval) -> Silicon {
        self.kinds.iter().fold(self.base.clone(), |silicon, (kind, at)| {
            let values = p[*at..*at + kind.parameters().len()].to_vec();
            let errors = vec![None; values.len()];
            silicon.with(*kind, &Fitted { values, errors, rows: 0, interval })
        })
    }

    fn predicted(&self, p: &[f64], interval: Interval) -> Option<(f64, [f64; 2])> {
        self.priced.predict(Some(&self.silicon(p, interval))).ok()
    }
}

impl Sample for Request<'_> {
    fn residual(&self, p: &[f64]) -> f64 {
        let predicted = self.predicted(p, Interval::NONE).map_or(f64::NAN, |(time, _)| time);
        (predicted / self.priced.row.time.get()).ln()
    }

    fn weight(&self) -> f64 {
        1.0
    }

    fn key(&self) -> &str {
        &self.priced.row.key
    }
}

/// Fits what a stack's host takes, which the devices share; and to each device what its steps reach where its
/// kernels were not timed, and with `apart` how fast query heads read keys that they do not share.
///
/// # Errors
/// Too few rows.
pub fn fit_requests(
    devices: &[Device<'_>],
    stack: &str,
    tuning: &Tuning,
    apart: bool,
) -> Result<RequestFit, Unpriced> {
    let layout = Layout::new(devices, stack, tuning, apart);
    let bases: Vec<Silicon> = devices
        .iter()
        .map(|d| Silicon::new(d.hardware, stack, (d.chip.clone(), d.chip), tuning))
        .collect();
    let mut samples: Vec<Request<'_>> = vec![];
    let mut left = vec![];
    for ((device, base), kinds) in devices.iter().zip(&bases).zip(&layout.kinds) {
        for row in &device.rows {
            let priced = Priced::new(row, device.machine);
            match priced.and_then(|p| p.predict(Some(base)).map(|_| p)) {
                Ok(priced) => {
                    let (kinds, hardware) = (kinds.clone(), device.hardware);
                    samples.push(Request { priced, base, kinds, hardware });
                }
                Err(why) => left.push((row.line, why)),
            }
        }
    }
    layout.check(devices, &samples, &left)?;
    let parameters = &layout.parameters;
    let all: Vec<&Request<'_>> = samples.iter().collect();
    let (first, second): (Vec<&Request<'_>>, Vec<&Request<'_>>) =
        all.iter().partition(|s| half(s.key()) == Half::First);
    let whole = solve(parameters, &all);
    // What is scored on the second half is known from the first alone.
    let scores = scores(&second, &solve(parameters, &first).values, interval(parameters, &first));
    let interval = interval(parameters, &all);
    let of = |(kinds, device): (&Vec<(Kind, usize)>, &Device<'_>)| {
        kernels(kinds, &whole, of_device(&samples, device), interval)
    };
    Ok(RequestFit {
        kernels: layout.kinds.iter().zip(devices).map(of).collect(),
        scores,
        held: held(devices, &layout.kinds, &whole),
        left,
    })
}

/// The kinds that were fitted to a device, each with its values.
fn kernels(kinds: &[(Kind, usize)], fit: &Solution, rows: usize, interval: Interval) -> Kernels {
    let of = |(kind, at): &(Kind, usize)| {
        let range = *at..*at + kind.parameters().len();
        let (values, errors) = (fit.values[range.clone()].to_vec(), fit.errors[range].to_vec());
        let fitted = Fitted { values, errors, rows: rows as u64, interval };
        ((*kind, Kind::ANY.to_owned()), fitted)
    };
    kinds.iter().map(of).collect()
}

fn held(devices: &[Device<'_>], kinds: &[Vec<(Kind, usize)>], fit: &Solution) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for (device, kinds) in devices.iter().zip(kinds) {
        for (kind, at) in kinds {
            for (i, parameter) in kind.parameters().iter().enumerate() {
                let of = if *kind == Kind::Host { "all" } else { device.hardware };
                let name = format!("{} {} of {of}", kind.name(), parameter.name);
                if fit.errors[at + i].is_none() && !names.contains(&name) {
                    names.push(name);
                }
            }
        }
    }
    names
}

fn scores(rows: &[&Request<'_>], values: &[f64], interval: Interval) -> Vec<Score> {
    let mut groups: std::collections::BTreeMap<&str, Vec<Scored>> =
        std::collections::BTreeMap::new();
    for request in rows {
        if let Some((predicted, range)) = request.predicted(values, interval) {
            let row = request.priced.row;
            groups.entry(&row.device).or_default().push(row.scored("requests", predicted, range));
        }
    }
    let of = |(device, rows): (&str, Vec<Scored>)| score(("requests", device, "all"), &rows);
    groups.into_iter().filter_map(of).collect()
}
