//! Whole operations on generated data, in memory-backed repositories: what the engine costs beside
//! the medium.

#![allow(missing_docs, reason = "criterion makes the entry point")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use blockstore::format::slot::Argon2Costs;
use blockstore::repository::keys::SlotOptions;
use blockstore::{
    CreateOptions, MemoryBackend, ParentChoice, Repository, RestoreOptions, SnapshotOptions,
    Timestamp, UnlockSecret,
};
use blockstore_benches::{Class, make_files};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const LARGE_LEN: usize = 128 << 20;
const FILES: usize = 4000;
const FILE_LEN: usize = 12 << 10;

fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp {
        seconds: since.as_secs() as i64,
        nanoseconds: since.subsec_nanos(),
    }
}

fn new_repository() -> Repository {
    let costs = Argon2Costs {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };
    let slot = SlotOptions {
        costs,
        label: String::new(),
    };
    let options = CreateOptions {
        slot,
        ..CreateOptions::new(0)
    };
    let secret = UnlockSecret::password("bench");
    Repository::create(Arc::new(MemoryBackend::new()), &secret, &options)
        .expect("memory holds a repository")
}

fn capture(repository: &Repository, folder: &Path, parent: ParentChoice) {
    let options = SnapshotOptions {
        parent,
        ..SnapshotOptions::new(now)
    };
    blockstore::snapshot(repository, &[folder.to_owned()], &options, &()).expect("a snapshot");
}

/// Folders of one large file of each class, and one of many small files.
fn sources(place: &Path) -> Vec<(&'static str, PathBuf, u64)> {
    let mut sources = Vec::new();
    for class in Class::ALL {
        let folder = place.join(class.name());
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("large"), class.bytes(5, LARGE_LEN)).expect("a file");
        sources.push((class.name(), folder, LARGE_LEN as u64));
    }
    let folder = place.join("small");
    make_files(&folder, FILES, FILE_LEN).expect("files");
    sources.push(("small files", folder, (FILES * FILE_LEN) as u64));
    sources
}

fn operations(criterion: &mut Criterion) {
    let place = tempfile::tempdir().expect("a temporary folder");
    for (name, folder, bytes) in sources(place.path()) {
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10).throughput(Throughput::Bytes(bytes));
        group.bench_function("initial", |bencher| {
            bencher.iter_batched(
                new_repository,
                |repository| capture(&repository, &folder, ParentChoice::None),
                BatchSize::PerIteration,
            );
        });
        let repository = new_repository();
        capture(&repository, &folder, ParentChoice::None);
        group.bench_function("read again, nothing new", |bencher| {
            bencher.iter(|| capture(&repository, &folder, ParentChoice::None));
        });
        group.bench_function("unchanged", |bencher| {
            bencher.iter(|| capture(&repository, &folder, ParentChoice::Newest));
        });
        group.bench_function("restore", |bencher| {
            bencher.iter_batched(
                || tempfile::tempdir_in(place.path()).expect("a temporary folder"),
                |target| restore(&repository, target.path()),
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}

fn restore(repository: &Repository, target: &Path) {
    let newest = blockstore::repository::snapshots::find(repository, "latest").expect("a snapshot");
    let options = RestoreOptions::default();
    let report = blockstore::restore(repository, &newest, b"", target, &options, &());
    assert_eq!(report.expect("a restore").problems, 0);
}

criterion_group!(whole, operations);
criterion_main!(whole);
