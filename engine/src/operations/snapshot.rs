//! A point-in-time copy of folders.

use std::path::PathBuf;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::Timestamp;
use crate::format::snapshot::Snapshot;
use crate::observe::Observer;
use crate::pipeline::budget::Budget;
use crate::repository::Repository;
use crate::repository::session::{SessionOptions, Writer};
use crate::sources::folder::{ChangeTest, FolderOptions};

/// What is captured, and how.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// Who writes.
    pub writer: Writer,
    /// Words for finding it; sorted and made unique here.
    pub tags: Vec<String>,
    /// Program and version, for the snapshot.
    pub program: String,
    /// What to compare with.
    pub parent: ParentChoice,
    /// What counts as unchanged.
    pub change_test: ChangeTest,
    /// Excludes and mount points.
    pub folder: FolderOptions,
    /// zstd level.
    pub level: i32,
    /// Threads and memory.
    pub budget: Budget,
    /// How packs are filled.
    pub session: SessionOptions,
    /// Store nothing, say what would be stored.
    pub dry_run: bool,
    /// The time when it is over.
    pub clock: fn() -> Timestamp,
}

/// What a snapshot is compared with to find unchanged files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParentChoice {
    /// The newest snapshot of the same host and path.
    Newest,
    /// This one, as `snapshots::find` takes it.
    Given(String),
    /// None: everything is read.
    None,
}

/// What a snapshot came to.
#[derive(Clone, Debug)]
pub struct SnapshotReport {
    /// The snapshot as it was committed.
    pub snapshot: Snapshot,
}

/// Captures `paths`, each a root, and commits one snapshot of all of them.
pub fn snapshot(
    _repository: &Repository,
    _paths: &[PathBuf],
    _options: &SnapshotOptions,
    _observer: &dyn Observer,
) -> Result<SnapshotReport> {
    Err(Error::new(
        ErrorKind::Unsupported,
        Place::Repository,
        "stub",
    ))
}
