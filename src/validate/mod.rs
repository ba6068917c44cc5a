//! Whether somebody's kernel is right: its output beside the truth of the graph's operators.
//!
//! A [`Case`] of an operator is made from a seed. Its truth is the operators in f64, its emulation the same
//! operators in the precision of the kernel. A [`Policy`] turns both and the output into a [`Verdict`];
//! [`diagnose`] runs the reference with each known bug of the operator and ranks them; [`maps`] says where
//! the errors are.

mod case;
pub mod cases;
mod diagnosis;
mod difference;
mod layout;
mod map;
mod policy;
mod reference;
mod screen;
mod verdict;

pub use case::{Case, CaseError, Mutant, Output, Outputs, Precision, Usual};
pub use diagnosis::{Diagnosis, Over, Suspect, diagnose};
pub use difference::{Counts, Difference, Extreme, ULP_BINS};
pub use layout::{Array, Inputs, Layout, Stored};
pub use map::{Map, maps};
pub use policy::{POLICIES, Policy, Rule, named};
pub use reference::{Judged, REFERENCES, Reference, Tick, references, watched};
pub use verdict::Verdict;
