//! Brings a snapshot, or a part of it, back to a folder.

use std::path::Path;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::snapshot::Snapshot;
use crate::observe::Observer;
use crate::pipeline::budget::Budget;
use crate::repository::Repository;

/// How a restore deals with the target.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// Threads and memory.
    pub budget: Budget,
    /// Say what would be written, write nothing.
    pub dry_run: bool,
    /// Read every restored file back and compare it with the manifest.
    pub verify: bool,
}

/// What a restore came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// Entries that are in place.
    pub entries: u64,
    /// Regular files among them.
    pub files: u64,
    /// Lengths of their contents, bytes.
    pub bytes: u64,
    /// Entries left as they were, by the conflict policy.
    pub skipped: u64,
    /// Files that were read back and found right.
    pub verified: u64,
    /// Problems, each told to the observer: what is lost, in conflict, or lacks metadata.
    pub problems: u64,
}

/// Restores `path` (see `select`) into `target`. Of a folder its children land in the target, of
/// anything else the entry itself; of several roots each lands under its absolute path.
pub fn restore(
    _repository: &Repository,
    _snapshot: &Snapshot,
    _path: &[u8],
    _target: &Path,
    _options: &RestoreOptions,
    _observer: &dyn Observer,
) -> Result<RestoreReport> {
    Err(Error::new(
        ErrorKind::Unsupported,
        Place::Repository,
        "stub",
    ))
}
