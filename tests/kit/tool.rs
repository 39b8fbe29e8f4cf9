//! Programs of the system that tests make things with, or compare against.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use crate::kit::cli::Outcome;
use crate::kit::rights::is_root;
use crate::kit::rights::skipped;

/// Where a program lies; nothing, and a line that says so, where it is not installed.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program));
    let found = found.into_iter().find(|path| path.is_file());
    if found.is_none() {
        skipped(program, "is not installed");
    }
    found
}

/// True if all of these are there, and this is root, who alone attaches and mounts devices.
pub fn can_make(programs: &[&str]) -> bool {
    if !is_root() {
        skipped("devices", "only root can attach them");
        return false;
    }
    programs.iter().all(|program| installed(program).is_some())
}

/// Runs a program to its end.
pub fn run(program: &str, words: &[&dyn AsRef<OsStr>]) -> Outcome {
    let mut command = Command::new(program);
    command.args(words.iter().map(|word| word.as_ref()));
    let output = command.output();
    Outcome::of(&output.unwrap_or_else(|error| panic!("{program}: {error}")))
}

/// Runs a program that has to go well; gives what it printed.
#[track_caller]
pub fn output(program: &str, words: &[&dyn AsRef<OsStr>]) -> String {
    run(program, words).expect_code(0).stdout
}
