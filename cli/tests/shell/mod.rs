//! Runs the binary in a folder of its own, with none of the caller's environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "correct horse";

/// A folder, and where a repository lies or will lie in it.
pub(crate) struct Shell {
    folder: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Shell {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("the system has a temporary folder");
        Self { folder }
    }

    pub(crate) fn with_repository() -> Self {
        let shell = Self::new();
        let made = shell.init(&[]);
        assert_eq!(made.code, 0, "{made:?}");
        shell
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.folder().join("repository")
    }

    /// The repository and the password are in the environment; standard input is no terminal.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("blockstore"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .args(words)
            .env_clear()
            .env("PATH", path)
            .stdin(Stdio::null());
        command.env("BLOCKSTORE_REPO", self.repository());
        command.env("BLOCKSTORE_PASSWORD", PASSWORD);
        command.env("BLOCKSTORE_CACHE_DIR", self.folder().join("cache"));
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        run(&mut self.command(words))
    }

    /// `init` with a password that is quick to try.
    pub(crate) fn init(&self, words: &[&str]) -> Ended {
        let quick = ["init", "--argon2-memory", "64", "--argon2-passes", "1"];
        self.run(&[&quick, words].concat())
    }
}

pub(crate) fn run(command: &mut Command) -> Ended {
    let output = command.output().expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("all output is UTF-8");
    Ended {
        code: output.status.code().expect("no signal ends it"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// The one object that was printed.
pub(crate) fn json(line: &str) -> Value {
    assert_eq!(line.lines().count(), 1, "{line}");
    serde_json::from_str(line).expect("the line is one JSON value")
}
