//! Measurements against predictions: reading them, fitting parameters to them, scoring.

mod case;
mod fields;
mod fit;
mod left_out;
mod names;
mod optimum;
mod predict;
mod protocol;
mod request;
mod schema;
mod score;
mod solve;
mod split;
mod table;
mod unseen;

pub use case::{Attention, Case, Experts, Storage};
pub use fit::{FitError, Group, Outcome, fit, fit_all, groups};
pub use left_out::{LeftOut, leave_one_out, ticks};
pub use names::hardware_of;
pub use predict::{Prediction, Predictor, roof};
pub use protocol::Protocol;
pub use request::{Device, Metric, Priced, RequestFit, RequestRow, Unpriced, fit_requests};
pub use score::{Score, Scored, median, score};
pub use split::{Half, half};
pub use table::{Measured, Row, Warning, read};
pub use unseen::{fitted, unseen};
