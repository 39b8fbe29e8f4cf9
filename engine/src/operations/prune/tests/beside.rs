//! Prunes beside writers that are at work, gone, or late.

use super::*;
use crate::operations::commit;
use crate::repository::session::{Commit, Session};

fn at(seconds: i64) -> Writer {
    let nanoseconds = 0;
    Writer {
        started: Timestamp {
            seconds,
            nanoseconds,
        },
        ..Writer::default()
    }
}

/// The tree of this seed, stored and not committed, by a writer that began at `seconds`.
fn stored(repository: &Repository, seconds: i64, seed: u64) -> (Session<'_>, Snapshot) {
    let roots = [("/r", &tree(seed))];
    let stored = sample_repository::stored_by(repository, &at(seconds), small_packs(), &roots);
    stored.0.flush().unwrap();
    stored
}

#[test]
fn packs_of_a_writer_at_work_stay_and_its_snapshot_is_committed_by_another_session() {
    let world = World::new();
    let mut other = SampleTree::new();
    other.file("other", Random::new(5).bytes(50_000));
    let (old, kept) = (world.commit(&other), world.commit(&tree(1)));
    let repository = world.open();
    let (session, snapshot) = stored(&repository, 1_790_000_000, 2);
    let given_up = session.id();
    world.forget(&old);
    let report = world.prune();
    assert_eq!(report.ended, [given_up], "the plan decides older sessions");
    let again = world.prune();
    assert_eq!(
        again.deleted.count, 0,
        "its packs are left to it: {again:?}"
    );
    let outcome = commit::commit(&repository, session, snapshot, &at(0), small_packs());
    let snapshot = outcome.unwrap().expect("everything it stored is there");
    assert_ne!(snapshot.session, given_up);
    world.expect_only(&[&kept, &snapshot]);
    assert_eq!(world.names(ObjectKind::Intent), []);
}

#[test]
fn packs_of_a_writer_that_is_gone_go() {
    let world = World::new();
    let kept = world.commit(&tree(1));
    let repository = world.open();
    let (session, _) = stored(&repository, 0, 2);
    drop(session); // as a crash does
    let report = world.prune();
    assert!(report.deleted.bytes > 60_000, "{report:?}");
    world.expect_only(&[&kept]);
    assert_eq!(world.names(ObjectKind::Intent), []);
}

#[test]
fn a_writer_that_was_given_up_and_comes_back_stores_again_what_is_gone() {
    let world = World::new();
    let kept = world.commit(&tree(1));
    let repository = world.open();
    let (session, snapshot) = stored(&repository, 0, 2);
    world.prune();
    let outcome = commit::commit(&repository, session, snapshot, &at(0), small_packs());
    assert_eq!(outcome.unwrap(), None);
    world.prune();
    world.expect_only(&[&kept]);
}

#[test]
fn a_commit_behind_a_seal_is_no_snapshot_and_its_writer_is_told() {
    let world = World::new();
    let kept = world.commit(&tree(1));
    let repository = world.open();
    let (session, snapshot) = stored(&repository, 0, 2);
    world.prune(); // its ABORT is tidied away with its intent
    assert_eq!(world.names(ObjectKind::Snapshot).len(), 1);
    let late = session.id();
    let commit = session.commit(snapshot).unwrap();
    assert!(matches!(commit, Commit::DecidedAgainst(_)));
    assert_eq!(world.sessions(), [kept.session]);
    assert!(
        world
            .names(ObjectKind::Snapshot)
            .contains(&ObjectName::Snapshot(late))
    );
    let other = world.commit(&tree(3));
    world.forget(&other);
    world.prune();
    world.expect_only(&[&kept]);
    assert_eq!(world.names(ObjectKind::Snapshot).len(), 1);
}

#[test]
fn a_session_beside_an_unfinished_plan_stores_again_what_is_condemned() {
    let world = World::new();
    let [first, second] = [1, 2].map(|seed| world.commit(&tree(seed)));
    world.forget(&first);
    // A prune that stops once its plan stands.
    let condemned = world.packs_of(first.session, PackClass::Data);
    let own: Vec<_> = condemned
        .iter()
        .filter_map(crate::format::prune::PrunedPack::of)
        .collect();
    let plan = PruneRecord {
        number: 1,
        packs: own[1..].to_vec(),
        snapshots: vec![first.session],
    };
    assert!(prunes::put_step(&world.open(), PruneStep::Plan, &plan).unwrap());
    let third = world.commit(&tree(1)); // the content of the first
    assert_eq!(third.base, 1);
    let mut expected = [second.session, third.session];
    expected.sort_unstable();
    let report = world.prune();
    assert_eq!(report.plans[0], 1);
    assert_eq!(world.sessions(), expected);
    world.expect_only(&[&second, &third]);
}

#[test]
fn a_snapshot_that_was_committed_beside_a_plan_rescues_what_it_needs() {
    let world = World::new();
    let [first, second] = [1, 2].map(|seed| world.commit(&tree(seed)));
    // A writer that takes the content of the first over, and commits behind the survey.
    let repository = world.open();
    let (session, snapshot) =
        sample_repository::stored_by(&repository, &at(0), small_packs(), &[("/r", &tree(1))]);
    world.forget(&first);
    let packs = world.packs_of(first.session, PackClass::Data);
    let condemned = packs
        .iter()
        .filter_map(crate::format::prune::PrunedPack::of);
    let plan = PruneRecord {
        number: 1,
        packs: condemned.collect(),
        snapshots: vec![first.session],
    };
    let third = session.commit(snapshot).unwrap().expect_stands();
    assert!(prunes::put_step(&world.open(), PruneStep::Plan, &plan).unwrap());
    let report = world.prune();
    assert!(!report.rescued.is_empty(), "{report:?}");
    world.expect_only(&[&second, &third]);
}

#[test]
fn the_newest_sequence_goes_on_where_forgotten_snapshots_ended() {
    let world = World::new();
    let [first, second] = [1, 2].map(|seed| world.commit(&tree(seed)));
    assert_eq!((first.sequence, second.sequence), (1, 2));
    world.forget(&second);
    assert_eq!(world.commit(&tree(3)).sequence, 3);
}
