//! What a merge asks of the storage: pages and the index, and never a pack of data (I5).

use super::{World, keeping, replacing, tree};
use crate::format::name::{ObjectKind, PackClass};
use crate::operations::merge::merge;
use crate::testing::recording_backend::{Subject, Verb};
use crate::testing::sample_repository::SampleTree;

fn data_reads(world: &World) -> u64 {
    let data = Subject::Pack(PackClass::Data);
    [Verb::Get, Verb::GetRange]
        .map(|verb| world.backend.tally(verb, data).calls)
        .iter()
        .sum()
}

#[test]
fn i5_a_merge_reads_no_pack_of_data_and_writes_none() {
    let base = SampleTree::random(31, 2_000);
    let (newer, part) = (SampleTree::random(32, 500), SampleTree::random(33, 300));
    let world = World::new(&[
        &[("/r", &base), ("/s", &part)],
        &[("/r/d3", &newer)],
        &[("/t", &part), ("/r/d3/d1", &part)],
    ]);
    for options in [replacing(), keeping()] {
        let repository = world.repository();
        world.backend.reset();
        merge(&repository, &world.snapshots, &options, &()).unwrap();
        assert_eq!(data_reads(&world), 0, "{:?}", world.backend.tallies());
        let data = Subject::Pack(PackClass::Data);
        assert_eq!(world.backend.tally(Verb::Put, data).calls, 0);
        assert!(
            world
                .backend
                .tally(Verb::GetRange, Subject::Pack(PackClass::Meta))
                .calls
                > 0
        );
    }
}

#[test]
fn a_merge_of_roots_that_are_taken_over_writes_no_pack_at_all() {
    let trees = [1, 2].map(|seed| SampleTree::random(seed, 1_000));
    let world = World::new(&[&[("/a", &trees[0])], &[("/b", &trees[1])]]);
    let repository = world.repository();
    world.backend.reset();
    let report = merge(&repository, &world.snapshots, &replacing(), &()).unwrap();
    assert_eq!((report.roots_taken_over, report.roots_built), (2, 0));
    let puts = |kind| world.backend.tally(Verb::Put, Subject::Kind(kind)).calls;
    assert_eq!(puts(ObjectKind::Pack) + puts(ObjectKind::Index), 0);
    assert_eq!(puts(ObjectKind::Snapshot), 1);
    assert_eq!(report.snapshot.totals.stored_bytes, 0);
}

#[test]
fn what_a_newer_root_hides_is_passed_over_unread() {
    let base = SampleTree::random(5, 6_000);
    let newer = tree(&["x"]);
    // One world: pages of another end elsewhere.
    let world = World::new(&[
        &[("/r", &base)],
        &[("/r/new", &newer)],
        &[("/r/d3", &newer)],
    ]);
    let reads = |number: usize| {
        let repository = world.repository();
        world.backend.reset();
        let inputs = [&world.snapshots[0], &world.snapshots[number]].map(Clone::clone);
        merge(&repository, &inputs, &replacing(), &()).unwrap();
        let packs = Subject::Kind(ObjectKind::Pack);
        world.backend.tally(Verb::GetRange, packs).calls
    };
    // One of seven folders of a size is hidden, in the tree and not in the scan.
    let (all, fewer) = (reads(1), reads(2));
    assert!(fewer < all, "{fewer} of {all}");
}

#[test]
fn pages_that_begin_in_one_hidden_folder_and_hold_the_end_of_another_are_walked_once() {
    // Two hidden folders below one inner page: the walk must not go back to the first.
    let base = SampleTree::random(6, 4_000);
    let newer = tree(&["x"]);
    let roots: Vec<_> = (0..7).map(|number| format!("/r/d{number}")).collect();
    let roots: Vec<_> = roots.iter().map(|name| (name.as_str(), &newer)).collect();
    let world = World::new(&[&[("/r", &base)], &roots]);
    let mut expected = SampleTree::new();
    for number in 0..7 {
        expected.file(&format!("d{number}/x"), b"x".to_vec());
    }
    expected.set_mode("", 0o644);
    world.assert_merged(&replacing(), &[("/r", &expected)]);
}
