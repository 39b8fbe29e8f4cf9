//! Repositories on media that are full or lose what they hold.
//!
//! Defends I3 (no wrong bytes), I8 (full disks) and I10 (each loss is named, and nothing else is
//! lost).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::fs::Permissions;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::compare::Comparer;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::mount::Mounted;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::workspace::Workspace;
use blockstore_tests::kit::workspace::write;

use crate::scene::MIB;
use crate::scene::assert_restores;
use crate::scene::assert_sound;
use crate::scene::scene;

#[test]
fn i8_a_full_disk_ends_the_run_and_harms_nothing() {
    let workspace = Workspace::new();
    let Some(small) = Mounted::ext4(&workspace, "small", 32) else {
        return;
    };
    let repository = TestRepository::init_at(&small.path().join("repository"));
    let (before, large) = (workspace.join("before"), workspace.join("large"));
    write(&before.join("file"), random_bytes(1, "before", MIB));
    write(&large.join("file"), random_bytes(1, "large", 14 * MIB));
    let taken = repository.snapshot(&[&before]);
    let ballast = small.path().join("ballast");
    write(&ballast, vec![1; 18 * MIB]);

    let full = repository.run("snapshot", &[&large]);
    full.expect_code(1).expect_text("space");
    assert_restores(&repository, &taken, &before);
    std::fs::remove_file(&ballast).unwrap();
    let after = repository.snapshot(&[&large]);
    assert_restores(&repository, &after, &large);
    assert_restores(&repository, &taken, &before);
    assert_sound(&repository);
}

#[test]
fn a_full_disk_under_a_restore_is_told() {
    let (workspace, _, repository, _) = scene();
    let Some(small) = Mounted::ext4(&workspace, "small", 4) else {
        return;
    };
    let large = workspace.file("large", random_bytes(2, "large", 8 * MIB));
    let taken = repository.snapshot(&[&large]);
    let outcome = repository.restore(&taken.id, &small.path().join("target"));
    assert!([1, 3].contains(&outcome.code), "{outcome:?}");
    assert!(outcome.mentions("space"), "{outcome:?}");
}

/// A second snapshot with a file of its own, and the data packs that only it needs.
fn add_snapshot(
    workspace: &Workspace,
    repository: &TestRepository,
    source: &Path,
) -> (Taken, Vec<PathBuf>) {
    let before = repository.packs();
    for number in 0..8 {
        let name = format!("source/added {number}");
        workspace.file(&name, random_bytes(number, "added", MIB));
    }
    let taken = repository.snapshot(&[&source]);
    let new = repository.packs().into_keys();
    let is_data = |path: &PathBuf| path.extension() == Some(OsStr::new("data"));
    let packs = new.filter(|path| is_data(path) && !before.contains_key(path));
    (taken, packs.collect())
}

/// Asserts that `restore` named exactly the files that are lost, and that the rest is right.
#[track_caller]
fn assert_partial(outcome: &Outcome, source: &Path, target: &Path) -> BTreeSet<String> {
    let mut lost = BTreeSet::new();
    let mut comparer = Comparer::default();
    for entry in source.read_dir().unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_right = std::fs::read(target.join(&name)).ok()
            == Some(std::fs::read(source.join(&name)).unwrap());
        assert_eq!(!is_right, outcome.mentions(&name), "{name}: {outcome:?}");
        if !is_right {
            comparer = comparer.ignoring(&name);
            lost.insert(name);
        }
    }
    comparer.assert_equal(source, target);
    lost
}

#[test]
fn i10_a_pack_that_is_gone_loses_what_was_in_it_by_name_and_nothing_else() {
    let (workspace, source, repository, first) = scene();
    let original = workspace.join("original");
    repository.restore(&first.id, &original).expect_code(0);
    let (second, packs) = add_snapshot(&workspace, &repository, &source);
    for pack in &packs {
        std::fs::remove_file(pack).unwrap();
    }

    let checked = repository.run("check", &[]).expect_code(4);
    for pack in &packs {
        let name = pack.strip_prefix(repository.path()).unwrap();
        assert!(
            checked.mentions(&name.display().to_string()),
            "{name:?}: {checked:?}"
        );
    }
    let target = workspace.join("target");
    let outcome = repository.restore(&second.id, &target).expect_code(3);
    let lost = assert_partial(&outcome, &source, &target);
    assert_eq!(lost.len(), 8, "{lost:?}");
    assert_restores(&repository, &first, &original);
    // The next run finds that they are missing and stores them again.
    let healed = repository.snapshot(&[&source]);
    assert_eq!(healed.root, second.root);
    assert_restores(&repository, &healed, &source);
}

#[test]
fn i3_a_damaged_pack_loses_what_was_hit_by_name_and_nothing_else() {
    let (workspace, source, repository, _) = scene();
    let (taken, packs) = add_snapshot(&workspace, &repository, &source);
    let pack = &packs[0];
    let len = pack.metadata().unwrap().len();
    for quarter in 1..4 {
        let undo = flip_byte(pack, len * quarter / 4);
        let checked = repository.run("check", &[&"--read-data"]).expect_code(4);
        let name = pack.strip_prefix(repository.path()).unwrap();
        assert!(checked.mentions(&name.display().to_string()), "{checked:?}");

        let target = workspace.join(&format!("target {quarter}"));
        let outcome = repository.restore(&taken.id, &target).expect_code(3);
        let lost = assert_partial(&outcome, &source, &target);
        assert!((1..=3).contains(&lost.len()), "one frame was hit: {lost:?}");
        undo();
    }
    assert_sound(&repository);
}

/// Changes one byte of a stored object; calling the result changes it back.
fn flip_byte(path: &Path, offset: u64) -> impl FnOnce() {
    let mode = path.metadata().unwrap().permissions();
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
    let path = path.to_owned();
    move || {
        file.write_all_at(&byte, offset).unwrap();
        std::fs::set_permissions(path, mode).unwrap();
    }
}

#[test]
fn i3_no_flipped_byte_anywhere_restores_something_wrong_or_ends_in_a_panic() {
    const EACH: u64 = 5;
    let workspace = Workspace::new();
    workspace.file("source/small", "x");
    workspace.file("source/folder/large", random_bytes(9, "large", 200_000));
    let source = workspace.join("source");
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&source]);
    for object in files_below(repository.path()) {
        let len = object.metadata().unwrap().len();
        for part in 0..EACH.min(len) {
            let offset = part * (len - 1) / (EACH - 1).max(1);
            let undo = flip_byte(&object, offset.min(len - 1));
            let place = format!("{} at {offset}", object.display());
            let target = tempfile::tempdir().unwrap();
            let outcome = repository.restore(&taken.id, target.path());
            assert!(
                [0, 1, 3, 10, 12].contains(&outcome.code),
                "{place}: {outcome:?}"
            );
            if outcome.code == 0 {
                let lines = Comparer::default()
                    .differences(&source, target.path())
                    .unwrap();
                assert!(lines.is_empty(), "{place}: {lines:?}");
            }
            let checked = repository.run("check", &[&"--read-data"]);
            assert!(
                [0, 1, 4, 10, 12].contains(&checked.code),
                "{place}: {checked:?}"
            );
            let holds_data = place.contains("/packs/") || place.contains("/snapshots/");
            assert!(!holds_data || checked.code != 0, "{place} was not noticed");
            undo();
        }
    }
    assert_restores(&repository, &taken, &source);
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}
