//! A disk that is full at any byte blocks nothing that frees space, and costs no snapshot (I8).
//!
//! Fills up two kinds of disk: one that tells how much is free, where a writer stops at the
//! low-water mark, and one that does not, where it meets the end of the disk itself.

use blockstore::error::ErrorKind;
use blockstore::format::entry::Timestamp;
use blockstore::format::id::SessionId;
use blockstore::format::name::ObjectKind;
use blockstore::limits::RESERVE_LEN;
use blockstore::operations::check::{CheckOptions, check};
use blockstore::operations::forget::{Choice, ForgetOptions, forget};
use blockstore::operations::prune::{PruneOptions, prune};
use blockstore::repository::Repository;
use blockstore::repository::session::Writer;
use blockstore::repository::snapshots;
use blockstore::testing::random::Random;
use blockstore::testing::sim_disk::SimDisk;

use crate::world::{self, Contents, Source};

/// What lies before the end of the disk, and is cut short at every byte.
const LAST: u64 = 64 * 1024;

/// Tests every byte instead of some of them: `BLOCKSTORE_FULL_DISK=all`.
const ALL: &str = "BLOCKSTORE_FULL_DISK";

/// A repository with one snapshot of a source that has changed since.
struct Scene {
    disk: SimDisk,
    source: Source,
    session: SessionId,
    contents: Contents,
}

impl Scene {
    fn new() -> Self {
        let (source, disk) = (Source::new(), SimDisk::new(5));
        let repository = world::init(world::create_on(&disk).unwrap()).unwrap();
        let first = world::capture(&repository, &source.path())
            .unwrap()
            .snapshot;
        let contents = world::read_back(&repository, &first).unwrap();
        source.change();
        Self {
            disk,
            source,
            session: first.session,
            contents,
        }
    }

    /// A copy of the disk with so many bytes free.
    fn with_free(&self, bytes: u64, tells: bool) -> SimDisk {
        let disk = self.disk.fork();
        disk.limit_space(disk.used_space() + bytes);
        if !tells {
            disk.hide_space();
        }
        disk
    }

    fn assert_whole(&self, repository: &Repository, context: &str) {
        let report = check(repository, &CheckOptions::default(), &()).unwrap();
        assert!(report.is_sound(), "{context}: {:?}", report.findings);
        let found = snapshots::find(repository, &self.session.to_string()).unwrap();
        let contents = world::read_back(repository, &found).unwrap();
        assert!(contents == self.contents, "{context}: the first is changed");
    }
}

/// Forgets the snapshot and prunes, on a copy of the disk where not a byte is left.
fn assert_can_free(disk: &SimDisk, session: SessionId, context: &str) {
    let disk = disk.fork();
    let before = disk.used_space();
    disk.limit_space(before);
    let repository = world::open_on(&disk).unwrap();
    let failed = |what: &str, error| -> ! { panic!("{context}: {what}: {error}") };
    let mut forgetting = ForgetOptions::new(Choice::Snapshots(vec![session]), later());
    forgetting.allow_empty = true;
    let forgotten = forget(&repository, &forgetting, &());
    let forgotten = forgotten.unwrap_or_else(|error| failed("forget", error));
    assert_eq!(forgotten.forgotten, [session], "{context}");
    let pruned = prune(&repository, &PruneOptions::new(later()), &());
    let pruned = pruned.unwrap_or_else(|error| failed("prune", error));
    assert!(pruned.deleted.count > 0, "{context}");
    assert!(disk.used_space() < before, "{context}: space is freed");
}

/// Who cleans up, once every writer that is not at work is believed to be gone.
fn later() -> Writer {
    let (seconds, nanoseconds) = (4_000_000_000, 0);
    Writer {
        started: Timestamp {
            seconds,
            nanoseconds,
        },
        ..Writer::default()
    }
}

#[test]
fn i8_a_disk_full_at_every_byte_is_told_and_can_be_freed() {
    let scene = Scene::new();
    let is_thorough = std::env::var_os(ALL).is_some_and(|value| value == "all");
    let step = if is_thorough { 1 } else { 4_099 };
    let (mut full, mut taken) = (0, 0);
    for free in (0..LAST).step_by(step) {
        for tells in [true, false] {
            let context = format!("{free} bytes free, tells: {tells}");
            let disk = scene.with_free(free, tells);
            let repository = world::open_on(&disk).unwrap();
            match world::capture(&repository, &scene.source.path()) {
                Ok(_) => taken += 1,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NoSpace, "{context}: {error}");
                    full += 1;
                }
            }
            let repository = world::open_on(&disk).unwrap();
            scene.assert_whole(&repository, &context);
            assert_can_free(&disk, scene.session, &context);
            disk.limit_space(u64::MAX);
            let repository = world::open_on(&disk).unwrap();
            world::capture(&repository, &scene.source.path()).unwrap();
            scene.assert_whole(&repository, &context);
        }
    }
    assert!(full > 0);
    eprintln!("the disk was full in {full} runs, {taken} snapshots were taken all the same");
}

#[test]
fn i8_a_writer_stops_at_the_low_water_mark_and_what_it_stored_is_used() {
    let scene = Scene::new();
    for seed in 0..60 {
        let noise = Random::new(seed).bytes(100_000);
        scene.source.write(&format!("noise/{seed}"), &noise);
    }
    // An eighth of it is kept free. The rest has room for three packs of one frame each, of which
    // a run names two before the fourth is refused.
    let total = (scene.disk.used_space() + 3_600_000) / 7 * 8;
    let disk = scene.disk.fork();
    disk.limit_space(total);
    let repository = world::open_on(&disk).unwrap();
    let error = world::capture(&repository, &scene.source.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert!(error.to_string().contains("kept free"), "{error}");
    let free = total - disk.used_space();
    assert!(free >= total / 8 - LAST, "{free} of {total} are free");
    let intents = repository.backend().list(ObjectKind::Intent).unwrap();
    assert_eq!(intents, [], "it ended its session");

    let repository = world::open_on(&disk).unwrap();
    scene.assert_whole(&repository, "after the error");
    disk.limit_space(u64::MAX);
    let again = world::capture(&repository, &scene.source.path()).unwrap();
    let new = again.snapshot.totals.new_bytes;
    assert!(new < 3_400_000, "all that was stored is used: {new}");
}

#[test]
fn i8_a_repository_without_a_reserve_gets_one_with_its_next_snapshot_and_a_check_says_so() {
    let scene = Scene::new();
    let repository = world::open_on(&scene.disk).unwrap();
    let reserve = || repository.backend().room().unwrap().unwrap().reserve;
    let notes = || {
        let report = check(&repository, &CheckOptions::default(), &()).unwrap();
        assert!(report.is_sound());
        let mut subjects = report.findings.into_iter().map(|finding| finding.subject);
        subjects.any(|subject| subject == "reserve")
    };
    assert!(!notes());
    assert!(repository.backend().release_reserve().unwrap());
    assert!(notes());
    world::capture(&repository, &scene.source.path()).unwrap();
    assert_eq!(reserve(), RESERVE_LEN);
    assert!(!notes());
}
