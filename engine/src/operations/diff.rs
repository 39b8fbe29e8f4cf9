//! What differs between two snapshots.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::Entry;
use crate::format::snapshot::Snapshot;
use crate::observe::Observer;
use crate::repository::Repository;

/// One difference.
#[derive(Debug)]
pub struct Difference<'a> {
    /// Absolute path, raw bytes.
    pub path: Vec<u8>,
    /// The entry before, if there was one.
    pub before: Option<&'a Entry>,
    /// The entry after, if there is one.
    pub after: Option<&'a Entry>,
    /// The content, the kind, a link's target or a device's number differs.
    pub content: bool,
    /// Mode, owner, time or attributes differ.
    pub metadata: bool,
}

/// Sums over all differences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffReport {
    /// Entries only in the second.
    pub added: u64,
    /// Entries only in the first.
    pub removed: u64,
    /// Entries whose content differs.
    pub content_changed: u64,
    /// Entries of which only metadata differs.
    pub metadata_changed: u64,
    /// Pages that could not be read, each told to the observer.
    pub problems: u64,
}

/// Gives every difference to `each`, in order. Roots are matched by name; equal pages are passed
/// over unread.
pub fn diff(
    _repository: &Repository,
    _before: &Snapshot,
    _after: &Snapshot,
    _observer: &dyn Observer,
    _each: &mut dyn FnMut(&Difference<'_>) -> Result<()>,
) -> Result<DiffReport> {
    Err(Error::new(
        ErrorKind::Unsupported,
        Place::Repository,
        "stub",
    ))
}
