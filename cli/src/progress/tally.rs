//! Counters of one command, and the line that they make.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use blockstore::observe::Counter;

use crate::progress::rate::Rate;
use crate::render::escape;
use crate::render::human;

const COUNTERS: usize = 5;

/// What was counted and what is expected; 0 if that is not known.
#[derive(Debug)]
pub(super) struct Tally {
    began: Instant,
    done: [AtomicU64; COUNTERS],
    expected: [AtomicU64; COUNTERS],
    current: Mutex<PathBuf>,
    rate: Mutex<Rate>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            done: Default::default(),
            expected: Default::default(),
            current: Mutex::default(),
            rate: Mutex::default(),
        }
    }

    pub(super) fn add(&self, counter: Counter, by: u64) {
        self.done[slot(counter)].fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn expect(&self, counter: Counter, total: u64) {
        self.expected[slot(counter)].store(total, Ordering::Relaxed);
    }

    pub(super) fn working_on(&self, path: &Path) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.clear(); // keeps its memory
        current.push(path);
    }

    /// Entries, objects and bytes, how fast, how long still, and on what.
    pub(super) fn line(&self) -> String {
        let elapsed = self.began.elapsed();
        let bytes = self.bytes();
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        let per_second = rate.after(elapsed, bytes);
        drop(rate);
        let parts = [
            self.part(Counter::Objects, "objects"),
            self.part(Counter::Entries, "entries"),
            self.bytes_part(bytes),
            (per_second >= 1).then(|| format!("{}/s", human::bytes(per_second))),
            self.time_left(bytes, per_second)
                .map(|left| format!("{} left", human::duration(left))),
            self.current(),
        ];
        let known: Vec<_> = parts.into_iter().flatten().collect();
        if known.is_empty() {
            return format!("working, {}", human::duration(elapsed));
        }
        known.join("  ")
    }

    fn done(&self, counter: Counter) -> u64 {
        self.done[slot(counter)].load(Ordering::Relaxed)
    }

    /// Bytes that are done. Those of a long file are counted at its end: until then what was read
    /// tells more.
    fn bytes(&self) -> u64 {
        self.done(Counter::Bytes).max(self.done(Counter::BytesRead))
    }

    /// The total, unless it was estimated and has been passed.
    fn expected(&self, counter: Counter, done: u64) -> Option<u64> {
        let total = self.expected[slot(counter)].load(Ordering::Relaxed);
        (total > 0 && done <= total).then_some(total)
    }

    fn part(&self, counter: Counter, unit: &str) -> Option<String> {
        let done = self.done(counter);
        match self.expected(counter, done) {
            Some(total) => {
                let (done, total) = (human::count(done), human::count(total));
                Some(format!("{done} of {total} {unit}"))
            }
            None => (done > 0).then(|| format!("{} {unit}", human::count(done))),
        }
    }

    fn bytes_part(&self, done: u64) -> Option<String> {
        match self.expected(Counter::Bytes, done) {
            Some(total) => Some(format!("{} of {}", human::bytes(done), human::bytes(total))),
            None => (done > 0).then(|| human::bytes(done)),
        }
    }

    fn time_left(&self, done: u64, per_second: u64) -> Option<Duration> {
        let left = self.expected(Counter::Bytes, done)? - done;
        left.checked_div(per_second).map(Duration::from_secs)
    }

    fn current(&self) -> Option<String> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let name = escape::path(current.as_os_str().as_encoded_bytes());
        (!name.is_empty()).then_some(name)
    }
}

fn slot(counter: Counter) -> usize {
    match counter {
        Counter::Entries => 0,
        Counter::Bytes => 1,
        Counter::BytesRead => 2,
        Counter::BytesStored => 3,
        Counter::Objects => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_shows_what_is_known_and_nothing_else() {
        let tally = Tally::new();
        assert!(tally.line().starts_with("working, "));
        tally.add(Counter::Entries, 1_204);
        tally.expect(Counter::Entries, 2_000);
        tally.add(Counter::Bytes, 1 << 20);
        tally.expect(Counter::Bytes, 3 << 20);
        tally.working_on(Path::new("/a\nb"));
        let line = tally.line();
        let begins = "1,204 of 2,000 entries  1.0 MiB of 3.0 MiB";
        assert!(line.starts_with(begins), "{line}");
        assert!(line.ends_with(r"/a\nb"), "{line}");
        assert!(!line.contains("objects"), "{line}");
    }

    #[test]
    fn a_long_file_moves_the_line_and_a_passed_estimate_goes() {
        let tally = Tally::new();
        tally.expect(Counter::Bytes, 2 << 20);
        tally.add(Counter::BytesRead, 1 << 20);
        assert!(tally.line().starts_with("1.0 MiB of 2.0 MiB"));
        tally.add(Counter::BytesRead, 2 << 20);
        assert_eq!(tally.line().split("  ").next(), Some("3.0 MiB"));
    }
}
