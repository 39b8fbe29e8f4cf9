//! The refusals that every backend words alike: each names its object (contract 12).

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Place;
use crate::error::Result;
use crate::format::name::ObjectKind;
use crate::format::name::ObjectName;
use crate::limits::MIB;
use crate::limits::OBJECT_LEN_LIMIT;
use crate::limits::RECORD_LEN_LIMIT;

/// Longest object of a kind. Clear records are read before any key is at hand, so theirs is short.
pub(super) fn len_limit(kind: ObjectKind) -> u64 {
    match kind {
        ObjectKind::Config | ObjectKind::Key => RECORD_LEN_LIMIT,
        _ => OBJECT_LEN_LIMIT,
    }
}

/// Nothing is stored that could not be read again.
pub(super) fn too_long_to_put(name: &ObjectName, len: usize) -> Result<()> {
    let limit = len_limit(name.kind());
    if len as u64 <= limit {
        return Ok(());
    }
    let detail = format!("{len} bytes are too long: objects of its kind end at {limit}");
    Err(Error::new(
        ErrorKind::LimitExceeded,
        Place::Object(*name),
        detail,
    ))
}

/// Something put a longer object there than any writer would: no memory is spent on it.
pub(super) fn too_long_to_get(name: &ObjectName, len: u64) -> Result<()> {
    let limit = len_limit(name.kind());
    if len <= limit {
        return Ok(());
    }
    Err(Error::damaged(
        *name,
        format!("it has {len} bytes, objects of its kind end at {limit}"),
    ))
}

/// A pack would leave less room than is kept for what frees space.
pub(super) fn no_room(name: &ObjectName, len: usize, free: u64, kept: u64) -> Error {
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / MIB as f64);
    let detail = format!(
        "{} are free, and {} are kept free so that forget and prune can work: it is not stored, \
         with its {}",
        mib(free),
        mib(kept),
        mib(len as u64)
    );
    Error::new(ErrorKind::NoSpace, Place::Object(*name), detail)
}

/// The name is taken.
pub(super) fn taken(name: &ObjectName) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        Place::Object(*name),
        "it exists already",
    )
}

/// No such object.
pub(super) fn missing(name: &ObjectName) -> Error {
    Error::new(
        ErrorKind::NotFound,
        Place::Object(*name),
        "there is no such object",
    )
}

/// The object ends before the range does.
pub(super) fn beyond_the_end(name: &ObjectName, offset: u64, len: usize) -> Error {
    let place = Place::Range {
        name: *name,
        offset,
        len: len as u64,
    };
    Error::new(
        ErrorKind::Damaged,
        place,
        "the object ends before this range does",
    )
}
