//! `compare-trees A B`: prints what differs between two trees; exits 0, 1 if something does, or 2.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the program, not the library"
)]

use std::path::Path;
use std::process::ExitCode;

use blockstore_tests::kit::compare::Comparer;

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).collect::<Vec<_>>();
    let [left, right] = words.as_slice() else {
        eprintln!("usage: compare-trees A B");
        return ExitCode::from(2);
    };
    match Comparer::default().differences(Path::new(left), Path::new(right)) {
        Ok(lines) if lines.is_empty() => ExitCode::SUCCESS,
        Ok(lines) => {
            println!("{}", lines.join("\n"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("compare-trees: {error}");
            ExitCode::from(2)
        }
    }
}
