//! `cosim estimate --surface`: speed-up of speculative decoding over acceptance and gamma.

use super::case::Case;
use super::error::Error;
use super::{files, terminal};
use crate::cost::speculative::{Speculator, Surface};
use crate::diagnostic::Diagnostic;
use crate::report::surface::SurfaceChart;
use crate::report::{EstimateContext, describe};
use crate::workload::Acceptance;
use std::path::{Path, PathBuf};

/// Drafted tokens that a surface goes to, and what it goes to where more are asked for.
const GAMMAS: u64 = 16;
const MOST_GAMMAS: u64 = 64;

/// A kind of file that a surface is written as.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Svg,
    Csv,
    Json,
}

/// Writes the speed-up over acceptance and gamma to the files asked for. What is said about it, with
/// the numbers as a table; nothing where no file is asked for.
pub fn write(
    paths: &[PathBuf],
    case: &Case,
    context: &EstimateContext<'_>,
) -> Result<String, Error> {
    let files = paths.iter().map(|p| Ok((p, kind(p)?))).collect::<Result<Vec<_>, Diagnostic>>()?;
    let Some((what, (found, _))) = case.speculated.as_ref().zip(context.speculation) else {
        return Ok(String::new());
    };
    if paths.is_empty() {
        return Ok(String::new());
    }
    if !context.shows_times {
        let message = "no surface: the request does not fit the memory";
        return Err(Diagnostic::new(message).hint("--allow-oom draws it all the same").into());
    }
    let speculator = Speculator::new(case.estimator()?, what)?;
    let gamma = found.cycle.gamma;
    let most = GAMMAS.max(gamma).min(MOST_GAMMAS);
    let surface = Surface::new(speculator.cycles(&case.request, most)?);
    let asked = match what.acceptance {
        Acceptance::Constant(rate) if (1..=most).contains(&gamma) => Some((rate, gamma)),
        _ => None,
    };
    let draft = &what.draft.drafter;
    let chart = SurfaceChart {
        title: format!("{} with {draft} on {}: speed-up", case.architecture.name, case.devices()),
        subtitle: format!("{}, {}", context.quant, describe(&case.request)),
        surface: &surface,
        asked,
        notes: notes(&surface),
    };
    let mut text = format!("\n{}\n", chart.title);
    text += &chart.to_table().to_terminal(terminal::shape());
    for (path, kind) in files {
        let written = match kind {
            Kind::Svg => chart.to_svg(),
            Kind::Json => format!("{:#}\n", chart.to_json()),
            Kind::Csv => chart.to_csv().map_err(|e| Diagnostic::new(e.to_string()))?,
        };
        files::write(path, &written)?;
        text += &format!("wrote {}\n", path.display());
    }
    Ok(text)
}

fn notes(surface: &Surface) -> Vec<String> {
    let mut notes = vec![];
    if let [first, .., last] = surface.cycles() {
        notes.push(format!(
            "A plain step takes {}, a draft step {}, a verify step of {} tokens {}, one of {} {}.",
            first.plain,
            first.draft,
            first.gamma + 1,
            first.verify,
            last.gamma + 1,
            last.verify
        ));
    }
    notes.push(
        "A speed-up of 1 is plain decoding. Each token is accepted at the same rate (A28)."
            .to_owned(),
    );
    notes
}

fn kind(path: &Path) -> Result<Kind, Diagnostic> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("svg") => Ok(Kind::Svg),
        Some("csv") => Ok(Kind::Csv),
        Some("json") => Ok(Kind::Json),
        _ => {
            let message = format!("--surface {}: unknown kind of file", path.display());
            Err(Diagnostic::new(message).hint("a name that ends in .svg, .csv or .json"))
        }
    }
}
