//! Whole requests as they were measured: served, priced, and what a stack's host takes fitted to them.

mod fit;
mod price;
mod table;

pub use fit::{Device, RequestFit, fit_requests};
pub use price::{Priced, Unpriced};
pub use table::{Metric, RequestRow};

pub(super) use table::{OWN, is_of, read};
