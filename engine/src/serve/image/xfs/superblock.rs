//! The first sector of XFS: how long everything is, and where the number of a block or an inode leads.
//!
//! The volume is cut into groups of equal length, of which the last one may be shorter. A number has
//! that of a group in its high bits, and that of a block in the group below them.

use crate::error::Result;
use crate::serve::image::reader::{damaged, unsupported};
use crate::sources::volume::layout::crc32c;
use crate::sources::volume::layout::fields::{
    array, has, u8_at, u16_high_first, u32_at, u32_high_first, u64_high_first,
};

/// Shortest sector, and the unit in which XFS says where something lies.
pub(super) const SECTOR_LEN: u64 = 512;
const CRC_AT: usize = 224;

const VERSION: u16 = 0xf;
/// Of version 4: folders are as they have been since 2001.
const FEATURE_FOLDERS_2: u16 = 0x2000;
/// Of version 4: entries of folders say what they lead to.
const FEATURE_2_TYPES: u32 = 0x200;
/// The same of version 5.
const INCOMPATIBLE_TYPES: u32 = 0x1;
const INCOMPATIBLE_UUID: u32 = 0x4;
const INCOMPATIBLE_NEEDS_REPAIR: u32 = 0x10;
/// FTYPE, SPINODES, META_UUID, BIGTIME, NREXT64, EXCHRANGE, PARENT.
const INCOMPATIBLE_KNOWN: u32 = 0xef;

/// Sizes and places of a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes: a power of two, 512 to 65536.
    pub block_len: u64,
    /// Bytes of an inode: a power of two, 256 to 2048.
    pub inode_len: usize,
    /// Bytes of a block of a folder: one or more blocks, at most 65536.
    pub folder_block_len: u64,
    /// The inode of the folder that all others lie in.
    pub root: u64,
    /// True for version 5: metadata has checksums, and says where it belongs.
    pub has_checksums: bool,
    /// True if entries of folders have a byte that says what they lead to.
    pub has_types: bool,
    /// What metadata says that it belongs to.
    pub uuid: [u8; 16],
    /// The block with which the log begins; 0 if it is on another device.
    pub log_start: u64,
    pub log_blocks: u64,
    blocks: u64,
    groups: u64,
    group_blocks: u64,
    /// Bits of a number below those of the group.
    block_bits: u32,
    /// Bits of the number of an inode below those of its block.
    inode_bits: u32,
}

impl Geometry {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        check_features(bytes)?;
        let geometry = Self::fields(bytes).filter(Self::is_sound);
        geometry.ok_or_else(broken)
    }

    fn fields(bytes: &[u8]) -> Option<Self> {
        let has_checksums = version(bytes)? == 5;
        let incompatible = u32_high_first(bytes, 216).filter(|_| has_checksums);
        let incompatible = incompatible.unwrap_or(0);
        let bits = |at| u8_at(bytes, at).map(u32::from);
        let uuid_at = match incompatible & INCOMPATIBLE_UUID {
            0 => 32,
            _ => 248,
        };
        let block_len = u64::from(u32_high_first(bytes, 4)?);
        Some(Self {
            block_len,
            inode_len: u16_high_first(bytes, 104)?.into(),
            folder_block_len: block_len.checked_shl(bits(192)?)?,
            root: u64_high_first(bytes, 56)?,
            has_checksums,
            has_types: match has_checksums {
                true => incompatible & INCOMPATIBLE_TYPES != 0,
                false => u32_high_first(bytes, 200)? & FEATURE_2_TYPES != 0,
            },
            uuid: array(bytes, uuid_at)?,
            log_start: u64_high_first(bytes, 48)?,
            log_blocks: u32_high_first(bytes, 96)?.into(),
            blocks: u64_high_first(bytes, 8)?,
            groups: u32_high_first(bytes, 88)?.into(),
            group_blocks: u32_high_first(bytes, 84)?.into(),
            block_bits: bits(124)?,
            inode_bits: bits(123)?,
        })
    }

    /// Whatever is computed from the fields of a sound one fits into 64 bits.
    fn is_sound(&self) -> bool {
        let lengths = self.block_len.is_power_of_two()
            && (SECTOR_LEN..=1 << 16).contains(&self.block_len)
            && (self.block_len..=1 << 16).contains(&self.folder_block_len)
            && self.inode_len.is_power_of_two()
            && (256..=2048).contains(&self.inode_len)
            && self.inode_len as u64 <= self.block_len;
        lengths
            && self.block_bits < 32
            && self.inode_bits < 32
            && (self.inode_len as u64) << self.inode_bits == self.block_len
            && (1..=1 << self.block_bits).contains(&self.group_blocks)
            && self.groups > 0
            && self.blocks > (self.groups - 1) * self.group_blocks
            && self.blocks <= self.groups * self.group_blocks
            && self.blocks <= i64::MAX as u64 / self.block_len
    }

    /// Bytes of the whole file system.
    pub(super) fn len(&self) -> u64 {
        self.blocks * self.block_len
    }

    /// The byte with which a block begins, if so many lie together from there on.
    pub(super) fn place_of(&self, block: u64, blocks: u64) -> Result<u64> {
        let group = block >> self.block_bits;
        let within = block & ((1 << self.block_bits) - 1);
        let end = within.saturating_add(blocks);
        let first = group.saturating_mul(self.group_blocks);
        if group >= self.groups || end > self.group_blocks || first + end > self.blocks {
            return Err(damaged(format!("names block {block}, which lies outside")));
        }
        Ok((first + within) * self.block_len)
    }

    /// The byte with which an inode begins.
    pub(super) fn place_of_inode(&self, number: u64) -> Result<u64> {
        let within = number & ((1 << self.inode_bits) - 1);
        let place = self.place_of(number >> self.inode_bits, 1);
        let place = place.map_err(|_| damaged(format!("names inode {number}")))?;
        Ok(place + within * self.inode_len as u64)
    }
}

fn version(bytes: &[u8]) -> Option<u16> {
    Some(u16_high_first(bytes, 100)? & VERSION)
}

/// Refuses what is laid out in a way that is not known.
fn check_features(bytes: &[u8]) -> Result<()> {
    let number = |at| u32_high_first(bytes, at).ok_or_else(broken);
    if !has(bytes, 0, b"XFSB") {
        return Err(broken());
    }
    match version(bytes) {
        Some(5) => (),
        Some(4) if number(100)? >> 16 & u32::from(FEATURE_FOLDERS_2) != 0 => return Ok(()),
        _ => return Err(unsupported("is of a version of XFS that is not known")),
    }
    let incompatible = number(216)?;
    if incompatible & INCOMPATIBLE_NEEDS_REPAIR != 0 {
        return Err(unsupported("waits to be repaired by xfs_repair"));
    }
    match incompatible & !INCOMPATIBLE_KNOWN {
        0 => Ok(()),
        unknown => {
            let detail = format!("has features of XFS that are not known: {unknown:#x}");
            Err(unsupported(detail))
        }
    }
}

/// Compares the checksum of a whole sector, which only version 5 has.
pub(super) fn check_sum(sector: &[u8]) -> Result<()> {
    let (Some(head), Some(tail)) = (sector.get(..CRC_AT), sector.get(CRC_AT + 4..)) else {
        return Err(broken());
    };
    if u32_at(sector, CRC_AT) != Some(crc32c(&[head, &[0; 4], tail])) {
        return Err(damaged("has a superblock whose checksum differs"));
    }
    Ok(())
}

/// Bytes of the sector that the superblock lies in.
pub(super) fn sector_len(bytes: &[u8]) -> Result<usize> {
    let len = u16_high_first(bytes, 102).map(usize::from);
    let len = len.filter(|len| len.is_power_of_two() && *len >= SECTOR_LEN as usize);
    len.ok_or_else(broken)
}

fn broken() -> crate::error::Error {
    damaged("has a superblock that makes no sense")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three groups of 1000 blocks, of which the last one has 500, as version 4.
    fn superblock() -> Vec<u8> {
        let mut bytes = vec![0; 512];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, b"XFSB");
        put(4, &4096_u32.to_be_bytes());
        put(8, &2500_u64.to_be_bytes());
        put(84, &1000_u32.to_be_bytes());
        put(88, &3_u32.to_be_bytes());
        put(100, &0xb4a4_u16.to_be_bytes());
        put(102, &512_u16.to_be_bytes());
        put(104, &256_u16.to_be_bytes());
        put(123, &[4]);
        put(124, &[10]);
        bytes
    }

    #[test]
    fn numbers_lead_to_their_group_and_the_place_in_it() {
        let geometry = Geometry::decode(&superblock()).unwrap();
        assert_eq!(geometry.len(), 2500 * 4096);
        assert_eq!(geometry.place_of(1 << 10 | 5, 995).unwrap(), 1005 * 4096);
        assert_eq!(geometry.place_of(2 << 10 | 499, 1).unwrap(), 2499 * 4096);
        let inode = (1 << 10 | 5) << 4 | 3;
        let place = geometry.place_of_inode(inode).unwrap();
        assert_eq!(place, 1005 * 4096 + 3 * 256);
        for (block, blocks) in [
            (1 << 10 | 5, 996),
            (1000, 1),
            (2 << 10 | 500, 1),
            (3 << 10, 1),
            (u64::MAX, 1),
            (0, u64::MAX),
        ] {
            assert!(geometry.place_of(block, blocks).is_err(), "{block}");
        }
        assert!(geometry.place_of_inode(u64::MAX).is_err());
    }

    #[test]
    fn fields_that_do_not_fit_together_are_refused() {
        for (at, byte) in [
            (0, b'x'),
            (4, 1),
            (6, 0x30),
            (8, 1),
            (14, 1),
            (86, 0),
            (91, 0),
            (101, 0xa6),
            (104, 0),
            (123, 3),
            (124, 9),
            (124, 64),
            (192, 5),
            (192, 200),
        ] {
            let mut bytes = superblock();
            bytes[at] = byte;
            assert!(Geometry::decode(&bytes).is_err(), "{at}: {byte}");
        }
        assert!(Geometry::decode(&superblock()[..190]).is_err());
    }

    #[test]
    fn features_that_are_not_known_are_told_as_those() {
        for (feature, told) in [(0x100_u32, "not known: 0x100"), (0x10, "xfs_repair")] {
            let mut bytes = superblock();
            bytes[101] = 0xa5;
            bytes[216..220].copy_from_slice(&feature.to_be_bytes());
            let error = Geometry::decode(&bytes).unwrap_err();
            assert!(error.to_string().contains(told), "{error}");
        }
    }
}
