//! Entries of a snapshot, in order.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::Entry;
use crate::format::snapshot::Snapshot;
use crate::observe::Observer;
use crate::repository::Repository;

/// One entry as it is listed.
#[derive(Debug)]
pub struct Listed<'a> {
    /// Absolute path of the source: name of the root, then the path in it; raw bytes.
    pub path: Vec<u8>,
    /// The entry.
    pub entry: &'a Entry,
}

/// What a listing came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListReport {
    /// Entries given.
    pub entries: u64,
    /// Pages that could not be read, each told to the observer.
    pub problems: u64,
}

/// Gives every entry of `path` (see `select`) to `each`: the entry and, of a folder, its children;
/// all below it if `recursive`.
pub fn list(
    _repository: &Repository,
    _snapshot: &Snapshot,
    _path: &[u8],
    _recursive: bool,
    _observer: &dyn Observer,
    _each: &mut dyn FnMut(&Listed<'_>) -> Result<()>,
) -> Result<ListReport> {
    Err(Error::new(
        ErrorKind::Unsupported,
        Place::Repository,
        "stub",
    ))
}
