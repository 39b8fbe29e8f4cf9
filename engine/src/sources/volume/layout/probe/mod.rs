//! What a volume or a partition holds, told by the marks that formats put at fixed places.
//!
//! One read at the start, one at the end, and rarely one for a label. The order is that of the list
//! below: where marks of two formats are left, the first one counts.
//!
//! Deliberately absent: whether what was recognized is sound.

mod boot_sector;
mod member;
mod superblock;

use std::fmt;

use crate::pipeline::ReadAt;
use crate::sources::volume::layout::window::Window;

pub(super) use boot_sector::is_boot_sector;

/// What was recognized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// The format.
    pub kind: FileSystemKind,
    /// Its id, spelled as the format's own tools do.
    pub uuid: Option<String>,
    /// Its label, as it stands there: it may hold any character but zero.
    pub label: Option<String>,
    /// Unit of allocation in bytes, as far as the format has one at a fixed place.
    pub block_len: Option<u32>,
    /// Bytes in use, as the format counts them: on a volume in use an estimate.
    pub used_bytes: Option<u64>,
}

/// A format that is recognized.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileSystemKind {
    /// LUKS, version 1: encrypted.
    Luks1,
    /// LUKS, version 2: encrypted.
    Luks2,
    /// ext2: no journal.
    Ext2,
    /// ext3: a journal, no extents.
    Ext3,
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
    /// btrfs.
    Btrfs,
    /// NTFS.
    Ntfs,
    /// exFAT.
    ExFat,
    /// ReFS.
    Refs,
    /// BitLocker: encrypted.
    BitLocker,
    /// FAT with 12-bit entries.
    Fat12,
    /// FAT with 16-bit entries.
    Fat16,
    /// FAT with 32-bit entries.
    Fat32,
    /// A physical volume of LVM2.
    Lvm2,
    /// Swap space.
    Swap,
    /// squashfs.
    Squashfs,
    /// EROFS.
    Erofs,
    /// A member of a Linux software RAID.
    MdRaid,
    /// A member of a ZFS pool.
    Zfs,
}

impl FileSystemKind {
    /// All of them.
    const ALL: [Self; 19] = [
        Self::Luks1,
        Self::Luks2,
        Self::Ext2,
        Self::Ext3,
        Self::Ext4,
        Self::Xfs,
        Self::Btrfs,
        Self::Ntfs,
        Self::ExFat,
        Self::Refs,
        Self::BitLocker,
        Self::Fat12,
        Self::Fat16,
        Self::Fat32,
        Self::Lvm2,
        Self::Swap,
        Self::Squashfs,
        Self::Erofs,
        Self::MdRaid,
    ];

    /// The format of this name; nothing for one that is recognized by others alone.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name that `blkid` has for it; versions of FAT and LUKS apart.
    pub fn name(self) -> &'static str {
        match self {
            Self::Luks1 => "luks1",
            Self::Luks2 => "luks2",
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Ntfs => "ntfs",
            Self::ExFat => "exfat",
            Self::Refs => "refs",
            Self::BitLocker => "bitlocker",
            Self::Fat12 => "fat12",
            Self::Fat16 => "fat16",
            Self::Fat32 => "fat32",
            Self::Lvm2 => "lvm2_member",
            Self::Swap => "swap",
            Self::Squashfs => "squashfs",
            Self::Erofs => "erofs",
            Self::MdRaid => "linux_raid_member",
            Self::Zfs => "zfs_member",
        }
    }
}

impl fmt::Display for FileSystemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FileSystem {
    /// A format about which nothing else is known.
    pub fn of(kind: FileSystemKind) -> Self {
        Self {
            kind,
            uuid: None,
            label: None,
            block_len: None,
            used_bytes: None,
        }
    }
}

/// What the `len` bytes at `offset` hold; nothing if it is unknown or cannot be read.
pub fn probe(reader: &dyn ReadAt, offset: u64, len: u64) -> Option<FileSystem> {
    probe_window(Window::new(reader, 0, u64::MAX).part(offset, len))
}

/// Where the mark of btrfs ends: no other one lies further from the start.
pub(crate) const PROBED_LEN: usize = 68 * 1024;

pub(super) fn probe_window(window: Window<'_>) -> Option<FileSystem> {
    let head = window.bytes_up_to(0, PROBED_LEN).ok()?;
    let head = head.as_slice();
    member::luks(head)
        .or_else(|| superblock::ext(head))
        .or_else(|| superblock::xfs(head))
        .or_else(|| superblock::btrfs(head))
        .or_else(|| boot_sector::read(head, window))
        .or_else(|| member::lvm(head))
        .or_else(|| superblock::swap(head))
        .or_else(|| superblock::squashfs(head))
        .or_else(|| superblock::erofs(head))
        .or_else(|| member::zfs(head))
        .or_else(|| member::md(head, window))
}
