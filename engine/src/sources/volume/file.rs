//! Raw image files: the bytes of a disk in a regular file.
//!
//! Holes are taken from the file system where it is known to tell the truth about them, and even
//! there a sample of every answer is read: one byte that is not zero, and nothing is believed any
//! more. Deliberately absent: formats. A file is never examined to find out what it might be.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::pipeline::ReadAt;
use crate::sources::folder::file_system::{FileSystem, Holes};
use crate::sources::folder::sparse::DataRuns;
use crate::sources::volume::allocation::AllocationBuilder;
use crate::sources::volume::{
    Allocated, Allocation, Identity, SECTOR_DEFAULT, VolumeKind, VolumeSource, check_len,
    check_range,
};

/// Holes of one answer that are sampled.
const SAMPLED_HOLES: usize = 16;
/// Samples within one hole, apart from its first and last block.
const SAMPLES_WITHIN: u64 = 2;
/// Bytes of one sample.
const SAMPLE_LEN: u64 = 4096;

/// A raw image file.
#[derive(Debug)]
pub struct FileVolume {
    file: File,
    identity: Identity,
    opened: Seen,
    holes: Holes,
    /// It was found to lie all the same.
    lied: AtomicBool,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    len: u64,
    inode: (u64, u64),
    modified: (i64, i64),
}

impl FileVolume {
    /// Opens the regular file at `path`; symbolic links are followed.
    pub fn open(path: &Path) -> Result<Self> {
        let place = || Place::Path(path.to_owned());
        let failed = |error: io::Error| Error::io(place(), "opening the image", error);
        let file = File::from(open_quietly(path).map_err(|e| failed(e.into()))?);
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            let detail = "is not a regular file";
            return Err(Error::new(ErrorKind::InvalidInput, place(), detail));
        }
        let holes = FileSystem::of(file.as_fd()).map_or(Holes::Unknown, FileSystem::holes);
        Ok(Self {
            identity: identity(path),
            opened: Seen::of(&metadata),
            file,
            holes,
            lied: AtomicBool::new(false),
        })
    }

    fn error(&self, what: &str, cause: io::Error) -> Error {
        Error::io(Place::Path(self.identity.location.clone()), what, cause)
    }

    /// Allocation of `range`, given its runs of data; what is between them is read in samples.
    fn allocation_from(
        &self,
        range: &Range<u64>,
        runs: impl Iterator<Item = io::Result<Range<u64>>>,
    ) -> io::Result<Vec<Allocated>> {
        let mut answer = AllocationBuilder::new(range.clone());
        for run in runs {
            let run = run?;
            answer.push_until(run.start, Allocation::Hole);
            answer.push_until(run.end, Allocation::Data);
        }
        answer.push_until(range.end, Allocation::Hole);
        let pieces = answer.finish();
        if !self.holes_read_as_zeros(&pieces)? {
            self.lied.store(true, Ordering::Relaxed);
            return Ok(AllocationBuilder::new(range.clone()).finish());
        }
        Ok(pieces)
    }

    fn holes_read_as_zeros(&self, pieces: &[Allocated]) -> io::Result<bool> {
        let is_hole = |piece: &&Allocated| piece.kind == Allocation::Hole;
        let holes: Vec<_> = pieces.iter().filter(is_hole).map(|p| &p.range).collect();
        let step = holes.len().div_ceil(SAMPLED_HOLES).max(1);
        let mut block = [0; SAMPLE_LEN as usize];
        for hole in holes.into_iter().step_by(step) {
            for at in samples(hole) {
                let len = (hole.end - at).min(SAMPLE_LEN) as usize;
                let read = self.read_at(at, &mut block[..len])?;
                if block[..read].iter().any(|&byte| byte != 0) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Where a hole is read: its first and its last block, and places within that depend on where it
/// lies and on nothing else.
fn samples(hole: &Range<u64>) -> impl Iterator<Item = u64> {
    let Range { start, end } = *hole;
    let last = end.saturating_sub(SAMPLE_LEN).max(start);
    let within = (1..=SAMPLES_WITHIN).map(move |n| {
        // A multiplicative hash: any spread will do, as long as it is the same tomorrow.
        let spread = (start ^ end.rotate_left(32) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        start + (spread >> 1) % (last - start + 1)
    });
    [start, last].into_iter().chain(within)
}

fn identity(path: &Path) -> Identity {
    Identity {
        kind: VolumeKind::File,
        location: PathBuf::from(path),
        model: None,
        serial: None,
        uuid: None,
        logical_sector: SECTOR_DEFAULT,
        physical_sector: SECTOR_DEFAULT,
        rotational: None,
    }
}

/// Opens for reading, without changing the access time where that is permitted, and without
/// waiting for the writer of a FIFO.
fn open_quietly(path: &Path) -> rustix::io::Result<std::os::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let open = |flags| openat(CWD, path, flags, Mode::empty());
    match open(flags | OFlags::NOATIME) {
        Err(Errno::PERM) => open(flags),
        result => result,
    }
}

impl Seen {
    pub(super) fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            len: metadata.len(),
            inode: (metadata.dev(), metadata.ino()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// Refuses another file, or one of another length, in the place of the one that was opened.
    pub(super) fn check_same(&self, location: &Path) -> Result<()> {
        let place = || Place::Path(location.to_owned());
        let now = std::fs::metadata(location)
            .map_err(|e| Error::io(place(), "asking for the image's length", e))?;
        let now = Self::of(&now);
        if now.inode == self.inode {
            return check_len(location, self.len, now.len);
        }
        let detail = format!(
            "is another file of {} bytes than the one of {} that was read",
            now.len, self.len
        );
        Err(Error::new(ErrorKind::Busy, place(), detail))
    }

    /// True if the file was written since it was opened, as `now` shows.
    pub(super) fn was_written(&self, now: io::Result<std::fs::Metadata>) -> bool {
        now.is_ok_and(|now| Self::of(&now).modified != self.modified)
    }
}

impl ReadAt for FileVolume {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        read_full(&self.file, self.opened.len, offset, buffer)
    }
}

/// Reads until `buffer` is full or the volume, of `len` bytes when it was opened, ends. A file that
/// has been cut off meanwhile is an error and not a shorter volume.
pub(super) fn read_full(
    file: &File,
    len: u64,
    offset: u64,
    buffer: &mut [u8],
) -> io::Result<usize> {
    let wanted = len.saturating_sub(offset).min(buffer.len() as u64) as usize;
    let mut filled = 0;
    while filled < wanted {
        match file.read_at(&mut buffer[filled..wanted], offset + filled as u64) {
            Ok(0) => {
                let end = offset + filled as u64;
                let detail = format!("ends at {end}, and had {len} bytes when it was opened");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, detail));
            }
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted)
}

impl VolumeSource for FileVolume {
    fn len(&self) -> u64 {
        self.opened.len
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn allocation(&self, range: Range<u64>) -> Result<Vec<Allocated>> {
        check_range(&self.identity.location, &range, self.opened.len)?;
        if self.holes == Holes::Unknown || self.lied.load(Ordering::Relaxed) {
            return Ok(AllocationBuilder::new(range).finish());
        }
        let runs = DataRuns::of(self.file.as_fd(), range.clone(), self.holes);
        self.allocation_from(&range, runs)
            .map_err(|e| self.error("asking where the image has data", e))
    }

    fn check_unchanged(&self) -> Result<()> {
        let location = &self.identity.location;
        let held = self.file.metadata();
        let held = held.map_err(|e| self.error("asking for the image's length", e))?;
        check_len(location, self.opened.len, held.len())?;
        self.opened.check_same(location)
    }

    fn was_written(&self) -> bool {
        self.opened.was_written(self.file.metadata())
    }

    fn warnings(&self) -> Vec<String> {
        let lied = self.lied.load(Ordering::Relaxed);
        let warning = "the file system reported a hole where the image has data: all of it is read";
        lied.then(|| warning.to_owned()).into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
