//! Forgetting snapshots, bringing them back, and protecting them, as a user does it.
//!
//! Defends I2 (what is forgotten endangers nothing else) and I10 (a slip forgets nothing in silence).

use std::ffi::OsStr;
use std::path::PathBuf;

use serde_json::Value;

use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::workspace::Workspace;
use blockstore_tests::kit::workspace::write;

use crate::scene::assert_restores;
use crate::scene::assert_sound;

struct World {
    workspace: Workspace,
    source: PathBuf,
    repository: TestRepository,
    taken: Vec<Taken>,
}

/// A repository with snapshots of a folder in which one file changes; the first one is tagged.
fn world(snapshots: u64) -> World {
    let workspace = Workspace::new();
    let source = workspace.join("source");
    workspace.file("source/same", "the same");
    let repository = TestRepository::init(&workspace);
    let mut taken = Vec::new();
    for number in 0..snapshots {
        write(&source.join("other"), format!("state {number}"));
        taken.push(match number {
            0 => repository.snapshot(&[&source, &"--tag", &"first"]),
            _ => repository.snapshot(&[&source]),
        });
    }
    World {
        workspace,
        source,
        repository,
        taken,
    }
}

impl World {
    /// Ids that `snapshots` lists, with these words.
    fn listed(&self, words: &[&str]) -> Vec<String> {
        let words: Vec<_> = words.iter().map(|word| word as &dyn AsRef<OsStr>).collect();
        let list = self.repository.run("snapshots", &words).expect_code(0);
        ids(&list.json()["snapshots"])
    }

    fn expect_listed(&self, expected: &[&Taken]) {
        let expected: Vec<_> = expected.iter().map(|taken| taken.id.clone()).collect();
        assert_eq!(self.listed(&[]), expected);
    }
}

fn ids(snapshots: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let id = |snapshot: &Value| text(snapshot).or_else(|| text(&snapshot["snapshot"]));
    let snapshots = snapshots.as_array().into_iter().flatten();
    snapshots.filter_map(id).collect()
}

#[test]
fn what_a_policy_forgets_is_not_listed_restores_by_its_id_and_comes_back() {
    let world = world(4);
    let [first, second, third, last] = &world.taken[..] else {
        panic!("there are four");
    };
    let policy: [&dyn AsRef<OsStr>; 4] = [&"--keep-last", &"2", &"--keep-tag", &"first"];
    let dry = [&policy[..], &[&"--dry-run"]].concat();
    let planned = world.repository.run("forget", &dry).expect_code(0).json();
    assert_eq!(ids(&planned["forgotten"]), std::slice::from_ref(&second.id));
    world.expect_listed(&[first, second, third, last]);
    let done = world
        .repository
        .run("forget", &policy)
        .expect_code(0)
        .json();
    assert_eq!(done["series"], planned["series"]);
    let verdicts = &done["series"][0]["verdicts"];
    assert_eq!(verdicts[0]["reasons"][0]["reason"], "tagged");
    assert_eq!(verdicts[1]["keep"], false);
    assert_eq!(verdicts[2]["reasons"][0]["reason"], "last");
    world.expect_listed(&[first, third, last]);
    assert_eq!(
        world.listed(&["--forgotten"]),
        std::slice::from_ref(&second.id)
    );
    assert_restores(&world.repository, last, &world.source);
    let target = world.workspace.join("restored");
    world.repository.restore(&second.id, &target).expect_code(0);
    let restored = std::fs::read(target.join("other")).unwrap();
    assert_eq!(restored, b"state 1");
    assert_sound(&world.repository);
    let short = &second.id[..10];
    let back = world.repository.run("undelete", &[&short]).expect_code(0);
    assert_eq!(ids(&back.json()["back"]), std::slice::from_ref(&second.id));
    world.expect_listed(&[first, second, third, last]);
    world
        .repository
        .run("undelete", &[&short])
        .expect_code(1)
        .expect_text("is not forgotten");
}

#[test]
fn latest_skips_what_is_forgotten_and_so_does_the_next_snapshot() {
    let world = world(3);
    let [first, second, last] = &world.taken[..] else {
        panic!("there are three");
    };
    world
        .repository
        .run("forget", &[&"latest", &second.id])
        .expect_code(0);
    world.expect_listed(&[first]);
    let target = world.workspace.join("restored");
    world.repository.restore(&"latest", &target).expect_code(0);
    assert_eq!(std::fs::read(target.join("other")).unwrap(), b"state 0");
    let next = world.repository.snapshot(&[&world.source]);
    assert_eq!(next.json["parent"], first.id.as_str());
    assert_eq!(next.root, last.root);
    assert_restores(&world.repository, &next, &world.source);
}

#[test]
fn a_slip_of_the_pen_empties_nothing() {
    let world = world(3);
    let all: Vec<_> = world.taken.iter().collect();
    let run = |words: &[&dyn AsRef<OsStr>]| world.repository.run("forget", words);
    run(&[]).expect_code(2).expect_text("--keep-last");
    run(&[&"--host", &"nowhere"]).expect_code(2);
    run(&[&"--keep-last", &"0"]).expect_code(2);
    run(&[&"--keep-within", &"30"])
        .expect_code(2)
        .expect_text("30d");
    run(&[&"--group-by", &"hots", &"--keep-last", &"1"]).expect_code(2);
    let typo = run(&[&"--keep-tag", &"frist"]).expect_code(3).json();
    assert_eq!(typo["refusal"]["reason"], "tags_on_no_snapshot");
    run(&[&"--keep-tag", &"frist", &"--keep-last", &"1"]).expect_code(3);
    let everything = world
        .taken
        .iter()
        .map(|taken| &taken.id as &dyn AsRef<OsStr>);
    let everything: Vec<_> = everything.collect();
    run(&everything)
        .expect_code(1)
        .expect_text("no snapshot left");
    run(&[&all[0].id, &"nonsense"]).expect_code(1);
    run(&[&all[0].id, &"--keep-last", &"1"]).expect_code(2);
    world.expect_listed(&all);
    run(&[&"--keep-tag", &"frist", &"--allow-empty"]).expect_code(0);
    world.expect_listed(&[]);
    let ids: Vec<_> = everything.clone();
    world.repository.run("undelete", &ids).expect_code(0);
    world.expect_listed(&all);
}

#[test]
fn a_protected_snapshot_stays_until_its_protection_is_shortened() {
    let world = world(3);
    let first = &world.taken[0].id;
    let protect = |words: &[&dyn AsRef<OsStr>]| world.repository.run("protect", words);
    let forget = |words: &[&dyn AsRef<OsStr>]| world.repository.run("forget", words);
    let report = protect(&[first, &"--until", &"2y6m"]).expect_code(0).json();
    assert!(
        report["before"].is_null() && report["until"].is_string(),
        "{report}"
    );
    protect(&[first, &"--until", &"90d"])
        .expect_code(1)
        .expect_text("is protected until");
    protect(&[first, &"--until", &"2001-01-01"]).expect_code(1);
    protect(&[first, &"--until", &"someday"]).expect_code(2);
    let listed = world.repository.run("snapshots", &[]).expect_code(0).json();
    assert_eq!(listed["snapshots"][0]["protected_until"], report["until"]);
    assert!(listed["snapshots"][1]["protected_until"].is_null());
    forget(&[first])
        .expect_code(1)
        .expect_text("is protected until");
    let kept = forget(&[&"--keep-last", &"1"]).expect_code(0).json();
    assert_eq!(ids(&kept["forgotten"]), [world.taken[1].id.clone()]);
    let reason = &kept["series"][0]["verdicts"][0]["reasons"][0];
    assert_eq!(reason["reason"], "protected");
    protect(&[&world.taken[1].id, &"--until", &"1d"])
        .expect_code(1)
        .expect_text("undelete it");
    let report = protect(&[first, &"--until", &"2001-01-01", &"--shorten"]).expect_code(0);
    assert!(report.json()["before"].is_string());
    forget(&[first]).expect_code(0);
    assert_eq!(world.listed(&[]), [world.taken[2].id.clone()]);
}

#[test]
fn machines_have_series_of_their_own() {
    let world = world(1);
    for host in ["one", "two"] {
        for _ in 0..2 {
            world
                .repository
                .snapshot(&[&world.source, &"--host", &host]);
        }
    }
    let count = |words: &[&dyn AsRef<OsStr>]| {
        let words = [
            &[&"--dry-run" as &dyn AsRef<OsStr>, &"--keep-last", &"1"],
            words,
        ]
        .concat();
        let report = world.repository.run("forget", &words).expect_code(0).json();
        ids(&report["forgotten"]).len()
    };
    assert_eq!(count(&[]), 2);
    assert_eq!(count(&[&"--host", &"one"]), 1);
    assert_eq!(count(&[&"--group-by", &"source"]), 4);
    assert_eq!(count(&[&"--group-by", &"none", &"--host", &"two"]), 1);
    assert_eq!(count(&[&"--path", &"/nowhere"]), 0);
    assert_eq!(count(&[&"--tag", &"first"]), 0);
}
