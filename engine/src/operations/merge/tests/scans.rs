//! What tells the next snapshot what is unchanged: built along, or left out.

use super::{World, keeping, replacing, tree};
use crate::format::entry::TreePath;
use crate::format::name::PackClass;
use crate::format::snapshot::{Root, Snapshot};
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::Scan;
use crate::repository::manifest::cursor::{Cursor, Step};
use crate::testing::sample_repository::{SampleTree, flip_bit};

/// Paths and inodes that the scan of a root knows.
fn scanned(world: &World, root: &Root) -> Vec<(String, u64)> {
    let (repository, scan) = (world.repository(), root.scan.unwrap());
    let reader = ChunkReader::new(&repository, 1 << 20).unwrap();
    let mut cursor: Cursor<'_, Scan> =
        Cursor::new(&reader, scan.page, scan.level, TreePath::default());
    let mut found = Vec::new();
    while let Some(step) = cursor.next().unwrap() {
        let Step::Item(item) = step else {
            panic!("lost: {step:?}");
        };
        let path = TreePath::new((*item.folder).clone(), item.name);
        found.push((path.to_string(), item.seen.inode));
    }
    found
}

fn world() -> World {
    let (base, newer) = (tree(&["a/1", "b"]), tree(&["2"]));
    World::new(&[&[("/r", &base)], &[("/r/a", &newer)]])
}

fn has_scan(snapshot: &Snapshot) -> bool {
    snapshot.roots[0].scan.is_some()
}

#[test]
fn every_entry_keeps_what_its_own_snapshot_saw_of_it() {
    let world = world();
    // Inodes of samples count up in tree order: base has the root, a, b, a/1; newer the root, 2.
    let expected = |paths: &[(&str, u64)]| -> Vec<_> {
        paths
            .iter()
            .map(|(path, inode)| ((*path).to_owned(), *inode))
            .collect()
    };
    let replaced = world.merge(&replacing()).snapshot;
    let paths = [("", 0), ("a", 0), ("b", 2), ("a/2", 1)];
    assert_eq!(scanned(&world, &replaced.roots[0]), expected(&paths));
    let kept = world.merge(&keeping()).snapshot;
    let paths = [("", 0), ("a", 0), ("b", 2), ("a/1", 3), ("a/2", 1)];
    assert_eq!(scanned(&world, &kept.roots[0]), expected(&paths));
}

#[test]
fn without_the_scan_of_one_input_there_is_none() {
    let mut world = world();
    for number in [0, 1] {
        let scan = world.snapshots[number].roots[0].scan.take();
        assert!(!has_scan(&world.merge(&replacing()).snapshot));
        world.snapshots[number].roots[0].scan = scan;
    }
    assert!(has_scan(&world.merge(&replacing()).snapshot));
}

#[test]
fn what_was_seen_on_another_machine_is_left_out() {
    let mut world = world();
    world.snapshots[0].host = "another".to_owned();
    assert!(!has_scan(&world.merge(&replacing()).snapshot));
    let files = tree(&["x"]);
    let mut world = World::new(&[&[("/r", &files)], &[("/s", &files)]]);
    world.snapshots[0].host = "another".to_owned();
    let merged = world.merge(&replacing()).snapshot;
    let has_scan: Vec<_> = merged
        .roots
        .iter()
        .map(|root| root.scan.is_some())
        .collect();
    assert_eq!(has_scan, [false, true]);
}

#[test]
fn a_damaged_scan_is_left_out_and_the_rest_merged() {
    for (name, seed) in [("/r/d1", 1), ("/s", 2)] {
        let base = SampleTree::random(seed, 800);
        let newer = tree(&["x"]);
        let world = World::new(&[&[("/r", &base)], &[(name, &newer)]]);
        let (repository, whole) = (world.repository(), world.merge(&replacing()).snapshot);
        let scan = world.snapshots[0].roots[0].scan.unwrap();
        let place = repository
            .index()
            .unwrap()
            .locate(&scan.page)
            .next()
            .unwrap();
        assert_eq!(place.pack.class, PackClass::Meta);
        flip_bit(&*world.backend, &place.pack.name(), place.frame.offset);
        let merged = world.merge(&replacing()).snapshot;
        assert_eq!(merged.roots[0].page, whole.roots[0].page);
        assert!(!has_scan(&merged));
    }
}
