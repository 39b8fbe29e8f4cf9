//! A file or block device that the bytes of a volume are restored to.
//!
//! ```text
//! open      a file that is made or taken over, a device that is claimed
//! checks    every refusal before the first write: does it fit, what lies on it, who uses it
//! facts     what is at a path, for a question before it is overwritten
//! uses      who uses a device
//! ground    what a folder that must survive lies on
//! journal   what an interrupted restore has done already
//! output    a file that gets its name when it is complete
//! vhd       the footer that makes raw bytes a disk of fixed size
//! convert   other image formats, by qemu-img as a child
//! ```
//! Bytes come in any order and from any thread. A new file begins as one hole; of a device and of
//! a file that is restored in place nothing is assumed: what should read as zeros is made to.
//! Deliberately absent: threads, any knowledge of manifests and chunks.

mod checks;
pub mod convert;
mod facts;
mod ground;
pub mod journal;
mod open;
pub mod output;
mod uses;
pub mod vhd;

use std::ops::Range;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

pub use crate::targets::volume::facts::TargetFacts;
pub use crate::targets::volume::facts::inspect;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Place;
use crate::error::Result;
use crate::limits::KIB;
use crate::targets::positioned;

/// The kernel zeroes ranges of devices in whole pages of its cache, to leave neighbours alone.
const DEVICE_ALIGNMENT: u64 = 4 * KIB as u64;

/// What to do with what is in the target already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Refuse a device, and a file that is not empty.
    #[default]
    Refuse,
    /// Replace it. A device is overwritten from the first byte of the volume to its last.
    Overwrite,
    /// Read it, and write what differs only. A longer file is cut, a shorter one made longer. What
    /// reads as zeros already is left as it is, whether it takes up space or not.
    InPlace,
}

/// How zeros are restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sparse {
    /// Holes as holes, zeros that took up space as zeros that do.
    #[default]
    AsRecorded,
    /// Both as holes.
    Max,
    /// Both as zeros that take up space.
    None,
}

/// How a target is opened.
#[derive(Clone, Debug, Default)]
pub struct VolumeTargetOptions {
    /// What to do with what is there.
    pub existing: Existing,
    /// How zeros are restored.
    pub sparse: Sparse,
    /// Logical sector of the captured device, bytes, if it is known. A device with another is
    /// refused: partition tables and file systems count in sectors.
    pub sector_len: Option<u32>,
    /// Folders that must survive: the repository, caches. A target that they lie on is refused.
    pub spare: Vec<PathBuf>,
    /// Open what an interrupted restore left, as it is.
    pub resume: bool,
}

/// What a target is, so that it is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetIdentity {
    /// True for a block device.
    pub is_device: bool,
    /// Number of the device, or of the one that the file lies on.
    pub device: u64,
    /// Inode number of a file, length of a device in bytes.
    pub inode_or_len: u64,
    /// Hash of what the hardware calls itself; zeros for a file and for what has no name.
    pub hardware: [u8; 16],
}

/// A file or block device that is open, checked and, but for [`VolumeTarget::open_to_read`],
/// ours alone.
#[derive(Debug)]
pub struct VolumeTarget {
    file: Held,
    path: PathBuf,
    identity: TargetIdentity,
    sparse: Sparse,
    /// Bytes of the device, or that the file was given.
    len: u64,
    /// Reads as zeros where nothing was written.
    begins_empty: bool,
    /// Was made by opening it.
    is_new: bool,
    /// A way to have the kernel zero a range that it turned out not to have.
    cannot_punch: AtomicBool,
    cannot_zero: AtomicBool,
    written: AtomicU64,
    zeroed: AtomicU64,
}

/// An open target, and the lock on it if it is a file.
#[derive(Debug)]
struct Held(OwnedFd);

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A child that is being started shares the descriptor, and with it the lock, for a moment
        // longer. Without a lock there is nothing to give back.
        let _ = rustix::fs::flock(&self.0, rustix::fs::FlockOperation::Unlock);
    }
}

impl VolumeTarget {
    /// Where it is, in the caller's words.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    pub fn identity(&self) -> TargetIdentity {
        self.identity
    }

    /// Bytes of the device or file.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True for a device or file of no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that were written so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Bytes that the kernel was told to zero, without writing them.
    pub fn zeroed(&self) -> u64 {
        self.zeroed.load(Ordering::Relaxed)
    }

    /// Writes bytes.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let outcome = positioned::write_at(self.file.as_fd(), offset, bytes);
        self.checked("write", outcome)?;
        self.written
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Fills `buffer` from `offset` on.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let outcome = positioned::read_at(self.file.as_fd(), offset, buffer);
        self.checked("read", outcome)
    }

    /// Makes a range read as zeros; it was `recorded_as_hole` or as zeros that took up space.
    /// On a device a hole is a range that it may forget.
    pub fn clear(&self, range: Range<u64>, recorded_as_hole: bool) -> Result<()> {
        let hole = match self.sparse {
            Sparse::AsRecorded => recorded_as_hole,
            Sparse::Max => true,
            Sparse::None => false,
        };
        if hole && self.begins_empty {
            return Ok(());
        }
        if hole && self.told_kernel(&range, &self.cannot_punch, FallocateFlags::PUNCH_HOLE)? {
            return Ok(());
        }
        // To a file system reserved space is a hole again: only bytes are bytes there.
        if self.identity.is_device
            && self.told_kernel(&range, &self.cannot_zero, FallocateFlags::ZERO_RANGE)?
        {
            return Ok(());
        }
        self.write_zeros(&range)
    }

    /// Has the kernel zero the pages of `range` and writes zeros to its edges. False if the target
    /// has no such way.
    fn told_kernel(
        &self,
        range: &Range<u64>,
        cannot: &AtomicBool,
        way: FallocateFlags,
    ) -> Result<bool> {
        let start = range.start.next_multiple_of(DEVICE_ALIGNMENT);
        let end = range.end / DEVICE_ALIGNMENT * DEVICE_ALIGNMENT;
        if start >= end || cannot.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let flags = way | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, flags, start, end - start) {
            Ok(()) => {}
            Err(Errno::INTR) => return Ok(false),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::NODEV) => {
                cannot.store(true, Ordering::Relaxed);
                return Ok(false);
            }
            outcome => return self.checked("zero a range", outcome).map(|()| true),
        }
        self.zeroed.fetch_add(end - start, Ordering::Relaxed);
        self.write_zeros(&(range.start..start))?;
        self.write_zeros(&(end..range.end))?;
        Ok(true)
    }

    fn write_zeros(&self, range: &Range<u64>) -> Result<()> {
        let len = range.end - range.start;
        let outcome = positioned::write_zeros(self.file.as_fd(), range.start, len);
        self.checked("write", outcome)?;
        self.written.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }

    /// The parts of `range` that are not known to read as zeros: of a file what is no hole, of a
    /// device all.
    pub fn data_runs(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut runs = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let seek = |from| rustix::fs::seek(&self.file, from);
            let start = match seek(rustix::fs::SeekFrom::Data(at)) {
                Ok(start) if !self.identity.is_device => start.max(at),
                Err(Errno::NXIO) if !self.identity.is_device => break,
                _ => at,
            };
            let end = match seek(rustix::fs::SeekFrom::Hole(start)) {
                Ok(end) if !self.identity.is_device && end > start => end,
                _ => range.end,
            };
            if start < range.end {
                runs.push(start..end.min(range.end));
            }
            at = end;
        }
        runs
    }

    /// Has everything that was written reach the medium. After a failure nothing is known of what
    /// did, and a second flush would say nothing: the restore has to end.
    pub fn flush(&self) -> Result<()> {
        self.checked("flush", rustix::fs::fdatasync(&self.file))
    }

    /// Has what was flushed leave memory: what is read afterwards comes from the medium.
    pub fn drop_cache(&self) {
        // A hint: a file system that ignores it gives the same bytes, from memory.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
    }

    fn checked(&self, what: &str, outcome: Result<(), Errno>) -> Result<()> {
        outcome.map_err(|errno| self.error(what, errno))
    }

    fn error(&self, what: &str, errno: Errno) -> Error {
        open::failed(&self.path, what, errno)
    }
}

/// Refuses a request that concerns the target at `path`.
fn refused(kind: ErrorKind, path: &Path, detail: impl Into<String>) -> Error {
    Error::new(kind, Place::Path(path.to_owned()), detail)
}
