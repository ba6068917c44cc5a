//! The columns of a record of a table, each with a clear error.

use super::case::Storage;
use crate::diagnostic::{Diagnostic, Place, clip};
use csv::StringRecord;

/// One record with its columns.
pub(super) struct Fields<'a> {
    pub(super) file: &'a str,
    pub(super) header: &'a StringRecord,
    pub(super) record: &'a StringRecord,
    pub(super) line: u64,
    pub(super) text: &'a str,
}

impl Fields<'_> {
    pub(super) fn refuse(&self, message: String) -> Diagnostic {
        let place = Place {
            file: self.file.into(),
            line: self.line as usize,
            column: 1,
            text: self.text.to_owned(),
        };
        Diagnostic::new(message).at(Some(place))
    }

    /// A column's text; empty where there is no such column.
    pub(super) fn optional(&self, name: &str) -> &str {
        let at = self.header.iter().position(|h| h == name);
        at.and_then(|i| self.record.get(i)).unwrap_or("")
    }

    pub(super) fn text(&self, name: &str) -> Result<&str, Diagnostic> {
        match self.optional(name) {
            "" => Err(self.refuse(format!("{name} is empty"))),
            text => Ok(text),
        }
    }

    /// A number above zero.
    pub(super) fn number(&self, name: &str) -> Result<f64, Diagnostic> {
        let text = self.text(name)?;
        let value: f64 = text
            .parse()
            .map_err(|_| self.refuse(format!("{name}: `{}` is not a number", clip(text))))?;
        if value.is_finite() && value > 0.0 && value < 1e18 {
            return Ok(value);
        }
        let message =
            format!("{name} is {}; expected a number above zero, and below 1e18", clip(text));
        Err(self.refuse(message))
    }

    /// A whole number above zero.
    pub(super) fn count(&self, name: &str) -> Result<f64, Diagnostic> {
        let value = self.number(name)?;
        if value.fract() == 0.0 {
            return Ok(value);
        }
        let text = clip(self.optional(name));
        Err(self.refuse(format!("{name} is {text}; expected a whole number above zero")))
    }

    /// That the table has columns.
    pub(super) fn needs(&self, needed: &[&str], own: &[&str]) -> Result<(), Diagnostic> {
        let missing = needed.iter().find(|name| !self.header.iter().any(|h| h == **name));
        let Some(column) = missing else { return Ok(()) };
        let text = self.header.iter().collect::<Vec<_>>().join(",");
        let place = Place { file: self.file.into(), line: 1, column: 1, text };
        let hint = format!("this kind of table has {}, {}", own.join(", "), needed.join(", "));
        Err(Diagnostic::new(format!("no column `{column}`")).at(Some(place)).hint(hint))
    }

    pub(super) fn storage(&self, name: &str) -> Result<Storage, Diagnostic> {
        let text = self.text(name)?;
        Storage::named(text).ok_or_else(|| {
            let unknown = Diagnostic::unknown(&format!("format of {name}"), text, Storage::names());
            unknown.at(self.refuse(String::new()).place)
        })
    }

    /// One of the words of a column that a table need not have.
    pub(super) fn choice<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<T, Diagnostic> {
        let text = self.optional(name);
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let valid = words.iter().map(|(word, _)| *word).filter(|w| !w.is_empty());
            Diagnostic::unknown(name, text, valid).at(self.refuse(String::new()).place)
        })
    }
}
