//! `cosim validate`: whether a kernel's output is right, and if not, why.

use super::arrays;
use super::error::Error;
use super::files;
use super::golden::RawCase;
use crate::diagnostic::Diagnostic;
use crate::formats::{Kind, values};
use crate::validate::attention::{Case, Diagnosis, diagnose};
use crate::validate::{POLICIES, Verdict, named};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Arguments of `cosim validate`.
#[derive(Debug, clap::Args)]
pub struct ValidateArgs {
    /// Folder of a case, as `cosim golden` writes it
    case: PathBuf,
    /// The kernel's output: a .npy file, the only array of .npz or .safetensors, or raw little-endian elements with --dtype
    #[arg(long, value_name = "FILE")]
    got: PathBuf,
    /// Rule by which it is judged
    #[arg(long, default_value = "two-reference")]
    policy: String,
    /// Elements of a raw file: fp32, bf16, ...; its shape is the case's
    #[arg(long, value_name = "TYPE")]
    dtype: Option<String>,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

/// Suspects that are printed.
const SHOWN: usize = 3;

fn fail(args: &ValidateArgs, why: &str) -> Error {
    Diagnostic::new(format!("{}: {why}", args.got.display())).into()
}

fn output(args: &ValidateArgs, case: &Case) -> Result<Vec<f64>, Error> {
    let (kind, shape, bytes) = match &args.dtype {
        None => arrays::only(&args.got)?,
        Some(name) => {
            let plain = Kind::from_name(name).filter(|k| !matches!(k, Kind::Block(_)));
            let kind = plain.ok_or_else(|| {
                Diagnostic::unknown("type", name, Kind::PLAIN.iter().map(|k| k.name()))
            })?;
            let elements = case.query_shape().iter().product();
            let size =
                std::fs::metadata(&args.got).map_err(|e| Error::io("read", &args.got, &e))?.len();
            if kind.bytes(elements) != Some(size) {
                let why = format!("{size} bytes are not {elements} elements of {kind}");
                return Err(fail(args, &why));
            }
            let bytes = std::fs::read(&args.got).map_err(|e| Error::io("read", &args.got, &e))?;
            (kind, case.query_shape().to_vec(), bytes)
        }
    };
    if shape != case.query_shape() {
        let why = format!("shape {shape:?}, the case's is {:?}", case.query_shape());
        return Err(fail(args, &why));
    }
    values::decode(kind, &bytes).map_err(|e| fail(args, &e.to_string()))
}

/// Judges an output.
pub fn run(args: &ValidateArgs) -> Result<(), Error> {
    let policy = named(&args.policy).ok_or_else(|| {
        Diagnostic::unknown("policy", &args.policy, POLICIES.iter().map(|p| p.name))
    })?;
    let source = files::read(&args.case.join("case.yaml").to_string_lossy())?;
    let case = source.parse::<RawCase>()?.case()?;
    let got = output(args, &case)?;
    let inputs = case.inputs();
    let references = case.references(&inputs);
    let judged = case.judged(&got, &references);
    let verdict = Verdict::of(policy, &judged);
    let diagnosis = (!verdict.passed)
        .then(|| diagnose(&case, &inputs, &got, (&references.truth, &judged.tolerance())));
    let text = if args.json {
        format!("{:#}\n", to_json(&verdict, &case, diagnosis.as_ref()))
    } else {
        let found = diagnosis.as_ref().map_or_else(String::new, explained);
        format!("{}{found}", told(&verdict, &case, policy.says))
    };
    files::print(&text)?;
    if verdict.passed { Ok(()) } else { Err(Error::Failed) }
}

/// Batch, token, head and element of a number of the output.
fn place(case: &Case, index: usize) -> String {
    let [_, tokens, heads, dim] = case.query_shape().map(|n| n as usize);
    let row = index / dim;
    let (head, token, batch) = (row % heads, row / heads % tokens, row / heads / tokens);
    format!("[{batch}, {token}, {head}, {}]", index % dim)
}

/// Heads and tokens that have an element beyond its tolerance.
fn places(case: &Case, verdict: &Verdict) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let [_, tokens, heads, dim] = case.query_shape().map(|n| n as usize);
    let rows = || verdict.beyond.iter().map(|i| i / dim);
    (rows().map(|r| r % heads).collect(), rows().map(|r| r / heads % tokens).collect())
}

fn told(verdict: &Verdict, case: &Case, says: &str) -> String {
    let d = &verdict.difference;
    let word = if verdict.passed { "right" } else { "wrong" };
    let mut text = format!("{word} by {}: {says}\n", verdict.policy);
    let mut line = |name: &str, value: String| text += &format!("  {name:<18} {value}\n");
    line("measured, allowed", format!("{:.3e}, {:.3e}", verdict.measured, verdict.limit));
    for (name, extreme) in [("largest absolute", d.absolute), ("largest relative", d.relative)] {
        line(name, format!("{:.3e} at {}", extreme.value, place(case, extreme.index)));
    }
    let bins = d.ulps.map(|n| n.to_string()).join(" ");
    line("ULPs", format!("{bins} (up to 0.5, 1, 2, 4, 16, 256, more)"));
    line("NMSE, SQNR", format!("{:.3e}, {:.1} dB", d.nmse, d.sqnr));
    line("cosine, gain", format!("{:.6}, {:.4}", d.cosine, d.gain));
    line("within tolerance", format!("{:.3} %", 100.0 * verdict.matched));
    for (name, counts) in [("output", d.got), ("expected", d.expected)] {
        line(name, format!("{} NaN, {} Inf, {} zero", counts.nan, counts.infinite, counts.zero));
    }
    if !verdict.beyond.is_empty() {
        let (heads, tokens) = places(case, verdict);
        let of = |found: &BTreeSet<usize>, all: u64| match found.len() as u64 == all {
            true => "all".to_owned(),
            false => found.iter().map(usize::to_string).collect::<Vec<_>>().join(" "),
        };
        line("wrong heads", of(&heads, case.heads));
        line("wrong tokens", of(&tokens, case.queries));
    }
    text
}

fn explained(diagnosis: &Diagnosis) -> String {
    let mut text = match diagnosis.cause() {
        Some(cause) => format!("likeliest cause: {}\n", cause.says),
        None => "no known bug explains it; the nearest:\n".to_owned(),
    };
    for suspect in diagnosis.suspects.iter().take(SHOWN) {
        let names = suspect.names.join(" = ");
        let tile = suspect.tile.map_or_else(String::new, |t| format!(", tiles of {t}"));
        text += &format!("  residual {:.1e}  {names}{tile}\n", suspect.residual);
    }
    text += &format!("  residual {:.1e}  the truth\n", diagnosis.against_truth);
    if !diagnosis.not_observable.is_empty() {
        text += &format!("not observable here: {}\n", diagnosis.not_observable.join(", "));
    }
    text
}

fn to_json(verdict: &Verdict, case: &Case, diagnosis: Option<&Diagnosis>) -> serde_json::Value {
    let d = &verdict.difference;
    let (heads, tokens) = places(case, verdict);
    let counts =
        |c: crate::validate::Counts| json!({"nan": c.nan, "inf": c.infinite, "zero": c.zero});
    json!({
        "policy": verdict.policy,
        "passed": verdict.passed,
        "measured": verdict.measured,
        "limit": verdict.limit,
        "max_absolute": {"value": d.absolute.value, "index": d.absolute.index},
        "max_relative": {"value": d.relative.value, "index": d.relative.index},
        "ulp_histogram": d.ulps,
        "nmse": d.nmse,
        "sqnr_db": d.sqnr,
        "cosine": d.cosine,
        "gain": d.gain,
        "matched": verdict.matched,
        "got": counts(d.got),
        "expected": counts(d.expected),
        "wrong_heads": heads,
        "wrong_tokens": tokens,
        "suspects": diagnosis.map(|found| found.suspects.iter().map(|s| json!({
            "names": s.names, "tile": s.tile, "residual": s.residual,
        })).collect::<Vec<_>>()),
        "not_observable": diagnosis.map(|found| &found.not_observable),
    })
}
