//! Whether somebody's kernel is right: its output beside the truth of the graph's operators.
//!
//! A [`attention::Case`] is made from a seed. Its truth is the operators in f64, its emulation the same
//! operators in the precision of the kernel. A [`Policy`] turns both and the output into a [`Verdict`];
//! [`attention::diagnose`] runs the reference with each known bug and ranks them.

pub mod attention;
mod difference;
mod policy;
mod verdict;

pub use difference::{Counts, Difference, Extreme};
pub use policy::{POLICIES, Policy, Rule, named};
pub use verdict::{Judged, Verdict};
