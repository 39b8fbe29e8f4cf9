//! Sessions that are interrupted, and sessions side by side.
//!
//! Defends I7 (an interrupted run is not there, and nothing is in the way of the next) and I2
//! (sessions do not disturb each other).

use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
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

/// Starts a snapshot of each source, and gives them once all have announced themselves.
fn run_beside(repository: &TestRepository, sources: &[PathBuf]) -> Vec<Child> {
    let intents = repository.path().join("intents");
    let before = count_files(&intents);
    let start = |source: &PathBuf| {
        let mut command = repository.command("snapshot", &[source]);
        command.spawn().expect("the program can be run")
    };
    let mut running: Vec<_> = sources.iter().map(start).collect();
    let begun = Instant::now();
    while count_files(&intents) < before + sources.len()
        && begun.elapsed() < Duration::from_secs(20)
    {
        let ended = running
            .iter_mut()
            .any(|child| child.try_wait().is_ok_and(|end| end.is_some()));
        assert!(
            !ended,
            "all run at the same time, or this test says nothing"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    running
}

#[test]
fn i2_a_snapshot_that_is_killed_leaves_another_beside_it_untouched() {
    let (workspace, _, repository, _) = scene();
    let sources = ["killed", "untouched"].map(|name| {
        workspace.file(
            &format!("{name}/shared"),
            random_bytes(5, "shared", 24 * MIB),
        );
        workspace.file(&format!("{name}/own"), random_bytes(6, name, 24 * MIB));
        workspace.join(name)
    });
    let mut running = run_beside(&repository, &sources);
    running[0].kill().expect("it runs");
    let ends = running
        .into_iter()
        .map(|child| child.wait_with_output().expect("it ends"));
    let ends: Vec<_> = ends.map(|output| Outcome::of(&output)).collect();
    ends[0].clone().expect_code(137);
    let taken = Taken::of(&ends[1].clone().expect_code(0));
    assert_restores(&repository, &taken, &sources[1]);
    assert_sound(&repository);
    let again = repository.snapshot(&[&sources[0]]);
    assert_restores(&repository, &again, &sources[0]);
}

#[test]
fn snapshots_at_the_same_time_share_what_is_stored_and_a_prune_makes_one_of_what_both_stored() {
    let (workspace, _, repository, _) = scene();
    workspace.file("stored/file", random_bytes(7, "stored", 16 * MIB));
    repository.snapshot(&[&workspace.join("stored")]);
    let packs = repository.path().join("packs");
    let before = bytes_below(&packs);
    let sources = ["one", "two"].map(|name| {
        workspace.file(
            &format!("{name}/stored"),
            random_bytes(7, "stored", 16 * MIB),
        );
        workspace.file(
            &format!("{name}/new to both"),
            random_bytes(8, "new", 8 * MIB),
        );
        workspace.file(&format!("{name}/own"), random_bytes(9, name, 4 * MIB));
        workspace.join(name)
    });
    for child in run_beside(&repository, &sources) {
        Outcome::of(&child.wait_with_output().expect("it ends")).expect_code(0);
    }
    let mib = MIB as u64;
    assert!(
        bytes_below(&packs) - before < 2 * (8 + 4 + 2) * mib,
        "what is stored is not again"
    );
    repository
        .run("prune", &[&"--max-unused", &"0"])
        .expect_code(0);
    assert!(
        bytes_below(&packs) - before < (8 + 2 * 4 + 2) * mib,
        "one copy is kept"
    );
    assert_sound(&repository);
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        metadata => metadata.map_or(0, |metadata| metadata.len()),
    };
    entries.map(bytes).sum()
}
