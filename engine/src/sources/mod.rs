//! Where snapshots come from: each source reads one kind of thing and knows nothing of the others.
//!
//! Sources offer building blocks (list, open, read, describe) that may be called from any thread;
//! the operation that takes a snapshot decides on the order. A source is never written to.
//! Deliberately absent: threads, chunks, and whatever a repository is.

pub mod folder;
pub mod volume;
