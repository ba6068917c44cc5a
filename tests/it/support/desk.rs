//! The `cosim` binary in a folder of its own, with the laws that hold for each of its runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A folder with files; commands run in it, so that paths in messages are short and stable.
pub struct Desk {
    folder: tempfile::TempDir,
}

/// What a command left.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Desk {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A folder with these files.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let desk = Self::new();
        for (name, text) in files {
            desk.write(name, text.as_bytes());
        }
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        std::fs::write(path, bytes).expect("written");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Every file below the folder with its bytes, and every folder.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect(self.folder.path(), self.folder.path(), &mut found);
        found
    }

    /// Runs `cosim` with these words.
    pub fn run(&self, words: &[&str]) -> Run {
        let start = Instant::now();
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_cosim"));
        command.current_dir(self.folder.path()).args(words).env("COLUMNS", "100");
        let output = command.timeout(Duration::from_secs(60)).output().expect("started");
        let folder = self.folder.path().to_str().expect("UTF-8").to_owned();
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8").replace(&folder, "[DIR]");
        Run {
            code: output.status.code().expect("not killed"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            took: start.elapsed(),
        }
    }

    /// Standard output of a command that succeeds and has nothing to say beside it.
    pub fn ok(&self, words: &[&str]) -> String {
        let run = self.run(words);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "cosim {}", words.join(" "));
        run.stdout
    }

    /// Standard output of a command as JSON.
    pub fn json(&self, words: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ok(words)).expect("JSON")
    }

    /// The message of a command that is refused: exit code 2, one screen, at once, nothing on
    /// standard output, nothing written.
    pub fn refused(&self, words: &[&str]) -> String {
        let before = self.files();
        let run = self.run(words);
        let shown = words.join(" ").chars().take(200).collect::<String>();
        assert_eq!(run.code, 2, "cosim {shown}: {}", run.stderr);
        assert_eq!(run.stdout, "", "cosim {shown}");
        assert!(run.stderr.lines().count() <= 24 && run.stderr.len() <= 2000, "{}", run.stderr);
        assert!(run.took < Duration::from_secs(2), "cosim {shown} took {:?}", run.took);
        assert!(self.files() == before, "cosim {shown} wrote something");
        run.stderr
    }

    /// A line that is refused with a message that says so.
    pub fn refuses(&self, line: &str, says: &str) {
        let message = self.refused(&words(line));
        assert!(message.contains(says), "{line}: {message}");
    }
}

/// `words` of one line, split at spaces.
pub fn words(line: &str) -> Vec<&str> {
    // What stands between quotes is one word.
    let parts = line.split('"').enumerate();
    let words = parts.map(|(i, part)| match i % 2 {
        0 => part.split_whitespace().collect(),
        _ => vec![part],
    });
    words.collect::<Vec<_>>().concat()
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.strip_prefix(root).expect("inside").display().to_string();
        if path.is_dir() {
            found.insert(format!("{name}/"), vec![]);
            collect(root, &path, found);
        } else {
            found.insert(name, std::fs::read(&path).expect("readable"));
        }
    }
}
