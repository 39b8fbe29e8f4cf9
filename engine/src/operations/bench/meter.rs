//! What a piece of work takes: time, processors, memory, and how it went on.
//!
//! A second thread looks on while the work is done, and ends with it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::Result;
use crate::observe::{Counter, Observer, Problem};
use crate::operations::bench::report::{Cost, Sample};
use crate::pipeline::{cancelled, parallel};
use crate::system::{System, usage};

/// How often a work is looked at.
const INTERVAL: Duration = Duration::from_millis(100);
/// How soon the one who looks on sees that the work is over.
const STEP: Duration = Duration::from_millis(5);
/// Most samples of one work; at twice as many, every second one is dropped.
const SAMPLES_MAX: usize = 1_024;

/// Counts what an operation tells, and passes on what the caller of the bench is to know.
pub(super) struct Watch<'o> {
    observer: &'o dyn Observer,
    tells_problems: bool,
    bytes: AtomicU64,
    bytes_read: AtomicU64,
    bytes_stored: AtomicU64,
    problems: AtomicU64,
}

/// What a work took, and what happened meanwhile.
pub(super) struct Metered<T> {
    pub result: T,
    pub cost: Cost,
    pub timeline: Vec<Sample>,
}

impl<'o> Watch<'o> {
    /// Problems are passed on if nobody was told of them yet.
    pub(super) fn new(observer: &'o dyn Observer, tells_problems: bool) -> Self {
        Self {
            observer,
            tells_problems,
            bytes: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
            bytes_stored: AtomicU64::new(0),
            problems: AtomicU64::new(0),
        }
    }

    pub(super) fn problems(&self) -> u64 {
        self.problems.load(Ordering::Relaxed)
    }

    /// Bytes of a long file are counted at its end: until then what was read tells more.
    fn bytes(&self) -> u64 {
        let done = self.bytes.load(Ordering::Relaxed);
        done.max(self.bytes_read.load(Ordering::Relaxed))
    }
}

impl Observer for Watch<'_> {
    fn problem(&self, problem: &Problem) {
        self.problems.fetch_add(1, Ordering::Relaxed);
        if self.tells_problems {
            self.observer.problem(problem);
        }
    }

    fn count(&self, counter: Counter, by: u64) {
        let counted = match counter {
            Counter::Bytes => &self.bytes,
            Counter::BytesRead => &self.bytes_read,
            Counter::BytesStored => &self.bytes_stored,
            Counter::Entries | Counter::Objects => return,
        };
        counted.fetch_add(by, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.observer.is_cancelled()
    }
}

/// Says what comes next, and ends here if the caller wants no more.
pub(super) fn announce(observer: &dyn Observer, what: &str) -> Result<()> {
    observer.working_on(Path::new(what));
    if observer.is_cancelled() {
        return Err(cancelled());
    }
    Ok(())
}

/// Does `work`, which tells `watch`, while another thread looks on.
pub(super) fn meter<T: Send>(
    watch: &Watch<'_>,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<Metered<T>> {
    let (work, is_over) = (Mutex::new(Some(work)), AtomicBool::new(false));
    let timeline = Mutex::new(Timeline::default());
    let begun = Stopwatch::start();
    let task = |(): &mut (), is_work: &bool| {
        if !is_work {
            timeline.lock().look_on(&begun, watch, &is_over);
            return Ok(None);
        }
        let taken = work.lock().take();
        let _over = Over(&is_over);
        taken.map(|work| Ok((work()?, begun.stop()))).transpose()
    };
    let done = parallel::run(2, &[true, false], || (), task)?;
    let (result, mut cost) = done.into_iter().flatten().next().ok_or_else(cancelled)?;
    let timeline = timeline.into_inner().samples;
    let seen = timeline.iter().map(|sample| sample.memory).max();
    cost.memory_peak = cost.memory_peak.max(seen.unwrap_or(0));
    Ok(Metered {
        result,
        cost,
        timeline,
    })
}

/// Says that a work is over, also where it panics.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Time and processors since it was started, of this process and of the whole machine.
pub(super) struct Stopwatch {
    begun: Instant,
    cpu: (Duration, Duration),
    machine: Duration,
    system: System,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        let system = System::real();
        Self {
            machine: usage::machine_time(&system),
            cpu: usage::processor_time(&system),
            begun: Instant::now(),
            system,
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(super) fn stop(&self) -> Cost {
        let wall = self.begun.elapsed();
        let (all, kernel) = usage::processor_time(&self.system);
        let all = all.saturating_sub(self.cpu.0);
        let kernel = kernel.saturating_sub(self.cpu.1).min(all);
        let machine = usage::machine_time(&self.system).saturating_sub(self.machine);
        Cost {
            wall,
            user: all - kernel,
            system: kernel,
            others: machine.saturating_sub(all),
            memory_peak: usage::memory(&self.system),
        }
    }
}

/// Samples at even intervals, which grow with the work.
#[derive(Default)]
struct Timeline {
    samples: Vec<Sample>,
}

impl Timeline {
    fn look_on(&mut self, begun: &Stopwatch, watch: &Watch<'_>, is_over: &AtomicBool) {
        let mut interval = INTERVAL;
        let mut next = Duration::ZERO;
        loop {
            let is_last = is_over.load(Ordering::Acquire);
            let at = begun.elapsed();
            if at >= next || is_last {
                self.samples.push(Sample {
                    at,
                    bytes: watch.bytes(),
                    bytes_stored: watch.bytes_stored.load(Ordering::Relaxed),
                    memory: usage::memory(&begun.system),
                });
                if self.thin_out() {
                    interval *= 2;
                }
                next = at + interval;
            }
            if is_last {
                return;
            }
            thread::sleep(STEP);
        }
    }

    /// Drops every second sample once there are too many.
    fn thin_out(&mut self) -> bool {
        let is_full = self.samples.len() >= 2 * SAMPLES_MAX;
        if is_full {
            let mut number = 0;
            self.samples.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
        is_full
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind, Place};

    #[test]
    fn a_work_is_looked_at_from_its_beginning_to_its_end() {
        let watch = Watch::new(&(), true);
        let metered = meter(&watch, || {
            watch.count(Counter::BytesRead, 5);
            watch.count(Counter::Bytes, 7);
            Ok(1)
        });
        let metered = metered.unwrap();
        assert_eq!(
            (metered.result, metered.timeline.last().unwrap().bytes),
            (1, 7)
        );
        let times: Vec<_> = metered.timeline.iter().map(|sample| sample.at).collect();
        assert!(times.is_sorted());
        assert!(metered.cost.memory_peak > 0);
    }

    #[test]
    fn a_work_that_fails_ends_the_looking_on() {
        let failing = || -> Result<()> { Err(Error::new(ErrorKind::Io, Place::Repository, "x")) };
        let failed = meter(&Watch::new(&(), true), failing);
        assert_eq!(failed.err().map(|error| error.kind()), Some(ErrorKind::Io));
    }

    #[test]
    fn long_works_keep_few_samples_in_order() {
        let mut timeline = Timeline::default();
        for second in 0..10_000 {
            let at = Duration::from_secs(second);
            timeline.samples.push(Sample {
                at,
                ..Sample::default()
            });
            timeline.thin_out();
        }
        assert!(timeline.samples.len() < 2 * SAMPLES_MAX);
        assert!(timeline.samples.is_sorted_by_key(|sample| sample.at));
    }
}
