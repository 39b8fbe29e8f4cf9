//! What the verbs that walk a snapshot share: absolute paths, losses told, a caller who stops.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::TreePath;
use crate::format::id::SessionId;
use crate::format::name::ObjectName;
use crate::format::snapshot::{Root, RootType};
use crate::observe::{Observer, Problem, ProblemKind};
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::Tree;
use crate::repository::manifest::cursor::{Cursor, LostPage};

/// A walk over the tree of `root` from `start` on.
pub(crate) fn cursor<'r>(
    reader: &'r ChunkReader<'r>,
    root: &Root,
    start: TreePath,
) -> Result<Cursor<'r, Tree>> {
    match root.root_type {
        RootType::Tree => Ok(Cursor::new(reader, root.page, root.level, start)),
        RootType::Extents => Err(is_a_volume(root)),
    }
}

/// Why what wants entries cannot go on.
pub(crate) fn is_a_volume(root: &Root) -> Error {
    let detail = "is a volume: it has bytes and partitions, not files";
    Error::new(ErrorKind::InvalidInput, place(&root.name), detail)
}

/// Where the entry was on its machine: the name of the root, then the path in it.
pub(crate) fn absolute_path(root: &Root, path: &TreePath) -> Vec<u8> {
    path_below(&root.name, path)
}

/// The same, by the name of the root alone.
pub(crate) fn path_below(name: &[u8], path: &TreePath) -> Vec<u8> {
    let below = path.to_bytes();
    let mut absolute = name.to_vec();
    if !below.is_empty() && absolute.last() != Some(&b'/') {
        absolute.push(b'/');
    }
    absolute.extend_from_slice(&below);
    absolute
}

/// Tells a lost page of the tree of `root`.
pub(crate) fn tell_lost(observer: &dyn Observer, root: &Root, lost: &LostPage) {
    // Nothing stands above the root page that could say how many entries it held; the root does.
    let entries = match lost.entries {
        0 => root.entries,
        entries => entries,
    };
    let detail = format!(
        "{entries} entries from here on cannot be read: {}",
        with_causes(&lost.error)
    );
    observer.problem(&Problem {
        kind: ProblemKind::Damaged,
        subject: absolute_path(root, &lost.first),
        detail,
    });
}

/// An error and what caused it, in one line.
pub(crate) fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Fails once the caller wants the operation to stop.
pub(crate) fn stop_if_cancelled(observer: &dyn Observer) -> Result<()> {
    if observer.is_cancelled() {
        return Err(crate::pipeline::cancelled());
    }
    Ok(())
}

/// A path of raw bytes as a place.
pub(crate) fn place(path: &[u8]) -> Place {
    Place::Path(PathBuf::from(OsString::from_vec(path.to_vec())))
}

/// Why nothing is done with the snapshot of a session.
pub(crate) fn refuse(session: SessionId, kind: ErrorKind, detail: impl Into<String>) -> Error {
    Error::new(kind, Place::Object(ObjectName::Snapshot(session)), detail)
}
