//! A machine that runs: what it says on its serial port, and when it is over.

use std::io::{Read, Write};
use std::process::{Child, ChildStdout, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use blockstore::limits::BOOT_SERIAL_LEN_MAX;
use blockstore::observe::{Observer, Problem};

use crate::commands::boot::Expected;
use crate::output::Output;
use crate::progress::Progress;

/// How often it is looked whether the machine, or this program, is to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How a machine ended.
pub(in crate::commands) struct Ended {
    /// The last that it said; nothing unless something was expected.
    pub(in crate::commands) tail: Vec<u8>,
    /// Bytes that it said in all.
    pub(in crate::commands) said: u64,
    /// How long it took until it said what was expected; nothing if it did not.
    pub(in crate::commands) seen_after: Option<Duration>,
    /// How the program ended, if it did by itself.
    pub(in crate::commands) status: Option<ExitStatus>,
    /// True if its user ended it.
    pub(in crate::commands) is_cancelled: bool,
}

impl Ended {
    /// True if it said what was expected; where nothing was, if the program ended well.
    pub(super) fn is_as_expected(&self, expected: Option<Expected<'_>>) -> bool {
        match expected {
            Some(_) => self.seen_after.is_some(),
            None => self.status.is_none_or(|status| status.success()),
        }
    }

    /// What a person is told.
    pub(super) fn line(&self, expected: Option<Expected<'_>>) -> Option<String> {
        match (expected, self.seen_after, self.status) {
            (Some(Expected { text, .. }), Some(_), _) => Some(format!("booted: {text:?} appeared")),
            (Some(Expected { text, .. }), None, Some(status)) => Some(format!(
                "{text:?} did not appear; the machine ended: {status}"
            )),
            (Some(Expected { text, .. }), None, None) => Some(format!("{text:?} did not appear")),
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
    expected: Option<Expected<'w>>,
    started: Instant,
    child: Child,
    /// The last that it said.
    heard: Vec<u8>,
    /// Bytes that it said in all.
    said: u64,
}

impl<'w> Watch<'w> {
    pub(super) fn new(output: &'w Output, expected: Option<Expected<'w>>, child: Child) -> Self {
        Self {
            output,
            expected,
            started: Instant::now(),
            child,
            heard: Vec::new(),
            said: 0,
        }
    }

    /// Until the machine ends, has said what is expected, or must end.
    pub(super) fn run(mut self, progress: &Progress<'_>) -> Ended {
        let serial = self.child.stdout.take().map(listen);
        let (mut seen_after, mut status, mut is_cancelled) = (None, None, false);
        while status.is_none() && seen_after.is_none() && !self.is_too_late() && !is_cancelled {
            status = self.child.try_wait().ok().flatten();
            let has_said = match &serial {
                Some(serial) => self.hear(serial, status.is_some()),
                None => {
                    thread::sleep(LOOK_EVERY);
                    false
                }
            };
            seen_after = has_said.then(|| self.started.elapsed());
            is_cancelled = progress.is_cancelled();
        }
        // A machine whose user ends it has nothing left to say.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let from = self.heard.len().saturating_sub(BOOT_SERIAL_LEN_MAX);
        Ended {
            tail: self.heard.split_off(from),
            said: self.said,
            seen_after,
            status,
            is_cancelled,
        }
    }

    fn is_too_late(&self) -> bool {
        self.expected
            .is_some_and(|expected| self.started.elapsed() >= expected.timeout)
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
                    let spare = self.heard.len().saturating_sub(2 * BOOT_SERIAL_LEN_MAX);
                    self.heard.drain(..spare);
                    self.heard.extend_from_slice(&piece);
                    self.said += piece.len() as u64;
                }
                Err(RecvTimeoutError::Timeout) if all && !self.is_too_late() => continue,
                Err(_) => return self.has_said(),
            }
            if self.has_said() || !all {
                return self.has_said();
            }
        }
    }

    fn has_said(&self) -> bool {
        let expected = self.expected.map_or("", |expected| expected.text);
        !expected.is_empty()
            && self
                .heard
                .windows(expected.len())
                .any(|part| part == expected.as_bytes())
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
