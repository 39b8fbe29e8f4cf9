//! One inode of ext: what it is, whose, and since when.

use std::sync::Arc;

use crate::error::Result;
use crate::format::entry::{DeviceNumber, Metadata, Owner, Timestamp};
use crate::serve::image::modes;
use crate::serve::image::reader::ImageNode;
use crate::sources::volume::layout::fields::{array, halves_at, u16_at, u32_at};

const FLAG_COMPRESSED: u32 = 0x4;
const FLAG_ENCRYPTED: u32 = 0x800;
const FLAG_HUGE: u32 = 0x4_0000;
const FLAG_EXTENTS: u32 = 0x8_0000;
const FLAG_INLINE: u32 = 0x1000_0000;

/// Bytes of an inode that every ext has.
const CLASSIC_LEN: usize = 128;
/// Unit in which an inode counts what it takes, unless it is huge.
const SECTOR_LEN: u64 = 512;
/// Where the map of blocks lies, or what needs no blocks.
const MAP_AT: usize = 0x28;
const MAP_LEN: usize = 60;

/// An inode, decoded as far as everything needs it.
#[derive(Debug)]
pub(super) struct Inode {
    pub number: u64,
    /// Length of the content, bytes.
    pub len: u64,
    pub links: u32,
    pub map: [u8; MAP_LEN],
    mode: u16,
    flags: u32,
    bytes: Vec<u8>,
}

impl Inode {
    /// Nothing if the bytes are too few, or nobody has this inode.
    pub(super) fn decode(number: u64, bytes: Vec<u8>) -> Option<Self> {
        let mode = u16_at(&bytes, 0)?;
        let links = u32::from(u16_at(&bytes, 0x1a)?);
        if mode == 0 || links == 0 {
            return None;
        }
        Some(Self {
            number,
            len: halves_at(&bytes, 0x04, 0x6c)?,
            links,
            map: array(&bytes, MAP_AT)?,
            mode,
            flags: u32_at(&bytes, 0x20)?,
            bytes,
        })
    }

    /// What it is; of a link `target` is asked for.
    pub(super) fn node(&self, target: impl FnOnce() -> Result<Vec<u8>>) -> Result<ImageNode> {
        modes::node_of(self.mode, self.len, self.device(), target)
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.flags & FLAG_ENCRYPTED != 0
    }

    pub(super) fn has_extents(&self) -> bool {
        self.flags & FLAG_EXTENTS != 0
    }

    /// Its content is not in blocks as it is: why.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        if self.flags & FLAG_INLINE != 0 {
            return Some("has its content inside its inode");
        }
        (self.flags & FLAG_COMPRESSED != 0).then_some("is compressed by its file system")
    }

    /// Bytes that it takes, as it says.
    pub(super) fn allocated(&self, block_len: u64) -> u64 {
        let low = u32_at(&self.bytes, 0x1c).map_or(0, u64::from);
        let high = u16_at(&self.bytes, 0x74).map_or(0, u64::from);
        let unit = match self.flags & FLAG_HUGE {
            0 => SECTOR_LEN,
            _ => block_len,
        };
        (high << 32 | low).saturating_mul(unit)
    }

    /// The target of a link that is short enough for the inode.
    pub(super) fn short_target(&self) -> Option<&[u8]> {
        let is_short = self.len < MAP_LEN as u64 && !self.has_extents();
        is_short.then(|| &self.map[..self.len as usize])
    }

    pub(super) fn device(&self) -> DeviceNumber {
        let number = |at| u32_at(&self.map, at).unwrap_or(0);
        match (number(0), number(4)) {
            (0, new) => DeviceNumber {
                major: new >> 8 & 0xfff,
                minor: new & 0xff | new >> 12 & 0xf_ff00,
            },
            (old, _) => DeviceNumber {
                major: old >> 8 & 0xff,
                minor: old & 0xff,
            },
        }
    }

    /// All but extended attributes.
    pub(super) fn metadata(&self) -> Metadata {
        let half = |at| u16_at(&self.bytes, at).map_or(0, u32::from);
        Metadata {
            mode: self.mode & 0o7777,
            owner: Arc::new(Owner {
                uid: half(0x78) << 16 | half(0x02),
                gid: half(0x7a) << 16 | half(0x18),
                ..Owner::default()
            }),
            mtime: self.mtime(),
            xattrs: Vec::new(),
        }
    }

    /// Two bits beside the nanoseconds prolong the seconds, whose sign is that of 32 bits.
    fn mtime(&self) -> Timestamp {
        let seconds = u32_at(&self.bytes, 0x10).unwrap_or(0).cast_signed();
        let extra = self.extra(0x88).unwrap_or(0);
        Timestamp {
            seconds: i64::from(seconds) + (i64::from(extra & 3) << 32),
            nanoseconds: (extra >> 2).min(999_999_999),
        }
    }

    /// A field that only longer inodes have.
    fn extra(&self, at: usize) -> Option<u32> {
        let end = self.extra_end()?;
        (at + 4 <= end).then(|| u32_at(&self.bytes, at))?
    }

    /// Where the fields end.
    fn extra_end(&self) -> Option<usize> {
        let len = usize::from(u16_at(&self.bytes, CLASSIC_LEN)?);
        Some(CLASSIC_LEN + len).filter(|end| *end <= self.bytes.len())
    }

    /// What lies behind the fields: attributes.
    pub(super) fn tail(&self) -> &[u8] {
        let end = self.extra_end().unwrap_or(self.bytes.len());
        &self.bytes[end..]
    }

    /// The block with more attributes, if there is one.
    pub(super) fn attribute_block(&self) -> Option<u64> {
        let low = u32_at(&self.bytes, 0x68).map_or(0, u64::from);
        let high = u16_at(&self.bytes, 0x76).map_or(0, u64::from);
        Some(high << 32 | low).filter(|block| *block != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::image::modes::FILE;

    fn inode(len: usize, change: impl FnOnce(&mut [u8])) -> Inode {
        let mut bytes = vec![0; len];
        bytes[..2].copy_from_slice(&(FILE | 0o4755).to_le_bytes());
        bytes[0x1a] = 1;
        change(&mut bytes);
        Inode::decode(12, bytes).unwrap()
    }

    #[test]
    fn times_before_1970_and_after_2038_are_what_they_were() {
        let before = inode(128, |bytes| {
            bytes[0x10..0x14].copy_from_slice(&(-5_i32).to_le_bytes());
        });
        assert_eq!(before.metadata().mtime.seconds, -5);
        let after = inode(256, |bytes| {
            bytes[0x10..0x14].copy_from_slice(&(-1_i32).to_le_bytes());
            bytes[0x80] = 32;
            bytes[0x88..0x8c].copy_from_slice(&(7_u32 << 2 | 1).to_le_bytes());
        });
        let mtime = after.metadata().mtime;
        assert_eq!((mtime.seconds, mtime.nanoseconds), ((1 << 32) - 1, 7));
    }

    #[test]
    fn devices_of_both_spellings_are_read() {
        let number = |major, minor| DeviceNumber { major, minor };
        let old = inode(128, |bytes| {
            bytes[MAP_AT..MAP_AT + 2].copy_from_slice(&[3, 8])
        });
        assert_eq!(old.device(), number(8, 3));
        let new = inode(128, |bytes| {
            let at = MAP_AT + 4;
            bytes[at..at + 4].copy_from_slice(&0x0123_4567_u32.to_le_bytes());
        });
        assert_eq!(new.device(), number(0x345, 0x01267));
    }

    #[test]
    fn an_inode_that_nobody_has_or_that_is_cut_off_is_none() {
        assert!(Inode::decode(1, vec![0; 256]).is_none());
        assert!(Inode::decode(1, vec![0xff; 40]).is_none());
    }
}
