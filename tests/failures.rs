//! What the user or the source does wrong is told, and nothing is skipped in silence.
//!
//! Defends I2 (other snapshots are unharmed) and I10 (what was not read is named and counted).

use std::ffi::OsStr;
use std::fs::File;
use std::fs::Permissions;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use blockstore_tests::kit::compare::Comparer;
use blockstore_tests::kit::repository::NOBODY;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::rights::give_away;
use blockstore_tests::kit::rights::is_root;
use blockstore_tests::kit::rights::skipped;
use blockstore_tests::kit::workspace::Workspace;

use crate::scene::MIB;
use crate::scene::assert_restores;
use crate::scene::assert_sound;
use crate::scene::scene;

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
    workspace.folder("source/below");
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
    let file = File::options().write(true).open(&path).unwrap();
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
