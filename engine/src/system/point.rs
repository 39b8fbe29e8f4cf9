//! What is at a path that something is to be mounted on.

use std::io;
use std::path::Path;

use rustix::fs::Access;

/// What is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// A folder.
    Folder {
        /// Nothing is in it.
        is_empty: bool,
    },
    /// Anything else.
    Other,
}

/// What is at `path`; symbolic links are followed. A mount whose process is gone is not connected,
/// whatever of it the kernel still remembers.
pub(crate) fn at(path: &Path) -> io::Result<Point> {
    rustix::fs::statfs(path)?;
    if !path.metadata()?.is_dir() {
        return Ok(Point::Other);
    }
    let is_empty = match std::fs::read_dir(path)?.next() {
        Some(entry) => entry.map(|_| false)?,
        None => true,
    };
    Ok(Point::Folder { is_empty })
}

/// Whether this user may open what is at `path` for reading and writing.
pub(crate) fn may_be_used(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::access(
        path,
        Access::READ_OK | Access::WRITE_OK,
    )?)
}
