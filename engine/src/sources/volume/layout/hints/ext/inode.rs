//! One inode: whether it is a file whose bytes lie in blocks as they are.

use crate::sources::volume::layout::fields::{array, halves_at, u16_at, u32_at};

const MODE_TYPE: u16 = 0xf000;
const MODE_FILE: u16 = 0x8000;
const FLAG_EXTENTS: u32 = 0x8_0000;
/// Compressed, encrypted, the value of an attribute, or held in the inode itself.
const FLAGS_WITHOUT_HINTS: u32 = 0x4 | 0x800 | 0x20_0000 | 0x1000_0000;

/// Bytes of the map of blocks.
pub(super) const MAP_LEN: usize = 60;

pub(super) struct Inode {
    /// Length of the file in bytes.
    pub(super) len: u64,
    pub(super) map: Map,
    pub(super) map_bytes: [u8; MAP_LEN],
}

/// How an inode names its blocks.
pub(super) enum Map {
    Extents,
    Blocks,
}

impl Inode {
    /// The inode of a file that may have hints.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let is_file = u16_at(bytes, 0)? & MODE_TYPE == MODE_FILE;
        let links = u16_at(bytes, 0x1a)?;
        let flags = u32_at(bytes, 0x20)?;
        if !is_file || links == 0 || flags & FLAGS_WITHOUT_HINTS != 0 {
            return None;
        }
        Some(Self {
            len: halves_at(bytes, 0x04, 0x6c)?,
            map: if flags & FLAG_EXTENTS != 0 {
                Map::Extents
            } else {
                Map::Blocks
            },
            map_bytes: array(bytes, 0x28)?,
        })
    }
}
