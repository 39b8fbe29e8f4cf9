//! What the engine tells its caller while it works. Silent by default: `()` observes nothing.
//!
//! Findings travel here and are counted in the report of the operation; they are not errors.
//! Deliberately absent: any output. Whoever prints implements [`Observer`].

use std::path::Path;

/// Told of progress and problems from several threads at once; must return quickly.
pub trait Observer: Send + Sync {
    /// Something was skipped, changed under the reader, or is damaged. Never silent (I10).
    fn problem(&self, _problem: &Problem) {}
    /// `counter` grew by `by`.
    fn count(&self, _counter: Counter, _by: u64) {}
    /// The totals that `counter` is heading for, once known or estimated.
    fn expect(&self, _counter: Counter, _total: u64) {}
    /// What is being read or written right now.
    fn working_on(&self, _path: &Path) {}
    /// True once the caller wants the operation to stop; asked often.
    fn is_cancelled(&self) -> bool {
        false
    }
}

impl Observer for () {}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// Entries of a source or manifest that are done.
    Entries,
    /// Bytes of file content that are done, holes included.
    Bytes,
    /// Bytes of plaintext that were read from the source.
    BytesRead,
    /// Bytes handed to the backend.
    BytesStored,
    /// Objects that were checked.
    Objects,
}

/// One thing that did not go as it should, and went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of loss this is.
    pub kind: ProblemKind,
    /// The path or object concerned, as raw bytes.
    pub subject: Vec<u8>,
    /// One sentence for a person.
    pub detail: String,
}

/// Kinds of [`Problem`]; the number is stored in snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ProblemKind {
    /// Could not be read and is not in the snapshot.
    Unreadable = 1,
    /// Was there when its folder was listed, and gone when it was opened.
    Vanished = 2,
    /// Did not hold still: what was stored may mix two states.
    ChangedWhileRead = 3,
    /// Stored bytes are damaged: content is lost.
    Damaged = 4,
    /// A stored object that is needed is not there.
    Missing = 5,
    /// Restored, but not all of its metadata.
    MetadataNotApplied = 6,
    /// Not restored: something else is in its place.
    Conflict = 7,
    /// Not restored: the target cannot hold it.
    NotRestored = 8,
}
