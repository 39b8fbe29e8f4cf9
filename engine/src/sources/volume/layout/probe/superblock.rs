//! Formats of Unix: a superblock with a magic number.

use crate::sources::volume::layout::fields::{
    array, has, text_at, u8_at, u16_at, u32_at, u32_high_first, u64_at, u64_high_first,
};
use crate::sources::volume::layout::guid::uuid_unless_nil;
use crate::sources::volume::layout::probe::{FileSystem, FileSystemKind};

const EXT_AT: usize = 1024;
/// Feature bits by which the three versions of ext differ.
const EXT_HAS_JOURNAL: u32 = 0x4;
const EXT_JOURNAL_DEVICE: u32 = 0x8;
/// Everything that ext3 knows: FILETYPE, RECOVER, META_BG; and SPARSE_SUPER, LARGE_FILE, BTREE_DIR.
const EXT3_INCOMPATIBLE: u32 = 0x2 | 0x4 | 0x10;
const EXT3_READ_ONLY: u32 = 0x1 | 0x2 | 0x4;

/// Which ext a superblock belongs to; nothing if it is that of a journal of another volume.
fn ext_kind(superblock: &[u8]) -> Option<FileSystemKind> {
    let compatible = u32_at(superblock, 0x5c)?;
    let incompatible = u32_at(superblock, 0x60)?;
    let read_only = u32_at(superblock, 0x64)?;
    if incompatible & EXT_JOURNAL_DEVICE != 0 {
        return None;
    }
    let is_newer = incompatible & !EXT3_INCOMPATIBLE != 0 || read_only & !EXT3_READ_ONLY != 0;
    Some(if is_newer {
        FileSystemKind::Ext4
    } else if compatible & EXT_HAS_JOURNAL != 0 {
        FileSystemKind::Ext3
    } else {
        FileSystemKind::Ext2
    })
}

pub(super) fn ext(head: &[u8]) -> Option<FileSystem> {
    let block = head.get(EXT_AT..EXT_AT + 1024)?;
    let block_len_log = u32_at(block, 0x18)?;
    if !has(block, 0x38, &[0x53, 0xef]) || block_len_log > 6 || u32_at(block, 4)? == 0 {
        return None;
    }
    let kind = ext_kind(block)?;
    let is_wide = u32_at(block, 0x60)? & 0x80 != 0;
    let high = |at| u32_at(block, at).filter(|_| is_wide).unwrap_or(0);
    let whole = |low, at| Some(u64::from(high(at)) << 32 | u64::from(u32_at(block, low)?));
    let (blocks, free) = (whole(0x4, 0x150)?, whole(0xc, 0x158)?);
    let block_len = 1024 << block_len_log;
    Some(FileSystem {
        kind,
        uuid: uuid_unless_nil(array(block, 0x68)?),
        label: text_at(block, 0x78, 16),
        block_len: Some(block_len),
        used_bytes: used(blocks, free, block_len),
    })
}

fn used(blocks: u64, free: u64, block_len: u32) -> Option<u64> {
    blocks.checked_sub(free)?.checked_mul(u64::from(block_len))
}

pub(super) fn xfs(head: &[u8]) -> Option<FileSystem> {
    let block_len = u32_high_first(head, 4)?;
    let is_block_len = block_len.is_power_of_two() && (512..=65_536).contains(&block_len);
    if !has(head, 0, b"XFSB") || !is_block_len {
        return None;
    }
    let (blocks, free) = (u64_high_first(head, 8)?, u64_high_first(head, 144)?);
    Some(FileSystem {
        kind: FileSystemKind::Xfs,
        uuid: uuid_unless_nil(array(head, 32)?),
        label: text_at(head, 108, 12),
        block_len: Some(block_len),
        used_bytes: used(blocks, free, block_len),
    })
}

pub(super) fn btrfs(head: &[u8]) -> Option<FileSystem> {
    let block = head.get(0x1_0000..)?;
    if !has(block, 0x40, b"_BHRfS_M") {
        return None;
    }
    Some(FileSystem {
        kind: FileSystemKind::Btrfs,
        uuid: uuid_unless_nil(array(block, 0x20)?),
        label: text_at(block, 0x12b, 256),
        block_len: u32_at(block, 0x90),
        used_bytes: u64_at(block, 0x78),
    })
}

/// The mark stands at the end of the first page, whose length depends on the machine.
pub(super) fn swap(head: &[u8]) -> Option<FileSystem> {
    let pages = [4096_u32, 8192, 16_384, 32_768, 65_536];
    let page = pages.into_iter().find(|page| {
        let mark = *page as usize - 10;
        has(head, mark, b"SWAPSPACE2") || has(head, mark, b"SWAP-SPACE")
    })?;
    Some(FileSystem {
        uuid: uuid_unless_nil(array(head, 0x40c)?),
        label: text_at(head, 0x41c, 16),
        block_len: Some(page),
        ..FileSystem::of(FileSystemKind::Swap)
    })
}

pub(super) fn squashfs(head: &[u8]) -> Option<FileSystem> {
    if !has(head, 0, b"hsqs") || u16_at(head, 28)? != 4 {
        return None;
    }
    Some(FileSystem {
        block_len: u32_at(head, 12),
        used_bytes: u64_at(head, 40),
        ..FileSystem::of(FileSystemKind::Squashfs)
    })
}

pub(super) fn erofs(head: &[u8]) -> Option<FileSystem> {
    let block = head.get(1024..)?;
    let block_len_log = u8_at(block, 12)?;
    if !has(block, 0, &0xe0f5_e1e2_u32.to_le_bytes()) || !(9..=16).contains(&block_len_log) {
        return None;
    }
    Some(FileSystem {
        kind: FileSystemKind::Erofs,
        uuid: uuid_unless_nil(array(block, 48)?),
        label: text_at(block, 64, 16),
        block_len: Some(1 << block_len_log),
        used_bytes: used(u64::from(u32_at(block, 36)?), 0, 1 << block_len_log),
    })
}
