//! The status of one object, from one `statx`.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp, statx};

use crate::format::entry::{DeviceNumber, Timestamp};

/// What kind of object it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Regular file.
    File,
    /// Folder.
    Folder,
    /// Symbolic link.
    Symlink,
    /// Named pipe.
    Fifo,
    /// Unix domain socket.
    Socket,
    /// Character device.
    CharDevice,
    /// Block device.
    BlockDevice,
}

/// What the file system says about an object without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: FileKind,
    /// The 12 permission bits.
    pub mode: u16,
    /// User number of the owner.
    pub uid: u32,
    /// Group number of the owner.
    pub gid: u32,
    /// Length, bytes.
    pub len: u64,
    /// Allocated space in units of 512 bytes.
    pub blocks: u64,
    /// Last modification of the content.
    pub mtime: Timestamp,
    /// Last change of content or metadata.
    pub ctime: Timestamp,
    /// Inode number; with `device` it tells hard links of one file.
    pub inode: u64,
    /// File system it lies on: major number in the upper half, minor in the lower.
    pub device: u64,
    /// How many names it has.
    pub link_count: u32,
    /// What device it stands for, if it is a device node.
    pub rdev: DeviceNumber,
}

impl Stat {
    /// True for a regular file with less space than bytes: it has holes, or is compressed.
    pub fn may_have_holes(&self) -> bool {
        self.kind == FileKind::File && self.blocks.saturating_mul(512) < self.len
    }

    fn new(raw: &Statx) -> Option<Self> {
        Some(Self {
            kind: FileKind::new(FileType::from_raw_mode(raw.stx_mode.into()))?,
            mode: raw.stx_mode & 0o7777,
            uid: raw.stx_uid,
            gid: raw.stx_gid,
            len: raw.stx_size,
            blocks: raw.stx_blocks,
            mtime: timestamp(raw.stx_mtime),
            ctime: timestamp(raw.stx_ctime),
            inode: raw.stx_ino,
            device: u64::from(raw.stx_dev_major) << 32 | u64::from(raw.stx_dev_minor),
            link_count: raw.stx_nlink,
            rdev: DeviceNumber {
                major: raw.stx_rdev_major,
                minor: raw.stx_rdev_minor,
            },
        })
    }
}

impl FileKind {
    fn new(kind: FileType) -> Option<Self> {
        Some(match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::CharacterDevice => Self::CharDevice,
            FileType::BlockDevice => Self::BlockDevice,
            FileType::Unknown => return None,
        })
    }
}

/// Status of `name` in `folder`; of `folder` itself if the name is empty. Follows no link and
/// mounts nothing.
///
/// Asks for what a network file system holds on its server, not in our cache: a stale time would
/// let a changed file pass as unchanged. Takes any string the kernel calls take, so that a listing
/// can hand over its buffer without a copy.
pub(super) fn stat_at(folder: BorrowedFd<'_>, name: impl rustix::path::Arg) -> io::Result<Stat> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH;
    let wanted = StatxFlags::BASIC_STATS.difference(StatxFlags::ATIME);
    let raw = statx(folder, name, flags, wanted)?;
    Stat::new(&raw).ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "of an unknown kind"))
}

fn timestamp(raw: StatxTimestamp) -> Timestamp {
    // A file system in user space may say anything; an entry may not.
    Timestamp {
        seconds: raw.tv_sec,
        nanoseconds: raw.tv_nsec.min(999_999_999),
    }
}
