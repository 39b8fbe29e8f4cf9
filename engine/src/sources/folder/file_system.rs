//! What a kind of file system can be trusted with, from the magic number that `statfs` gives.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::fs::{FsWord, fstatfs};

use crate::mutants::{self, Mutant};

const EXT: u64 = 0xef53;
const XFS: u64 = 0x5846_5342;
const BTRFS: u64 = 0x9123_683e;
const TMPFS: u64 = 0x0102_1994;
const F2FS: u64 = 0xf2f5_2010;
const BCACHEFS: u64 = 0xca45_1a4e;
const ZFS: u64 = 0x2fc1_2fc1;
const NFS: u64 = 0x6969;
const SMB: u64 = 0x517b;
const CIFS: u64 = 0xff53_4d42;
const SMB2: u64 = 0xfe53_4d42;
const CEPH: u64 = 0x00c3_6400;
const NINE_P: u64 = 0x0102_1997;

/// How the holes of a file are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sources) enum Holes {
    /// In the map of its extents: `SEEK_HOLE` depends on what is in the cache.
    Mapped,
    /// By `SEEK_HOLE`.
    Sought,
    /// Not at all.
    Unknown,
}

/// Kind of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sources) struct FileSystem {
    magic: u64,
}

impl FileSystem {
    /// The one that `fd` lies on.
    pub(in crate::sources) fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self {
            magic: magic(fstatfs(fd)?.f_type),
        })
    }

    /// How much older than the clock the time of a change that happens now may look: ticks of the
    /// kernel for local ones, two seconds for FAT and whatever we do not know (FUSE among them),
    /// another machine's clock for network ones.
    pub(super) fn time_slack(self) -> Duration {
        match self.magic {
            EXT | XFS | BTRFS | TMPFS | F2FS | BCACHEFS | ZFS => Duration::from_millis(20),
            NFS | SMB | CIFS | SMB2 | CEPH | NINE_P => Duration::from_secs(3),
            _ => Duration::from_secs(2),
        }
    }

    /// How holes are found: where the answer is certain that they read as zeros. Elsewhere (ZFS and
    /// others have reported holes over data not yet written) everything is read.
    pub(in crate::sources) fn holes(self) -> Holes {
        match self.magic {
            EXT | XFS => Holes::Mapped,
            BTRFS | TMPFS | F2FS | BCACHEFS => Holes::Sought,
            _ if mutants::is_on(Mutant::HolesTrusted) => Holes::Sought,
            _ => Holes::Unknown,
        }
    }
}

/// True if the holes of files are believed on the file system of this magic number.
#[cfg(any(test, feature = "testing"))]
pub fn believes_holes(magic: u64) -> bool {
    FileSystem { magic }.holes() != Holes::Unknown
}

/// The 32 bits that count; the kernel's type is signed and wider on some machines.
fn magic(raw: FsWord) -> u64 {
    raw as u64 & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_file_systems_on_the_list_have_their_holes_believed() {
        for magic in [EXT, XFS, BTRFS, TMPFS, F2FS, BCACHEFS] {
            assert_ne!(FileSystem { magic }.holes(), Holes::Unknown, "{magic:x}");
        }
        for magic in [ZFS, NFS, CIFS, 0x6573_5546, 0x4d44, 0] {
            assert_eq!(FileSystem { magic }.holes(), Holes::Unknown, "{magic:x}");
        }
    }

    #[test]
    fn the_coarser_the_clock_the_longer_the_slack() {
        let slack = |magic| FileSystem { magic }.time_slack();
        assert!(slack(EXT) < slack(0x4d44) && slack(0x4d44) < slack(NFS));
        assert_eq!(
            slack(0x4d44),
            slack(0),
            "an unknown file system is taken for a coarse one"
        );
    }
}
