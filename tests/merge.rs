//! Snapshots made out of others, through the command line.
//!
//! Defends I2 (inputs stay as they are), I4 (the roots of a merge are those of a full snapshot), I5
//! (no content of any file is needed for it) and I10 (what an input lacks, the result says it lacks).

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::compare::Comparer;
use blockstore_tests::kit::generate;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::rights;
use blockstore_tests::kit::workspace::Workspace;
use blockstore_tests::kit::workspace::let_times_pass;

/// A folder with two folders in it that are captured together once, and `ana` alone later.
struct Scene {
    workspace: Workspace,
    repository: TestRepository,
    home: PathBuf,
    base: Taken,
    newer: Taken,
}

impl Scene {
    fn new() -> Self {
        let workspace = Workspace::new();
        let home = workspace.folder("home");
        generate::generate(&workspace.folder("home/ana/tree"), 1).unwrap();
        workspace.file("home/ana/gone", "gone");
        workspace.file("home/ana/shared", "shared by two");
        workspace.file("home/bob/file", "bob");
        fs::hard_link(home.join("ana/shared"), home.join("bob/shared")).unwrap();
        let repository = TestRepository::init(&workspace);
        let base = repository.snapshot(&[&home]);

        fs::remove_file(home.join("ana/gone")).unwrap();
        fs::remove_file(home.join("ana/shared")).unwrap();
        workspace.file("home/ana/new", vec![7; 300_000]);
        let newer = repository.snapshot(&[&home.join("ana")]);
        Self {
            workspace,
            repository,
            home,
            base,
            newer,
        }
    }

    fn run(&self, words: &[&dyn AsRef<OsStr>]) -> Outcome {
        let both: [&dyn AsRef<OsStr>; 2] = [&self.base.id, &self.newer.id];
        self.repository.run("merge", &[&both, words].concat())
    }

    #[track_caller]
    fn merge(&self, words: &[&dyn AsRef<OsStr>]) -> Taken {
        Taken::of(&self.run(words).expect_code(0))
    }

    fn restore(&self, taken: &Taken, name: &str) -> PathBuf {
        let target = self.workspace.join(name);
        self.repository.restore(&taken.id, &target).expect_code(0);
        target
    }

    fn data_packs(&self) -> Vec<PathBuf> {
        let packs = self.repository.packs().into_keys();
        let is_data = |pack: &PathBuf| pack.extension() == Some(OsStr::new("data"));
        packs.filter(is_data).collect()
    }

    fn snapshots(&self) -> usize {
        let listed = self.repository.run("snapshots", &[]).expect_code(0).json();
        listed["snapshots"].as_array().unwrap().len()
    }
}

/// A path that a pack is moved to.
fn aside(pack: &Path) -> PathBuf {
    pack.with_extension("aside")
}

#[test]
fn i4_i5_a_merge_needs_no_content_and_equals_a_full_snapshot_and_restores() {
    let scene = Scene::new();
    // Instead of each pack of data lies a file of its length with nothing in it.
    let packs = scene.data_packs();
    assert!(!packs.is_empty());
    for pack in &packs {
        fs::rename(pack, aside(pack)).unwrap();
        let len = aside(pack).metadata().unwrap().len();
        fs::File::create(pack).unwrap().set_len(len).unwrap();
    }
    let merged = scene.merge(&[]);
    for pack in &packs {
        fs::rename(aside(pack), pack).unwrap();
    }
    assert_eq!(merged.number("read_bytes"), 0);
    assert_eq!(merged.number("new_bytes"), 0);

    let target = scene.restore(&merged, "restored");
    Comparer::default().assert_equal(&scene.home, &target);
    let full = scene.repository.snapshot(&[&"--full", &scene.home]);
    assert_eq!(merged.root, full.root);
}

#[test]
fn i5_no_pack_of_data_is_ever_opened() {
    let scene = Scene::new();
    let words: [&dyn AsRef<OsStr>; 2] = [&scene.base.id, &scene.newer.id];
    let command = scene.repository.command("merge", &words);
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-e", "trace=open,openat,openat2"]);
    traced.arg(command.get_program()).args(command.get_args());
    traced.env_clear();
    traced.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let Ok(output) = traced.output() else {
        return rights::skipped("what a merge opens", "there is no strace");
    };
    let outcome = Outcome::of(&output).expect_code(0);
    assert!(outcome.stderr.contains(".meta"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains(".data"), "{}", outcome.stderr);
}

#[test]
fn what_was_deleted_is_kept_if_that_is_asked_for() {
    let scene = Scene::new();
    let kept = scene.merge(&[&"--keep-deleted", &"--tag", &"kept", &"--host", &"vault"]);
    assert_eq!(kept.json["tags"], serde_json::json!(["kept"]));
    assert_eq!(kept.json["host"], "vault");
    assert_eq!(kept.json["parent"], scene.newer.id.as_str());
    let merged = serde_json::json!([scene.base.id, scene.newer.id]);
    assert_eq!(kept.json["merged"], merged);
    let target = scene.restore(&kept, "restored");
    assert_eq!(fs::read(target.join("ana/gone")).unwrap(), b"gone");
    assert_eq!(
        fs::read(target.join("ana/shared")).unwrap(),
        b"shared by two"
    );
    assert_eq!(
        fs::read(target.join("bob/shared")).unwrap(),
        b"shared by two"
    );
    assert_eq!(fs::read(target.join("ana/new")).unwrap().len(), 300_000);
}

#[test]
fn a_merge_is_the_parent_of_the_next_snapshot_and_nothing_is_read_again() {
    let workspace = Workspace::new();
    let home = workspace.folder("home");
    workspace.file("home/ana/file", "1");
    workspace.file("home/bob/file", "2");
    let repository = TestRepository::init(&workspace);
    let_times_pass();
    let base = repository.snapshot(&[&home]);
    workspace.file("home/ana/file", "3");
    let_times_pass();
    let newer = repository.snapshot(&[&home.join("ana")]);
    let merged = Taken::of(
        &repository
            .run("merge", &[&base.id, &newer.id])
            .expect_code(0),
    );
    let next = repository.snapshot(&[&home]);
    assert_eq!(next.json["parent"], merged.id.as_str());
    assert_eq!(
        (next.number("unchanged_files"), next.number("read_bytes")),
        (2, 0)
    );
    assert_eq!(next.root, merged.root);
}

#[test]
fn a_dry_run_stores_nothing() {
    let scene = Scene::new();
    let (packs, snapshots) = (scene.repository.packs(), scene.snapshots());
    let report = scene.run(&[&"--dry-run"]).expect_code(0).json();
    assert_eq!(report["snapshot"], serde_json::Value::Null);
    assert_eq!(
        (scene.repository.packs(), scene.snapshots()),
        (packs, snapshots)
    );
    assert_eq!(report["root"], scene.merge(&[]).root.as_str());
}

#[test]
fn a_pack_that_is_gone_is_told_by_path_and_nothing_is_merged() {
    let scene = Scene::new();
    let snapshots = scene.snapshots();
    let packs = scene.data_packs();
    packs
        .iter()
        .for_each(|pack| fs::rename(pack, aside(pack)).unwrap());
    let refused = scene.run(&[]).expect_code(1);
    let path = scene.home.join("ana");
    let refused = refused.expect_text(path.to_str().unwrap());
    refused.expect_text("nothing was merged");
    packs
        .iter()
        .for_each(|pack| fs::rename(aside(pack), pack).unwrap());
    assert_eq!(scene.snapshots(), snapshots);
    scene.merge(&[]);
}

#[test]
fn a_snapshot_given_twice_is_refused() {
    let scene = Scene::new();
    let twice = scene
        .repository
        .run("merge", &[&scene.base.id, &scene.base.id]);
    twice.expect_code(1).expect_text("is given twice");
    scene
        .repository
        .run("merge", &[&scene.base.id])
        .expect_code(2);
}

#[test]
fn i2_inputs_restore_as_before_and_the_result_without_them() {
    let scene = Scene::new();
    let before = scene.restore(&scene.base, "before");
    let merged = scene.merge(&[]);
    let after = scene.restore(&scene.base, "after");
    Comparer::default().assert_equal(&before, &after);
    for input in [&scene.base, &scene.newer] {
        fs::remove_file(scene.repository.path().join("snapshots").join(&input.id)).unwrap();
    }
    let target = scene.restore(&merged, "restored");
    Comparer::default().assert_equal(&scene.home, &target);
    scene
        .repository
        .run("check", &[&"--read-data"])
        .expect_code(0);
}
