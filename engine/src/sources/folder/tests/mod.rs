//! Claims about whole trees, on a real file system.

mod contents;
mod listings;
mod roots;
mod swaps;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Timespec, Timestamps, XattrFlags};
use rustix::fs::{FileType, mkdirat, mknodat, setxattr, utimensat};
use tempfile::TempDir;

use super::*;
use crate::format::entry::{DeviceNumber, Node, Timestamp};
use crate::observe::ProblemKind;

fn tree() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(path: &Path) -> FolderSource {
    FolderSource::open(path, FolderOptions::default()).unwrap()
}

fn open_without(path: &Path, excludes: Excludes) -> FolderSource {
    FolderSource::open(
        path,
        FolderOptions {
            excludes,
            ..FolderOptions::default()
        },
    )
    .unwrap()
}

fn list_root(source: &FolderSource) -> Listing {
    source
        .list(&source.open_folder(None, b"").unwrap())
        .unwrap()
}

fn names(listing: &Listing) -> Vec<&[u8]> {
    listing
        .entries
        .iter()
        .map(|found| found.name.as_slice())
        .collect()
}

/// Makes a special file; false where that takes more rights than the tests have.
fn make_node(path: &Path, kind: FileType, device: u64) -> bool {
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), device).is_ok()
}

/// Runs `work` on another thread, and fails rather than hangs.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver
        .recv_timeout(Duration::from_secs(20))
        .expect("the call does not hang")
}
