//! Folders: every file with everything about it.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::compare::Comparer;
use blockstore_tests::kit::fuse;
use blockstore_tests::kit::fuse::Snapshots;
use blockstore_tests::kit::generate::generate;
use blockstore_tests::kit::repository::NOBODY;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::rights::give_away;
use blockstore_tests::kit::rights::is_root;
use blockstore_tests::kit::tool::installed;
use blockstore_tests::kit::workspace::Workspace;

use crate::mounted::mounted;
use crate::mounted::point;

#[test]
fn i1_a_mounted_snapshot_is_the_folder_with_everything_about_it() {
    if !fuse::is_there() {
        return;
    }
    let workspace = Workspace::new();
    let (source, mount) = generated(&workspace, 21);
    Comparer::default().assert_equal(&source, mount.path());
    // What tools go by that copy: how often a file is named, and what it takes.
    assert_same_counts(&source, mount.path());
    mount.end().expect_code(0);
    assert!(!fuse::is_mounted(&point(&workspace)));
}

/// A folder of this seed, and a mount of a snapshot of it.
fn generated(workspace: &Workspace, seed: u64) -> (PathBuf, Snapshots) {
    let source = workspace.folder("source");
    generate(&source, seed).unwrap();
    let repository = TestRepository::init(workspace);
    let taken = repository.snapshot(&[&source]);
    let mount = mounted(workspace, &repository, &taken);
    (source, mount)
}

/// Link counts of all but folders, and whether a file has holes.
#[track_caller]
fn assert_same_counts(left: &Path, right: &Path) {
    for entry in left.read_dir().unwrap() {
        let name = entry.unwrap().file_name();
        let (left, right) = (left.join(&name), right.join(&name));
        let facts = [&left, &right].map(|path| path.symlink_metadata().unwrap());
        if facts[0].is_dir() {
            assert_same_counts(&left, &right);
            continue;
        }
        assert_eq!(facts[0].nlink(), facts[1].nlink(), "{left:?}");
        let has_holes = |at: usize| facts[at].blocks() * 512 < facts[at].len();
        if facts[0].is_file() && facts[0].len() > 1 << 20 {
            assert_eq!(has_holes(0), has_holes(1), "{left:?}");
        }
    }
}

#[test]
fn i1_an_archive_of_a_mounted_snapshot_is_that_of_the_folder() {
    if !fuse::is_there() || installed("tar").is_none() {
        return;
    }
    let workspace = Workspace::new();
    let (source, mount) = generated(&workspace, 22);
    let archive = |folder: &Path, name: &str| {
        let path = workspace.join(name);
        let tar = Command::new("tar")
            .args([
                "--create",
                "--sort=name",
                "--sparse",
                "--format=gnu",
                "--directory",
            ])
            .arg(folder)
            .arg(".")
            .stdout(File::create(&path).unwrap())
            .stderr(Stdio::piped())
            .output();
        let outcome = Outcome::of(&tar.unwrap());
        // Sockets are left out, of one as of the other.
        assert!(outcome.code <= 1, "{}", outcome.stderr);
        path
    };
    let (left, right) = (
        archive(&source, "source.tar"),
        archive(mount.path(), "mount.tar"),
    );
    let same = std::fs::read(left).unwrap() == std::fs::read(right).unwrap();
    assert!(same, "the archives differ");
    mount.end().expect_code(0);
}

#[test]
fn several_roots_lie_under_their_paths_and_a_single_file_under_its_name() {
    if !fuse::is_there() {
        return;
    }
    let workspace = Workspace::new();
    let source = workspace.folder("source");
    generate(&source, 23).unwrap();
    let file = workspace.file("other/single file", "content");
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&source, &file]);
    let mount = mounted(&workspace, &repository, &taken);
    let below = |path: &Path| mount.path().join(path.strip_prefix("/").unwrap());
    Comparer::default().assert_equal(&source, &below(&source));
    Comparer::default().assert_equal(&file, &below(&file));
    mount.end().expect_code(0);

    let taken = repository.snapshot(&[&file]);
    let mount = mounted(&workspace, &repository, &taken);
    let name = below_root(&file);
    assert_eq!(std::fs::read(mount.path().join(name)).unwrap(), b"content");
    mount.end().expect_code(0);
}

fn below_root(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap()
}

fn cat_as_nobody(path: &Path) -> Outcome {
    let number = NOBODY.to_string();
    let ids = ["--reuid", &number, "--regid", &number, "--clear-groups"];
    let mut cat = Command::new("setpriv");
    cat.args(ids).arg("cat").arg(path);
    Outcome::of(&cat.output().unwrap())
}

#[test]
fn everything_belongs_to_whom_it_is_said_to_and_nobody_else_may_look() {
    if !fuse::is_there() || !is_root() {
        return;
    }
    let workspace = Workspace::new();
    let file = workspace.file("source/closed", "content");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    workspace.file("source/open", "content");
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&workspace.join("source")]);
    let number = NOBODY.to_string();
    let read = |mount: &Snapshots, name: &str| cat_as_nobody(&mount.path().join(name)).code == 0;
    let words: [&dyn AsRef<std::ffi::OsStr>; 1] = [&taken.id];
    let mount = Snapshots::mount(&repository, &words, &point(&workspace));
    assert!(!read(&mount, "open"));
    mount.end().expect_code(0);
    let words: [&dyn AsRef<std::ffi::OsStr>; 2] = [&"--allow-other", &taken.id];
    let mount = Snapshots::mount(&repository, &words, &point(&workspace));
    assert!(read(&mount, "open") && !read(&mount, "closed"));
    mount.end().expect_code(0);
    let words: [&dyn AsRef<std::ffi::OsStr>; 4] = [&"--allow-other", &"--uid", &number, &taken.id];
    let mount = Snapshots::mount(&repository, &words, &point(&workspace));
    assert_eq!(
        mount.path().join("closed").metadata().unwrap().uid(),
        NOBODY
    );
    assert!(read(&mount, "closed"));
    mount.end().expect_code(0);
}

#[test]
fn who_is_not_root_mounts_with_the_helper_program_or_is_told_what_keeps_it_from_that() {
    if !fuse::is_there() || !is_root() || installed("fusermount3").is_none() {
        return;
    }
    let workspace = Workspace::new();
    let source = workspace.folder("source");
    workspace.file("source/file", "content");
    give_away(&source, NOBODY, NOBODY).unwrap();
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&source]);
    give_away(repository.path(), NOBODY, NOBODY).unwrap();
    let point = point(&workspace);
    give_away(&point, NOBODY, NOBODY).unwrap();
    let nobody = repository.clone().as_nobody(&workspace);
    if !fuse::is_for_all() {
        let refused = nobody.run("mount", &[&"--no-cache", &taken.id, &point]);
        refused.expect_code(1).expect_text("chmod 666 /dev/fuse");
        return;
    }
    let mount = Snapshots::mount(&nobody, &[&"--no-cache", &taken.id], &point);
    let read = cat_as_nobody(&mount.path().join("file"));
    assert_eq!(read.expect_code(0).stdout, "content");
    mount.end().expect_code(0);
    assert!(!fuse::is_mounted(&point));
}
