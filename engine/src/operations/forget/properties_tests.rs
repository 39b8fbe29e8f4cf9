//! Generated policies and histories of clocks, against the promises of `policy` and `clocks`.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::format::entry::Timestamp;
use crate::format::id::SessionId;
use crate::format::snapshot::{PageRoot, Root, Snapshot};
use crate::operations::forget::calendar::Span;
use crate::operations::forget::clocks::{Clocks, misfits};
use crate::operations::forget::policy::{
    GroupBy, Judgement, Reason, Refusal, RetentionPolicy, TagSet, Terms, judge,
};
use crate::testing::sample_repository::snapshot_of;

const CREATED: i64 = 1_700_000_000;
const CENTURY: i64 = 100 * 365 * 86_400;
/// More than clocks of machines may differ.
const LIE: i64 = 3_600;
const TAGS: [&str; 3] = ["daily", "keep", "release"];

/// One snapshot of a generated history, before it has a time.
#[derive(Clone, Copy, Debug)]
struct Made {
    host: u8,
    path: u8,
    tags: u8,
    /// Seconds since the one before.
    gap: i64,
}

fn gap() -> impl Strategy<Value = i64> {
    prop_oneof![
        0..120_i64,
        0..7_200_i64,
        40_000..200_000_i64,
        0..40 * 86_400_i64
    ]
}

fn made() -> impl Strategy<Value = Made> {
    (0..2_u8, 0..2_u8, 0..8_u8, gap()).prop_map(|(host, path, tags, gap)| Made {
        host,
        path,
        tags,
        gap,
    })
}

fn span() -> impl Strategy<Value = Span> {
    (0..2_u32, 0..3_u32, 0..40_u32, 0..30_u32).prop_map(|(years, months, days, hours)| Span {
        years,
        months,
        days,
        hours,
    })
}

fn count() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![3 => Just(None), 3 => (0..6_u32).prop_map(Some)]
}

/// Sets of the tags that there are, and one that nobody has.
fn tag_set() -> impl Strategy<Value = TagSet> {
    let word = prop_oneof![
        4 => (0..3_usize).prop_map(|at| TAGS[at]),
        1 => Just("kepe"),
    ];
    prop::collection::btree_set(word.prop_map(str::to_owned), 1..3).prop_map(TagSet)
}

fn policy() -> impl Strategy<Value = RetentionPolicy> {
    let counts = [count(), count(), count(), count(), count(), count()];
    let within = prop::option::weighted(0.3, span());
    let tags = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(tag_set(), 1..3)];
    (counts, within, tags).prop_map(|(counts, within, tags)| {
        let [last, hourly, daily, weekly, monthly, yearly] = counts;
        RetentionPolicy {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
            within,
            tags,
        }
    })
}

fn group_by() -> impl Strategy<Value = GroupBy> {
    any::<[bool; 3]>().prop_map(|[host, source, tags]| GroupBy { host, source, tags })
}

fn snapshot(number: usize, made: &Made, time: i64) -> Snapshot {
    let at = PageRoot {
        page: crate::format::id::ChunkId([1; 32]),
        level: 0,
    };
    let name = format!("/path{}", made.path);
    let root = Root::folder(name.into_bytes(), at, 1, 1);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&(number as u64).to_le_bytes());
    let has = |at: usize| made.tags & (1 << at) != 0;
    Snapshot {
        host: format!("host{}", made.host),
        tags: (0..3)
            .filter(|at| has(*at))
            .map(|at| TAGS[at].to_owned())
            .collect(),
        ended: Timestamp {
            seconds: time,
            nanoseconds: 0,
        },
        sequence: number as u64,
        ..snapshot_of(SessionId(id), vec![root])
    }
}

/// Snapshots whose clocks were right, in the order of their commits.
fn truthful(history: &[Made]) -> Vec<Snapshot> {
    let mut time = CREATED;
    let made = history.iter().enumerate().map(|(number, made)| {
        time += made.gap;
        snapshot(number, made, time)
    });
    made.collect()
}

fn terms(group_by: GroupBy, now: i64) -> Terms {
    let at = |seconds| Timestamp {
        seconds,
        nanoseconds: 0,
    };
    Terms {
        group_by,
        allow_empty: false,
        clocks: Clocks {
            now: at(now),
            created: at(CREATED),
        },
        offset_seconds: 3_600,
    }
}

fn now_of(snapshots: &[Snapshot], idle: i64) -> i64 {
    snapshots.last().map_or(CREATED, |s| s.ended.seconds) + idle
}

fn decide(snapshots: &[Snapshot], policy: &RetentionPolicy, terms: &Terms) -> Judgement {
    let all: Vec<_> = snapshots.iter().collect();
    judge(&all, policy, terms, &|_| None)
}

fn gone(judgement: &Judgement) -> BTreeSet<SessionId> {
    let verdicts = judgement.series.iter().flat_map(|series| &series.verdicts);
    let gone = verdicts.filter(|verdict| !verdict.keep);
    gone.map(|verdict| verdict.session).collect()
}

fn history() -> impl Strategy<Value = Vec<Made>> {
    prop::collection::vec(made(), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_policy_empties_a_series_and_every_verdict_is_explained(
        history in history(),
        times in prop::collection::vec(any::<prop::sample::Index>(), 40),
        policy in policy(),
        group_by in group_by(),
        idle in gap(),
    ) {
        // Some clocks are right, some lie by a century, some by anything.
        let mut snapshots = truthful(&history);
        let now = now_of(&snapshots, idle);
        for (snapshot, lie) in snapshots.iter_mut().zip(&times) {
            snapshot.ended.seconds = match lie.index(12) {
                0 => snapshot.ended.seconds - CENTURY,
                1 => snapshot.ended.seconds + CENTURY,
                2 => snapshot.ended.seconds - 90_000,
                3 => i64::MIN,
                4 => i64::MAX,
                _ => snapshot.ended.seconds,
            };
        }
        let found = decide(&snapshots, &policy, &terms(group_by, now));
        let judged: usize = found.series.iter().map(|series| series.verdicts.len()).sum();
        prop_assert_eq!(judged, snapshots.len());
        for series in &found.series {
            prop_assert!(series.verdicts.iter().any(|verdict| verdict.keep));
            let counted = |verdict: &&super::Verdict| {
                !verdict.reasons.iter().any(|reason| matches!(reason, Reason::Clock(_)))
            };
            let mut counted = series.verdicts.iter().filter(counted).peekable();
            prop_assert!(counted.peek().is_none() || counted.any(|verdict| verdict.keep));
            for verdict in &series.verdicts {
                prop_assert!(!verdict.reasons.is_empty());
            }
        }
        if found.refusal.is_some() {
            prop_assert!(gone(&found).is_empty());
        }
    }

    #[test]
    fn a_policy_without_a_rule_or_with_tags_that_nobody_has_forgets_nothing_and_says_so(
        history in history(),
        policy in policy(),
        group_by in group_by(),
    ) {
        let snapshots = truthful(&history);
        let terms = terms(group_by, now_of(&snapshots, 0));
        let zero = policy.last.map(|_| 0);
        let nothing = RetentionPolicy { last: zero, daily: zero, ..RetentionPolicy::default() };
        let found = decide(&snapshots, &nothing, &terms);
        prop_assert_eq!(&found.refusal, &Some(Refusal::NoRule));
        prop_assert!(gone(&found).is_empty());
        let slip = TagSet(["kepe".to_owned()].into());
        let mut policy = policy;
        policy.tags = vec![slip.clone()];
        let found = decide(&snapshots, &policy, &terms);
        prop_assert_eq!(&found.refusal, &Some(Refusal::TagsOnNoSnapshot(slip)));
        prop_assert!(gone(&found).is_empty());
    }

    /// A writer floods a series with snapshots that lie: each contradicts one that is true.
    #[test]
    fn a_flood_of_lies_makes_nothing_go_that_was_to_stay(
        history in history(),
        lies in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(),
            0..4_u8, 0..8_u8, 0..50 * 86_400_i64), 1..60),
        policy in policy(),
        group_by in group_by(),
        idle in gap(),
    ) {
        let snapshots = truthful(&history);
        let now = now_of(&snapshots, idle);
        let terms = terms(group_by, now);
        let before = gone(&decide(&snapshots, &policy, &terms));
        let mut flooded: Vec<_> = snapshots.iter().cloned().zip((0..).step_by(2)).collect();
        for (number, (place, other, way, tags, by)) in lies.iter().enumerate() {
            // Of the series of a true one, and committed beside it.
            let at = place.index(snapshots.len());
            let made = Made { tags: *tags, ..history[at] };
            let time = snapshots[at].ended.seconds;
            let other = snapshots[other.index(snapshots.len())].ended.seconds;
            let (time, order) = match way {
                0 => (now + LIE + by, 2 * at as i64 + 1),            // in the future
                1 => (time - LIE - by, 2 * at as i64 + 1),           // back-dated
                2 => (time + LIE + by, 2 * at as i64 - 1),           // ahead of a true one
                _ => (other.min(time - LIE), 2 * at as i64 + 1),     // as if of another day
            };
            let mut lie = snapshot(1_000 + number, &made, time);
            if group_by.tags {
                lie.tags = snapshots[at].tags.clone();
            }
            flooded.push((lie, order));
        }
        flooded.sort_by_key(|(_, order)| *order);
        let flooded: Vec<_> = flooded.into_iter().map(|(snapshot, _)| snapshot).collect();
        let after = gone(&decide(&flooded, &policy, &terms));
        prop_assert!(after.is_subset(&before), "{:?} went besides", &after - &before);
    }

    /// The clock of one machine jumps, once or for good, from any snapshot to any other.
    #[test]
    fn a_clock_that_jumps_by_a_century_makes_nothing_go_that_was_to_stay(
        history in history(),
        from in any::<prop::sample::Index>(),
        len in 1..40_usize,
        is_ahead in any::<bool>(),
        host in 0..2_u8,
        policy in policy(),
        group_by in group_by(),
        idle in gap(),
    ) {
        let snapshots = truthful(&history);
        let terms = terms(group_by, now_of(&snapshots, idle));
        let before = gone(&decide(&snapshots, &policy, &terms));
        let mut jumped = snapshots.clone();
        let from = from.index(jumped.len());
        for snapshot in jumped.iter_mut().skip(from).take(len) {
            if snapshot.host == format!("host{host}") {
                snapshot.ended.seconds += if is_ahead { CENTURY } else { -CENTURY };
            }
        }
        let after = gone(&decide(&jumped, &policy, &terms));
        prop_assert!(after.is_subset(&before), "{:?} went besides", &after - &before);
    }

    /// The clock of whoever forgets jumps.
    #[test]
    fn a_forgetting_clock_that_jumps_makes_no_more_go(
        history in history(),
        is_ahead in any::<bool>(),
        policy in policy(),
        group_by in group_by(),
        idle in gap(),
    ) {
        let snapshots = truthful(&history);
        let right = terms(group_by, now_of(&snapshots, idle));
        let mut wrong = right;
        wrong.clocks.now.seconds += if is_ahead { CENTURY } else { -CENTURY };
        let before = gone(&decide(&snapshots, &policy, &right));
        let after = gone(&decide(&snapshots, &policy, &wrong));
        prop_assert!(after.is_subset(&before), "{:?} went besides", &after - &before);
    }

    #[test]
    fn true_clocks_always_fit(history in history(), idle in gap()) {
        let snapshots = truthful(&history);
        let all: Vec<_> = snapshots.iter().collect();
        let clocks = terms(GroupBy::default(), now_of(&snapshots, idle)).clocks;
        prop_assert!(misfits(&all, &clocks).iter().all(Option::is_none));
    }

    #[test]
    fn a_lower_count_never_keeps_more(history in history(), policy in policy(), idle in gap()) {
        let snapshots = truthful(&history);
        let terms = terms(GroupBy::default(), now_of(&snapshots, idle));
        let more = decide(&snapshots, &policy, &terms);
        let less = |count: Option<u32>| count.map(|count| count.max(2) - 1);
        let lower = RetentionPolicy {
            last: less(policy.last),
            daily: less(policy.daily),
            yearly: less(policy.yearly),
            ..policy.clone()
        };
        let raised = |count: Option<u32>| count.map(|count| count.max(2));
        let policy = RetentionPolicy {
            last: raised(policy.last),
            daily: raised(policy.daily),
            yearly: raised(policy.yearly),
            ..policy
        };
        let higher = decide(&snapshots, &policy, &terms);
        let lower = decide(&snapshots, &lower, &terms);
        prop_assert!(gone(&higher).is_subset(&gone(&lower)));
        prop_assert_eq!(more.series.len(), lower.series.len());
    }
}
