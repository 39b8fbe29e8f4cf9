//! What is read in order: the kernel has the next before it is asked for it, or asks for much at once.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use blockstore_tests::kit::fuse;
use blockstore_tests::kit::fuse::Snapshots;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::rights::is_root;
use blockstore_tests::kit::workspace::Workspace;

use crate::mounted::mounted;
use crate::mounted::mounted_source;
use crate::scene::MIB;

const FOLDERS: usize = 20;
/// More than are remembered.
const MANY_FOLDERS: usize = 200;
const FILES: usize = 60;
const FILES_OF_FEW: usize = 8;
const LONG_LEN: usize = 32 * MIB;
/// What it takes to read on, on a busy machine: tried anew in each folder.
const PATIENCE: Duration = Duration::from_millis(300);

fn content(folder: usize, file: usize) -> String {
    format!("{folder}, {file}; ").repeat(1 + (file * 37) % 400)
}

/// Mounts a snapshot of so many folders of so many files each.
#[track_caller]
fn mounted_folders(workspace: &Workspace, folders: usize, files: usize) -> Snapshots {
    for folder in 0..folders {
        for file in 0..files {
            let name = format!("source/{folder:02}/{file:02}");
            workspace.file(&name, content(folder, file));
        }
    }
    mounted_source(workspace)
}

/// Lists a folder of so many files.
#[track_caller]
fn list(top: &Path, folder: usize, files: usize) {
    let folder = top.join(format!("{folder:02}"));
    assert_eq!(folder.read_dir().unwrap().count(), files);
}

/// Reads these files of a folder; gives how often the program was asked meanwhile.
#[track_caller]
fn read(mount: &Snapshots, top: &Path, folder: usize, files: std::ops::Range<usize>) -> u64 {
    let before = mount.reads();
    for file in files {
        let path = top.join(format!("{folder:02}/{file:02}"));
        let found = std::fs::read_to_string(&path).unwrap();
        assert_eq!(found, content(folder, file), "{path:?}");
    }
    mount.reads() - before
}

#[test]
fn i1_files_that_are_read_in_order_come_from_the_kernel_and_are_what_was_captured() {
    if !fuse::is_there() {
        return;
    }
    let workspace = Workspace::new();
    let mount = mounted_folders(&workspace, FOLDERS, FILES);
    let top = mount.path();
    let is_given = |folder: usize| {
        list(top, folder, FILES);
        read(&mount, top, folder, 0..5);
        sleep(PATIENCE);
        read(&mount, top, folder, 6..FILES) < FILES as u64 / 4
    };
    let given = (0..FOLDERS).find(|folder| is_given(*folder));
    assert!(given.is_some(), "the program was asked for nearly all");
    for folder in 0..FOLDERS {
        read(&mount, top, folder, 0..FILES);
    }
    mount.end().expect_code(0);
}

#[test]
fn i1_files_of_the_next_folder_come_from_the_kernel_once_it_was_listed() {
    if !fuse::is_there() {
        return;
    }
    let workspace = Workspace::new();
    let mount = mounted_folders(&workspace, FOLDERS, FILES_OF_FEW);
    let top = mount.path();
    let asked_of = |folder: usize| {
        list(top, folder, FILES_OF_FEW);
        sleep(PATIENCE);
        read(&mount, top, folder, 0..FILES_OF_FEW)
    };
    assert!(asked_of(0) >= 4, "nobody has read before");
    let asked: Vec<u64> = (1..FOLDERS).map(asked_of).collect();
    assert!(asked.contains(&0), "the program was asked: {asked:?}");
    mount.end().expect_code(0);
}

#[test]
fn i1_files_of_folders_that_were_listed_long_ago_come_from_the_kernel() {
    if !fuse::is_there() {
        return;
    }
    let workspace = Workspace::new();
    let mount = mounted_folders(&workspace, MANY_FOLDERS, FILES_OF_FEW);
    let top = mount.path();
    list(top, 0, FILES_OF_FEW);
    // Waits until the names of all files are counted.
    top.join("00/00").metadata().unwrap();
    (1..MANY_FOLDERS).for_each(|folder| list(top, folder, FILES_OF_FEW));
    let asked_of = |folder: usize| {
        read(&mount, top, folder, 0..2);
        sleep(PATIENCE);
        read(&mount, top, folder, 2..FILES_OF_FEW)
    };
    let asked: Vec<u64> = (1..FOLDERS).map(asked_of).collect();
    assert!(asked.contains(&0), "the program was asked: {asked:?}");
    mount.end().expect_code(0);
}

#[test]
fn i1_what_was_listed_is_not_asked_for_again_to_say_what_it_is() {
    if !fuse::is_there() {
        return;
    }
    let workspace = Workspace::new();
    workspace.file("source/first/file", "x");
    for file in 0..FILES {
        workspace.file(&format!("source/second/{file:02}"), content(0, file));
    }
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&workspace.join("source")]);
    let asked_after = |patience: Duration| {
        let mount = mounted(&workspace, &repository, &taken);
        let (first, second) = (mount.path().join("first"), mount.path().join("second"));
        assert_eq!(first.read_dir().unwrap().count(), 1);
        sleep(patience);
        let files: Vec<_> = second.read_dir().unwrap().map(Result::unwrap).collect();
        let before = mount.reads();
        for file in &files {
            assert_eq!(file.metadata().unwrap().nlink(), 1);
        }
        let asked = mount.reads() - before;
        mount.end().expect_code(0);
        asked
    };
    // Asking for one would have the names of all counted.
    let asked: Vec<u64> = (0..4)
        .map(|round| asked_after(PATIENCE * 3_u32.pow(round)))
        .take_while(|asked| *asked > FILES as u64 / 2)
        .collect();
    assert!(asked.len() < 4, "the program was asked: {asked:?}");
}

#[test]
fn i1_a_long_file_that_is_read_in_order_is_asked_for_in_parts_of_a_mebibyte() {
    if !fuse::is_there() || !is_root() {
        return;
    }
    let workspace = Workspace::new();
    let bytes = random_bytes(1, "long", LONG_LEN);
    workspace.file("source/long", &bytes);
    let mount = mounted_source(&workspace);
    let before = mount.reads();
    let found = std::fs::read(mount.path().join("long")).unwrap();
    let reads = mount.reads() - before;
    assert!(found == bytes, "other bytes");
    // Some of them are of packs.
    assert!(reads < 5 * (LONG_LEN / MIB) as u64, "{reads} reads");
    mount.end().expect_code(0);
}
