//! Sessions that are interrupted, and sessions side by side.
//!
//! Defends I7 (an interrupted run is not there, and nothing is in the way of the next) and I2
//! (sessions do not disturb each other).

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;

use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::workspace::Workspace;
use blockstore_tests::kit::workspace::write;

use crate::scene::MIB;
use crate::scene::assert_restores;
use crate::scene::assert_sound;
use crate::scene::scene;

/// Runs a snapshot of a large file and sends `signal` once it is at work; the code it ends with.
fn interrupt(repository: &TestRepository, source: &Path, signal: Signal) -> Outcome {
    let mut command = repository.command("snapshot", &[&source]);
    let before = count_files(repository.path());
    let mut child = command.spawn().expect("the program can be run");
    let begun = Instant::now();
    // Its intent is the first thing that it writes.
    while count_files(repository.path()) == before
        && begun.elapsed() < Duration::from_secs(20)
        && child.try_wait().is_ok_and(|status| status.is_none())
    {
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = rustix::process::kill_process(Pid::from_child(&child), signal);
    let output = child.wait_with_output().expect("it ends");
    Outcome::of(&output)
}

/// Counts files in a folder in which files come and go.
fn count_files(folder: &Path) -> usize {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let count = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => count_files(&entry.path()),
        _ => 1,
    };
    entries.map(count).sum()
}

fn interrupted_scene() -> (Workspace, PathBuf, TestRepository, Taken, PathBuf) {
    let (workspace, source, repository, taken) = scene();
    let large = workspace.join("large");
    write(
        &large.join("file"),
        random_bytes(3, "interrupted", 64 * MIB),
    );
    (workspace, source, repository, taken, large)
}

#[test]
fn i7_an_interrupted_snapshot_is_not_there_and_the_next_run_works() {
    let (_workspace, source, repository, taken, large) = interrupted_scene();
    interrupt(&repository, &large, Signal::INT).expect_code(130);
    let listed = repository.run("snapshots", &[]).expect_code(0);
    assert!(
        !listed.mentions(&large.display().to_string()),
        "{}",
        listed.stdout
    );
    assert_restores(&repository, &taken, &source);
    let next = repository.snapshot(&[&large]);
    assert_restores(&repository, &next, &large);
    repository.run("check", &[]).expect_code(0);
}

#[test]
fn i7_a_killed_snapshot_is_not_there_and_the_next_run_works() {
    let (_workspace, source, repository, taken, large) = interrupted_scene();
    interrupt(&repository, &large, Signal::KILL).expect_code(137);
    let listed = repository.run("snapshots", &[]).expect_code(0);
    assert!(
        !listed.mentions(&large.display().to_string()),
        "{}",
        listed.stdout
    );
    assert_restores(&repository, &taken, &source);
    let next = repository.snapshot(&[&large]);
    assert_restores(&repository, &next, &large);
    repository.run("check", &[]).expect_code(0);
}

#[test]
fn i2_two_snapshots_at_the_same_time_do_not_disturb_each_other() {
    let (workspace, _, repository, _) = scene();
    let shared = random_bytes(4, "shared", 8 * MIB);
    let sources = ["one", "two"].map(|name| {
        workspace.file(&format!("{name}/shared"), &shared);
        workspace.file(&format!("{name}/own"), name);
        workspace.join(name)
    });
    let running = sources.each_ref().map(|source| {
        let mut command = repository.command("snapshot", &[source]);
        command.spawn().expect("the program can be run")
    });
    for (child, source) in running.into_iter().zip(&sources) {
        let outcome = Outcome::of(&child.wait_with_output().expect("it ends"));
        let taken = Taken::of(&outcome.expect_code(0));
        assert_restores(&repository, &taken, source);
    }
    assert_sound(&repository);
}
