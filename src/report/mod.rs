//! Results as people read them: charts (SVG), tables (terminal, Markdown) and the page of a sweep
//! (HTML). Everything here is a pure function from plain data to a `String`; the same data gives the
//! same bytes. Files are written by the command line.

pub mod accuracy;
mod axis;
pub mod bars;
pub mod breakdown;
pub mod case;
pub mod comparison;
mod estimate_json;
mod formula;
pub mod heat;
pub mod html;
pub mod kv;
mod legend;
mod logplot;
mod mapping;
pub mod memory;
mod money;
mod page;
#[cfg(test)]
mod pictures;
pub mod quality;
pub mod ratios;
pub mod roofline;
#[cfg(test)]
mod samples;
mod step;
pub mod surface;
pub mod svg;
pub mod table;
pub mod verdict;
pub mod waterfall;

pub use axis::{Axis, Better, Prefixes};
pub use case::{CaseCharts, describe};
pub use estimate_json::{EstimateContext, estimate_json};
pub use formula::formula;
pub use mapping::mapping_table;
pub use money::dollars;
pub use step::Limit;
pub use table::{Column, ColumnKind, Table, Terminal, share_bar};
