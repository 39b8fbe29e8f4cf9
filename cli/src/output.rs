//! The one module that prints: results to standard output, everything else to standard error.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use blockstore::error::{Error, Place};
use serde::Serialize;

use crate::args::Global;
use crate::exit::Failure;
use crate::render::json::ErrorReport;

/// Both streams, and what may go to them.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    verbose: bool,
    stdout: Mutex<BufWriter<Stdout>>,
    reader_is_gone: AtomicBool,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose && !global.json,
            stdout: Mutex::new(BufWriter::with_capacity(64 * 1024, io::stdout())),
            reader_is_gone: AtomicBool::new(false),
        }
    }

    /// For a command line that could not be understood but for its `--json`.
    pub(crate) fn for_errors_in_json() -> Self {
        Self {
            json: true,
            quiet: true,
            verbose: false,
            stdout: Mutex::new(BufWriter::new(io::stdout())),
            reader_is_gone: AtomicBool::new(false),
        }
    }

    /// True if results are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// True if every path is to be named.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// True if a line that redraws itself has a place.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.json && !self.quiet && io::stderr().is_terminal()
    }

    /// A line of the result.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Raw bytes of the result.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.write(|stdout| stdout.write_all(bytes))
            .map_err(Failure::Output)
    }

    /// One object on a line of its own.
    pub(crate) fn object(&self, object: &impl Serialize) -> Result<(), Failure> {
        self.line(&to_json(object))
    }

    /// One object of an array, which is printed as it comes.
    pub(crate) fn element(&self, is_first: bool, object: &impl Serialize) -> Result<(), Failure> {
        self.bytes(if is_first { b"[" } else { b",\n" })?;
        self.bytes(to_json(object).as_bytes())
    }

    /// The end of such an array.
    pub(crate) fn end_of_array(&self, is_empty: bool) -> Result<(), Failure> {
        self.line(if is_empty { "[]" } else { "]" })
    }

    /// One object on a line of standard error, where standard output has another use.
    pub(crate) fn object_beside(&self, object: &impl Serialize) {
        self.to_stderr(&to_json(object));
    }

    /// Everything so far has left this process.
    pub(crate) fn flush(&self) -> Result<(), Failure> {
        self.write(Write::flush).map_err(Failure::Output)
    }

    /// Something worth knowing that is no result; silent if quiet or JSON.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet && !self.json {
            self.to_stderr(text);
        }
    }

    /// A problem; silent in JSON, where the result lists it.
    pub(crate) fn problem(&self, text: &str) {
        if !self.json {
            self.to_stderr(text);
        }
    }

    /// Progress that was asked for by a signal.
    pub(crate) fn status(&self, text: &str) {
        self.to_stderr(text);
    }

    /// Why there is no result.
    pub(crate) fn failure(&self, report: &ErrorReport) {
        if self.json {
            self.to_stderr(&to_json(report));
        } else {
            self.to_stderr(&format!("blockstore: {}", report.error));
        }
    }

    /// True once whoever read standard output has closed it.
    pub(crate) fn reader_is_gone(&self) -> bool {
        self.reader_is_gone.load(Ordering::Relaxed)
    }

    fn write(
        &self,
        write: impl FnOnce(&mut BufWriter<Stdout>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut stdout = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
        write(&mut stdout).inspect_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                self.reader_is_gone.store(true, Ordering::Relaxed);
            }
        })
    }

    /// One write per line, so that lines of several threads do not mix. If standard error is gone
    /// there is nobody left to tell.
    fn to_stderr(&self, text: &str) {
        let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
    }
}

/// The engine writes a file's content here.
impl Write for &Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Output::write(self, |stdout| stdout.write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Output::write(self, Write::flush)
    }
}

/// Carries a failure to write through the engine, out of a callback.
pub(crate) fn through_engine(failure: Failure) -> Error {
    match failure {
        Failure::Engine(error) | Failure::Open(error) => error,
        Failure::Output(error) | Failure::Local(_, error) => {
            Error::io(Place::Argument("output"), "cannot be written", error)
        }
        failure @ (Failure::Usage(_) | Failure::Told(_)) => Error::io(
            Place::Argument("output"),
            "cannot be written",
            io::Error::other(failure.report().error),
        ),
    }
}

#[expect(clippy::expect_used, reason = "reports hold text and numbers only")]
fn to_json(object: &impl Serialize) -> String {
    serde_json::to_string(object).expect("reports are maps with text keys")
}
