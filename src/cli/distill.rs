//! `cosim distill`: a student compared with its teacher at equal service.

use super::case::{Case, CaseArgs, positive};
use super::deploy::{refused, within};
use super::error::Error;
use super::files;
use super::terminal;
use crate::cost::Request;
use crate::diagnostic::Diagnostic;
use crate::graph::shard::Parallel;
use crate::report::{Column, Table, describe, dollars};
use crate::sweep::deployment::{Deployment, Goal, Slo, best};
use crate::units::{Bytes, Dollars, Joules};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Arguments of `cosim distill`; `--model` is the teacher.
#[derive(Debug, clap::Args)]
pub struct DistillArgs {
    #[command(flatten)]
    case: CaseArgs,
    /// The distilled model: id, model YAML or config.json; --model is its teacher
    #[arg(long, value_name = "MODEL")]
    student: String,
    /// Limits that both keep, each with its largest batch: ttft=2s,tpot=50ms
    /// [default: both at --batch]
    #[arg(long, value_name = "LIMITS")]
    slo: Option<String>,
    /// Most devices that either may take; without --tp and the like each takes the fewest
    #[arg(long, value_name = "N", default_value_t = 64, allow_negative_numbers = true,
          value_parser = positive)]
    max_devices: u64,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

/// A model with the fewest devices that give the service.
struct Served {
    case: Case,
    at: Deployment,
}

/// A figure of both: name, unit, value; the smaller is the cheaper unless it says otherwise.
struct Figure {
    name: &'static str,
    key: &'static str,
    of: fn(&Served) -> Option<f64>,
    show: fn(f64) -> String,
}

pub fn run(args: &DistillArgs) -> Result<(), Error> {
    if args.case.prompt.is_none() {
        let message = "distill compares whole requests, not a phase";
        return Err(Diagnostic::new(message).hint("give --prompt and --output").into());
    }
    let slo = args.slo.as_deref().map(str::parse::<Slo>).transpose()?;
    let teacher = serve(args, &args.case.model.model, slo)?;
    let student = serve(args, &args.student, slo)?;
    let text = if args.json {
        format!("{:#}\n", json(&teacher, &student))
    } else {
        table(args, &teacher, &student)
    };
    files::print(&text)
}

/// The fewest devices on which a model keeps the service: the batch as asked, or the largest one
/// within the limits.
fn serve(args: &DistillArgs, model: &str, slo: Option<Slo>) -> Result<Served, Error> {
    let mut case_args = args.case.clone();
    model.clone_into(&mut case_args.model.model);
    let (goal, limits) = match slo {
        Some(slo) => (Goal::Throughput, slo),
        None => (Goal::Latency, Slo::default()),
    };
    let wanted = case_args.parallel.wanted();
    let has_experts = super::catalog::architecture(model)?.experts.is_some();
    let mut reason = String::new();
    let counts = (0..).map_while(|k| 1_u64.checked_shl(k)).take_while(|n| *n <= args.max_devices);
    let fixed = wanted.devices() > 1;
    for devices in counts {
        let all = match fixed {
            true => vec![wanted],
            false => Parallel::spread(devices, has_experts),
        };
        let mut tried = vec![];
        for parallel in all {
            match case_args.load_as(parallel, case_args.batch) {
                Ok(case) => tried.push(within(&case, goal, &limits, case_args.batch)),
                // What is wrong on one device is wrong on any number.
                Err(error) if devices == 1 => return Err(error),
                Err(error) => tried.push(refused(parallel, &error)),
            }
        }
        if let Some(at) = best(&tried, goal) {
            let case = case_args.load_as(at.parallel, at.batch)?;
            return Ok(Served { case, at: at.clone() });
        }
        let why = tried.iter().filter_map(|t| t.best.as_ref().err().map(ToString::to_string));
        reason = why.collect::<BTreeSet<String>>().into_iter().collect::<Vec<_>>().join("; ");
        if fixed {
            break;
        }
    }
    let message = format!("{model} does not give this service: {reason}");
    let hint = format!("up to {} devices were tried; --max-devices, --slo", args.max_devices);
    Err(Diagnostic::new(message).hint(hint).into())
}

const FIGURES: &[Figure] = &[
    Figure {
        name: "devices",
        key: "devices",
        of: |s| Some(s.at.parallel.devices() as f64),
        show: |v| format!("{v}"),
    },
    Figure {
        name: "batch",
        key: "batch",
        of: |s| Some(s.at.batch as f64),
        show: |v| format!("{v}"),
    },
    Figure {
        name: "TTFT",
        key: "ttft_s",
        of: |s| s.at.summary.prefill.map(|t| t.get()),
        show: seconds,
    },
    Figure {
        name: "TPOT",
        key: "tpot_s",
        of: |s| s.at.summary.decode_step.map(|t| t.get()),
        show: seconds,
    },
    Figure {
        name: "request",
        key: "total_s",
        of: |s| Some(s.at.summary.total.get()),
        show: seconds,
    },
    Figure {
        name: "throughput",
        key: "throughput_tok_s",
        of: |s| Some(s.at.throughput),
        show: |v| format!("{v:.1} tok/s"),
    },
    Figure {
        name: "parameters",
        key: "parameters",
        of: |s| Some(s.case.architecture.parameters().total as f64),
        show: |v| format!("{:.3} B", v / 1e9),
    },
    Figure {
        name: "memory / device",
        key: "memory_bytes_per_device",
        of: |s| Some(s.at.summary.memory.total().get()),
        show: |v| Bytes::new(v).to_string(),
    },
    Figure {
        name: "cost / M tokens",
        key: "usd_per_mtok",
        of: |s| s.at.economics.per_million.map(|c| c.get()),
        show: |v| format!("{} $", dollars(Dollars::new(v))),
    },
    Figure {
        name: "energy / token",
        key: "joules_per_token",
        of: |s| s.at.economics.energy_per_token.map(|e| e.get()),
        show: |v| Joules::new(v).to_string(),
    },
];

fn seconds(value: f64) -> String {
    crate::units::Seconds::new(value).to_string()
}

/// Teacher over student; both have a figure.
fn ratio(figure: &Figure, teacher: &Served, student: &Served) -> Option<f64> {
    let (teacher, student) = ((figure.of)(teacher)?, (figure.of)(student)?);
    (student > 0.0).then(|| teacher / student)
}

fn table(args: &DistillArgs, teacher: &Served, student: &Served) -> String {
    let names = [teacher, student].map(|s| s.case.architecture.name.clone());
    let device = &teacher.case.hardware.name;
    let service = match (&args.slo, &teacher.case.request) {
        (Some(slo), Request::Generation { prompt, output, .. }) => {
            format!("{prompt} prompt + {output} output tokens, within {slo}, largest batch")
        }
        (_, request) => describe(request),
    };
    let scheme = teacher.case.plan.scheme.name();
    let mut text = format!("{} taught {}, {scheme}, on {device}: {service}\n", names[0], names[1]);
    let mut table = Table::new(vec![
        Column::text("figure"),
        Column::number("teacher", ""),
        Column::number("student", ""),
        Column::number("teacher / student", ""),
    ]);
    let plan = |s: &Served| s.at.parallel.to_string();
    table.rows.push(vec!["plan".to_owned(), plan(teacher), plan(student), String::new()]);
    for figure in FIGURES {
        let shown = |s: &Served| (figure.of)(s).map_or_else(|| "-".to_owned(), figure.show);
        let ratio = ratio(figure, teacher, student).map(|r| format!("{r:.2} x"));
        let row = [shown(teacher), shown(student), ratio.unwrap_or_default()];
        table.rows.push([vec![figure.name.to_owned()], row.to_vec()].concat());
    }
    text += &table.to_terminal(terminal::shape());
    let _ =
        writeln!(text, "Each on the fewest devices (1, 2, 4, ...) that give the service (A63).");
    text
}

fn json(teacher: &Served, student: &Served) -> serde_json::Value {
    let side = |served: &Served| {
        let mut value = serde_json::json!({
            "model": served.case.architecture.id,
            "quant": served.case.plan.scheme.name(),
            "plan": served.at.parallel.to_string(),
        });
        for figure in FIGURES {
            value[figure.key] = (figure.of)(served).into();
        }
        value
    };
    let mut ratios = serde_json::json!({});
    for figure in FIGURES {
        ratios[figure.key] = ratio(figure, teacher, student).into();
    }
    serde_json::json!({
        "hardware": teacher.case.machine.id,
        "teacher": side(teacher),
        "student": side(student),
        "teacher_over_student": ratios,
    })
}
