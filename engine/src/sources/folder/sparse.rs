//! Where a sparse file has data.

use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::sources::folder::file::SourceFile;
use crate::sources::folder::file_system::FileSystem;

/// The runs of data in a file, ascending, apart, none empty; what lies between reads as zeros and
/// is not allocated.
#[derive(Debug)]
pub struct DataRuns<'a> {
    fd: BorrowedFd<'a>,
    next: u64,
    len: u64,
    holes_are_believed: bool,
}

impl SourceFile {
    /// The runs of data among the first `len` bytes. Worth asking if [`Stat::may_have_holes`].
    ///
    /// On a file system that is not known to tell the truth about holes, all is one run.
    ///
    /// [`Stat::may_have_holes`]: crate::sources::folder::Stat::may_have_holes
    pub fn data_runs(&self, len: u64) -> DataRuns<'_> {
        let holes_are_believed =
            FileSystem::of(self.fd()).is_ok_and(FileSystem::reports_holes_truly);
        DataRuns::of(self.fd(), 0..len, holes_are_believed)
    }
}

impl<'a> DataRuns<'a> {
    /// The runs of data within `range` of an open file.
    pub(in crate::sources) fn of(
        fd: BorrowedFd<'a>,
        range: Range<u64>,
        holes_are_believed: bool,
    ) -> Self {
        Self {
            fd,
            next: range.start,
            len: range.end,
            holes_are_believed,
        }
    }

    /// The first run at or after `at`; `None` if there are only holes.
    fn run_from(&self, at: u64) -> rustix::io::Result<Option<Range<u64>>> {
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
        let found = if self.holes_are_believed {
            self.run_from(rest.start)
        } else {
            Err(Errno::INVAL)
        };
        match found {
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
