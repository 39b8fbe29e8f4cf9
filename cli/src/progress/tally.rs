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
        let bytes = self.done(Counter::Bytes);
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        let per_second = rate.after(elapsed, bytes);
        drop(rate);
        let parts = [
            self.part(Counter::Objects, |n| format!("{} objects", human::count(n))),
            self.part(Counter::Entries, |n| format!("{} entries", human::count(n))),
            self.part(Counter::Bytes, human::bytes),
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

    fn expected(&self, counter: Counter) -> Option<u64> {
        let total = self.expected[slot(counter)].load(Ordering::Relaxed);
        (total > 0).then_some(total)
    }

    fn part(&self, counter: Counter, show: impl Fn(u64) -> String) -> Option<String> {
        let done = self.done(counter);
        match self.expected(counter) {
            Some(total) => Some(format!("{} of {}", show(done), show(total))),
            None => (done > 0).then(|| show(done)),
        }
    }

    fn time_left(&self, done: u64, per_second: u64) -> Option<Duration> {
        let left = self.expected(Counter::Bytes)?.saturating_sub(done);
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
        tally.add(Counter::Bytes, 1 << 20);
        tally.expect(Counter::Bytes, 3 << 20);
        tally.working_on(Path::new("/a\nb"));
        let line = tally.line();
        assert!(
            line.starts_with("1,204 entries  1.0 MiB of 3.0 MiB"),
            "{line}"
        );
        assert!(line.ends_with(r"/a\nb"), "{line}");
        assert!(!line.contains("objects"), "{line}");
    }
}
