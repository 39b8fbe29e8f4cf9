//! Volumes: cut into extents by rules that hang on content alone, whole or where they changed.
//!
//! ```text
//! rules     grains, anchors, cuts: what is a function of what (FORMAT §12.1)
//! window    the bytes of a volume around the place that is being cut
//! block     one piece between two anchors: old extents and changes in, new extents out
//! changes   which ranges must be looked at again, and what the source says is allocated there
//! parent    the extents of the snapshot before, where they are needed
//! plan      dirty grains, and what a worker must know for each piece
//! work      one piece on a worker
//! build     what the workers find, joined with what is taken over
//! ```
//! **Architecture Invariant:** a volume has one manifest, whatever was known of it before: what is
//! built from a parent and its changes equals what is built by reading everything. So the new
//! manifest of an incremental snapshot *is* the merge of both, and there is no other.
//!
//! Deliberately absent: where bytes and changes come from. A source is a [`VolumeReader`].

mod block;
mod build;
mod changes;
mod parent;
mod plan;
mod rules;
#[cfg(test)]
mod tests;
mod window;
mod work;

pub use build::{BuildMode, BuiltVolume, NewVolume, build};
pub use parent::ParentVolume;
pub use rules::{Cutting, VolumeRules, cuts_of_hints};

use std::io;
use std::ops::Range;

/// The bytes of a volume, as they were at one instant. Read by several threads at once.
pub trait VolumeReader: Send + Sync {
    /// Length, bytes.
    fn len(&self) -> u64;

    /// True for a volume of no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buffer` from `offset`, all of it. Gives the ranges of the volume that could not be
    /// read, ascending and in whole sectors: what `buffer` holds there is of no account.
    ///
    /// # Errors
    /// When nothing more can be had: the snapshot ends.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<Vec<Range<u64>>>;

    /// What is allocated in `range`: pieces that ascend. What they leave out counts as data.
    fn allocation(&self, range: Range<u64>) -> io::Result<Vec<Allocated>>;
}

/// A piece of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// Where.
    pub range: Range<u64>,
    /// What is known of it.
    pub kind: Allocation,
}

/// What is known of a piece of a volume without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// It must be read.
    Data,
    /// Reads as zeros, and is allocated.
    Zero,
    /// Reads as zeros, and is not allocated.
    Hole,
}
