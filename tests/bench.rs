//! `bench`: it measures, reads its source and nothing more, and leaves no trace of itself.
//!
//! No test here says how fast anything is.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use serde_json::Value;

use blockstore_tests::kit::cli;
use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::disk::len_of;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::loops::Loop;
use blockstore_tests::kit::mount::Mounted;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::workspace::Workspace;

use crate::scene::MIB;

const OPERATIONS: [&str; 5] = [
    "snapshot_initial",
    "snapshot_unchanged",
    "snapshot_reread",
    "restore",
    "check",
];

/// Every path below `folder` with what changes if somebody touches it.
fn listing(folder: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            let times = (metadata.mtime(), metadata.mtime_nsec());
            found.insert(path, (metadata.ino(), times.0, times.1));
        }
    }
    found
}

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().into_string().unwrap()
    };
    entries.map(name).collect()
}

fn bench(workspace: &Workspace, words: &[&dyn AsRef<OsStr>]) -> Outcome {
    TestRepository::at(&workspace.join("none")).run("bench", words)
}

/// A source of text, noise and a file that is too long, and an empty medium beside it.
fn places() -> (Workspace, PathBuf, PathBuf) {
    let workspace = Workspace::new();
    for number in 0..20 {
        let name = format!("source/{}/text {number}", number / 5);
        workspace.file(&name, format!("line {number}\n").repeat(3_000));
    }
    workspace.file("source/noise", random_bytes(1, "bench", MIB));
    let (source, medium) = (workspace.join("source"), workspace.folder("medium"));
    (workspace, source, medium)
}

fn texts<'v>(report: &'v Value, list: &str, key: &str) -> Vec<&'v str> {
    let items = report[list].as_array().unwrap();
    items
        .iter()
        .map(|item| item[key].as_str().unwrap())
        .collect()
}

#[test]
fn a_bench_without_a_path_measures_everything_and_nothing_of_it_stays() {
    let workspace = Workspace::new();
    let medium = workspace.folder("medium");
    let before = listing(workspace.path());
    let report = bench(&workspace, &[&"--generate", &"4M", &"--at", &medium]);
    let report = report.expect_code(0).json();
    assert_eq!(texts(&report, "operations", "operation"), OPERATIONS);
    for probe in ["read_warm", "small_files", "medium_write", "medium_read"] {
        assert!(texts(&report, "media", "probe").contains(&probe), "{probe}");
    }
    let stages = texts(&report, "stages", "probe");
    for probe in ["chunk", "hash", "compress", "seal", "verify"] {
        assert!(stages.contains(&probe), "{probe}");
    }
    assert_eq!(report["source"]["kind"], "generated");
    assert_eq!(report["source"]["bytes"], 4 << 20);
    for operation in report["operations"].as_array().unwrap() {
        assert!(
            operation["floor"]["seconds"].as_f64().unwrap() > 0.0,
            "{operation}"
        );
        assert!(operation["reached"].as_f64().unwrap() > 0.0, "{operation}");
        assert!(!operation["bottleneck"].as_str().unwrap().is_empty());
        assert!(!operation["timeline"].as_array().unwrap().is_empty());
        assert_eq!(operation["problem_count"], 0);
    }
    assert_eq!(names(&medium), [""; 0]);
    let after = listing(workspace.path());
    assert!(after.keys().eq(before.keys()), "{after:?}");
}

#[test]
fn a_source_is_only_read_and_what_was_left_out_of_it_is_said() {
    let (workspace, source, medium) = places();
    let before = listing(&source);
    let words: [&dyn AsRef<OsStr>; 5] = [&source, &"--at", &medium, &"--limit", &"300K"];
    let report = bench(&workspace, &words).expect_code(0).json();
    assert_eq!(report["source"]["left_out_files"], 1);
    assert_eq!(report["source"]["kind"], "folder");
    let bytes = report["source"]["bytes"].as_u64().unwrap();
    assert!((200 << 10..=300 << 10).contains(&bytes), "{bytes}");
    let end = report["source"]["ended_at"]["path"].as_str().unwrap();
    assert!(source.join(end).is_file(), "{end}");
    let initial = &report["operations"][0];
    assert_eq!(initial["bytes"], bytes);
    assert_eq!(listing(&source), before);
    assert_eq!(names(&medium), [""; 0]);
}

#[test]
fn the_medium_may_be_a_repository_in_use_or_lie_in_the_source() {
    let (workspace, source, _) = places();
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&source]);
    let before = listing(repository.path());
    let report = repository.run("bench", &[&source]).expect_code(0).json();
    let at = report["medium"]["path"].as_str().unwrap();
    assert_eq!(Path::new(at), repository.path());
    assert!(listing(repository.path()).keys().eq(before.keys()));
    crate::scene::assert_restores(&repository, &taken, &source);

    let inside = bench(&workspace, &[&source, &"--at", &source.join("0")]);
    let inside = inside.expect_code(0).json();
    assert_eq!(inside["source"]["bytes"], report["source"]["bytes"]);
    assert_eq!(inside["operations"][2]["new_bytes"], 0);
}

#[test]
fn a_device_is_read_up_to_the_limit_and_not_written() {
    let workspace = Workspace::new();
    let image = workspace.file("disk", random_bytes(2, "bench", 8 * MIB));
    let Some(device) = Loop::attach(&image) else {
        return;
    };
    let (medium, written) = (workspace.folder("medium"), device.written());
    let words: [&dyn AsRef<OsStr>; 5] = [&device.path(), &"--at", &medium, &"--limit", &"4M"];
    let report = bench(&workspace, &words).expect_code(0).json();
    assert_eq!(report["source"]["kind"], "volume");
    assert_eq!(report["source"]["bytes"], 4 << 20);
    assert_eq!(report["source"]["left_out_bytes"], 4 << 20);
    let restored = &report["operations"][2];
    assert_eq!(
        (&restored["operation"], &restored["bytes"]),
        (&"restore".into(), &(4 << 20).into())
    );
    assert_eq!(device.written(), written);
    assert_eq!(len_of(&image), 8 << 20);
    assert_eq!(names(&medium), [""; 0]);
}

/// Starts a bench that takes long, and sends `signal` once `is_time` says so of its area.
fn interrupt(
    workspace: &Workspace,
    medium: &Path,
    signal: Signal,
    is_time: impl Fn(&Path) -> bool,
) -> Outcome {
    let nowhere = TestRepository::at(&workspace.join("none"));
    let mut command = nowhere.command("bench", &[&"--generate", &"64M", &"--at", &medium]);
    let mut child = command.spawn().expect("the program can be run");
    let begun = Instant::now();
    let is_reached = || {
        let mut areas = medium.read_dir().unwrap().flatten();
        areas.any(|area| is_time(&area.path()))
    };
    while !is_reached()
        && begun.elapsed() < Duration::from_secs(60)
        && child.try_wait().is_ok_and(|status| status.is_none())
    {
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = rustix::process::kill_process(Pid::from_child(&child), signal);
    Outcome::of(&child.wait_with_output().expect("it ends"))
}

#[test]
fn a_bench_that_is_stopped_leaves_nothing() {
    let workspace = Workspace::new();
    let medium = workspace.folder("medium");
    let generating = |area: &Path| area.join("data").exists();
    let storing = |area: &Path| area.join("repository/packs").exists();
    let restoring = |area: &Path| area.join("restored").exists();
    interrupt(&workspace, &medium, Signal::INT, generating).expect_code(130);
    assert_eq!(names(&medium), [""; 0]);
    interrupt(&workspace, &medium, Signal::TERM, storing).expect_code(130);
    assert_eq!(names(&medium), [""; 0]);
    interrupt(&workspace, &medium, Signal::INT, restoring).expect_code(130);
    assert_eq!(names(&medium), [""; 0]);
}

#[test]
fn what_a_killed_bench_left_goes_with_the_next_and_is_named() {
    let workspace = Workspace::new();
    let medium = workspace.folder("medium");
    let storing = |area: &Path| area.join("repository/packs").exists();
    interrupt(&workspace, &medium, Signal::KILL, storing).expect_code(137);
    let left = names(&medium);
    assert_eq!(left.len(), 1, "{left:?}");
    let words: [&dyn AsRef<OsStr>; 6] =
        [&"--generate", &"1M", &"--only", &"stages", &"--at", &medium];
    let report = bench(&workspace, &words).expect_code(0).json();
    let removed = texts(&report, "removed", "path");
    assert_eq!(removed, [medium.join(&left[0]).to_str().unwrap()]);
    assert_eq!(names(&medium), [""; 0]);
}

#[test]
fn a_medium_that_is_too_small_is_refused_in_one_line_before_anything_is_written() {
    let workspace = Workspace::new();
    let medium = workspace.folder("medium");
    let refused = bench(&workspace, &[&"--generate", &"100000G", &"--at", &medium]);
    let refused = refused.expect_code(1);
    assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
    let failure: Value = serde_json::from_str(&refused.stderr).unwrap();
    assert_eq!(failure["kind"], "no_space");
    assert_eq!(names(&medium), [""; 0]);
    let Some(small) = Mounted::ext4(&workspace, "small", 32) else {
        return;
    };
    let before = listing(small.path());
    let refused = bench(&workspace, &[&"--generate", &"16M", &"--at", &small.path()]);
    refused.expect_code(1).expect_text("MiB are free");
    assert_eq!(listing(small.path()), before);
}

#[test]
fn wrong_places_are_refused_before_anything_is_measured() {
    let (workspace, source, medium) = places();
    let gone = workspace.join("gone");
    let cases: [(&[&dyn AsRef<OsStr>], i32); 5] = [
        (&[&gone, &"--at", &medium], 1),
        (&[&source, &"--at", &gone], 1),
        (
            &[&source, &"--at", &medium, &"--html", &gone.join("x.html")],
            2,
        ),
        (&[&source, &"--at", &medium, &"--limit", &"1"], 1),
        (&[&"--generate", &"1K", &"--at", &medium], 2),
    ];
    for (words, code) in cases {
        let refused = bench(&workspace, words).expect_code(code);
        assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
    }
    assert_eq!(names(&medium), [""; 0]);
}

/// Panics unless every element is closed in order.
fn assert_well_formed(page: &str) {
    let body = page.strip_prefix("<!DOCTYPE html>").unwrap();
    let mut open = Vec::new();
    for part in body.split('<').skip(1) {
        let (tag, behind) = part.split_once('>').unwrap();
        assert!(!behind.contains('>'), "{behind}");
        let name = tag.split([' ', '/']).find(|name| !name.is_empty());
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) => assert_eq!(open.pop(), Some(name)),
            (false, true) => {}
            (false, false) => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn the_report_for_people_and_the_page_stand_alone_and_show_names_as_text() {
    let (workspace, _, medium) = places();
    let source = workspace.join("<script>alert(1)");
    workspace.file("<script>alert(1)/file", random_bytes(3, "bench", MIB));
    let page = workspace.join("report.html");
    let output = std::process::Command::new(cli::blockstore())
        .env_clear()
        .arg("bench")
        .arg(&source)
        .arg("--at")
        .arg(&medium)
        .arg("--html")
        .arg(&page)
        .output();
    let shown = Outcome::of(&output.unwrap()).expect_code(0);
    for text in [
        "machine",
        "medium",
        "find cuts",
        "first snapshot",
        "floor reached",
    ] {
        assert!(shown.stdout.contains(text), "{text}: {}", shown.stdout);
    }
    assert_eq!(shown.stderr, "");
    let page = std::fs::read_to_string(page).unwrap();
    assert_well_formed(&page);
    assert!(page.contains("&lt;script&gt;alert(1)") && page.contains("<svg"));
    for foreign in [
        "<script", "http:", "https:", "src=", "href", "url(", "@import",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}
