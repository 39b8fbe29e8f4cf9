//! What went wrong, and where.
//!
//! One public struct: a kind that says what the caller can do about it, a place, a sentence with
//! what was expected and found, and the cause. Above `format` and `transform`, because a place
//! names their ids; they have small errors of their own that are converted here, where the place
//! is known.

use std::fmt;
use std::path::PathBuf;

use crate::format::id::ChunkId;
use crate::format::name::ObjectName;

/// Result of every fallible call of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation has no useful result: why, and where.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    place: Place,
    detail: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a caller can do about an [`Error`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Look elsewhere.
    NotFound,
    /// Choose another name.
    AlreadyExists,
    /// Wait for the holder.
    Busy,
    /// Take newer software.
    Unsupported,
    /// Check and repair.
    Damaged,
    /// Take another password or key.
    WrongKey,
    /// Change the request: a limit of `crate::limits` is exceeded.
    LimitExceeded,
    /// Change the request.
    InvalidInput,
    /// Nothing: the caller asked to stop.
    Cancelled,
    /// Free space.
    NoSpace,
    /// The medium failed; the source has the `std::io::Error`. Retrying may help.
    Io,
}

/// Where an [`Error`] happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The repository as a whole.
    Repository,
    /// One stored object.
    Object(ObjectName),
    /// A range of one stored object, in bytes.
    Range {
        /// The object.
        name: ObjectName,
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
    },
    /// A chunk or page, wherever its copies lie.
    Chunk(ChunkId),
    /// A path of the source or target.
    Path(PathBuf),
    /// An argument of the request, by its name.
    Argument(&'static str),
}

impl Error {
    /// An error without a cause.
    pub fn new(kind: ErrorKind, place: Place, detail: impl Into<String>) -> Self {
        Self {
            kind,
            place,
            detail: detail.into(),
            source: None,
        }
    }

    /// Damage of one object.
    pub fn damaged(name: ObjectName, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged, Place::Object(name), detail)
    }

    /// A failed system call on `place` while doing `what`; a full disk and a missing file keep
    /// their own kinds.
    pub fn io(place: Place, what: &str, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match source.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::StorageFull | Io::QuotaExceeded => ErrorKind::NoSpace,
            _ => ErrorKind::Io,
        };
        Self {
            kind,
            place,
            detail: what.to_owned(),
            source: Some(Box::new(source)),
        }
    }

    /// The same error with a cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error, for another who asks for it: its causes are in its sentence.
    pub(crate) fn repeated(&self) -> Self {
        let mut detail = self.detail.clone();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            detail = format!("{detail}: {error}");
            cause = error.source();
        }
        Self::new(self.kind, self.place.clone(), detail)
    }

    /// The same error, told of a place that the caller knows better.
    pub(crate) fn with_place(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// What the caller can do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What was expected and found, without the place.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Where it happened.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.detail)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository => f.write_str("repository"),
            Self::Object(name) => write!(f, "{name}"),
            Self::Range { name, offset, len } => write!(f, "{name} at {offset}+{len}"),
            Self::Chunk(id) => write!(f, "chunk {id}"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Argument(name) => f.write_str(name),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}
