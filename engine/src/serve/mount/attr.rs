//! What `stat` says, in the kernel's own terms.

use std::time::{Duration, SystemTime};

use fuser::{FileAttr, FileType, INodeNo};

use crate::format::entry::{DeviceNumber, Timestamp};
use crate::serve::files::{Attributes, Kind};

/// What `stat` recommends to read at once, bytes.
const READ_LEN: u32 = 128 * 1024;

/// The attributes of an inode, which belongs to `owner`, a user and a group, as far as that is said.
pub(super) fn of(
    inode: u64,
    attributes: &Attributes,
    owner: (Option<u32>, Option<u32>),
) -> FileAttr {
    let time = system_time(attributes.mtime);
    FileAttr {
        ino: INodeNo(inode),
        size: attributes.len,
        blocks: attributes.blocks,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: file_type(attributes.kind),
        perm: attributes.mode,
        nlink: attributes.links,
        uid: owner.0.unwrap_or(attributes.uid),
        gid: owner.1.unwrap_or(attributes.gid),
        rdev: device_number(attributes.kind),
        blksize: READ_LEN,
        flags: 0,
    }
}

/// What says that a name stands for nothing, and lets the kernel remember that.
pub(super) fn nothing() -> FileAttr {
    let time = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(0),
        size: 0,
        blocks: 0,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: FileType::RegularFile,
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 0,
        flags: 0,
    }
}

fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Folder => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Fifo => FileType::NamedPipe,
        Kind::Socket => FileType::Socket,
        Kind::CharDevice(_) => FileType::CharDevice,
        Kind::BlockDevice(_) => FileType::BlockDevice,
    }
}

/// As the kernel packs it: 12 bits of the major number between 20 of the minor.
pub(super) fn device_number(kind: Kind) -> u32 {
    let (Kind::CharDevice(number) | Kind::BlockDevice(number)) = kind else {
        return 0;
    };
    let DeviceNumber { major, minor } = number;
    (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xf_ff00) << 12)
}

/// The time, or the nearest that can be said.
pub(super) fn system_time(time: Timestamp) -> SystemTime {
    let (epoch, seconds) = (SystemTime::UNIX_EPOCH, time.seconds.unsigned_abs());
    let whole = match time.seconds {
        0.. => epoch.checked_add(Duration::from_secs(seconds)),
        _ => epoch.checked_sub(Duration::from_secs(seconds)),
    };
    let exact = whole.and_then(|whole| whole.checked_add(Duration::new(0, time.nanoseconds)));
    exact.unwrap_or(epoch)
}
