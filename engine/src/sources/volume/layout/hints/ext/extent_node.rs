//! What stands in a node of a tree of extents. Where a tree leads is asked by its readers.

use crate::sources::volume::layout::fields::{u16_at, u32_at};

const MAGIC: u16 = 0xf30a;
/// Header and entries have the same length.
const ENTRY_LEN: usize = 12;
/// No tree of 2^32 blocks is deeper.
const DEPTH_MAX: u16 = 5;
/// Lengths above this are those of extents that were reserved and never written.
const WRITTEN_BLOCKS_MAX: u16 = 32_768;

/// An entry of a node.
pub(crate) type ExtentEntry = [u8; ENTRY_LEN];

/// Blocks of a file that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileExtent {
    /// The first of them, counted in the file.
    pub(crate) logical: u64,
    /// Where that lies.
    pub(crate) start: u64,
    /// At least 1.
    pub(crate) blocks: u64,
    /// False where they were reserved alone: they read as zeros.
    pub(crate) is_written: bool,
}

/// How far a root lies above its leaves; nothing if that is too far.
pub(crate) fn depth_of(root: &[u8]) -> Option<u16> {
    u16_at(root, 6).filter(|depth| *depth <= DEPTH_MAX)
}

/// The entries of a node; nothing if it is none, or lies at another depth.
pub(crate) fn entries(node: &[u8], depth: u16) -> Option<&[ExtentEntry]> {
    let count = usize::from(u16_at(node, 2)?);
    let (body, _) = node.get(ENTRY_LEN..)?.as_chunks();
    let is_node = u16_at(node, 0)? == MAGIC && u16_at(node, 6)? == depth;
    body.get(..count).filter(|_| is_node)
}

/// The first block of a file that an entry is about.
pub(crate) fn logical_of(entry: &ExtentEntry) -> u64 {
    u32_at(entry, 0).map_or(0, u64::from)
}

/// The block of the node that an entry above the leaves leads to.
pub(crate) fn child_of(entry: &ExtentEntry) -> u64 {
    let low = u32_at(entry, 4).map_or(0, u64::from);
    let high = u16_at(entry, 8).map_or(0, u64::from);
    high << 32 | low
}

impl FileExtent {
    /// What an entry of a leaf says; nothing if it has no blocks.
    pub(crate) fn decode(entry: &ExtentEntry) -> Option<Self> {
        let len = u16_at(entry, 4)?;
        let is_written = len <= WRITTEN_BLOCKS_MAX;
        let blocks = if is_written {
            len
        } else {
            len - WRITTEN_BLOCKS_MAX
        };
        let (high, low) = (u16_at(entry, 6)?, u32_at(entry, 8)?);
        (blocks > 0).then_some(Self {
            logical: logical_of(entry),
            start: u64::from(high) << 32 | u64::from(low),
            blocks: blocks.into(),
            is_written,
        })
    }
}
