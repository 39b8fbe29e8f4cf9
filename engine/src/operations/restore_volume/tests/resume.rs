//! Interrupted restores go on where they were.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::world::Watcher;
use super::world::World;
use super::world::assert_same;
use super::world::mixed_parts;
use super::world::options;
use crate::error::ErrorKind;
use crate::limits::MIB;
use crate::observe::Counter;
use crate::observe::Observer;
use crate::operations::restore_volume::RestoreVolumeOptions;
use crate::operations::restore_volume::restore_volume;
use crate::repository::session::SessionOptions;
use crate::storage::local::LocalBackend;
use crate::targets::volume::Existing;
use crate::testing::sample_repository;

fn resumed(existing: Existing) -> RestoreVolumeOptions {
    let mut options = options(existing);
    options.target.resume = true;
    options
}

fn journal_of(path: &Path) -> PathBuf {
    let mut journal = path.as_os_str().to_owned();
    journal.push(".restore-journal");
    journal.into()
}

/// Stops a restore once so many bytes are done; gives the bytes it wrote.
fn interrupt(world: &World, path: &Path, options: &RestoreVolumeOptions, after: usize) {
    let watcher = Watcher {
        stop_after: Some(after as u64),
        ..Watcher::default()
    };
    let outcome = restore_volume(&world.repository, &world.root, path, options, &watcher);
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn an_interrupted_restore_goes_on_and_writes_little_twice() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    for existing in [Existing::Refuse, Existing::InPlace] {
        let path = folder.path().join(format!("{existing:?}"));
        interrupt(&world, &path, &options(existing), world.bytes.len() * 2 / 5);
        assert!(journal_of(&path).exists());
        let mut options = resumed(existing);
        options.verify = true;
        let report = world.restore(&path, &options).unwrap();
        assert!(report.resumed > world.len() / 4, "{report:?}");
        // Everything up to the interruption was written once; what came after it, now.
        let data = 16 * MIB as u64;
        assert!(
            report.resumed / 2 + report.written < data * 6 / 5,
            "{report:?}"
        );
        assert!(report.written < data - 4 * MIB as u64, "{report:?}");
        assert_same(&fs::read(&path).unwrap(), &world.bytes);
        assert!(report.verified.unwrap().is_right());
        assert!(!journal_of(&path).exists());
    }
}

#[test]
fn a_restore_interrupted_at_any_point_comes_to_its_end() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    interrupt(&world, &path, &options(Existing::Refuse), 1);
    let mut rounds = 0;
    loop {
        // Each round gets a little further than what is done already.
        let watcher = StopAfterWork::default();
        let options = resumed(Existing::Refuse);
        let outcome = restore_volume(&world.repository, &world.root, &path, &options, &watcher);
        match outcome {
            Ok(_) => break,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled),
        }
        rounds += 1;
        assert!(rounds < 100);
    }
    assert!(rounds > 2, "{rounds}");
    assert_same(&fs::read(&path).unwrap(), &world.bytes);
}

/// Stops after the second window that a restore finishes.
#[derive(Default)]
struct StopAfterWork(parking_lot::Mutex<u32>);

impl Observer for StopAfterWork {
    fn count(&self, counter: Counter, _by: u64) {
        if counter == Counter::Bytes {
            *self.0.lock() += 1;
        }
    }

    fn is_cancelled(&self) -> bool {
        // What was resumed is the first count.
        *self.0.lock() >= 3
    }
}

#[test]
fn a_torn_journal_costs_the_last_span_alone() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    interrupt(&world, &path, &options(Existing::Refuse), 12 * MIB);
    let journal = journal_of(&path);
    let bytes = fs::read(&journal).unwrap();
    fs::write(&journal, &bytes[..bytes.len() - 3]).unwrap();
    let report = world.restore(&path, &resumed(Existing::Refuse)).unwrap();
    assert!(report.resumed > 0 && report.resumed < 12 * MIB as u64);
    assert_same(&fs::read(&path).unwrap(), &world.bytes);
}

#[test]
fn what_cannot_be_resumed_says_so() {
    let world = World::mixed();
    let other = World::new(&mixed_parts()[..6], SessionOptions::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let refused = |world: &World, options: &RestoreVolumeOptions, words: &str| {
        let error = world.restore(&path, options).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.to_string().contains("without resume"), "{error}");
    };
    refused(&world, &resumed(Existing::Refuse), "nothing to resume");
    fs::write(&path, &world.bytes).unwrap();
    refused(
        &world,
        &resumed(Existing::Refuse),
        "no journal to resume from",
    );
    fs::remove_file(&path).unwrap();
    interrupt(&world, &path, &options(Existing::Refuse), 9 * MIB);
    let mut part = resumed(Existing::Refuse);
    part.range = Some(0..world.len());
    refused(&world, &resumed(Existing::InPlace), "what the target held");
    refused(&other, &resumed(Existing::Refuse), "was given");
    let mut other_root = other.root.clone();
    other_root.bytes = world.root.bytes;
    let options = resumed(Existing::Refuse);
    let error = restore_volume(&other.repository, &other_root, &path, &options, &()).unwrap_err();
    assert!(error.to_string().contains("another volume"), "{error}");
    let copy = folder.path().join("copy");
    fs::copy(&path, &copy).unwrap();
    fs::copy(journal_of(&path), journal_of(&copy)).unwrap();
    let error = world
        .restore(&copy, &resumed(Existing::Refuse))
        .unwrap_err();
    assert!(error.to_string().contains("another target"), "{error}");
    let report = world.restore(&path, &part).unwrap();
    assert!(report.resumed > 0);
    assert_same(&fs::read(&path).unwrap(), &world.bytes);
}

#[test]
fn a_journal_may_lie_in_a_folder_of_its_own() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let (path, state) = (folder.path().join("disk.raw"), folder.path().join("state"));
    fs::create_dir(&state).unwrap();
    let mut begun = options(Existing::Refuse);
    begun.state_folder = Some(state.clone());
    interrupt(&world, &path, &begun, 9 * MIB);
    assert!(!journal_of(&path).exists());
    assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
    begun.target.resume = true;
    assert!(world.restore(&path, &begun).unwrap().resumed > 0);
    assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
}

/// Names the folder of the child process that the next test kills.
const FOLDER_VARIABLE: &str = "BLOCKSTORE_TEST_KILLED_RESTORE";

/// Is slow, so that there is a middle to be killed in.
struct Slow;

impl Observer for Slow {
    fn count(&self, _counter: Counter, _by: u64) {
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_child_that_restores_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from) else {
        return; // runs as a child of the next test alone
    };
    let backend = Arc::new(LocalBackend::open(&folder.join("repository")).unwrap());
    let repository = sample_repository::open(backend);
    let snapshots = crate::repository::snapshots::list(&repository).unwrap();
    let root = snapshots.snapshots[0].roots[0].clone();
    let options = options(Existing::Refuse);
    restore_volume(
        &repository,
        &root,
        &folder.join("disk.raw"),
        &options,
        &Slow,
    )
    .unwrap();
}

#[test]
fn a_killed_process_loses_at_most_what_came_after_its_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    let backend = Arc::new(LocalBackend::create(&repository).unwrap());
    let world = World::on(backend, &mixed_parts(), SessionOptions::default());
    let path = folder.path().join("disk.raw");
    let name =
        "operations::restore_volume::tests::resume::the_child_that_restores_until_it_is_killed";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--test-threads=1"])
        .env(FOLDER_VARIABLE, folder.path())
        .spawn()
        .unwrap();
    wait_for_journal(&mut child, &journal_of(&path));
    child.kill().unwrap();
    child.wait().unwrap();
    let report = world.restore(&path, &resumed(Existing::Refuse)).unwrap();
    assert!(report.resumed >= 2 * MIB as u64, "{report:?}");
    assert!(report.written < 16 * MIB as u64, "{report:?}");
    assert_same(&fs::read(&path).unwrap(), &world.bytes);
    assert!(!journal_of(&path).exists());
}

/// Until the journal has a few spans.
fn wait_for_journal(child: &mut Child, journal: &Path) {
    for _ in 0..6000 {
        let len = fs::metadata(journal).map(|stat| stat.len());
        if len.is_ok_and(|len| len >= 115 + 2 * 32) {
            return;
        }
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "the child ended by itself: {ended:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the child made no checkpoint");
}
