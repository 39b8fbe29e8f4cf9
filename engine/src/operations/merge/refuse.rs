//! Why there is no merge, each naming the snapshot and the path.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::id::{ChunkId, SessionId};
use crate::format::snapshot::Snapshot;
use crate::operations::walk;
use crate::repository::session::Session;

/// A page or chunk that the result would name is not there.
pub(super) fn missing(session: SessionId, path: &[u8], what: &str, id: &ChunkId) -> Error {
    let detail = format!(
        "in snapshot {session} needs {what} {id}, which no pack holds that the index knows; \
         nothing was merged"
    );
    Error::new(ErrorKind::Damaged, walk::place(path), detail)
}

/// An input is forgotten, so a prune may let go of what the result would name.
pub(super) fn if_forgotten(session: &Session<'_>, inputs: &[Snapshot]) -> Result<()> {
    let found = session.snapshots()?;
    let mut ids = inputs.iter().map(|input| input.session);
    match ids.find(|id| found.get(*id).is_none()) {
        None => Ok(()),
        Some(id) => {
            let detail = format!("{id} is forgotten, or gone; bring it back with undelete");
            Err(Error::new(
                ErrorKind::NotFound,
                Place::Argument("snapshots"),
                detail,
            ))
        }
    }
}

/// A page cannot be read.
pub(super) fn unreadable(session: SessionId, path: &[u8], cause: Error) -> Error {
    let detail = format!("in snapshot {session} cannot be read; nothing was merged");
    Error::new(cause.kind(), walk::place(path), detail).with_source(cause)
}

/// A hard link leads nowhere.
pub(super) fn malformed_link(session: SessionId, path: &[u8]) -> Error {
    let detail = format!(
        "in snapshot {session} is a hard link to what is no file; take that snapshot again"
    );
    Error::new(ErrorKind::Damaged, walk::place(path), detail)
}

/// An entry would lie deeper than a tree can say.
pub(super) fn too_deep(path: &[u8]) -> Error {
    let detail = "would lie too deep below the root of the merged snapshot; nothing was merged";
    Error::new(ErrorKind::LimitExceeded, walk::place(path), detail)
}

/// The snapshots cannot be merged with each other.
pub(super) fn inputs(detail: impl Into<String>) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        Place::Argument("snapshots"),
        detail,
    )
}
