//! The programs under test: built once, run as anybody, and what came of it.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::sync::Mutex;

use serde_json::Value;

/// Path of the command line program: `BLOCKSTORE_BIN`, or built from this workspace.
pub fn blockstore() -> PathBuf {
    match std::env::var_os("BLOCKSTORE_BIN") {
        Some(path) => PathBuf::from(path),
        None => built("blockstore-cli", "blockstore"),
    }
}

/// Path of the decoder that shares no code with the engine.
pub fn decoder() -> PathBuf {
    built("blockstore-format-spec", "blockstore-decode")
}

/// Builds a program of this workspace, once; cargo itself says where it put it.
fn built(package: &str, program: &'static str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<&str, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().expect("no build has failed before this one");
    if let Some(path) = built.get(program) {
        return path.clone();
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["build", "--package", package, "--bin", program]);
    cargo.arg("--message-format=json-render-diagnostics");
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.output().expect("cargo runs");
    let outcome = Outcome::of(&output).expect_code(0);
    let path = executable(&outcome.stdout, program);
    built.insert(program, path.clone());
    path
}

fn executable(messages: &str, program: &str) -> PathBuf {
    let mut messages = messages.lines().map(json);
    let message = messages
        .find(|message| message["target"]["name"] == program && message["executable"].is_string())
        .unwrap_or_else(|| panic!("cargo names {program}"));
    Path::new(message["executable"].as_str().unwrap_or_default()).to_owned()
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Exit code; 128 and the signal if one ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Of a run that is over.
    pub fn of(output: &Output) -> Self {
        let signal = || 128 + output.status.signal().unwrap_or_default();
        Self {
            code: output.status.code().unwrap_or_else(signal),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Panics with everything that was printed if the exit code is another one.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code\n{}", self.shown());
        self
    }

    /// Panics if neither output contains `text`.
    #[track_caller]
    pub fn expect_text(self, text: &str) -> Self {
        assert!(self.mentions(text), "no {text:?}\n{}", self.shown());
        self
    }

    /// True if either output contains `text`; its case does not matter.
    pub fn mentions(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        [&self.stdout, &self.stderr]
            .iter()
            .any(|output| output.to_lowercase().contains(&text))
    }

    /// Both outputs as far as a person reads them: a list of lost files can be long.
    fn shown(&self) -> String {
        let head = |text: &str| text.chars().take(3_000).collect::<String>();
        let (stdout, stderr) = (head(&self.stdout), head(&self.stderr));
        format!("--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }

    /// The result that `--json` prints: the last line of standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        let line = self.stdout.lines().last();
        json(line.unwrap_or_else(|| panic!("nothing was printed; stderr: {}", self.stderr)))
    }
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?} is not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Outcome {
        Outcome::of(&Command::new("sh").args(["-c", script]).output().unwrap())
    }

    #[test]
    fn an_outcome_tells_code_signal_and_result() {
        assert_eq!(shell("exit 3").code, 3);
        // Not INT: who runs the tests in the background has it ignored.
        assert_eq!(shell("kill -TERM $$").code, 143);
        let outcome = shell("echo progress; echo '{\"root\":\"ab\"}'; echo Oops >&2");
        assert_eq!(outcome.json()["root"], "ab");
        assert!(outcome.mentions("oops") && !outcome.mentions("nothing"));
    }

    #[test]
    fn the_program_is_found_among_what_cargo_says() {
        let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"x\"},\
             \"executable\":null}\n\
             {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"x\"},\
             \"executable\":\"/t/x\"}\n{\"reason\":\"build-finished\"}";
        assert_eq!(executable(messages, "x"), Path::new("/t/x"));
    }
}
