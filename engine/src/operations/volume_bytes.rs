//! Bytes that lie in volumes of a snapshot: all of one, or ranges of several one behind the other,
//! as those of a logical volume do.

use std::ops::Range;

use crate::error::Result;
use crate::format::id::{ChunkId, PageId};
use crate::format::snapshot::{Root, RootType};
use crate::pipeline::sequence::{Part, Sequence};

/// What is restored, exported or mapped as one volume.
#[derive(Clone, Debug)]
pub struct VolumeBytes<'s> {
    name: Vec<u8>,
    sequence: Sequence<&'s Root>,
    has_folder: bool,
}

impl<'s> From<&'s Root> for VolumeBytes<'s> {
    /// All of a volume.
    fn from(root: &'s Root) -> Self {
        let mut bytes = Self::new(root.name.clone());
        bytes.push(root, 0..root.bytes);
        bytes
    }
}

impl<'s> VolumeBytes<'s> {
    /// None yet; `name` is what problems call them, raw bytes.
    pub fn new(name: Vec<u8>) -> Self {
        Self {
            name,
            sequence: Sequence::default(),
            has_folder: false,
        }
    }

    /// Adds `range` of the volume `root` at the end; false if the volume has no such range.
    pub fn push(&mut self, root: &'s Root, range: Range<u64>) -> bool {
        self.has_folder |= root.root_type != RootType::Extents;
        self.sequence.push(root, root.bytes, range)
    }

    /// What problems call them, raw bytes.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.sequence.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if one of the volumes is none, but a folder.
    pub(crate) fn has_folder(&self) -> bool {
        self.has_folder
    }

    /// The volumes that they lie in, one as often as they go back to it.
    pub fn roots(&self) -> impl Iterator<Item = &'s Root> {
        self.sequence.parts().iter().map(|part| part.of)
    }

    /// The parts that `range` of them lies in, each with what of `range` it has.
    pub(crate) fn within(
        &self,
        range: &Range<u64>,
    ) -> Result<impl Iterator<Item = (&Part<&'s Root>, Range<u64>)>> {
        self.sequence.within(range)
    }

    /// What tells them from others: root page and level of a volume, or what stands for those of
    /// several, and for the ranges of them.
    pub(crate) fn identity(&self) -> (PageId, u8) {
        match self.sequence.parts() {
            [one] if one.range == (0..one.of.bytes) => (one.of.page, one.of.level),
            parts => {
                let mut hasher = blake3::Hasher::new();
                for part in parts {
                    hasher.update(part.of.page.as_bytes());
                    hasher.update(&[part.of.level]);
                    for number in [part.range.start, part.range.end] {
                        hasher.update(&number.to_le_bytes());
                    }
                }
                (ChunkId(*hasher.finalize().as_bytes()), 0)
            }
        }
    }
}
