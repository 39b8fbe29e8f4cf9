//! Ranges of a volume that went wrong: told to the observer, listed in the report.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::ErrorKind;
use crate::limits::REPORT_RANGES_MAX;
use crate::observe::{Observer, Problem, ProblemKind};
use crate::operations::restore_volume::plan::Loss;
use crate::operations::walk::with_causes;

/// Ranges of a volume in bytes, ascending; neighbours are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeList {
    /// The ranges, up to `limits::REPORT_RANGES_MAX` of them.
    pub ranges: Vec<Range<u64>>,
    /// Bytes in all ranges, listed or not.
    pub bytes: u64,
    /// Ranges that are not listed.
    pub unlisted: u64,
}

impl RangeList {
    /// True if there is no range.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Adds a range behind the others.
    pub(super) fn push(&mut self, range: Range<u64>) {
        self.bytes += range.end - range.start;
        let is_full = self.ranges.len() == REPORT_RANGES_MAX;
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start && self.unlisted == 0 => last.end = range.end,
            _ if is_full => self.unlisted += 1,
            _ => self.ranges.push(range),
        }
    }
}

/// Tells problems of one volume.
pub(super) struct Teller<'o> {
    observer: &'o dyn Observer,
    /// What the volume is called.
    name: &'o [u8],
    problems: AtomicU64,
}

impl<'o> Teller<'o> {
    pub(super) fn new(observer: &'o dyn Observer, name: &'o [u8]) -> Self {
        let problems = AtomicU64::new(0);
        Self {
            observer,
            name,
            problems,
        }
    }

    /// How many problems were told.
    pub(super) fn problems(&self) -> u64 {
        self.problems.load(Ordering::Relaxed)
    }

    /// Tells of `losses`, neighbours at once; gives their ranges, ascending.
    pub(super) fn lost(&self, mut losses: Vec<Loss>, what_of_it: &str) -> Vec<Range<u64>> {
        losses.sort_unstable_by_key(|loss| loss.range.start);
        let mut ranges = Vec::new();
        let mut rest = losses.as_slice();
        while let Some(first) = rest.first() {
            let goes_on = |pair: &[Loss]| {
                pair[0].range.end == pair[1].range.start
                    && pair[0].error.kind() == pair[1].error.kind()
            };
            let count = 1 + rest.windows(2).take_while(|pair| goes_on(pair)).count();
            let range = first.range.start..rest[count - 1].range.end;
            let kind = match first.error.kind() {
                ErrorKind::NotFound => ProblemKind::Missing,
                _ => ProblemKind::Damaged,
            };
            let why = with_causes(&first.error);
            self.problem(kind, &range, &format!("{what_of_it}: {why}"));
            ranges.push(range);
            rest = &rest[count..];
        }
        ranges
    }

    /// Tells of one range.
    pub(super) fn problem(&self, kind: ProblemKind, range: &Range<u64>, detail: &str) {
        self.problems.fetch_add(1, Ordering::Relaxed);
        let len = range.end - range.start;
        self.observer.problem(&Problem {
            kind,
            subject: self.name.to_vec(),
            detail: format!("bytes {}+{len} {detail}", range.start),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_range_and_a_long_list_is_cut_but_counted() {
        let mut list = RangeList::default();
        list.push(0..5);
        list.push(5..7);
        list.push(8..9);
        assert_eq!(list.ranges, [0..7, 8..9]);
        for index in 0..REPORT_RANGES_MAX as u64 {
            list.push(10 + 2 * index..11 + 2 * index);
        }
        assert_eq!(list.ranges.len(), REPORT_RANGES_MAX);
        assert_eq!(list.unlisted, 2);
        assert_eq!(list.bytes, 8 + REPORT_RANGES_MAX as u64);
    }
}
