//! What the outcome of a system call means to `local`.

use std::io;

/// Calls again what a signal interrupted before it did anything.
pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// A temporary file that is missing or in the way says nothing about the object: the caller must
/// not take it for an object that is missing or exists.
pub(super) fn about_temporary(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => io::Error::other("its temporary file was removed"),
        io::ErrorKind::AlreadyExists => io::Error::other("its temporary file exists already"),
        _ => error,
    }
}

/// Nothing, if there is nothing of that name.
pub(super) fn found<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Err(error) if is_missing(&error) => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// Nothing is there.
pub(super) fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// Only free space helps.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
