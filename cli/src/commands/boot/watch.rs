//! A machine that runs: what it says on its serial port, and when it is over.

use std::io::{Read, Write};
use std::process::{Child, ChildStdout, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use blockstore::observe::{Observer, Problem};

use crate::args::BootArgs;
use crate::output::Output;
use crate::progress::Progress;

/// How often it is looked whether the machine, or this program, is to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What is kept of the serial port for the report, bytes.
const TAIL_LEN: usize = 16 * 1024;

/// How a machine ended.
pub(super) struct Ended {
    /// The last that it said; nothing unless something was expected.
    pub(super) tail: Vec<u8>,
    /// True if it said what was expected.
    has_said: bool,
    /// How the program ended, if it did by itself.
    status: Option<ExitStatus>,
}

impl Ended {
    /// True if it said what was expected; where nothing was, if the program ended well.
    pub(super) fn is_as_expected(&self, args: &BootArgs) -> bool {
        match args.expect {
            Some(_) => self.has_said,
            None => self.status.is_none_or(|status| status.success()),
        }
    }

    /// What a person is told.
    pub(super) fn line(&self, args: &BootArgs) -> Option<String> {
        match (&args.expect, self.has_said, self.status) {
            (Some(text), true, _) => Some(format!("booted: {text:?} appeared")),
            (Some(text), false, Some(status)) => Some(format!(
                "{text:?} did not appear; the machine ended: {status}"
            )),
            (Some(text), false, None) => Some(format!("{text:?} did not appear")),
            (None, _, Some(status)) if !status.success() => Some(format!("qemu: {status}")),
            (None, _, _) => None,
        }
    }
}

/// Passes everything on to another observer, and is cancelled at the end of the machine, too.
pub(super) struct UntilEnded<'p> {
    progress: &'p Progress<'p>,
    is_over: AtomicBool,
}

impl<'p> UntilEnded<'p> {
    pub(super) fn new(progress: &'p Progress<'p>) -> Self {
        let is_over = AtomicBool::new(false);
        Self { progress, is_over }
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }
}

impl Observer for UntilEnded<'_> {
    fn problem(&self, problem: &Problem) {
        self.progress.problem(problem);
    }

    fn is_cancelled(&self) -> bool {
        self.is_over.load(Ordering::Acquire) || self.progress.is_cancelled()
    }
}

/// Waits for the end of a machine.
pub(super) struct Watch<'w> {
    output: &'w Output,
    expect: Option<(&'w [u8], Instant)>,
    child: Child,
    said: Vec<u8>,
}

impl<'w> Watch<'w> {
    pub(super) fn new(output: &'w Output, args: &'w BootArgs, child: Child) -> Self {
        let deadline = Instant::now() + Duration::from_secs(args.timeout);
        Self {
            output,
            expect: args.expect.as_ref().map(|text| (text.as_bytes(), deadline)),
            child,
            said: Vec::new(),
        }
    }

    /// Until the machine ends, has said what is expected, or must end.
    pub(super) fn run(mut self, progress: &Progress<'_>) -> Ended {
        let serial = self.child.stdout.take().map(listen);
        let mut has_said = false;
        let mut status = None;
        while status.is_none() && !has_said && !self.is_too_late() && !progress.is_cancelled() {
            status = self.child.try_wait().ok().flatten();
            has_said = match &serial {
                Some(serial) => self.hear(serial, status.is_some()),
                None => {
                    thread::sleep(LOOK_EVERY);
                    false
                }
            };
        }
        // A machine whose user ends it has nothing left to say.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let from = self.said.len().saturating_sub(TAIL_LEN);
        Ended {
            tail: self.said.split_off(from),
            has_said,
            status,
        }
    }

    fn is_too_late(&self) -> bool {
        self.expect
            .is_some_and(|(_, deadline)| Instant::now() >= deadline)
    }

    /// Takes what was said, for a moment or, if that is `all` there will be, to its end. True once
    /// it holds what is expected.
    fn hear(&mut self, serial: &Receiver<Vec<u8>>, all: bool) -> bool {
        loop {
            match serial.recv_timeout(LOOK_EVERY) {
                Ok(piece) => {
                    if !self.output.is_json() {
                        let _ = std::io::stderr().write_all(&piece);
                    }
                    let spare = self.said.len().saturating_sub(2 * TAIL_LEN);
                    self.said.drain(..spare);
                    self.said.extend_from_slice(&piece);
                }
                Err(RecvTimeoutError::Timeout) if all => continue,
                Err(_) => return self.has_said(),
            }
            if self.has_said() || !all {
                return self.has_said();
            }
        }
    }

    fn has_said(&self) -> bool {
        let expected = self.expect.map_or(&b""[..], |(text, _)| text);
        !expected.is_empty()
            && self
                .said
                .windows(expected.len())
                .any(|part| part == expected)
    }
}

/// What comes from the serial port, piece by piece.
fn listen(mut serial: ChildStdout) -> Receiver<Vec<u8>> {
    let (said, heard) = mpsc::sync_channel(16);
    thread::spawn(move || {
        let mut piece = vec![0; 4096];
        while let Ok(len @ 1..) = serial.read(&mut piece) {
            if said.send(piece[..len].to_vec()).is_err() {
                return;
            }
        }
    });
    heard
}
