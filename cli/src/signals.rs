//! Signals become flags that the engine asks for through the observer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;

use crate::exit::Code;

/// What signals asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    stop: Arc<AtomicBool>,
    report: Arc<AtomicBool>,
}

impl Signals {
    /// From now on SIGINT and SIGTERM ask to stop, a second SIGINT ends the process at once, and
    /// SIGUSR1 asks for a line of progress. Not to be called before the password was asked for:
    /// there the default, an end at once, is right.
    pub(crate) fn install() -> io::Result<Self> {
        let signals = Self::default();
        let at_once = i32::from(Code::Interrupted as u8);
        // The order matters: the first SIGINT must not find the flag that it sets itself.
        flag::register_conditional_shutdown(SIGINT, at_once, Arc::clone(&signals.stop))?;
        flag::register(SIGINT, Arc::clone(&signals.stop))?;
        flag::register(SIGTERM, Arc::clone(&signals.stop))?;
        flag::register(SIGUSR1, Arc::clone(&signals.report))?;
        Ok(signals)
    }

    /// True once the process was asked to stop.
    pub(crate) fn stop_was_asked(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// True once after each time that a line of progress was asked for.
    pub(crate) fn take_report_request(&self) -> bool {
        self.report.load(Ordering::Relaxed) && self.report.swap(false, Ordering::Relaxed)
    }
}
