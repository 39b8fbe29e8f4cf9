//! What a merged snapshot says of itself.

use parking_lot::Mutex;

use super::{World, clock, keeping, options, replacing, tree};
use crate::format::entry::Timestamp;
use crate::format::snapshot::{Consistency, Snapshot, SnapshotKind, SnapshotProblem};
use crate::observe::{Observer, Problem};
use crate::operations::merge::{MergeMode, MergeOptions, merge};
use crate::repository::session::Writer;
use crate::repository::snapshots;

fn problem(subject: &str) -> SnapshotProblem {
    SnapshotProblem {
        kind: 1,
        subject: subject.as_bytes().to_vec(),
        detail: "permission denied".to_owned(),
    }
}

fn world() -> World {
    let (base, newer) = (tree(&["ana/x", "bob/y"]), tree(&["x=2"]));
    World::new(&[&[("/home", &base)], &[("/home/ana", &newer)]])
}

fn add_problems(snapshot: &mut Snapshot, subjects: &[&str], unlisted: u64) {
    snapshot.problems = subjects.iter().map(|subject| problem(subject)).collect();
    snapshot.problem_count = subjects.len() as u64 + unlisted;
}

#[track_caller]
fn assert_carried(world: &World, mode: MergeMode, expected: &[&str], count: u64) {
    #[derive(Default)]
    struct Told(Mutex<Vec<Vec<u8>>>);
    impl Observer for Told {
        fn problem(&self, problem: &Problem) {
            self.0.lock().push(problem.subject.clone());
        }
    }
    let told = Told::default();
    let merged = merge(&world.repository(), &world.snapshots, &options(mode), &told);
    let merged = merged.unwrap().snapshot;
    let subjects: Vec<_> = merged.problems.iter().map(|p| p.subject.clone()).collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
    assert_eq!(subjects, expected);
    assert_eq!(told.0.into_inner(), expected);
    assert_eq!(merged.problem_count, count);
}

#[test]
fn it_names_its_inputs_its_writer_and_the_host_of_the_newest() {
    let mut world = world();
    world.snapshots[0].host = "old".to_owned();
    world.snapshots[1].host = "new".to_owned();
    let writer = Writer {
        host: "vault".to_owned(),
        user: "keeper".to_owned(),
        process: 7,
        started: Timestamp {
            seconds: 5,
            nanoseconds: 6,
        },
    };
    let options = MergeOptions {
        writer,
        tags: ["b", "a", "b"].map(str::to_owned).to_vec(),
        ..replacing()
    };
    let report = world.merge(&options);
    let [base, newer] = [0, 1].map(|number| world.snapshots[number].session);
    let merged = &report.snapshot;
    assert_eq!(
        (merged.parent, &report.merged),
        (Some(newer), &vec![base, newer])
    );
    assert!(merged.tracking_reason.contains(&base.to_string()));
    assert!(merged.tracking_reason.contains(&newer.to_string()));
    assert_eq!(
        (merged.host.as_str(), merged.user.as_str()),
        ("new", "keeper")
    );
    assert_eq!((merged.begun.seconds, merged.ended), (5, clock()));
    assert_eq!(merged.tags, ["a", "b"]);
    assert_eq!(merged.kind, SnapshotKind::Folders);
    let totals = merged.totals;
    assert_eq!((totals.entries, totals.files, totals.folders), (5, 2, 3));
    assert_eq!(
        (totals.read_bytes, totals.new_chunks, totals.new_bytes),
        (0, 0, 0)
    );
    assert_eq!(
        snapshots::read(&world.repository(), merged.session).unwrap(),
        *merged
    );
    let named = MergeOptions {
        host: Some("other".to_owned()),
        ..options
    };
    assert_eq!(world.merge(&named).snapshot.host, "other");
}

#[test]
fn problems_stay_whose_paths_are_still_from_their_snapshot() {
    let mut world = world();
    add_problems(
        &mut world.snapshots[0],
        &["/home/ana/lost", "/home/bob/lost"],
        0,
    );
    add_problems(&mut world.snapshots[1], &["/home/ana/other"], 0);
    let replaced = ["/home/bob/lost", "/home/ana/other"];
    assert_carried(&world, MergeMode::Replace, &replaced, 2);
    let kept = ["/home/ana/lost", "/home/bob/lost", "/home/ana/other"];
    assert_carried(&world, MergeMode::KeepDeleted, &kept, 3);
}

#[test]
fn a_problem_of_what_a_newer_snapshot_has_is_over() {
    let mut world = world();
    add_problems(
        &mut world.snapshots[0],
        &["/home/ana/x", "/home/ana/x/below", "/home/ana"],
        0,
    );
    assert_carried(&world, MergeMode::KeepDeleted, &[], 0);
}

#[test]
fn problems_that_no_list_names_count_for_as_long_as_their_snapshot_gives_anything() {
    let mut world = world();
    add_problems(&mut world.snapshots[0], &["elsewhere", "/home/ana/gone"], 5);
    assert_carried(&world, MergeMode::Replace, &["elsewhere"], 6);
    let files = tree(&["x"]);
    let mut world = World::new(&[&[("/r", &files)], &[("/r", &files)]]);
    add_problems(&mut world.snapshots[0], &["elsewhere", "/r/x"], 5);
    assert_carried(&world, MergeMode::Replace, &[], 0);
}

#[test]
fn the_same_problem_of_two_snapshots_is_told_once() {
    let mut world = world();
    add_problems(&mut world.snapshots[0], &["/home/ana/lost"], 0);
    add_problems(&mut world.snapshots[1], &["/home/ana/lost"], 0);
    assert_carried(&world, MergeMode::KeepDeleted, &["/home/ana/lost"], 1);
}

#[test]
fn the_inputs_stay_as_they_are() {
    let world = world();
    let before = world.snapshots.clone();
    for options in [replacing(), keeping()] {
        world.merge(&options);
    }
    for snapshot in before {
        assert_eq!(
            snapshots::read(&world.repository(), snapshot.session).unwrap(),
            snapshot
        );
    }
}

#[test]
fn consistency_is_the_lowest_of_all() {
    let mut world = world();
    for (one, other, expected) in [
        (
            Consistency::Application,
            Consistency::Files,
            Consistency::Files,
        ),
        (Consistency::Files, Consistency::Files, Consistency::Files),
    ] {
        world.snapshots[0].consistency = one;
        world.snapshots[1].consistency = other;
        assert_eq!(world.merge(&replacing()).snapshot.consistency, expected);
    }
}
