//! The superblock: how long everything is, and where group descriptors lie.

use crate::sources::volume::layout::fields::{halves_at, has, u16_at, u32_at};
use crate::sources::volume::layout::hints::walk::WalkError;

pub(crate) const SUPERBLOCK_AT: u64 = 1024;

/// Flag of a group none of whose inodes was ever used; means something under checksums only.
pub(crate) const INODES_UNUSED: u16 = 1;

const INCOMPATIBLE_META_GROUPS: u32 = 0x10;
const INCOMPATIBLE_64_BIT: u32 = 0x80;
/// FILETYPE, RECOVER, META_BG, EXTENTS, 64BIT, MMP, FLEX_BG, EA_INODE, DIRDATA, CSUM_SEED, LARGEDIR,
/// INLINE_DATA, ENCRYPT, CASEFOLD: none of the others is known to leave inodes as they are.
const INCOMPATIBLE_KNOWN: u32 = 0x2
    | 0x4
    | INCOMPATIBLE_META_GROUPS
    | 0x40
    | INCOMPATIBLE_64_BIT
    | 0x100
    | 0x200
    | 0x400
    | 0x1000
    | 0x2000
    | 0x4000
    | 0x8000
    | 0x1_0000
    | 0x2_0000;
const READ_ONLY_SPARSE_SUPERBLOCKS: u32 = 0x1;
const READ_ONLY_CHECKSUMS: u32 = 0x10 | 0x400;
const COMPATIBLE_TWO_SUPERBLOCKS: u32 = 0x200;

/// Inodes of files below this number belong to the file system, if the superblock does not say.
const FIRST_INODE: u64 = 11;

/// Lengths in bytes, places in blocks.
#[derive(Debug)]
pub(crate) struct Geometry {
    pub(crate) block_len: u64,
    blocks: u64,
    first_block: u64,
    blocks_per_group: u64,
    pub(crate) groups: u64,
    pub(crate) inodes_per_group: u32,
    pub(crate) inode_len: usize,
    first_inode: u64,
    /// Inodes of quotas and orphans, which are files of the file system's own.
    own_inodes: [u64; 4],
    pub(crate) descriptor_len: usize,
    pub(crate) descriptors_have_checksums: bool,
    /// From this block of descriptors on, each lies in the groups it describes.
    first_meta_block: u64,
    superblocks: Superblocks,
}

/// Which groups begin with a copy of the superblock.
#[derive(Debug)]
enum Superblocks {
    All,
    Sparse,
    Two([u32; 2]),
}

impl Geometry {
    pub(crate) fn decode(superblock: &[u8]) -> Result<Self, WalkError> {
        if !has(superblock, 0x38, &[0x53, 0xef]) {
            return Err(WalkError::file_system("the superblock has no magic number"));
        }
        let unknown = u32_at(superblock, 0x60).unwrap_or(u32::MAX) & !INCOMPATIBLE_KNOWN;
        if unknown != 0 {
            let detail = format!("it has incompatible features {unknown:#x} that are not known");
            return Err(WalkError::file_system(detail));
        }
        let geometry = Self::decode_fields(superblock);
        let geometry = geometry.filter(|geometry| geometry.is_consistent(superblock));
        geometry.ok_or_else(|| WalkError::file_system("the superblock makes no sense"))
    }

    fn decode_fields(superblock: &[u8]) -> Option<Self> {
        let number = |at| u32_at(superblock, at);
        let (compatible, incompatible) = (number(0x5c)?, number(0x60)?);
        let read_only = number(0x64)?;
        let is_wide = incompatible & INCOMPATIBLE_64_BIT != 0;
        let has_meta_groups = incompatible & INCOMPATIBLE_META_GROUPS != 0;
        let is_dynamic = number(0x4c)? > 0;
        let blocks = if is_wide {
            halves_at(superblock, 0x04, 0x150)?
        } else {
            u64::from(number(0x04)?)
        };
        let first_block = u64::from(number(0x14)?);
        let blocks_per_group = u64::from(number(0x20)?);
        let data_blocks = blocks.checked_sub(first_block)?;
        Some(Self {
            block_len: 1024_u64.checked_shl(number(0x18)?.min(32))?,
            blocks,
            first_block,
            blocks_per_group,
            groups: data_blocks.div_ceil(blocks_per_group.max(1)),
            inodes_per_group: number(0x28)?,
            inode_len: match u16_at(superblock, 0x58)? {
                len if is_dynamic => usize::from(len),
                _ => 128,
            },
            first_inode: match number(0x54)? {
                first if is_dynamic => u64::from(first),
                _ => FIRST_INODE,
            },
            own_inodes: [0x240, 0x244, 0x26c, 0x280].map(|at| u64::from(number(at).unwrap_or(0))),
            descriptor_len: match u16_at(superblock, 0xfe)? {
                len if is_wide => usize::from(len),
                _ => 32,
            },
            descriptors_have_checksums: read_only & READ_ONLY_CHECKSUMS != 0,
            first_meta_block: match number(0x104)? {
                first if has_meta_groups => u64::from(first),
                _ => u64::MAX,
            },
            superblocks: if compatible & COMPATIBLE_TWO_SUPERBLOCKS != 0 {
                Superblocks::Two([number(0x24c)?, number(0x250)?])
            } else if read_only & READ_ONLY_SPARSE_SUPERBLOCKS != 0 {
                Superblocks::Sparse
            } else {
                Superblocks::All
            },
        })
    }

    fn is_consistent(&self, superblock: &[u8]) -> bool {
        let inodes = u32_at(superblock, 0).map(u64::from);
        let inode_lens = 128..=self.block_len as usize;
        self.block_len <= 64 * 1024
            && self.blocks < 1 << 48
            && self.blocks_per_group > 0
            && self.first_block <= 1
            && (1..=self.block_len * 8).contains(&u64::from(self.inodes_per_group))
            && self.groups.checked_mul(u64::from(self.inodes_per_group)) == inodes
            && self.inode_len.is_power_of_two()
            && inode_lens.contains(&self.inode_len)
            && self.descriptor_len.is_power_of_two()
            && (32..=1024).contains(&self.descriptor_len)
    }

    /// Length of the file system in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.blocks * self.block_len
    }

    /// Whether so many blocks from `start` on are there. Block 0 belongs to no file and no table.
    pub(crate) fn has_blocks(&self, start: u64, count: u64) -> bool {
        let end = start.checked_add(count);
        start > 0 && end.is_some_and(|end| end <= self.blocks)
    }

    pub(crate) fn is_reserved(&self, inode: u64) -> bool {
        inode < self.first_inode || self.own_inodes.contains(&inode)
    }

    /// The block that has the descriptors from `index` times a blockful on.
    pub(crate) fn descriptor_block(&self, index: u64) -> u64 {
        if index < self.first_meta_block {
            // Behind the superblock, which lies in block 1 if that begins where it does.
            return SUPERBLOCK_AT / self.block_len + 1 + index;
        }
        let group = index * (self.block_len / self.descriptor_len as u64);
        let start = self.first_block + group * self.blocks_per_group;
        let has_short_start = group == 0 && self.block_len == 1024 && self.first_block == 0;
        start + u64::from(self.has_superblock(group)) + u64::from(has_short_start)
    }

    /// The block with which the inodes of a group begin, by the descriptor of the group.
    pub(crate) fn inode_table(&self, descriptor: &[u8]) -> Option<u64> {
        match self.descriptor_len {
            ..64 => u32_at(descriptor, 0x08).map(u64::from),
            _ => halves_at(descriptor, 0x08, 0x28),
        }
    }

    fn has_superblock(&self, group: u64) -> bool {
        let is_power_of = |base: u64| {
            let mut power = base;
            while power < group {
                power *= base;
            }
            power == group
        };
        match &self.superblocks {
            _ if group == 0 => true,
            Superblocks::All => true,
            Superblocks::Two(groups) => groups.iter().any(|one| u64::from(*one) == group),
            Superblocks::Sparse => group == 1 || [3, 5, 7].into_iter().any(is_power_of),
        }
    }
}
