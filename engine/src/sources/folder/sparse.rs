//! Where a sparse file has data.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::sources::folder::fiemap::written_extents;
use crate::sources::folder::file::SourceFile;
use crate::sources::folder::file_system::{FileSystem, Holes};

/// The runs of data in a file, ascending, apart, none empty; what lies between reads as zeros and
/// is not allocated.
#[derive(Debug)]
pub struct DataRuns<'a> {
    fd: BorrowedFd<'a>,
    next: u64,
    len: u64,
    holes: Holes,
    /// What was mapped and not yet given, and where the map goes on.
    mapped: VecDeque<Range<u64>>,
    map_next: Option<u64>,
}

impl SourceFile {
    /// The runs of data among the first `len` bytes. Worth asking if [`Stat::may_have_holes`].
    ///
    /// On a file system that is not known to tell the truth about holes, all is one run.
    ///
    /// [`Stat::may_have_holes`]: crate::sources::folder::Stat::may_have_holes
    pub fn data_runs(&self, len: u64) -> DataRuns<'_> {
        let holes = FileSystem::of(self.fd()).map_or(Holes::Unknown, FileSystem::holes);
        DataRuns::of(self.fd(), 0..len, holes)
    }
}

impl<'a> DataRuns<'a> {
    /// The runs of data within `range` of an open file.
    pub(in crate::sources) fn of(fd: BorrowedFd<'a>, range: Range<u64>, holes: Holes) -> Self {
        Self {
            fd,
            next: range.start,
            len: range.end,
            holes,
            mapped: VecDeque::new(),
            map_next: Some(range.start),
        }
    }

    /// The first run at or after `at`; `None` if there are only holes.
    fn run_from(&mut self, at: u64) -> rustix::io::Result<Option<Range<u64>>> {
        match self.holes {
            Holes::Mapped => match self.mapped_run(at) {
                Err(Errno::OPNOTSUPP | Errno::NOTTY) => {
                    self.holes = Holes::Sought;
                    self.sought_run(at)
                }
                // Writing back may have failed, which says nothing of reading.
                Err(_) => Err(Errno::INVAL),
                found => found,
            },
            Holes::Sought => self.sought_run(at),
            Holes::Unknown => Err(Errno::INVAL),
        }
    }

    /// Extents that touch are one run: how a file is scattered must not show.
    fn mapped_run(&mut self, at: u64) -> rustix::io::Result<Option<Range<u64>>> {
        let mut run: Option<Range<u64>> = None;
        while let Some(extent) = self.mapped_extent()? {
            match &mut run {
                None => run = Some(extent.start.max(at)..extent.end),
                Some(run) if extent.start <= run.end => run.end = run.end.max(extent.end),
                Some(_) => {
                    self.mapped.push_front(extent);
                    break;
                }
            }
        }
        Ok(run)
    }

    fn mapped_extent(&mut self) -> rustix::io::Result<Option<Range<u64>>> {
        while self.mapped.is_empty() {
            let Some(next) = self.map_next.filter(|&next| next < self.len) else {
                return Ok(None);
            };
            let found = written_extents(self.fd, next..self.len)?;
            self.mapped.extend(found.written);
            self.map_next = found.next;
        }
        Ok(self.mapped.pop_front())
    }

    fn sought_run(&self, at: u64) -> rustix::io::Result<Option<Range<u64>>> {
        let start = match seek(self.fd, SeekFrom::Data(at)) {
            Err(Errno::NXIO) => return Ok(None),
            other => other?,
        };
        let end = match seek(self.fd, SeekFrom::Hole(start)) {
            // Shorter meanwhile: the reader finds out by reading.
            Err(Errno::NXIO) => self.len,
            other => other?,
        };
        Ok(Some(start..end))
    }
}

impl Iterator for DataRuns<'_> {
    type Item = io::Result<Range<u64>>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.next..self.len;
        if rest.is_empty() {
            return None;
        }
        self.next = self.len;
        match self.run_from(rest.start) {
            Ok(None) => None,
            Ok(Some(run)) if run.start >= self.len => None,
            Ok(Some(run)) if run.start >= rest.start && run.end > run.start => {
                self.next = run.end.min(self.len);
                Some(Ok(run.start..self.next))
            }
            // An answer that makes no sense, or none at all: read everything.
            Ok(Some(_)) | Err(Errno::INVAL | Errno::OPNOTSUPP) => Some(Ok(rest)),
            Err(other) => Some(Err(other.into())),
        }
    }
}
