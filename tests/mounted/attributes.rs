//! Extended attributes: there where one was captured, and no question where none was.

use std::path::PathBuf;

use blockstore_tests::kit::fuse;
use blockstore_tests::kit::rights::skipped;
use blockstore_tests::kit::workspace::Workspace;
use rustix::fs::{XattrFlags, lgetxattr, llistxattr, lsetxattr};
use rustix::io::Errno;

use crate::mounted::mounted_source;

const NAME: &str = "user.note";
const FILES: usize = 20;

/// Makes files in a folder of the workspace.
fn made(workspace: &Workspace) -> Vec<PathBuf> {
    let make = |file| workspace.file(&format!("source/{file:02}"), "x");
    (0..FILES).map(make).collect()
}

#[test]
fn i1_attributes_are_not_asked_for_once_it_is_known_that_there_are_none() {
    if !fuse::is_there() {
        return;
    }
    let workspace = Workspace::new();
    made(&workspace);
    let mount = mounted_source(&workspace);
    let files: Vec<_> = mount.path().read_dir().unwrap().collect();
    let files: Vec<_> = files.into_iter().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), FILES);
    let asked = |path: &PathBuf| lgetxattr(path, NAME, &mut [0; 16]).unwrap_err();
    fuse::wait_until("that there are no attributes is known", || {
        let error = asked(&files[0]);
        assert!(
            [Errno::NODATA, Errno::OPNOTSUPP].contains(&error),
            "{error}"
        );
        error == Errno::OPNOTSUPP
    });
    for file in &files {
        file.symlink_metadata().unwrap();
    }
    let before = mount.reads();
    for file in &files {
        assert_eq!(asked(file), Errno::OPNOTSUPP);
        let listed = llistxattr(file, &mut [0; 16]);
        assert_eq!(listed, Ok(0), "the names are told");
    }
    let asked = mount.reads() - before;
    assert!(asked < FILES as u64 + 5, "{asked} questions");
    mount.end().expect_code(0);
}

#[test]
fn i1_one_attribute_of_one_file_is_there_however_much_was_looked_at() {
    if !fuse::is_there() {
        return;
    }
    let workspace = Workspace::new();
    let files = made(&workspace);
    match lsetxattr(&files[FILES - 1], NAME, b"value", XattrFlags::empty()) {
        Err(error @ Errno::OPNOTSUPP) => return skipped("attributes in a mount", error),
        set => set.unwrap(),
    }
    let mount = mounted_source(&workspace);
    for file in mount.path().read_dir().unwrap() {
        // Names of a file are counted as it is asked about, and all of the tree is known then.
        file.unwrap().metadata().unwrap();
    }
    let mut value = [0; 16];
    let other = mount.path().join("00");
    assert_eq!(lgetxattr(&other, NAME, &mut value), Err(Errno::NODATA));
    let marked = mount.path().join(format!("{:02}", FILES - 1));
    assert_eq!(lgetxattr(&marked, NAME, &mut value), Ok(5));
    assert_eq!(&value[..5], b"value");
    mount.end().expect_code(0);
}
