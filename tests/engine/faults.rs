//! Every storage call failing in turn, once and for ever, before or after its effect (I1, I7, I8).

use std::sync::Arc;

use blockstore::error::ErrorKind;
use blockstore::repository::snapshots;
use blockstore::storage::Backend;
use blockstore::testing::fault_backend::{BackendFault, FaultBackend};
use blockstore::testing::sim_disk::SimDisk;

use crate::world::{self, Source};

#[test]
fn i7_a_call_that_fails_ends_the_snapshot_with_an_error_or_not_at_all() {
    let source = Source::new();
    let calls = {
        let backend = Arc::new(FaultBackend::new(
            blockstore::storage::memory::MemoryBackend::new(),
        ));
        let repository = world::init(Arc::clone(&backend) as Arc<dyn Backend>).unwrap();
        let before = backend.calls();
        world::capture(&repository, &source.path()).unwrap();
        backend.calls() - before
    };
    let (mut failures, mut successes) = (0, 0);
    for nth in 1..=calls {
        for fault in BackendFault::each_way(nth) {
            let backend = Arc::new(FaultBackend::new(
                blockstore::storage::memory::MemoryBackend::new(),
            ));
            let repository = world::init(Arc::clone(&backend) as Arc<dyn Backend>).unwrap();
            backend.fail(fault);
            let outcome = world::capture(&repository, &source.path());
            backend.heal();
            match &outcome {
                Ok(_) => successes += 1,
                Err(_) => failures += 1,
            }
            check_after(
                &backend,
                outcome.ok().map(|report| report.snapshot),
                &source,
            );
        }
    }
    eprintln!("{calls} calls: {failures} runs failed cleanly, {successes} succeeded all the same");
}

/// What was acknowledged is there and whole; what is there is whole; the next run works.
fn check_after(
    backend: &Arc<FaultBackend<blockstore::storage::memory::MemoryBackend>>,
    acknowledged: Option<blockstore::format::snapshot::Snapshot>,
    source: &Source,
) {
    let backend = Arc::clone(backend) as Arc<dyn Backend>;
    let repository = blockstore::repository::Repository::open(backend, &world::secret()).unwrap();
    let list = snapshots::list(&repository).unwrap();
    assert!(list.damaged.is_empty());
    if let Some(snapshot) = acknowledged {
        assert!(
            list.snapshots
                .iter()
                .any(|found| found.session == snapshot.session)
        );
    }
    let again = world::capture(&repository, &source.path()).unwrap();
    let expected = world::read_back(&repository, &again.snapshot).unwrap();
    assert!(!expected.values().any(|said| world::is_damaged(said)));
    for snapshot in &list.snapshots {
        assert_eq!(world::read_back(&repository, snapshot).unwrap(), expected);
    }
}

#[test]
fn i8_a_disk_that_fills_up_at_any_point_costs_no_earlier_snapshot() {
    let source = Source::new();
    let disk = SimDisk::new(3);
    let repository = world::init(world::create_on(&disk).unwrap()).unwrap();
    let first = world::capture(&repository, &source.path()).unwrap();
    let expected = world::read_back(&repository, &first.snapshot).unwrap();
    let used = disk.used_space();
    source.change();
    disk.hide_space(); // or packs would be refused before the disk is full
    let mut full = 0;
    for room in (0..120_000).step_by(1499) {
        let disk = disk.fork();
        disk.limit_space(used + room);
        let repository = world::open_on(&disk).unwrap();
        match world::capture(&repository, &source.path()) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NoSpace, "room {room}: {error}");
                full += 1;
            }
        }
        let repository = world::open_on(&disk).unwrap();
        assert_eq!(
            world::read_back(&repository, &first.snapshot).unwrap(),
            expected,
            "room {room}"
        );
        disk.limit_space(u64::MAX);
        let again = world::capture(&repository, &source.path()).unwrap();
        let contents = world::read_back(&repository, &again.snapshot).unwrap();
        assert!(!contents.values().any(|said| world::is_damaged(said)));
    }
    assert!(full > 10, "the disk was full {full} times only");
    eprintln!("the disk filled up in {full} runs; no earlier snapshot was harmed");
}
