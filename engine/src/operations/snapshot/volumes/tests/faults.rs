//! What a list of changes costs the repository, and what a failure of its storage leaves.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::{LEN, MIB, World, take_into, volume};
use crate::format::name::PackClass;
use crate::format::snapshot::{Snapshot, SnapshotKind};
use crate::operations::check::{CheckOptions, check};
use crate::operations::snapshot::{ParentChoice, PartSpec};
use crate::repository::snapshots;
use crate::storage::memory::MemoryBackend;
use crate::testing::fault_backend::{BackendFault, FaultBackend};
use crate::testing::recording_backend::{RecordingBackend, Subject, Verb};
use crate::testing::sample_repository;

/// A world with one snapshot, and the part that is changed since, by its list.
fn changed() -> (World, PartSpec) {
    let world = World::new();
    let file = world.image("disk");
    let path = world.path("disk");
    world.take(&[volume("disk0", &path, None)], &()).unwrap();
    file.write_all_at(b"changed", MIB).unwrap();
    file.write_all_at(b"at the end", LEN - 10).unwrap();
    let list = world.list(&[(MIB, 512), (LEN - 512, 512)]);
    (world, volume("disk0", &path, Some(list)))
}

#[test]
fn i5_changes_are_taken_in_without_reading_a_data_pack() {
    let (world, part) = changed();
    let backend = Arc::new(RecordingBackend::new(sample_repository::copy_of(
        &world.backend,
    )));
    let repository = sample_repository::open(backend.clone());
    backend.reset();
    let kind = SnapshotKind::Volume;
    let parts = std::slice::from_ref(&part);
    let fast = take_into(&world, &repository, kind, parts, ParentChoice::Newest, &());
    for verb in [Verb::Get, Verb::GetRange] {
        let reads = backend.tally(verb, Subject::Pack(PackClass::Data));
        assert_eq!(reads.calls, 0, "{verb:?}");
    }
    let repository = sample_repository::open(backend.clone());
    let full = take_into(&world, &repository, kind, parts, ParentChoice::None, &());
    assert_eq!(fast.unwrap().roots[0].page, full.unwrap().roots[0].page);
}

#[test]
fn i7_an_incremental_that_fails_at_any_step_leaves_nothing_or_a_whole_snapshot() {
    let (world, part) = changed();
    let parts = std::slice::from_ref(&part);
    let take = |backend: &Arc<FaultBackend<MemoryBackend>>| {
        let repository = sample_repository::open(backend.clone());
        let start = backend.calls();
        let kind = SnapshotKind::Volume;
        let taken = take_into(&world, &repository, kind, parts, ParentChoice::Newest, &());
        (taken, backend.calls() - start)
    };
    let scene = || {
        Arc::new(FaultBackend::new(sample_repository::copy_of(
            &world.backend,
        )))
    };
    let (whole, calls) = take(&scene());
    let whole = whole.unwrap();
    assert!(calls > 10, "{calls}");
    let (mut failed, mut committed) = (0, 0);
    for nth in 1..=calls {
        for fault in BackendFault::each_way(nth) {
            let backend = scene();
            // Opening comes first, and is not what is asked about.
            let opening = {
                let before = backend.calls();
                drop(sample_repository::open(backend.clone()));
                backend.calls() - before
            };
            backend.fail(BackendFault {
                nth: opening + nth,
                ..fault
            });
            let (outcome, _) = take(&backend);
            backend.heal();
            failed += u32::from(outcome.is_err());
            let left = after(&backend);
            assert!(
                left.len() == 2 || outcome.is_err(),
                "call {nth}: acknowledged, and gone"
            );
            if let Some(taken) = left.get(1) {
                committed += 1;
                assert_eq!(taken.roots[0].page, whole.roots[0].page, "call {nth}");
            }
        }
    }
    assert!(
        failed > 10 && committed > 2,
        "{failed} failed, {committed} committed"
    );
}

/// All snapshots, the first one first; everything that they name is there.
fn after(backend: &Arc<FaultBackend<MemoryBackend>>) -> Vec<Snapshot> {
    let repository = sample_repository::open(backend.clone());
    let report = check(&repository, &CheckOptions::default(), &()).unwrap();
    assert_eq!(report.damaged_snapshots, 0, "{:?}", report.findings);
    let mut found = snapshots::list(&repository).unwrap().snapshots;
    found.sort_by_key(|snapshot| snapshot.parent.is_some());
    found
}
