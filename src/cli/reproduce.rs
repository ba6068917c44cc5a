//! `cosim reproduce`: published figures beside simulated ones.

use super::error::Error;
use super::files::{self, Pending};
use super::terminal;
use crate::diagnostic::Diagnostic;
use crate::report::ratios::{RatioChart, figures_table};
use crate::reproduce::{PAPERS, Paper, Reproduction, find};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};

/// Arguments of `cosim reproduce`.
#[derive(Debug, clap::Args)]
pub struct ReproduceArgs {
    /// Papers by name, or `all`
    #[arg(default_value = "all", value_name = "NAME")]
    papers: Vec<String>,
    /// Folder for the tables and charts
    #[arg(long, default_value = "reports/papers", value_name = "DIR")]
    out: PathBuf,
    /// List the papers
    #[arg(long)]
    list: bool,
}

pub fn run(args: &ReproduceArgs) -> Result<(), Error> {
    if args.list {
        let line = |p: &Paper| format!("{:<16} {} ({})\n", p.name, p.title, p.citation);
        return files::print(&PAPERS.iter().map(line).collect::<String>());
    }
    let papers: Vec<&Paper> = if args.papers.iter().any(|p| p == "all") {
        PAPERS.iter().collect()
    } else {
        args.papers.iter().map(|name| find(name)).collect::<Result<_, _>>()?
    };
    let bar = progress(papers.len() as u64);
    let mut text = String::new();
    let mut pending = vec![];
    for paper in papers {
        bar.set_message(paper.name);
        let found = (paper.run)()?;
        pending.extend(files_of(paper, &found, &args.out)?);
        text += &shown(paper, &found);
        bar.inc(1);
    }
    bar.finish_and_clear();
    pending.into_iter().try_for_each(Pending::finish)?;
    text += &format!("tables and charts: {}\n", args.out.display());
    files::print(&text)
}

fn shown(paper: &Paper, found: &Reproduction) -> String {
    let mut text = format!("{}: {} ({})\n", paper.name, paper.title, paper.citation);
    text += &figures_table(found).to_terminal(terminal::shape());
    found.remarks.iter().for_each(|remark| text += &format!("{remark}\n"));
    text + "\n"
}

/// The CSV, the Markdown table and the chart of a paper.
fn files_of(paper: &Paper, found: &Reproduction, out: &Path) -> Result<Vec<Pending>, Error> {
    let mut csv = csv::Writer::from_writer(vec![]);
    for figure in &found.figures {
        csv.serialize(figure).map_err(|e| Diagnostic::new(e.to_string()))?;
    }
    let csv = csv.into_inner().map_err(|e| Diagnostic::new(e.to_string()))?;
    let chart = RatioChart::new(paper.title, paper.citation, found).to_svg();
    let remarks: String = found.remarks.iter().map(|r| format!("- {r}\n")).collect();
    let table = figures_table(found).to_markdown();
    let page = format!("# {}\n\n{}\n\n{table}\n{remarks}", paper.title, paper.citation);
    let texts = [("csv", csv), ("md", page.into_bytes()), ("svg", chart.into_bytes())];
    let pending = texts.into_iter().map(|(ending, bytes)| {
        let mut file = Pending::create(&out.join(format!("{}.{ending}", paper.name)))?;
        file.write(&bytes)?;
        Ok(file)
    });
    pending.collect()
}

fn progress(papers: u64) -> ProgressBar {
    let bar = ProgressBar::new(papers);
    match ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len} papers") {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
