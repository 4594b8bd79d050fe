//! Runs the binary in a directory of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What a run gave.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).unwrap();
        Self { code: output.status.code().unwrap_or(-1), stdout: output.stdout, stderr }
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.text());
        self
    }

    /// The exit code, and one line on standard error that holds `what`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, what: &str) -> Self {
        assert_eq!(self.code, code, "{} {}", self.text(), self.stderr);
        assert!(self.stderr.contains(what), "{what}: {}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        self
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Every line of standard output as JSON.
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The only line of standard output as JSON, with exactly these fields.
    #[track_caller]
    pub(crate) fn object(&self, fields: &str) -> Value {
        let objects = self.objects();
        assert_eq!(objects.len(), 1, "{}", self.text());
        assert_fields(&objects[0], fields);
        objects[0].clone()
    }
}

/// The object has exactly these fields, in any order.
#[track_caller]
pub(crate) fn assert_fields(object: &Value, fields: &str) {
    let mut has: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected: Vec<_> = fields.split_whitespace().collect();
    has.sort_unstable();
    expected.sort_unstable();
    assert_eq!(has, expected);
}

/// A directory in which commands run; their store is `./store`.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// With a store of this engine.
    pub(crate) fn with(engine: &str) -> Self {
        let place = Self::new();
        place.run(&["init", "--engine", engine]).ok();
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_persist"));
        command
            .args(args)
            .current_dir(self.path())
            .env_remove("PERSIST_STORE")
            .env_remove("PERSIST_CONFIG")
            .env_remove("PERSIST_KEY_FILE")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).output().unwrap())
    }

    /// With a standard output that nobody reads any more.
    pub(crate) fn run_unread(&self, args: &[&str]) -> Run {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Run::of(self.command(args).stdout(writer).output().unwrap())
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path().join(name), bytes).unwrap();
        name.to_owned()
    }

    /// Newest beat and content digest.
    pub(crate) fn state(&self) -> (String, String) {
        let stats = self.run(&["stats", "--digest", "--json"]).ok().objects().remove(0);
        (stats["beat"].as_str().unwrap().to_owned(), stats["digest"].as_str().unwrap().to_owned())
    }
}

/// The shared fixtures.
pub(crate) fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cps")
}

/// Every vector of both manifests: its entry and its file.
pub(crate) fn vectors() -> Vec<(Value, String)> {
    let mut vectors = Vec::new();
    for place in [fixtures(), fixtures().join("generated")] {
        let manifest: Value =
            serde_json::from_slice(&std::fs::read(place.join("manifest.json")).unwrap()).unwrap();
        for entry in manifest["frames"].as_array().unwrap() {
            let file = place.join(entry["file"].as_str().unwrap()).display().to_string();
            vectors.push((entry.clone(), file));
        }
    }
    assert!(vectors.len() >= 195);
    vectors
}
