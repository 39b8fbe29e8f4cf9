//! The engine beside its floor on data of one's own:
//! `cargo bench -p blockstore-benches --bench floor -- PATH [--threads N] [--at FOLDER] [--rounds N]`
//!
//! PATH is a folder or a file. Repositories and restored files go below FOLDER, `/dev/shm` by
//! default, and are removed again.
#![allow(clippy::print_stderr, reason = "a program for the terminal")]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use blockstore_benches::measure;

struct Arguments {
    path: PathBuf,
    at: PathBuf,
    threads: usize,
    rounds: usize,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| arguments.map_or(Ok(()), run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let Arguments {
        path,
        at,
        threads,
        rounds,
    } = arguments;
    measure::table(&path.display().to_string(), &path, &at, threads, rounds)
}

/// Nothing, if no path is given: as when all benches are run.
fn arguments() -> Result<Option<Arguments>, Box<dyn Error>> {
    let mut path = None;
    let (mut at, mut rounds) = (PathBuf::from("/dev/shm"), 3);
    let mut threads = std::thread::available_parallelism()?.get();
    let mut given = std::env::args_os().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or("an option lacks its value");
        match argument.to_str() {
            Some("--at") => at = value()?.into(),
            Some("--threads") => threads = number(&value()?)?,
            Some("--rounds") => rounds = number(&value()?)?,
            Some("--bench" | "--test") => {}
            _ => path = Some(PathBuf::from(argument)),
        }
    }
    let Some(path) = path else {
        eprintln!("floor: give it a PATH");
        return Ok(None);
    };
    Ok(Some(Arguments {
        path: path.canonicalize()?,
        at,
        threads,
        rounds,
    }))
}

fn number(text: &std::ffi::OsStr) -> Result<usize, Box<dyn Error>> {
    let text = text.to_str().ok_or("a number is expected")?;
    let number: usize = text.parse()?;
    Ok(number.max(1))
}
