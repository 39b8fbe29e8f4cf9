//! When there is no merge: said before anything is committed, by snapshot and path.

use super::{World, keeping, replacing, tree};
use crate::error::{Error, ErrorKind};
use crate::format::name::{ObjectKind, ObjectName, PackClass};
use crate::format::snapshot::{SnapshotKind, SnapshotProblem};
use crate::limits::SNAPSHOT_LEN_LIMIT;
use crate::observe::Observer;
use crate::operations::merge::{MergeOptions, merge};
use crate::repository::snapshots;
use crate::storage::Backend;
use crate::testing::sample_repository::{self, SampleTree, small_frames};

/// The error of a merge that leaves no snapshot and no intent.
#[track_caller]
fn refused(world: &World, options: &MergeOptions) -> Error {
    let (repository, count) = (world.repository(), committed(world));
    let error = merge(&repository, &world.snapshots, options, &()).unwrap_err();
    assert_eq!(committed(world), count);
    let intents = world.backend.list(ObjectKind::Intent).unwrap();
    assert!(intents.is_empty(), "{intents:?}");
    error
}

fn committed(world: &World) -> usize {
    snapshots::list(&world.repository())
        .unwrap()
        .snapshots
        .len()
}

/// Deletes the packs of this class that were stored after `before`.
fn delete_packs(world: &World, class: PackClass, before: &[ObjectName]) {
    for name in packs(world) {
        if !before.contains(&name)
            && matches!(name, ObjectName::Pack { class: c, .. } if c == class)
        {
            world.backend.delete(&name).unwrap();
        }
    }
}

fn packs(world: &World) -> Vec<ObjectName> {
    let packs = world.backend.list(ObjectKind::Pack).unwrap();
    packs.into_iter().map(|info| info.name).collect()
}

/// A world of `base`, to which a snapshot of `newer` at `name` comes whose packs of `class` go.
fn world_without(class: PackClass, base: &SampleTree, name: &str, newer: &SampleTree) -> World {
    let mut world = World::new(&[&[("/r", base)]]);
    let before = packs(&world);
    let repository = world.repository();
    let snapshot = sample_repository::commit(&repository, small_frames(), &[(name, newer)]);
    world.snapshots.push(snapshot);
    delete_packs(&world, class, &before);
    world
}

#[test]
fn fewer_than_two_snapshots_and_one_given_twice_are_refused() {
    let files = tree(&["x"]);
    let mut world = World::new(&[&[("/r", &files)]]);
    assert_eq!(
        refused(&world, &replacing()).kind(),
        ErrorKind::InvalidInput
    );
    world.snapshots.push(world.snapshots[0].clone());
    let error = refused(&world, &replacing());
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("is given twice"), "{error}");
    world.snapshots.clear();
    assert_eq!(
        refused(&world, &replacing()).kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn folders_and_volumes_are_not_merged_with_each_other() {
    let files = tree(&["x"]);
    let mut world = World::new(&[&[("/r", &files)], &[("/r", &files)]]);
    for kind in [SnapshotKind::Volume, SnapshotKind::Machine] {
        world.snapshots[1].kind = kind;
        let error = refused(&world, &replacing());
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("of folders"), "{error}");
    }
}

#[test]
fn a_missing_chunk_is_named_with_its_snapshot_and_path() {
    let (base, newer) = (tree(&["a/1", "b"]), tree(&["f=new bytes"]));
    for (name, path) in [("/r/a", "/r/a/f"), ("/q", "/q/f")] {
        let world = world_without(PackClass::Data, &base, name, &newer);
        for options in [replacing(), keeping()] {
            let error = refused(&world, &options);
            assert_eq!(error.kind(), ErrorKind::Damaged);
            let expected = format!(
                "{path}: in snapshot {} needs chunk ",
                world.snapshots[1].session
            );
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
    }
}

#[test]
fn a_chunk_of_a_long_content_is_looked_for_too() {
    let mut random = crate::testing::random::Random::new(4);
    let mut newer = SampleTree::new();
    newer.file("long", random.bytes(8 << 20));
    for class in [PackClass::Data, PackClass::Meta] {
        let world = world_without(class, &tree(&["x"]), "/q", &newer);
        assert_eq!(refused(&world, &replacing()).kind(), ErrorKind::Damaged);
    }
}

#[test]
fn a_missing_page_is_named_with_its_snapshot_and_path() {
    let base = tree(&["a/1", "b"]);
    for (name, path) in [("/r/a", "/r/a"), ("/q", "/q")] {
        let world = world_without(PackClass::Meta, &base, name, &tree(&["f"]));
        for options in [replacing(), keeping()] {
            let error = refused(&world, &options);
            let expected = format!("{path}: in snapshot {} ", world.snapshots[1].session);
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
    }
}

#[test]
fn what_is_missing_where_the_result_does_not_need_it_harms_nobody() {
    let newer = tree(&["f"]);
    let mut world = World::new(&[]);
    let base = tree(&["a/1=lost", "a/2=lost too"]);
    let repository = world.repository();
    world.snapshots.push(sample_repository::commit(
        &repository,
        small_frames(),
        &[("/r/a", &base)],
    ));
    delete_packs(&world, PackClass::Data, &[]);
    delete_packs(&world, PackClass::Meta, &[]);
    let repository = world.repository();
    world.snapshots.push(sample_repository::commit(
        &repository,
        small_frames(),
        &[("/r", &newer)],
    ));
    world.assert_merged(&replacing(), &[("/r", &newer)]);
}

#[test]
fn a_merge_can_be_stopped() {
    struct Impatient;
    impl Observer for Impatient {
        fn is_cancelled(&self) -> bool {
            true
        }
    }
    let files = tree(&["x"]);
    let world = World::new(&[&[("/r", &files)], &[("/r/y", &files)]]);
    let stopped = merge(
        &world.repository(),
        &world.snapshots,
        &replacing(),
        &Impatient,
    );
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(committed(&world), 2);
}

#[test]
fn a_snapshot_that_no_reader_would_take_is_not_committed() {
    let files = tree(&["x"]);
    let mut world = World::new(&[&[("/r", &files)], &[("/s", &files)]]);
    for number in [0, 1] {
        world.snapshots[number].problems.push(SnapshotProblem {
            kind: 1,
            subject: format!("/r/{number}").into_bytes(),
            detail: "x".repeat(SNAPSHOT_LEN_LIMIT * 2 / 3),
        });
    }
    assert_eq!(
        refused(&world, &replacing()).kind(),
        ErrorKind::LimitExceeded
    );
}

#[test]
fn an_entry_that_would_lie_too_deep_is_refused_and_not_written() {
    let mut base = SampleTree::new();
    let name = "/n".repeat(2_200);
    base.file(&format!("{name}/x"), b"x".to_vec());
    let newer = base.clone();
    let world = World::new(&[&[("/r", &base)], &[(&format!("/r{name}"), &newer)]]);
    let error = refused(&world, &replacing());
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
}
