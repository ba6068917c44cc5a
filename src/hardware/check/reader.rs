//! Reads figures, and keeps the table of what was read.

use crate::diagnostic::Diagnostic;
use crate::hardware::figure::Figure;
use crate::hardware::layer::{Named, Placed};
use crate::hardware::profile::Row;
use crate::provenance::Quoted;
use crate::units::Quantity;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

/// Reads figures and keeps the table of what was read.
pub(super) struct Reader<'a> {
    pub citations: &'a Named<Placed<String>>,
    pub rows: Vec<Row>,
}

impl Reader<'_> {
    /// The figure as a quantity, entered in the table.
    pub fn figure<T>(&mut self, path: &str, raw: &Figure) -> Result<Quoted<T>, Diagnostic>
    where
        T: Quantity + FromStr + Display,
        T::Err: Display,
    {
        let quoted: Quoted<T> = raw.read(path, self.citations)?;
        self.rows.push(Row {
            path: path.to_owned(),
            value: raw.shown(&quoted.value),
            basis: quoted.basis,
            citation: quoted.citation.clone(),
            note: quoted.note.clone(),
        });
        Ok(quoted)
    }

    /// The same where there may be none.
    pub fn optional<T>(
        &mut self,
        path: &str,
        raw: Option<&Figure>,
    ) -> Result<Option<Quoted<T>>, Diagnostic>
    where
        T: Quantity + FromStr + Display,
        T::Err: Display,
    {
        raw.map(|figure| self.figure(path, figure)).transpose()
    }
}

pub(super) fn text(raw: &Option<Placed<String>>) -> Option<Arc<str>> {
    raw.as_ref().map(|t| t.value.as_str().into())
}

/// A number of things, of which there is at least one.
pub(super) fn count(path: &str, raw: Option<&Placed<u32>>) -> Result<Option<u32>, Diagnostic> {
    match raw {
        Some(written) if written.value == 0 => {
            let error = Diagnostic::new(format!("{path} is zero")).at(written.place());
            Err(error.hint("leave out what does not exist"))
        }
        written => Ok(written.map(|w| w.value)),
    }
}
