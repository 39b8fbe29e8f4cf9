//! How failures of one object are told: as an error with its path, or as a problem of a snapshot.

use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::error::{Error, ErrorKind, Place};
use crate::observe::{Problem, ProblemKind};
use crate::sources::folder::{FolderHandle, FolderSource};

/// The problem that a failure on one object is for the snapshot that goes on without it.
pub fn problem_of(error: &Error) -> Problem {
    let kind = match error.kind() {
        ErrorKind::NotFound => ProblemKind::Vanished,
        _ => ProblemKind::Unreadable,
    };
    let subject = match error.place() {
        Place::Path(path) => path.as_os_str().as_bytes().to_vec(),
        other => other.to_string().into_bytes(),
    };
    let line = error.to_string();
    let detail = line
        .strip_prefix(&format!("{}: ", error.place()))
        .unwrap_or(&line);
    let detail = match std::error::Error::source(error) {
        Some(cause) => format!("{detail}: {cause}"),
        None => detail.to_owned(),
    };
    Problem {
        kind,
        subject,
        detail,
    }
}

impl FolderSource {
    /// A failed system call on one object.
    pub(super) fn error(
        &self,
        parent: Option<&FolderHandle>,
        name: &[u8],
        what: &str,
        cause: io::Error,
    ) -> Error {
        Error::io(Place::Path(self.display_path(parent, name)), what, cause)
    }

    /// The object that was listed is gone, although its name is not.
    pub(super) fn replaced(
        &self,
        parent: Option<&FolderHandle>,
        name: &[u8],
        expected: &str,
    ) -> Error {
        let place = Place::Path(self.display_path(parent, name));
        Error::new(
            ErrorKind::NotFound,
            place,
            format!("is no longer {expected}"),
        )
    }
}
