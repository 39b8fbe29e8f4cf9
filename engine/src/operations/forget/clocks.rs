//! Which times of snapshots can be believed: clocks err, and whoever may write may lie.
//!
//! Snapshots stand in the order of their commits, and no clock has a say in that. A time *fits* if
//! it lies between the making of the repository and now, and contradicts no other such time of its
//! series: none committed before is later, none committed after is earlier. Of two that contradict
//! each other nobody knows which one errs, so neither fits.
//!
//! Whoever adds snapshots of wrong times can therefore only take others out of the count, never
//! push them out of it: what does not fit is kept, and counts for nothing.

use crate::format::entry::Timestamp;
use crate::format::id::SessionId;
use crate::format::snapshot::Snapshot;
use crate::repository::Repository;

/// By how much clocks of different machines may differ, seconds.
const SKEW_SECONDS: i64 = 15 * 60;

/// What times are measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The present, as the caller's machine tells it.
    pub now: Timestamp,
    /// When the repository was made.
    pub created: Timestamp,
}

/// Why a time does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It lies in the future.
    AfterNow,
    /// It lies before the repository was made.
    BeforeRepository,
    /// It is earlier than that of this snapshot, which was committed before.
    BeforeEarlier(SessionId),
    /// It is later than that of this snapshot, which was committed afterwards.
    AfterLater(SessionId),
}

/// The time of a snapshot: when all of it was stored.
pub fn time_of(snapshot: &Snapshot) -> Timestamp {
    snapshot.ended
}

/// Why the time of each of `snapshots` does not fit; nothing of those whose times do. They are one
/// series, in the order of their commits.
pub fn misfits(snapshots: &[&Snapshot], clocks: &Clocks) -> Vec<Option<Misfit>> {
    let mut found: Vec<_> = snapshots.iter().map(|s| clocks.misfit(s)).collect();
    let is_possible: Vec<_> = found.iter().map(Option::is_none).collect();
    let possible = || {
        let times = snapshots.iter().zip(&is_possible).zip(0..);
        let times = times.filter(|((_, possible), _)| **possible);
        times.map(|((snapshot, _), at): ((&&Snapshot, _), usize)| (at, *snapshot))
    };
    let mut latest: Option<&Snapshot> = None;
    for (at, snapshot) in possible() {
        match latest {
            Some(latest) if is_before(snapshot, latest) => {
                found[at] = Some(Misfit::BeforeEarlier(latest.session));
            }
            Some(latest) if time_of(snapshot) < time_of(latest) => {}
            _ => latest = Some(snapshot),
        }
    }
    let mut earliest: Option<&Snapshot> = None;
    for (at, snapshot) in possible().collect::<Vec<_>>().into_iter().rev() {
        match earliest {
            Some(earliest) if is_before(earliest, snapshot) => {
                found[at].get_or_insert(Misfit::AfterLater(earliest.session));
            }
            Some(earliest) if time_of(earliest) < time_of(snapshot) => {}
            _ => earliest = Some(snapshot),
        }
    }
    found
}

/// The latest time that fits, of `snapshots` as one series.
pub fn newest_fitting(snapshots: &[&Snapshot], clocks: &Clocks) -> Option<Timestamp> {
    let misfits = misfits(snapshots, clocks);
    let fitting = snapshots.iter().zip(misfits);
    let fitting = fitting.filter(|(_, misfit)| misfit.is_none());
    fitting.map(|(snapshot, _)| time_of(snapshot)).max()
}

impl Clocks {
    /// Those of a repository.
    pub fn of(repository: &Repository, now: Timestamp) -> Self {
        let seconds = i64::try_from(repository.config().created).unwrap_or(i64::MAX);
        let created = Timestamp {
            seconds,
            nanoseconds: 0,
        };
        Self { now, created }
    }

    fn misfit(&self, snapshot: &Snapshot) -> Option<Misfit> {
        let time = time_of(snapshot);
        // A repository that was made in the future says nothing of the past.
        let is_created_known = self.created <= self.now;
        if time > later(self.now) {
            Some(Misfit::AfterNow)
        } else if is_created_known && later(time) < self.created {
            Some(Misfit::BeforeRepository)
        } else {
            None
        }
    }
}

/// True if no skew of clocks explains that `a` is earlier than `b`.
fn is_before(a: &Snapshot, b: &Snapshot) -> bool {
    later(time_of(a)) < time_of(b)
}

fn later(time: Timestamp) -> Timestamp {
    Timestamp {
        seconds: time.seconds.saturating_add(SKEW_SECONDS),
        ..time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample_repository::snapshot_of;

    const HOUR: i64 = 3_600;

    fn snapshots(hours: &[i64]) -> Vec<Snapshot> {
        let made = hours.iter().zip(1..).map(|(&hour, number)| {
            let mut snapshot = snapshot_of(SessionId([number; 16]), Vec::new());
            snapshot.ended.seconds = hour * HOUR;
            snapshot
        });
        made.collect()
    }

    fn found(hours: &[i64], created: i64, now: i64) -> Vec<Option<Misfit>> {
        let snapshots = snapshots(hours);
        let at = |hour| Timestamp {
            seconds: hour * HOUR,
            nanoseconds: 0,
        };
        let clocks = Clocks {
            now: at(now),
            created: at(created),
        };
        misfits(&snapshots.iter().collect::<Vec<_>>(), &clocks)
    }

    fn of(number: u8) -> SessionId {
        SessionId([number; 16])
    }

    #[test]
    fn times_in_order_fit() {
        assert_eq!(found(&[1, 2, 2, 9], 1, 9), [None; 4]);
    }

    #[test]
    fn what_lies_in_the_future_or_before_the_repository_contradicts_nobody() {
        let expected = [
            None,
            Some(Misfit::AfterNow),
            Some(Misfit::BeforeRepository),
            None,
        ];
        assert_eq!(found(&[5, 10, 1, 6], 3, 9), expected);
        let unknown = found(&[5, 6], 100, 9);
        assert_eq!(unknown, [None; 2], "a repository of the future");
    }

    #[test]
    fn of_two_times_that_contradict_each_other_neither_fits() {
        let expected = [
            None,
            Some(Misfit::AfterLater(of(4))),
            Some(Misfit::AfterLater(of(4))),
            Some(Misfit::BeforeEarlier(of(3))),
            None,
        ];
        assert_eq!(found(&[3, 5, 6, 4, 7], 1, 9), expected);
    }

    #[test]
    fn clocks_of_machines_may_differ_a_little() {
        let mut pair = snapshots(&[5, 5]);
        let clocks = Clocks {
            now: pair[0].ended,
            created: pair[0].ended,
        };
        for (seconds, fit) in [(SKEW_SECONDS, true), (SKEW_SECONDS + 1, false)] {
            pair[0].ended.seconds = 5 * HOUR + seconds;
            let found = misfits(&[&pair[0]], &clocks);
            assert_eq!(found[0].is_none(), fit, "after now");
            pair[0].ended.seconds = 5 * HOUR - seconds;
            let found = misfits(&[&pair[0]], &clocks);
            assert_eq!(found[0].is_none(), fit, "before the repository");
            pair[0].ended.seconds = 5 * HOUR;
            pair[1].ended.seconds = 5 * HOUR - seconds;
            let wide = Clocks {
                created: Timestamp::default(),
                ..clocks
            };
            let found = misfits(&[&pair[0], &pair[1]], &wide);
            assert_eq!(found.iter().all(Option::is_none), fit, "out of order");
            pair[1].ended.seconds = 5 * HOUR;
        }
    }

    #[test]
    fn extreme_times_are_no_reason_to_stop() {
        let mut pair = snapshots(&[0, 0]);
        (pair[0].ended.seconds, pair[1].ended.seconds) = (i64::MAX, i64::MIN);
        let clocks = Clocks {
            now: pair[0].ended,
            created: pair[1].ended,
        };
        let found = misfits(&[&pair[0], &pair[1]], &clocks);
        assert!(found.iter().all(Option::is_some), "{found:?}");
        assert_eq!(newest_fitting(&[&pair[0], &pair[1]], &clocks), None);
    }
}
