//! What operations cost, counted in calls of the backend instead of seconds: the same on every
//! machine.

use std::sync::Arc;

use blockstore::format::name::{ObjectKind, PackClass};
use blockstore::operations::check::{CheckOptions, check};
use blockstore::operations::restore::{RestoreOptions, restore};
use blockstore::repository::Repository;
use blockstore::storage::Backend;
use blockstore::storage::cache::CacheFolder;
use blockstore::storage::memory::MemoryBackend;
use blockstore::testing::random::Random;
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

/// Bytes that were read of packs of a class.
fn read_bytes(backend: &Recorded, class: PackClass) -> u64 {
    let subject = Subject::Pack(class);
    let read = |verb| backend.tally(verb, subject).bytes;
    read(Verb::Get) + read(Verb::GetRange)
}

fn puts(backend: &Recorded, kind: ObjectKind) -> u64 {
    backend.tally(Verb::Put, Subject::Kind(kind)).calls
}

/// A source of several packs.
fn long_source() -> Source {
    let source = Source::new();
    for seed in 0..6 {
        let noise = Random::new(100 + seed).bytes(600_000);
        source.write(&format!("noise/{seed}"), &noise);
    }
    source
}

#[test]
fn a_first_snapshot_puts_packs_and_runs_and_reads_none() {
    let source = long_source();
    let (backend, repository) = recorded();
    backend.reset();
    world::capture(&repository, &source.path()).unwrap();
    let packs = puts(&backend, ObjectKind::Pack);
    assert!(packs >= 4, "{packs} packs");
    assert_eq!(puts(&backend, ObjectKind::Index), packs.div_ceil(2));
    assert_eq!(puts(&backend, ObjectKind::Intent), 1);
    assert_eq!(puts(&backend, ObjectKind::Snapshot), 1);
    assert_eq!(backend.calls(Verb::Put), packs + packs.div_ceil(2) + 2);
    let read = |class| read_bytes(&backend, class);
    assert_eq!(read(PackClass::Data) + read(PackClass::Meta), 0);
}

#[test]
fn one_changed_file_costs_one_pack_of_each_class() {
    let source = Source::new();
    let (backend, repository) = recorded();
    let_time_pass(&source);
    world::capture_at(&repository, &source.path(), world::real_clock).unwrap();
    source.write("sizes/3", b"changed");
    let_time_pass(&source);
    let repository = reopen(&backend);
    backend.reset();
    let report = world::capture_at(&repository, &source.path(), world::real_clock).unwrap();
    assert_eq!(report.snapshot.totals.new_chunks, 1);
    let packs = |class| backend.tally(Verb::Put, Subject::Pack(class)).calls;
    assert_eq!((packs(PackClass::Data), packs(PackClass::Meta)), (1, 1));
    assert_eq!(puts(&backend, ObjectKind::Index), 1);
    assert_eq!(read_bytes(&backend, PackClass::Data), 0);
}

#[test]
fn a_restore_and_a_check_read_no_byte_of_content_twice() {
    let source = long_source();
    let (backend, repository) = recorded();
    backend.reset();
    let made = world::capture(&repository, &source.path()).unwrap();
    let stored = backend.tally(Verb::Put, Subject::Pack(PackClass::Data));
    let (repository, target) = (reopen(&backend), tempfile::tempdir().unwrap());
    let to = target.path().join("restored");
    backend.reset();
    let options = RestoreOptions::default();
    let report = restore(&repository, &made.snapshot, b"", &to, &options, &()).unwrap();
    assert_eq!(report.problems, 0);
    let read = read_bytes(&backend, PackClass::Data);
    assert!(read <= stored.bytes, "{read} of {stored:?}");
    let calls = backend
        .tally(Verb::GetRange, Subject::Pack(PackClass::Data))
        .calls;
    assert!(calls <= 2 * stored.calls, "{calls} reads of {stored:?}");

    let repository = reopen(&backend);
    backend.reset();
    let options = CheckOptions {
        read_data: true,
        ..CheckOptions::default()
    };
    assert!(check(&repository, &options, &()).unwrap().is_sound());
    let read = read_bytes(&backend, PackClass::Data);
    assert!(
        read <= stored.bytes + stored.bytes / 4,
        "{read} of {stored:?}"
    );
    assert_eq!(backend.calls(Verb::Put), 0);
}

#[test]
fn a_start_reads_every_index_run_without_a_cache_and_none_with_one() {
    let source = long_source();
    let (backend, repository) = recorded();
    let folder = tempfile::tempdir().unwrap();
    let cache = CacheFolder::open(folder.path()).unwrap();
    let repository = repository.with_cache(&cache).unwrap();
    backend.reset();
    world::capture(&repository, &source.path()).unwrap();
    let runs = puts(&backend, ObjectKind::Index);
    assert!(runs >= 2);
    let read = || {
        let of_index = Subject::Kind(ObjectKind::Index);
        let calls = |verb| backend.tally(verb, of_index).calls;
        (calls(Verb::List), calls(Verb::Get) + calls(Verb::GetRange))
    };
    backend.reset();
    reopen(&backend).index().unwrap();
    assert_eq!(read(), (1, runs));
    backend.reset();
    reopen(&backend)
        .with_cache(&cache)
        .unwrap()
        .index()
        .unwrap();
    assert_eq!(read(), (1, 0));
}
