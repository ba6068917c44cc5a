//! What ends a command: bad input, a file that cannot be read or written, a closed pipe.

use crate::cost::{EstimateError, RequestError};
use crate::diagnostic::Diagnostic;
use crate::graph::GraphError;
use crate::graph::shard::ShardError;
use crate::sweep::GridError;
use std::path::Path;

/// Why a command ended early.
#[derive(Debug)]
pub enum Error {
    /// Something that a person can mend.
    Input(Box<Diagnostic>),
    /// Whoever read the output has closed it; not an error.
    ClosedPipe,
    /// What was to be judged is wrong, as has been printed.
    Failed,
}

impl Error {
    /// A file operation that failed, with its path.
    pub fn io(what: &str, path: &Path, error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::ClosedPipe;
        }
        Diagnostic::new(format!("cannot {what} {}: {error}", path.display())).into()
    }

    /// What is wrong, in one sentence.
    pub fn reason(&self) -> String {
        match self {
            Self::Input(diagnostic) => diagnostic.message.clone(),
            Self::ClosedPipe | Self::Failed => String::new(),
        }
    }
}

impl From<Diagnostic> for Error {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Input(Box::new(diagnostic))
    }
}

impl From<GraphError> for Error {
    fn from(error: GraphError) -> Self {
        Diagnostic::new(error.to_string()).into()
    }
}

impl From<ShardError> for Error {
    fn from(error: ShardError) -> Self {
        Diagnostic::new(error.to_string()).into()
    }
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        Diagnostic::new(error.to_string()).into()
    }
}

impl From<EstimateError> for Error {
    fn from(error: EstimateError) -> Self {
        match error {
            EstimateError::MissingEngine(missing) => Diagnostic::from(missing).into(),
            error @ (EstimateError::NoLink(_) | EstimateError::NoHost(_)) => {
                let hint = "give its bandwidth under `links:` in a profile that extends this one";
                Diagnostic::new(error.to_string()).hint(hint).into()
            }
        }
    }
}

impl From<GridError> for Error {
    fn from(error: GridError) -> Self {
        match error {
            GridError::Input(diagnostic) => diagnostic.into(),
            GridError::Graph(error) => error.into(),
            GridError::Shard(error) => error.into(),
        }
    }
}
