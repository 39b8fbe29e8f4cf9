//! Bytes and values: what every stored structure looks like, and nothing else.
//!
//! No I/O, no clock, no thread, no allocation on a length that was not checked first. The layout
//! is described byte by byte in `format-spec/FORMAT.md`; its section numbers are quoted where
//! they are implemented.
//!
//! ```text
//! record   config, slot                      clear, §6; CBOR inside, checked by cbor
//! envelope header, table, tail               around everything sealed, §7
//! index_run, page > tree scan extents cuts, snapshot > volume what is sealed, §9, §10, §13
//! groups   what tree and scan share, §10.1
//! nbd      numbers and fields of a network protocol; nothing of it is stored
//! ```

#![deny(clippy::indexing_slicing)]

pub mod boot;
pub(crate) mod cbor;
pub mod config;
pub mod cursor;
pub mod cuts;
pub mod entry;
pub mod envelope;
pub mod extents;
mod groups;
pub mod id;
pub mod index_run;
pub mod name;
pub(crate) mod nbd;
pub mod page;
pub mod prune;
pub mod record;
pub mod retention;
pub mod scan;
pub mod slot;
pub mod snapshot;
pub mod table;
pub mod tree;
pub mod volume;

use std::fmt;

/// Why bytes are not the structure they should be. The classes are told apart by every reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end early.
    Truncated,
    /// The bytes changed.
    BadChecksum,
    /// Made by newer software.
    UnknownVersion(u8),
    /// Needs newer software.
    UnknownRequiredFlag(u32),
    /// A length that no writer may produce; says which.
    LimitExceeded(&'static str),
    /// Not the structure; says which rule is broken.
    Malformed(&'static str),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("truncated: the bytes end early"),
            Self::BadChecksum => f.write_str("bad checksum: the bytes changed"),
            Self::UnknownVersion(version) => {
                write!(
                    f,
                    "unknown version {version}: this software reads version 1"
                )
            }
            Self::UnknownRequiredFlag(flags) => {
                write!(
                    f,
                    "unknown required flags {flags:#x}: newer software is needed"
                )
            }
            Self::LimitExceeded(what) => write!(f, "limit exceeded: {what}"),
            Self::Malformed(what) => write!(f, "malformed: {what}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Result of a decoder.
pub type Decoded<T> = Result<T, DecodeError>;

/// Fails as malformed unless `holds`.
pub(crate) fn ensure(holds: bool, rule: &'static str) -> Decoded<()> {
    if holds {
        Ok(())
    } else {
        Err(DecodeError::Malformed(rule))
    }
}
