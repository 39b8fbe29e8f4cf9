//! Restores into a folder that has something in it: each policy, and none that loses more than it
//! says.
//!
//! Defends I10 (what is not restored is named and counted) and I11 (no write outside the target).

use std::ffi::OsStr;
use std::fs::File;
use std::fs::FileTimes;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::time::SystemTime;

use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::compare::Comparer;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::workspace::Workspace;

const SNAPSHOT_TIME: u64 = 1_500_000_000;

/// A snapshot of `older`, `newer`, `free` and `folder/file`, all of one time, and a target with
/// other contents of most of these names.
struct Scene {
    workspace: Workspace,
    repository: TestRepository,
    taken: Taken,
    target: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let workspace = Workspace::new();
        for name in ["older", "newer", "free", "folder/file"] {
            let file = workspace.file(&format!("source/{name}"), "stored");
            set_time(&file, SNAPSHOT_TIME);
        }
        let repository = TestRepository::init(&workspace);
        let taken = repository.snapshot(&[&workspace.join("source")]);
        set_time(&workspace.file("target/older", "mine"), SNAPSHOT_TIME - 100);
        set_time(&workspace.file("target/newer", "mine"), SNAPSHOT_TIME + 100);
        workspace.file("target/folder/other", "mine");
        let target = workspace.join("target");
        Self {
            workspace,
            repository,
            taken,
            target,
        }
    }

    fn restore(&self, policy: &str) -> Outcome {
        let words: [&dyn AsRef<OsStr>; 5] = [
            &self.taken.id,
            &"--on-conflict",
            &policy,
            &"--target",
            &self.target,
        ];
        self.repository.run("restore", &words)
    }

    #[track_caller]
    fn assert_contents(&self, expected: &[(&str, &str)]) {
        for (name, content) in expected {
            assert_eq!(read(&self.target.join(name)), *content, "{name}");
        }
        assert_eq!(
            read(&self.target.join("folder/other")),
            "mine",
            "not in the snapshot"
        );
        assert_eq!(
            read(&self.target.join("folder/file")),
            "stored",
            "nothing in its way"
        );
        assert_eq!(
            read(&self.target.join("free")),
            "stored",
            "nothing in its way"
        );
    }
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.is_ok_and(|status| status.success()), "cp works");
}

fn set_time(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let file = File::options().write(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| error.to_string())
}

#[test]
fn a_target_that_is_not_empty_is_refused_by_default_and_left_alone() {
    let scene = Scene::new();
    let before = scene.workspace.join("before");
    copy(&scene.target, &before);

    let refused = scene.repository.restore(&scene.taken.id, &scene.target);
    refused.expect_code(1).expect_text("not empty");
    scene
        .restore("fail")
        .expect_code(1)
        .expect_text("not empty");
    Comparer::default().assert_equal(&before, &scene.target);
}

#[test]
fn overwrite_replaces_what_has_the_name_of_an_entry_and_nothing_else() {
    let scene = Scene::new();
    scene.restore("overwrite").expect_code(0);
    scene.assert_contents(&[("older", "stored"), ("newer", "stored")]);
}

#[test]
fn overwrite_does_not_replace_a_folder_with_anything_in_it_and_says_so() {
    let scene = Scene::new();
    std::fs::remove_file(scene.target.join("older")).unwrap();
    scene.workspace.file("target/older/precious", "mine");
    scene
        .restore("overwrite")
        .expect_code(3)
        .expect_text("older");
    assert_eq!(read(&scene.target.join("older/precious")), "mine");
    assert_eq!(
        read(&scene.target.join("newer")),
        "stored",
        "the rest is restored"
    );
}

#[test]
fn skip_leaves_everything_that_is_there() {
    let scene = Scene::new();
    let outcome = scene.restore("skip").expect_code(0);
    // Two files, and the target and its folder, which keep their metadata.
    assert_eq!(outcome.json()["skipped"], 4);
    scene.assert_contents(&[("older", "mine"), ("newer", "mine")]);
}

#[test]
fn newer_replaces_only_what_was_modified_earlier_than_the_entry() {
    let scene = Scene::new();
    scene.restore("newer").expect_code(0);
    scene.assert_contents(&[("older", "stored"), ("newer", "mine")]);
}

#[test]
fn copy_keeps_both_beside_each_other() {
    let scene = Scene::new();
    scene.restore("copy").expect_code(0);
    scene.assert_contents(&[("older", "mine"), ("newer", "mine")]);
    assert_eq!(read(&scene.target.join("older~1")), "stored");
    assert_eq!(read(&scene.target.join("newer~1")), "stored");
}

#[test]
fn a_symbolic_link_in_the_target_is_never_followed() {
    for policy in ["overwrite", "skip", "newer", "copy"] {
        let scene = Scene::new();
        let outside = scene.workspace.folder("outside");
        std::fs::remove_dir_all(scene.target.join("folder")).unwrap();
        std::os::unix::fs::symlink(&outside, scene.target.join("folder")).unwrap();
        let outcome = scene.restore(policy);
        assert!([0, 3].contains(&outcome.code), "{policy}: {outcome:?}");
        assert_eq!(outside.read_dir().unwrap().count(), 0, "{policy}");
    }
}

#[test]
fn a_dry_run_writes_nothing() {
    let scene = Scene::new();
    let id = &scene.taken.id;
    for target in [scene.workspace.join("new"), scene.workspace.folder("empty")] {
        let existed = target.exists();
        let words = &[id as &dyn AsRef<OsStr>, &"--dry-run", &"--target", &target];
        scene.repository.run("restore", words).expect_code(0);
        assert_eq!(target.exists(), existed, "{target:?}");
        assert!(!existed || target.read_dir().unwrap().next().is_none());
    }
}

#[test]
fn a_dry_run_of_a_snapshot_stores_nothing() {
    let scene = Scene::new();
    scene.workspace.file("source/more", "more");
    let everything = |path: &Path| {
        let find = Command::new("find").arg(path).output().unwrap();
        String::from_utf8(find.stdout).unwrap()
    };
    let before = everything(scene.repository.path());
    let source = scene.workspace.join("source");
    let outcome = scene
        .repository
        .run("snapshot", &[&"--dry-run", &source])
        .expect_code(0);
    assert!(
        outcome.json()["new_bytes"].as_u64() > Some(0),
        "{}",
        outcome.stdout
    );
    assert_eq!(everything(scene.repository.path()), before);
}

#[test]
fn restoring_twice_over_the_same_target_changes_nothing() {
    let scene = Scene::new();
    let target = scene.workspace.join("again");
    scene
        .repository
        .restore(&scene.taken.id, &target)
        .expect_code(0);
    let again = Scene { target, ..scene };
    again.restore("overwrite").expect_code(0);
    Comparer::default().assert_equal(&again.workspace.join("source"), &again.target);
}
