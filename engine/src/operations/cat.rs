//! The bytes of one file of a snapshot, in order.

use std::io::Write;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::snapshot::Snapshot;
use crate::repository::Repository;

/// Writes the content of the file `path` to `out`, every byte verified; stops at the first that is
/// lost. Follows hard links to their leader, not symbolic links.
pub fn cat(
    _repository: &Repository,
    _snapshot: &Snapshot,
    _path: &[u8],
    _out: &mut dyn Write,
) -> Result<u64> {
    Err(Error::new(
        ErrorKind::Unsupported,
        Place::Repository,
        "stub",
    ))
}
