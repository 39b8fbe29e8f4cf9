//! What the engine tells while it works: counted, drawn on a terminal, problems kept.

mod rate;
mod tally;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use blockstore::observe::{Counter, Observer, Problem};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::output::Output;
use crate::progress::tally::Tally;
use crate::render::escape;
use crate::render::human;
use crate::signals::Signals;

/// Problems that are printed; the rest is counted.
const PROBLEMS_PRINTED: u64 = 100;
/// Problems that are kept for the result; the rest is counted.
const PROBLEMS_KEPT: usize = 10_000;
const REDRAW: Duration = Duration::from_millis(100);

/// The observer of one command.
pub(crate) struct Progress<'o> {
    output: &'o Output,
    signals: Signals,
    tally: Arc<Tally>,
    line: Option<ProgressBar>,
    problems: Mutex<Vec<Problem>>,
    problem_count: AtomicU64,
}

/// What went wrong with parts of an operation.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    /// The first of them.
    pub(crate) listed: Vec<Problem>,
    /// All of them.
    pub(crate) count: u64,
}

impl<'o> Progress<'o> {
    pub(crate) fn new(output: &'o Output, signals: Signals) -> Self {
        let mut progress = Self::without_line(output, signals);
        progress.line = output.shows_progress().then(|| draw(&progress.tally));
        progress
    }

    /// One that draws nothing.
    pub(crate) fn without_line(output: &'o Output, signals: Signals) -> Self {
        Self {
            output,
            signals,
            tally: Arc::new(Tally::new()),
            line: None,
            problems: Mutex::default(),
            problem_count: AtomicU64::new(0),
        }
    }

    /// Takes the line away and gives what went wrong.
    pub(crate) fn finish(self) -> Problems {
        let listed =
            std::mem::take(&mut *self.problems.lock().unwrap_or_else(PoisonError::into_inner));
        let count = self.problem_count.load(Ordering::Relaxed);
        Problems { listed, count }
    }

    fn beside_the_line(&self, print: impl FnOnce()) {
        match &self.line {
            Some(line) => line.suspend(print),
            None => print(),
        }
    }
}

/// Also when an error ends the command: then the error is printed below the problems.
impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
        let count = self.problem_count.load(Ordering::Relaxed);
        if let Some(more @ 1..) = count.checked_sub(PROBLEMS_PRINTED) {
            self.output
                .problem(&format!("and {} more problems", human::count(more)));
        }
    }
}

impl Observer for Progress<'_> {
    fn problem(&self, problem: &Problem) {
        let number = self.problem_count.fetch_add(1, Ordering::Relaxed);
        if number < PROBLEMS_PRINTED {
            self.beside_the_line(|| self.output.problem(&human::problem(problem)));
        }
        let mut kept = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < PROBLEMS_KEPT {
            kept.push(problem.clone());
        }
    }

    fn count(&self, counter: Counter, by: u64) {
        self.tally.add(counter, by);
    }

    fn expect(&self, counter: Counter, total: u64) {
        self.tally.expect(counter, total);
    }

    fn working_on(&self, path: &Path) {
        if self.output.is_verbose() {
            let text = escape::path(path.as_os_str().as_encoded_bytes());
            self.beside_the_line(|| self.output.note(&text));
        }
        if self.line.is_some() {
            self.tally.working_on(path);
        }
    }

    fn is_cancelled(&self) -> bool {
        if self.signals.take_report_request() {
            self.beside_the_line(|| self.output.status(&self.tally.line()));
        }
        // With nobody left to read the result, more work is in vain.
        self.signals.stop_was_asked() || self.output.reader_is_gone()
    }
}

/// A line that redraws itself from the tally: the engine's threads only add to counters.
#[expect(clippy::expect_used, reason = "the template is a constant")]
fn draw(tally: &Arc<Tally>) -> ProgressBar {
    let tally = Arc::clone(tally);
    let write = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
        // A string takes everything.
        let _ = out.write_str(&tally.line());
    };
    let style = ProgressStyle::with_template("{line}").expect("the template names one key");
    let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    line.set_style(style.with_key("line", write));
    line.enable_steady_tick(REDRAW);
    line
}
