//! Forgetting, bringing back and protecting, on a repository in memory.

use std::sync::Arc;

use super::calendar::Span;
use super::policy::TagSet;
use super::*;
use crate::format::entry::Timestamp;
use crate::format::envelope::SealedKind;
use crate::format::name::{ObjectKind, ObjectName, PruneStep};
use crate::format::prune::PruneRecord;
use crate::format::retention::Protection;
use crate::format::snapshot::{PageRoot, Root};
use crate::operations::check::{CheckOptions, FindingKind, check};
use crate::operations::protect::{ProtectOptions, protect};
use crate::operations::undelete::undelete;
use crate::repository::prunes;
use crate::storage::Backend;
use crate::storage::memory::MemoryBackend;
use crate::testing::sample_repository::{self, flip_bit, snapshot_of};

/// When sample repositories are made, seconds.
const CREATED: i64 = 1_790_000_000;
const DAY: i64 = 86_400;

struct World {
    backend: Arc<MemoryBackend>,
    repository: Repository,
    put: u8,
}

fn day(number: i64) -> Timestamp {
    Timestamp {
        seconds: CREATED + number * DAY,
        nanoseconds: 0,
    }
}

fn writer(now: i64) -> Writer {
    Writer {
        host: "admin".into(),
        started: day(now),
        ..Writer::default()
    }
}

fn daily(count: u32) -> RetentionPolicy {
    RetentionPolicy {
        daily: Some(count),
        ..RetentionPolicy::default()
    }
}

fn by(policy: RetentionPolicy, now: i64) -> ForgetOptions {
    ForgetOptions::new(Choice::Policy(policy, Filter::default()), writer(now))
}

fn these(sessions: &[SessionId], now: i64) -> ForgetOptions {
    ForgetOptions::new(Choice::Snapshots(sessions.to_vec()), writer(now))
}

impl World {
    fn new() -> Self {
        let backend = Arc::new(MemoryBackend::new());
        let repository = sample_repository::create(backend.clone());
        Self {
            backend,
            repository,
            put: 0,
        }
    }

    /// Snapshots of one machine, a day apart.
    fn with_days(days: i64) -> (Self, Vec<SessionId>) {
        let mut world = Self::new();
        let sessions = (1..=days).map(|number| world.commit("a", number, &[]));
        let sessions = sessions.collect();
        (world, sessions)
    }

    fn commit(&mut self, host: &str, at: i64, tags: &[&str]) -> SessionId {
        self.put += 1;
        let page = PageRoot {
            page: crate::format::id::ChunkId([1; 32]),
            level: 0,
        };
        let session = SessionId([self.put; 16]);
        let root = Root::folder(b"/home".to_vec(), page, 1, 1);
        let snapshot = Snapshot {
            host: host.to_owned(),
            ended: day(at),
            sequence: self.put.into(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..snapshot_of(session, vec![root])
        };
        let name = ObjectName::Snapshot(session);
        let bytes = snapshot.encode();
        prunes::put_once(&self.repository, SealedKind::Commit, &name, &bytes).unwrap();
        session
    }

    fn forget(&self, options: &ForgetOptions) -> ForgetReport {
        forget(&self.repository, options, &()).unwrap()
    }

    fn refuses(&self, options: &ForgetOptions, kind: ErrorKind, told: &str) {
        let before = self.objects();
        let error = forget(&self.repository, options, &()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(self.objects(), before, "nothing was done");
    }

    fn protect(&self, session: SessionId, until: i64, shorten: bool, now: i64) -> Result<()> {
        let options = ProtectOptions {
            until: day(until),
            shorten,
            writer: writer(now),
        };
        protect(&self.repository, session, &options).map(drop)
    }

    fn plan(&self, number: u32, snapshots: Vec<SessionId>) {
        let record = PruneRecord {
            number,
            packs: Vec::new(),
            snapshots,
        };
        assert!(prunes::put_step(&self.repository, PruneStep::Plan, &record).unwrap());
    }

    /// Ids that are there, and ids that are forgotten.
    fn listed(&self) -> (Vec<SessionId>, Vec<SessionId>) {
        let list = snapshots::list(&self.repository).unwrap();
        let ids = |snapshots: &[Snapshot]| snapshots.iter().map(|s| s.session).collect();
        (ids(&list.snapshots), ids(&list.forgotten))
    }

    fn objects(&self) -> Vec<ObjectName> {
        let list = |kind| self.backend.list(kind).unwrap();
        let all = ObjectKind::ALL.into_iter().flat_map(list);
        all.map(|info| info.name).collect()
    }
}

#[test]
fn what_a_policy_does_not_keep_is_forgotten_and_comes_back() {
    let (world, ids) = World::with_days(5);
    let mut options = by(daily(2), 5);
    options.dry_run = true;
    let before = world.objects();
    assert_eq!(world.forget(&options).forgotten, ids[..3]);
    assert_eq!(world.objects(), before, "a dry run");
    options.dry_run = false;
    let report = world.forget(&options);
    assert_eq!(report.forgotten, ids[..3]);
    assert_eq!((report.misfits(), report.problems), (0, 0));
    assert_eq!(world.listed(), (ids[3..].to_vec(), ids[..3].to_vec()));
    assert_eq!(
        snapshots::find(&world.repository, "latest~1")
            .unwrap()
            .session,
        ids[3]
    );
    let by_id = snapshots::find(&world.repository, &ids[0].to_string());
    assert_eq!(by_id.unwrap().session, ids[0]);
    assert_eq!(world.forget(&options).forgotten, []);
    let text = ids[1].to_string();
    let back = undelete(&world.repository, &[text.clone(), text[..6].to_owned()]).unwrap();
    assert_eq!(back.back, [ids[1]]);
    assert_eq!(world.listed().1, [ids[0], ids[2]]);
    assert_eq!(world.forget(&options).forgotten, [ids[1]], "once more");
}

#[test]
fn every_verdict_names_the_rule_and_the_bucket() {
    let mut world = World::new();
    let first = world.commit("a", 1, &[]);
    let second = world.commit("a", 1, &["keep"]);
    let third = world.commit("a", 40, &[]);
    let fourth = world.commit("a", 40, &[]);
    let policy = RetentionPolicy {
        last: Some(1),
        monthly: Some(1),
        tags: vec![TagSet(["keep".to_owned()].into())],
        ..RetentionPolicy::default()
    };
    let report = world.forget(&by(policy.clone(), 40));
    let told: Vec<_> = report
        .verdicts()
        .map(|verdict| {
            (
                verdict.session,
                verdict.keep,
                format!("{:?}", verdict.reasons),
            )
        })
        .collect();
    let month = calendar::Period::Month.bucket(day(40), 0);
    assert_eq!(month.to_string(), "2026-10");
    let [tagged, late] = [
        vec![Reason::Tagged(policy.tags[0].clone())],
        vec![Reason::NotLast, Reason::LaterOf(month), Reason::NotTagged],
    ]
    .map(|reasons| format!("{reasons:?}"));
    let beyond = "[NotLast, BeyondCount(Month), NotTagged]".to_owned();
    let kept = format!("{:?}", [Reason::Last, Reason::LastOf(month)]);
    assert_eq!(
        told,
        [
            (first, false, beyond),
            (second, true, tagged),
            (third, false, late),
            (fourth, true, kept)
        ]
    );
}

#[test]
fn what_is_within_a_span_is_measured_from_the_newest_snapshot_that_fits() {
    let (mut world, ids) = World::with_days(10);
    let future = world.commit("a", 1_000, &[]);
    let policy = RetentionPolicy {
        within: Some(Span {
            days: 3,
            ..Span::default()
        }),
        ..RetentionPolicy::default()
    };
    let report = world.forget(&by(policy, 500));
    assert_eq!(report.forgotten, ids[..6]);
    assert_eq!(report.misfits(), 1);
    assert!(world.listed().0.contains(&future));
}

#[test]
fn machines_are_series_of_their_own_unless_they_are_grouped_otherwise() {
    let mut world = World::new();
    let a = world.commit("a", 1, &[]);
    let b = world.commit("b", 2, &[]);
    let last = RetentionPolicy {
        last: Some(1),
        ..RetentionPolicy::default()
    };
    let mut options = by(last, 2);
    options.dry_run = true;
    let report = world.forget(&options);
    assert_eq!((report.series.len(), report.forgotten.len()), (2, 0));
    assert_eq!(report.series[0].key.host.as_deref(), Some("a"));
    options.group_by.host = false;
    assert_eq!(world.forget(&options).forgotten, [a]);
    let filter = Filter {
        host: Some("b".into()),
        ..Filter::default()
    };
    options.choice = Choice::Policy(daily(1), filter);
    let report = world.forget(&options);
    assert_eq!(
        report.verdicts().map(|v| v.session).collect::<Vec<_>>(),
        [b]
    );
}

#[test]
fn a_slip_in_a_tag_forgets_nothing_unless_that_is_allowed() {
    let (world, ids) = World::with_days(3);
    let slip = RetentionPolicy {
        tags: vec![TagSet(["impotrant".to_owned()].into())],
        ..RetentionPolicy::default()
    };
    let mut options = by(slip, 3);
    let report = world.forget(&options);
    assert!(matches!(report.refusal, Some(Refusal::TagsOnNoSnapshot(_))));
    assert_eq!(report.forgotten, []);
    options.allow_empty = true;
    assert_eq!(world.forget(&options).forgotten, ids);
    let none = world.forget(&by(RetentionPolicy::default(), 3));
    assert_eq!(none.refusal, Some(Refusal::NoRule));
}

#[test]
fn a_policy_of_tags_leaves_a_series_without_them_alone() {
    let mut world = World::new();
    let lost = [1, 2].map(|at| world.commit("a", at, &[]));
    let gone = world.commit("b", 3, &[]);
    world.commit("b", 4, &["keep"]);
    let keep = RetentionPolicy {
        tags: vec![TagSet(["keep".to_owned()].into())],
        ..RetentionPolicy::default()
    };
    let report = world.forget(&by(keep, 4));
    assert_eq!(report.forgotten, [gone]);
    let of_a = &report.series[0].verdicts;
    let kept: Vec<_> = of_a
        .iter()
        .map(|v| (v.session, v.reasons.clone()))
        .collect();
    assert_eq!(kept, lost.map(|id| (id, vec![Reason::WouldEmpty])));
}

#[test]
fn snapshots_that_are_named_go_all_or_none() {
    let (world, ids) = World::with_days(3);
    let unknown = SessionId([99; 16]);
    let missing = these(&[ids[0], unknown], 3);
    world.refuses(&missing, ErrorKind::NotFound, "no such snapshot");
    let mut all = these(&ids, 3);
    world.refuses(&all, ErrorKind::InvalidInput, "no snapshot left");
    world.protect(ids[1], 9, false, 3).unwrap();
    let guarded = these(&ids[..2], 3);
    world.refuses(
        &guarded,
        ErrorKind::InvalidInput,
        "is protected until 2026-09-30",
    );
    assert_eq!(world.forget(&these(&ids[..1], 3)).forgotten, ids[..1]);
    let again = world.forget(&these(&ids[..1], 3));
    assert_eq!(
        (again.forgotten_before, again.forgotten),
        (ids[..1].to_vec(), vec![])
    );
    world.protect(ids[1], 2, true, 3).unwrap();
    all.allow_empty = true;
    assert_eq!(world.forget(&all).forgotten, ids[1..]);
    assert_eq!(world.listed(), (vec![], ids));
}

impl World {
    /// A snapshot beside the others: the newest time of the repository goes on.
    fn commit_late(&self, at: i64) -> SessionId {
        let mut other = Self {
            backend: self.backend.clone(),
            repository: sample_repository::open(self.backend.clone()),
            put: 50 + at as u8,
        };
        other.commit("late", at, &[])
    }
}

#[test]
fn a_protection_ends_when_two_clocks_say_so() {
    let (world, ids) = World::with_days(4);
    world.protect(ids[0], 10, false, 4).unwrap();
    let last = by(daily(1), 4);
    let report = world.forget(&last);
    assert_eq!(report.forgotten, ids[1..3]);
    let reasons = &report.series[0].verdicts[0].reasons;
    assert_eq!(reasons[..], [Reason::Protected(Until::Time(day(10)))]);
    // The clock of whoever forgets has jumped; no snapshot is as new.
    let jumped = by(daily(1), 40_000);
    assert_eq!(world.forget(&jumped).forgotten, []);
    // A snapshot is as new, or says so; the clock of whoever forgets disagrees.
    world.commit_late(20);
    assert_eq!(world.forget(&by(daily(1), 9)).forgotten, []);
    assert_eq!(world.forget(&by(daily(1), 20)).forgotten, ids[..1]);
}

#[test]
fn a_protection_is_extended_and_shortened_only_if_asked_for() {
    let (world, ids) = World::with_days(2);
    let refused = |result: Result<()>, told: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(told), "{error}");
    };
    refused(world.protect(ids[0], 1, false, 2), "is over already");
    world.protect(ids[0], 10, false, 2).unwrap();
    world.protect(ids[0], 20, false, 2).unwrap();
    let before = world.objects();
    world.protect(ids[0], 20, false, 2).unwrap();
    assert_eq!(world.objects(), before, "the same again");
    refused(world.protect(ids[0], 15, false, 2), "is protected until");
    world.protect(ids[0], 15, true, 2).unwrap();
    let counts = ObjectName::Protected {
        session: ids[0],
        number: 2,
    };
    flip_bit(&*world.backend, &counts, 200);
    refused(world.protect(ids[0], 99, false, 2), "for ever");
    world.refuses(
        &these(&ids[..1], 2),
        ErrorKind::InvalidInput,
        "cannot be read",
    );
    world.protect(ids[0], 2, true, 2).unwrap();
    let options = these(&ids[..1], 3);
    world.commit_late(3);
    world.forget(&options);
    refused(world.protect(ids[0], 99, false, 3), "undelete it first");
    let missing = world.protect(SessionId([77; 16]), 99, false, 2);
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_protection_that_comes_meanwhile_takes_the_tombstone_back() {
    let (world, ids) = World::with_days(3);
    let options = by(daily(1), 3);
    let list = snapshots::list(&world.repository).unwrap();
    let terms = terms(&world.repository, &options);
    let guards = Guards::read(&world.repository, &list, day(3)).unwrap();
    let mut report = by_policy(&list, &daily(1), &Filter::default(), &terms, &guards);
    // Between the decision and the tombstone another protects the snapshot.
    let protection = Protection {
        session: ids[0],
        until: day(99),
        decided: day(3),
        host: "other".into(),
        user: "other".into(),
    };
    crate::repository::retention::put_protection(&world.repository, &protection, None).unwrap();
    bury::bury(&world.repository, &list, &mut report, &options, &()).unwrap();
    let until = Until::Time(day(99));
    assert_eq!(
        report.taken_back,
        [(ids[0], SecondThought::Protected(until))]
    );
    assert_eq!(report.forgotten, ids[1..2]);
    assert_eq!(world.listed().1, ids[1..2]);
}

#[test]
fn two_that_forget_at_the_same_time_do_not_empty_a_series_together() {
    let (world, ids) = World::with_days(2);
    let options = these(&ids[..1], 2);
    let list = snapshots::list(&world.repository).unwrap();
    let guards = Guards::read(&world.repository, &list, day(2)).unwrap();
    let mut report = by_ids(&list, &ids[..1], &options, &guards).unwrap();
    world.forget(&these(&ids[1..], 2));
    bury::bury(&world.repository, &list, &mut report, &options, &()).unwrap();
    assert_eq!(report.taken_back, [(ids[0], SecondThought::WouldEmpty)]);
    assert_eq!(world.listed(), (ids[..1].to_vec(), ids[1..].to_vec()));
}

#[test]
fn what_a_prune_has_let_go_cannot_be_brought_back() {
    let (world, ids) = World::with_days(4);
    world.forget(&by(daily(1), 4));
    world.plan(1, vec![ids[0]]);
    let error = undelete(&world.repository, &[ids[0].to_string()]).unwrap_err();
    assert!(error.to_string().contains("too late"), "{error}");
    let not_forgotten = undelete(&world.repository, &[ids[3].to_string()]).unwrap_err();
    assert!(not_forgotten.to_string().contains("is not forgotten"));
    let unknown = undelete(&world.repository, &["ee".to_owned()]).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    let back = undelete(&world.repository, &[ids[1].to_string()]).unwrap();
    assert_eq!((back.back, back.too_late), (vec![ids[1]], vec![]));
}

#[test]
fn nothing_is_forgotten_by_decisions_of_a_prune_that_cannot_be_read() {
    let (world, ids) = World::with_days(2);
    world.plan(1, Vec::new());
    flip_bit(&*world.backend, &ObjectName::Prune(PruneStep::Plan, 1), 200);
    world.refuses(&by(daily(1), 2), ErrorKind::Damaged, "prune");
    world.refuses(&these(&ids[..1], 2), ErrorKind::Damaged, "prune");
}

#[test]
fn a_check_names_decisions_that_cannot_be_read() {
    let (world, ids) = World::with_days(3);
    world.forget(&these(&ids[..1], 3));
    world.protect(ids[1], 9, false, 3).unwrap();
    world.plan(1, Vec::new());
    let names = [
        ObjectName::Forgotten(ids[0]),
        ObjectName::Protected {
            session: ids[1],
            number: 0,
        },
        ObjectName::Prune(PruneStep::Plan, 1),
    ];
    let damaged = || {
        let report = check(&world.repository, &CheckOptions::default(), &()).unwrap();
        let findings = report.findings.into_iter();
        let damaged = findings.filter(|finding| finding.kind == FindingKind::Damaged);
        damaged.map(|finding| finding.subject).collect::<Vec<_>>()
    };
    assert_eq!(damaged(), Vec::<String>::new());
    for name in names {
        flip_bit(&*world.backend, &name, 200);
        assert_eq!(damaged(), [name.to_string()]);
        flip_bit(&*world.backend, &name, 200);
    }
    flip_bit(&*world.backend, &names[0], 200);
    assert_eq!(world.listed().1, ids[..1], "its name counts");
    undelete(&world.repository, &[ids[0].to_string()]).unwrap();
    assert_eq!(world.listed().1, []);
}
