//! Restores into real folders of the machine the tests run on.
//!
//! What a machine cannot show (no root, no ACLs) is skipped, and the test says so.

mod conflicts;
mod content;
mod hostile;
mod properties;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::error::ErrorKind;
use crate::error::Result;
use crate::format::entry::FolderPath;
use crate::format::entry::Metadata;
use crate::format::entry::Owner;
use crate::format::entry::Timestamp;
use crate::format::entry::TreePath;
use crate::targets::folder::FolderTarget;
use crate::targets::folder::FolderTargetOptions;
use crate::targets::folder::OnConflict;
use crate::targets::folder::Placed;

/// A target, and a folder outside that must never change.
struct Ground {
    folder: TempDir,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("outside/s")).unwrap();
        fs::write(folder.path().join("outside/passwd"), "root").unwrap();
        Self { folder }
    }

    fn outside(&self) -> PathBuf {
        self.folder.path().join("outside")
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    /// Below the target.
    fn path(&self, path: &str) -> PathBuf {
        self.target().join(path)
    }

    /// A target with something in it already.
    fn with(self, path: &str, content: &str) -> Self {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), content).unwrap();
        self
    }

    fn open(&self, on_conflict: OnConflict) -> FolderTarget {
        let options = FolderTargetOptions {
            on_conflict,
            ..FolderTargetOptions::default()
        };
        FolderTarget::open(&self.target(), options).unwrap()
    }

    fn open_privileged(&self) -> FolderTarget {
        let options = FolderTargetOptions {
            privileged: true,
            ..FolderTargetOptions::default()
        };
        FolderTarget::open(&self.target(), options).unwrap()
    }

    fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }
}

/// Everything about a folder that a write could change.
fn picture(folder: &Path) -> BTreeMap<PathBuf, (String, Vec<u8>)> {
    let mut picture = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(path) = open.pop() {
        let stat = fs::symlink_metadata(&path).unwrap();
        if stat.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        let bytes = if stat.is_file() {
            fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        let (ctime, owner) = ((stat.ctime(), stat.ctime_nsec()), (stat.uid(), stat.gid()));
        picture.insert(
            path,
            (format!("{:o} {owner:?} {ctime:?}", stat.mode()), bytes),
        );
    }
    picture
}

fn at(path: &str) -> TreePath {
    let mut names = path.split('/').map(str::as_bytes);
    let name = names.next_back().unwrap();
    TreePath::new(
        names.fold(FolderPath::root(), |folder, name| folder.child(name)),
        name,
    )
}

/// Metadata that any user may set.
fn plain() -> Metadata {
    Metadata {
        mode: 0o644,
        owner: me().into(),
        mtime: Timestamp {
            seconds: 1_600_000_000,
            nanoseconds: 123_456_789,
        },
        xattrs: Vec::new(),
    }
}

fn me() -> Owner {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    Owner {
        uid,
        gid,
        ..Owner::default()
    }
}

fn is_root() -> bool {
    let root = me().uid == 0;
    if !root {
        skip("needs root");
    }
    root
}

#[expect(clippy::print_stderr, reason = "a test that proves nothing says so")]
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// Asserts that nothing was lost on the way.
fn whole<T: std::fmt::Debug + PartialEq>(placed: Placed<Vec<T>>) {
    assert_eq!(placed.into_item(), Some(Vec::new()));
}

fn kind_of<T: std::fmt::Debug>(outcome: Result<T>) -> ErrorKind {
    outcome.unwrap_err().kind()
}

fn overwrite() -> FolderTargetOptions {
    FolderTargetOptions {
        on_conflict: OnConflict::Overwrite,
        ..FolderTargetOptions::default()
    }
}
