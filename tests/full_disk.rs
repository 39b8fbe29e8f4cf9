//! A disk that is full: nothing is lost, and nothing that frees space is blocked (I8).
//!
//! On file systems of their own. They give room in blocks: every count of bytes between two blocks
//! is the same to them, so the last MiB is tried block by block, and `tests/engine/full_disk.rs`
//! tries every byte on a simulated disk. All points on all file systems take minutes:
//! `scripts/full-disk`; without it, a few of them on ext4.

use std::ffi::OsStr;
use std::ops::Range;
use std::path::PathBuf;

use blockstore_tests::kit::ballast::BLOCK_LEN;
use blockstore_tests::kit::ballast::Ballast;
use blockstore_tests::kit::ballast::free;
use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::mount::FileSystem;
use blockstore_tests::kit::mount::Mounted;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::rights::skipped;
use blockstore_tests::kit::workspace::Workspace;

use crate::scene::MIB;
use crate::scene::assert_restores;
use crate::scene::assert_sound;

/// Set to the names of the file systems on which every point is tried.
const ALL: &str = "BLOCKSTORE_FULL_DISK";

/// A small file system with a repository and one snapshot.
struct Scene {
    small: Mounted,
    repository: TestRepository,
    source: PathBuf,
    taken: Taken,
}

impl Scene {
    fn new(workspace: &Workspace, file_system: FileSystem) -> Option<Self> {
        let small = Mounted::new(workspace, "small", file_system)?;
        workspace.file("source/file", random_bytes(1, "source", MIB));
        let source = workspace.join("source");
        let repository = TestRepository::init_at(&small.path().join("repository"));
        let taken = repository.snapshot(&[&source]);
        Some(Self {
            small,
            repository,
            source,
            taken,
        })
    }
}

#[test]
fn i8_a_file_system_is_filled_with_snapshots_until_it_is_full() {
    let workspace = Workspace::new();
    let Some(scene) = Scene::new(&workspace, FileSystem::EXT4) else {
        return;
    };
    let mut kept = vec![(scene.taken.clone(), scene.source.clone())];
    let full = loop {
        let number = kept.len() as u64;
        let name = format!("source {number}/file");
        let file = workspace.file(&name, random_bytes(number, "more", 3 * MIB));
        let source = file.parent().expect("it lies in a folder").to_owned();
        let outcome = scene.repository.run("snapshot", &[&source]);
        if outcome.code != 0 {
            break outcome;
        }
        kept.push((Taken::of(&outcome), source));
    };
    assert!(kept.len() > 10, "{} snapshots", kept.len());
    assert_full(&full);
    assert!(full.mentions("kept free"), "{full:?}");
    assert_sound(&scene.repository);
    for (taken, source) in &kept {
        assert_restores(&scene.repository, taken, source);
    }
    let forgotten = &kept.split_off(kept.len() / 2);
    forget_and_prune(&scene, forgotten.iter().map(|(taken, _)| taken));
    for (taken, source) in &kept {
        assert_restores(&scene.repository, taken, source);
    }
}

#[test]
fn i8_a_disk_full_at_some_points_is_told_and_can_be_freed() {
    for mib in [0, 1, 6, 20] {
        full_at(FileSystem::EXT4, mib * MIB as u64);
    }
    for blocks in [1, 2, 40] {
        full_at(FileSystem::EXT4, blocks * BLOCK_LEN);
    }
}

/// Every MiB, and every block of the last MiB.
#[test]
fn i8_a_disk_full_at_every_point_is_told_and_can_be_freed() {
    let Ok(names) = std::env::var(ALL) else {
        return skipped("every point of a disk", format!("{ALL} is not set"));
    };
    for file_system in FileSystem::ALL {
        if !names.split(',').any(|name| name == file_system.name) {
            continue;
        }
        let every = |points: Range<u64>, len: u64| points.map(move |point| point * len);
        let mibs = every(0..file_system.mib, MIB as u64);
        let blocks = every(0..MIB as u64 / BLOCK_LEN, BLOCK_LEN);
        let mut points = 0;
        for bytes in mibs.chain(blocks) {
            points += u64::from(full_at(file_system, bytes));
        }
        told(file_system.name, points);
    }
}

/// A snapshot of more than fits in `bytes`, and what comes after it. False where there can be no
/// such file system, or never is so much free on it.
fn full_at(file_system: FileSystem, bytes: u64) -> bool {
    let context = format!("{} with {bytes} bytes free", file_system.name);
    let workspace = Workspace::new();
    let Some(scene) = Scene::new(&workspace, file_system) else {
        return false;
    };
    let small = scene.small.path();
    if free(small) < bytes {
        return false;
    }
    let too_large = random_bytes(bytes, "too large", bytes as usize + 4 * MIB);
    let file = workspace.file("large/file", too_large);
    let source = file.parent().expect("it lies in a folder");
    let ballast = Ballast::leaving(small, bytes);
    let outcome = scene.repository.run("snapshot", &[&source]);
    if outcome.code == 0 && !file_system.is_exact {
        // There was more room than it told.
        assert_restores(
            &scene.repository,
            &Taken::of(&outcome),
            &workspace.join("large"),
        );
        return false;
    }
    assert_full(&outcome);
    assert_sound(&scene.repository);
    let rest = Ballast::fill(small);
    assert_restores(&scene.repository, &scene.taken, &scene.source);
    forget_and_prune(&scene, [&scene.taken]);
    drop((rest, ballast));
    let next = workspace.folder("next");
    std::fs::write(next.join("file"), random_bytes(bytes, "next", MIB)).unwrap();
    let after = scene.repository.run("snapshot", &[&next]);
    assert_eq!(after.code, 0, "{context}: {after:?}");
    assert_restores(&scene.repository, &Taken::of(&after), &next);
    assert_sound(&scene.repository);
    true
}

/// One line that names the place, and what to do.
#[track_caller]
fn assert_full(outcome: &Outcome) {
    assert_eq!(outcome.code, 1, "{outcome:?}");
    let mut lines = outcome.stderr.lines();
    let line = lines.next().unwrap_or_default();
    assert_eq!(lines.next(), None, "one line: {outcome:?}");
    assert!(line.contains(r#""kind":"no_space""#), "{line}");
    assert!(
        line.contains("free some space, or run forget and prune"),
        "{line}"
    );
}

/// Forgets snapshots and prunes, with not a byte free.
fn forget_and_prune<'t>(scene: &Scene, taken: impl IntoIterator<Item = &'t Taken>) {
    let rest = Ballast::fill(scene.small.path());
    for taken in taken {
        let words: [&dyn AsRef<OsStr>; 2] = [&taken.id, &"--allow-empty"];
        scene.repository.run("forget", &words).expect_code(0);
    }
    scene.repository.run("prune", &[]).expect_code(0);
    assert!(free(scene.small.path()) > 0, "space is freed");
    assert_sound(&scene.repository);
    drop(rest);
}

#[expect(
    clippy::print_stderr,
    reason = "a figure for whoever runs the long test"
)]
fn told(name: &str, points: u64) {
    eprintln!("{name}: full at {points} points");
}
