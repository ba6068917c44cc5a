//! Results as people read them: charts (SVG), tables (terminal, Markdown) and the page of a sweep
//! (HTML). Everything here is a pure function from plain data to a `String`; the same data gives the
//! same bytes. Files are written by the command line.

mod axis;
pub mod bars;
pub mod breakdown;
pub mod comparison;
pub mod html;
mod legend;
mod logplot;
mod page;
#[cfg(test)]
mod pictures;
pub mod roofline;
#[cfg(test)]
mod samples;
mod step;
pub mod svg;
pub mod table;

pub use axis::{Axis, Better, Prefixes};
pub use step::{Limit, Phase};
