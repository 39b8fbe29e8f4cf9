//! A command that goes on in the background once what was asked for is there: its process is started
//! anew, says one line when it is ready, and whoever started it waits for that line.
//!
//! Until then it belongs to the terminal: it may ask for a password, and its errors are seen.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::commands::Context;
use crate::env;
use crate::exit::{Failure, Outcome};

const NOWHERE: &str = "/dev/null";

/// Starts this command line again, to go on in the background, and waits until it is ready or fails.
pub(super) fn start(context: &Context<'_>) -> Result<Outcome, Failure> {
    let failed = |error| Failure::Local("the background process".to_owned(), error);
    let mut command: Command = env::this_command().map_err(failed)?;
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let mut line = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout)
            .read_until(b'\n', &mut line)
            .map_err(failed)?;
    }
    context.output.bytes(&line)?;
    if line.ends_with(b"\n") {
        return Ok(Outcome::Done);
    }
    let status = child.wait().map_err(failed)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Err(Failure::Told(code.unwrap_or(1)))
}

/// Leaves the terminal: this process is ready. Problems still go to standard error if that is a file;
/// whoever reads a pipe waits for its end.
pub(super) fn detach() -> Result<(), Failure> {
    let detached = || -> io::Result<()> {
        let nowhere = File::options().read(true).write(true).open(NOWHERE)?;
        rustix::stdio::dup2_stdin(&nowhere)?;
        rustix::stdio::dup2_stdout(&nowhere)?;
        if !env::stderr_is_a_file() {
            rustix::stdio::dup2_stderr(&nowhere)?;
        }
        // It leads no group: whoever started it does.
        rustix::process::setsid()?;
        Ok(())
    };
    detached().map_err(|error| Failure::Local("going to the background".to_owned(), error))
}
