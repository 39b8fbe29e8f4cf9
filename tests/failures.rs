//! What goes wrong in the life of a backup, and that it is told, bounded, and over afterwards.
//!
//! Defends I2 (other snapshots are unharmed), I3 (no wrong bytes), I7 (interrupted runs), I8 (full
//! disks) and I10 (nothing is skipped in silence).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;

use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::compare::Comparer;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::mount::Mounted;
use blockstore_tests::kit::repository::NOBODY;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::rights::give_away;
use blockstore_tests::kit::rights::is_root;
use blockstore_tests::kit::rights::skipped;
use blockstore_tests::kit::workspace::Workspace;
use blockstore_tests::kit::workspace::write;

const MIB: usize = 1 << 20;

/// A repository with a snapshot of one folder of small files.
fn scene() -> (Workspace, PathBuf, TestRepository, Taken) {
    let workspace = Workspace::new();
    for number in 0..5 {
        let name = format!("source/file {number}");
        workspace.file(&name, random_bytes(number, "scene", 100_000));
    }
    let source = workspace.join("source");
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&source]);
    (workspace, source, repository, taken)
}

#[track_caller]
fn assert_restores(repository: &TestRepository, taken: &Taken, source: &Path) {
    let target = tempfile::tempdir().expect("there is a temporary folder");
    repository.restore(&taken.id, target.path()).expect_code(0);
    Comparer::default().assert_equal(source, target.path());
}

#[track_caller]
fn assert_sound(repository: &TestRepository) {
    repository.run("check", &[&"--read-data"]).expect_code(0);
}

// --- what the user got wrong ----------------------------------------------------------------

#[test]
fn a_wrong_password_has_an_exit_code_of_its_own() {
    let (_workspace, source, repository, _) = scene();
    let wrong = repository.with_password("wrong horse");
    wrong.run("snapshots", &[]).expect_code(12);
    wrong.run("snapshot", &[&source]).expect_code(12);
    wrong.run("check", &[]).expect_code(12);
}

#[test]
fn no_repository_has_an_exit_code_of_its_own_and_none_is_made() {
    let workspace = Workspace::new();
    let path = workspace.join("nothing here");
    let missing = TestRepository::at(&path);
    missing.run("snapshots", &[]).expect_code(10);
    missing
        .run("snapshot", &[&workspace.folder("source")])
        .expect_code(10);
    assert!(!path.exists());
    let empty = TestRepository::at(&workspace.folder("empty"));
    empty.run("snapshots", &[]).expect_code(10);
}

#[test]
fn i2_a_repository_is_not_made_over_another_one() {
    let (_workspace, source, repository, taken) = scene();
    repository.run_init().expect_code(1);
    assert_restores(&repository, &taken, &source);
}

#[test]
fn usage_that_means_nothing_has_an_exit_code_of_its_own() {
    let (workspace, source, repository, taken) = scene();
    let target = workspace.join("target");
    let wrong: [(&str, &[&dyn AsRef<OsStr>]); 6] = [
        ("no-such-verb", &[]),
        ("snapshot", &[]),
        ("snapshot", &[&source, &"--no-such-flag"]),
        ("restore", &[&taken.id]),
        (
            "restore",
            &[&taken.id, &"--target", &target, &"--on-conflict", &"maybe"],
        ),
        ("snapshot", &[&source, &"--exclude-larger-than", &"much"]),
    ];
    for (verb, words) in wrong {
        repository.run(verb, words).expect_code(2);
    }
    assert!(!target.exists());
}

#[test]
fn a_snapshot_that_is_not_there_is_named() {
    let (workspace, _, repository, _) = scene();
    let outcome = repository.restore(&"0123456789abcdef", &workspace.join("target"));
    outcome.expect_code(1).expect_text("0123456789abcdef");
}

#[test]
fn a_repository_inside_the_source_is_refused_and_nothing_is_stored() {
    let workspace = Workspace::new();
    workspace.file("source/file", "x");
    let source = workspace.join("source");
    let repository = TestRepository::init_at(&source.join("below/repository"));
    let refused = repository.run("snapshot", &[&source]);
    refused.expect_code(1).expect_text("repository");
    let alone = repository.run("snapshot", &[&source.join("below/repository")]);
    alone.expect_code(1).expect_text("repository");
    assert!(repository.packs().is_empty());
    repository.snapshot(&[&source.join("file")]);
}

#[test]
fn a_source_that_is_not_there_is_an_error_and_not_an_empty_snapshot() {
    let (workspace, _, repository, _) = scene();
    let missing = workspace.join("missing");
    let outcome = repository.run("snapshot", &[&missing]);
    outcome.expect_code(1).expect_text("missing");
    let listed = repository.run("snapshots", &[]).expect_code(0);
    assert!(!listed.mentions("missing"), "{}", listed.stdout);
}

// --- sources that do not hold still ---------------------------------------------------------

#[test]
fn i10_what_cannot_be_read_is_named_and_the_rest_is_stored() {
    if !is_root() {
        return skipped("files of others", "only root can make them");
    }
    let (workspace, source, repository, _) = scene();
    let secret = workspace.file("source/secret", "for root");
    let closed = workspace.file("source/closed/file", "for root");
    let mode = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode));
    mode(&secret, 0o600).unwrap();
    mode(closed.parent().unwrap(), 0o700).unwrap();
    give_away(repository.path(), NOBODY, NOBODY).unwrap();

    let nobody = repository.clone().as_nobody(&workspace);
    let outcome = nobody.run("snapshot", &[&source]).expect_code(3);
    let outcome = outcome
        .expect_text("source/secret")
        .expect_text("source/closed");
    let target = workspace.join("target");
    repository
        .restore(&Taken::of(&outcome).id, &target)
        .expect_code(0);
    let comparer = Comparer::default().ignoring("secret").ignoring("closed");
    comparer.assert_equal(&source, &target);
    assert!(
        !target.join("secret").exists(),
        "no empty file passes for the real one"
    );
}

/// Does `change` again and again while `work` goes on, and stops when it is over or panics.
fn meanwhile<T>(change: impl Fn(u64) + Send, work: impl FnOnce() -> T) -> T {
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (0..)
                .take_while(|_| !is_over.load(Ordering::Relaxed))
                .for_each(change)
        });
        let _over = Over(&is_over);
        work()
    })
}

#[test]
fn i10_files_that_come_and_go_leave_a_snapshot_that_restores() {
    let (workspace, source, repository, _) = scene();
    for number in 0..300 {
        workspace.file(&format!("source/many/{number}"), number.to_string());
    }
    let come_and_go = |round: u64| {
        let path = source.join(format!("many/{}", round % 600));
        if path.exists() {
            let _ = std::fs::remove_file(path);
        } else {
            let _ = std::fs::write(path, "new");
        }
    };
    for _ in 0..3 {
        let outcome = meanwhile(come_and_go, || repository.run("snapshot", &[&source]));
        assert!([0, 3].contains(&outcome.code), "{outcome:?}");
        let target = tempfile::tempdir().unwrap();
        repository
            .restore(&Taken::of(&outcome).id, target.path())
            .expect_code(0);
        let still = Comparer::default().ignoring("many");
        still.assert_equal(&source, target.path());
    }
    assert_sound(&repository);
}

#[test]
fn i10_a_file_that_changes_while_it_is_read_is_named_or_whole() {
    let (workspace, source, repository, _) = scene();
    let len = 16 * MIB;
    let path = workspace.file("source/restless", vec![0; len]);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    // Each round fills the file with one byte: a copy with two of them mixes two states.
    let refill = |round: u64| {
        let piece = vec![round as u8; MIB];
        for at in 0..(len / MIB) as u64 {
            file.write_all_at(&piece, at * MIB as u64).unwrap();
        }
    };
    let outcome = meanwhile(refill, || repository.run("snapshot", &[&source]));
    assert!([0, 3].contains(&outcome.code), "{outcome:?}");
    let target = workspace.join("target");
    repository
        .restore(&Taken::of(&outcome).id, &target)
        .expect_code(0);
    let bytes = std::fs::read(target.join("restless")).unwrap();
    let is_mixed = bytes.windows(2).any(|pair| pair[0] != pair[1]);
    assert!(
        !is_mixed || outcome.code == 3,
        "a mixture passed for a state"
    );
    assert!(
        outcome.code == 0 || outcome.mentions("source/restless"),
        "{outcome:?}"
    );
    let still = Comparer::default().ignoring("restless");
    still.assert_equal(&source, &target);
}

// --- repositories on bad media --------------------------------------------------------------

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
    let healed = repository.snapshot(&[&"--full", &source]);
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
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
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

// --- interruptions and company --------------------------------------------------------------

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
