//! The only file access: reading inputs, and writing outputs to a temporary name first.

use super::error::Error;
use crate::diagnostic::Diagnostic;
use crate::yaml::{MAX_BYTES, Source};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// The text of a file of at most [`MAX_BYTES`].
///
/// # Errors
/// A missing file, a directory, text that is not UTF-8, or a file that is too large.
pub fn read(path: &str) -> Result<Source, Diagnostic> {
    read_within(path, MAX_BYTES)
}

/// The text of a file of at most so many bytes.
///
/// # Errors
/// As [`read`].
pub fn read_within(path: &str, most: usize) -> Result<Source, Diagnostic> {
    let fail = |why: String| Diagnostic::new(format!("cannot read {path}: {why}"));
    let shown = Path::new(path);
    if shown.is_dir() {
        return Err(fail("it is a directory".to_owned()).hint("name a file in it"));
    }
    let file = File::open(shown).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => fail("there is no such file".to_owned())
            .hint("paths start at the current folder; in `extends`, at the file that says so"),
        _ => fail(e.to_string()),
    })?;
    let mut bytes = vec![];
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|e| fail(e.to_string()))?;
    if bytes.len() > most {
        return Err(fail(format!("it is larger than {most} bytes")));
    }
    let text = String::from_utf8(bytes)
        .map_err(|e| fail(format!("byte {} is not UTF-8", e.utf8_error().valid_up_to())))?;
    Ok(Source::new(path, text))
}

/// The path of a picture.
///
/// # Errors
/// A name of another kind of file.
pub fn svg_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|e| e.to_str()) {
        Some("svg") => Ok(path),
        _ => Err("pictures are SVG; expected a name that ends in .svg".to_owned()),
    }
}

/// Whether a name on the command line is meant as a path.
pub fn is_path(name: &str) -> bool {
    let file = [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending));
    file || name.contains(['/', '\\'])
}

/// A file being written under a temporary name beside its final one.
#[derive(Debug)]
pub struct Pending {
    file: NamedTempFile,
    path: PathBuf,
}

impl Pending {
    /// Starts a file; its folder is made where missing.
    ///
    /// # Errors
    /// A folder that cannot be made or written to, or a path that is a directory.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let fail = |e: &std::io::Error| Error::io("write", path, e);
        if path.is_dir() {
            let message = format!("cannot write {}: it is a directory", path.display());
            return Err(Diagnostic::new(message).hint("name a file").into());
        }
        // What a link names is replaced, not the link; and nothing but files.
        let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if path.exists() && !path.is_file() {
            let message = format!("cannot write {}: it is no regular file", path.display());
            return Err(Diagnostic::new(message).hint("name a file").into());
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if let Some(file) = folder.ancestors().find(|a| a.is_file()) {
            let (path, file) = (path.display(), file.display());
            let message = format!("cannot write {path}: {file} is a file, not a folder");
            return Err(Diagnostic::new(message).hint("name another folder").into());
        }
        std::fs::create_dir_all(folder).map_err(|e| fail(&e))?;
        let file = NamedTempFile::new_in(folder).map_err(|e| fail(&e))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// A full disk and the like.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|e| Error::io("write", &self.path, &e))
    }

    /// Gives the file its final name, with the permissions of a file made in the ordinary way.
    ///
    /// # Errors
    /// A path that cannot be replaced.
    pub fn finish(self) -> Result<(), Error> {
        let Self { file, path } = self;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let readable = std::fs::Permissions::from_mode(0o644);
            file.as_file().set_permissions(readable).map_err(|e| Error::io("write", &path, &e))?;
        }
        file.persist(&path).map_err(|e| Error::io("write", &path, &e.error))?;
        Ok(())
    }
}

/// Writes a whole file.
///
/// # Errors
/// As [`Pending`].
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    let mut file = Pending::create(path)?;
    file.write(text.as_bytes())?;
    file.finish()
}

/// Writes the files that were asked for, and a line for each behind what is said.
///
/// # Errors
/// As [`Pending`].
pub fn write_each(
    files: impl IntoIterator<Item = (PathBuf, String)>,
    said: &mut String,
) -> Result<(), Error> {
    for (path, content) in files {
        write(&path, &content)?;
        *said += &format!("wrote {}\n", path.display());
    }
    Ok(())
}

/// Writes a result to standard output.
///
/// # Errors
/// [`Error::ClosedPipe`] where the reader has gone.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let done = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    done.map_err(|e| Error::io("write", Path::new("standard output"), &e))
}
