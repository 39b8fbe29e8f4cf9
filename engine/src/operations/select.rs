//! What a person means by `SNAP:PATH`: everything, or one entry of one root.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::snapshot::Snapshot;
use crate::format::tree::TreeItem;
use crate::repository::chunks::ChunkReader;

/// A part of a snapshot.
#[derive(Clone, Debug)]
pub enum Selected {
    /// All roots.
    Everything,
    /// One entry, and all below it if it is a folder.
    Entry {
        /// Index into the snapshot's roots.
        root: usize,
        /// The entry.
        item: TreeItem,
    },
}

/// Finds `path` in `snapshot`. Empty is everything. A path that begins with the name of a root is
/// taken below it; in a snapshot of one root a relative path is taken from there.
pub fn select(_reader: &ChunkReader<'_>, _snapshot: &Snapshot, path: &[u8]) -> Result<Selected> {
    if path.is_empty() {
        return Ok(Selected::Everything);
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        Place::Repository,
        "stub",
    ))
}
