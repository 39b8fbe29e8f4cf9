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
use crate::sources::folder::file_system::FileSystem;
use crate::sources::folder::sparse::DataRuns;
use crate::sources::volume::allocation::AllocationBuilder;
use crate::sources::volume::{
    Allocated, AllocationKind, Identity, SECTOR_DEFAULT, VolumeKind, VolumeSource, check_len,
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
    /// The file system is on the list of those that tell the truth about holes.
    reports_holes: bool,
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
        let reports_holes = FileSystem::of(file.as_fd()).is_ok_and(FileSystem::reports_holes_truly);
        Ok(Self {
            identity: identity(path),
            opened: Seen::of(&metadata),
            file,
            reports_holes,
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
            answer.push_until(run.start, AllocationKind::Hole);
            answer.push_until(run.end, AllocationKind::Data);
        }
        answer.push_until(range.end, AllocationKind::Hole);
        let pieces = answer.finish();
        if !self.holes_read_as_zeros(&pieces)? {
            self.lied.store(true, Ordering::Relaxed);
            return Ok(AllocationBuilder::new(range.clone()).finish());
        }
        Ok(pieces)
    }

    fn holes_read_as_zeros(&self, pieces: &[Allocated]) -> io::Result<bool> {
        let is_hole = |piece: &&Allocated| piece.kind == AllocationKind::Hole;
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

    /// What to say if the file was written since it was opened.
    pub(super) fn modification_warning(
        &self,
        now: io::Result<std::fs::Metadata>,
    ) -> Option<String> {
        let now = now.map(|metadata| Self::of(&metadata));
        let is_modified = now.is_ok_and(|now| now.modified != self.modified);
        is_modified.then(|| "the image was written while it was read".to_owned())
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
        if !self.reports_holes || self.lied.load(Ordering::Relaxed) {
            return Ok(AllocationBuilder::new(range).finish());
        }
        let runs = DataRuns::of(self.file.as_fd(), range.clone(), true);
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

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.lied.load(Ordering::Relaxed) {
            warnings.push(
                "the file system reported a hole where the image has data: all of it is read"
                    .to_owned(),
            );
        }
        warnings.extend(self.opened.modification_warning(self.file.metadata()));
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AllocationKind::{Data, Hole};

    const LEN: u64 = 1 << 20;

    /// 64 KiB of ones at 256 KiB, in a file of 1 MiB that is a hole elsewhere.
    fn image() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("disk.raw");
        let file = File::create(&path).expect("a file");
        file.set_len(LEN).expect("its length");
        file.write_all_at(&[1; 65536], LEN / 4).expect("its data");
        (folder, path)
    }

    #[test]
    fn holes_of_a_trusted_file_system_are_not_data() {
        let (_folder, path) = image();
        let volume = FileVolume::open(&path).expect("an image");
        if !volume.reports_holes {
            return; // the temporary folder lies on a file system that is not on the list
        }
        let kinds = |range| -> Vec<_> {
            let pieces = volume.allocation(range).expect("an answer");
            pieces.into_iter().map(|p| (p.range, p.kind)).collect()
        };
        let data = LEN / 4..LEN / 4 + 65536;
        let holes = [(0..data.start, Hole), (data.end..LEN, Hole)];
        let [before, after] = holes;
        assert_eq!(kinds(0..LEN), [before, (data.clone(), Data), after]);
        let inner = data.start + 100..data.end - 100;
        assert_eq!(kinds(inner.clone()), [(inner, Data)]);
        assert_eq!(kinds(7..7), []);
        assert!(volume.warnings().is_empty());
        assert!(volume.allocation(0..LEN + 1).is_err());
    }

    #[test]
    fn a_file_system_that_lies_about_holes_is_not_believed_again() {
        let (_folder, path) = image();
        let volume = FileVolume::open(&path).expect("an image");
        let lie = 0..LEN / 4 + 1; // the last byte is not zero
        let answer = volume.allocation_from(&lie, std::iter::empty());
        let data = |range| vec![Allocated { range, kind: Data }];
        assert_eq!(answer.expect("an answer"), data(lie));
        assert_eq!(volume.allocation(0..LEN).expect("an answer"), data(0..LEN));
        assert_eq!(volume.warnings().len(), 1);
    }

    #[test]
    fn samples_lie_within_their_hole_and_touch_both_ends() {
        for hole in [0..1, 5..4096, 0..4097, 4096..12288, 3..1 << 50] {
            let at: Vec<_> = samples(&hole).collect();
            assert!(at.iter().all(|at| hole.contains(at)), "{hole:?}: {at:?}");
            assert_eq!(at[0], hole.start);
            assert!(at[1] + SAMPLE_LEN >= hole.end);
            assert_eq!(at, samples(&hole).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_file_that_is_cut_off_while_it_is_read_is_an_error() {
        let (_folder, path) = image();
        let volume = FileVolume::open(&path).expect("an image");
        assert_eq!(volume.read_at(LEN - 3, &mut [0; 10]).expect("the end"), 3);
        assert_eq!(volume.read_at(LEN + 3, &mut [0; 10]).expect("behind"), 0);
        volume.check_unchanged().expect("unchanged");
        let file = File::options().write(true).open(&path).expect("the file");
        file.set_len(1000).expect("shorter");
        let error = volume.check_unchanged().expect_err("it shrank");
        let text = error.to_string();
        assert!(text.contains("shrank from 1048576 to 1000 bytes"), "{text}");
        let error = volume.read_at(0, &mut [0; 4096]).expect_err("cut off");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        file.set_len(LEN + 1).expect("longer");
        let text = volume.check_unchanged().expect_err("it grew").to_string();
        assert!(
            text.contains("grew from 1048576 to 1048577 bytes"),
            "{text}"
        );
        assert_eq!(
            volume.warnings(),
            ["the image was written while it was read"]
        );
    }

    #[test]
    fn another_file_in_its_place_is_an_error() {
        let (folder, path) = image();
        let volume = FileVolume::open(&path).expect("an image");
        let other = folder.path().join("other");
        std::fs::write(&other, b"another").expect("a file");
        std::fs::rename(&other, &path).expect("in its place");
        let error = volume.check_unchanged().expect_err("replaced");
        assert!(
            error.to_string().contains("another file of 7 bytes"),
            "{error}"
        );
    }

    #[test]
    fn only_regular_files_are_images() {
        let folder = tempfile::tempdir().expect("a folder");
        let kind = |path: &Path| FileVolume::open(path).expect_err("no image").kind();
        assert_eq!(kind(folder.path()), ErrorKind::InvalidInput);
        assert_eq!(kind(&folder.path().join("x")), ErrorKind::NotFound);
        assert_eq!(kind(Path::new("/dev/zero")), ErrorKind::InvalidInput);
    }
}
