//! What operations cost, counted in calls of the backend instead of seconds: the same on every
//! machine.

use std::sync::Arc;

use blockstore::format::name::{ObjectKind, PackClass};
use blockstore::repository::Repository;
use blockstore::storage::Backend;
use blockstore::storage::memory::MemoryBackend;
use blockstore::testing::recording_backend::{RecordingBackend, Subject, Verb};

use crate::world::{self, Source};

type Recorded = Arc<RecordingBackend<MemoryBackend>>;

fn recorded() -> (Recorded, Repository) {
    let backend = Arc::new(RecordingBackend::new(MemoryBackend::new()));
    let repository = world::init(Arc::clone(&backend) as Arc<dyn Backend>).unwrap();
    (backend, repository)
}

fn reopen(backend: &Recorded) -> Repository {
    Repository::open(Arc::clone(backend) as Arc<dyn Backend>, &world::secret()).unwrap()
}

/// Makes every time stamp of the source old enough to be believed.
fn let_time_pass(source: &Source) {
    let newest = std::time::SystemTime::now();
    let probe = source.path().with_file_name("probe");
    while newest
        .elapsed()
        .is_ok_and(|passed| passed < std::time::Duration::from_millis(60))
    {
        std::fs::write(&probe, b"").unwrap();
    }
}

#[test]
fn an_unchanged_folder_reads_no_content_and_stores_no_pack() {
    let source = Source::new();
    let (backend, repository) = recorded();
    let clock = world::real_clock;
    let_time_pass(&source);
    let first = world::capture_at(&repository, &source.path(), clock).unwrap();
    assert!(first.snapshot.totals.read_bytes > 0);
    let repository = reopen(&backend);
    backend.reset();
    let second = world::capture_at(&repository, &source.path(), clock).unwrap();
    assert_eq!(second.snapshot.roots[0].page, first.snapshot.roots[0].page);
    assert_eq!(second.snapshot.totals.read_bytes, 0);
    assert_eq!(
        second.snapshot.totals.unchanged_files,
        second.snapshot.totals.files
    );
    let puts = |kind| backend.tally(Verb::Put, Subject::Kind(kind)).calls;
    assert_eq!(puts(ObjectKind::Pack), 0);
    assert_eq!(puts(ObjectKind::Index), 0);
    assert_eq!(puts(ObjectKind::Intent), 1);
    assert_eq!(puts(ObjectKind::Snapshot), 1);
    let data_reads = backend
        .tally(Verb::GetRange, Subject::Pack(PackClass::Data))
        .calls;
    assert_eq!(data_reads, 0, "comparing with a parent needs pages alone");
}

#[test]
fn content_that_is_stored_already_is_stored_once() {
    let source = Source::new();
    let (backend, repository) = recorded();
    world::capture(&repository, &source.path()).unwrap();
    let repository = reopen(&backend);
    backend.reset();
    let copy = tempfile::tempdir().unwrap();
    let file = copy.path().join("copy of large");
    std::fs::copy(source.path().join("large"), &file).unwrap();
    let report = world::capture(&repository, copy.path()).unwrap();
    assert_eq!(report.snapshot.totals.new_chunks, 0);
    assert_eq!(
        backend
            .tally(Verb::Put, Subject::Pack(PackClass::Data))
            .calls,
        0
    );
}
