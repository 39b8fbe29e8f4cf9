//! An open regular file: read at any offset, by any number of threads.
//!
//! Deliberately absent from reading: hints about caching. Sequential readahead is the kernel's
//! default, and dropping pages takes them from whoever else uses the file; only who measures a
//! medium asks for that.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Advice, CWD, Mode, OFlags, fadvise, openat};
use rustix::io::{Errno, pread, retry_on_intr};

use crate::error::{Error, Result};
use crate::pipeline::ReadAt;
use crate::sources::folder::open::open_quietly;
use crate::sources::folder::stat::{FileKind, Stat, stat_at};
use crate::sources::folder::{FolderHandle, FolderSource};

/// An open regular file of a source.
#[derive(Debug)]
pub struct SourceFile {
    fd: OwnedFd,
    stat: Stat,
    parent: Option<FolderHandle>,
    name: Vec<u8>,
}

impl FolderSource {
    /// Opens a regular file for reading; `NotFound` if something else has taken its place.
    ///
    /// It may be another file of that name than the one that was listed: an entry must be made
    /// from [`SourceFile::stat`], not from the listing.
    pub fn open_file(&self, parent: Option<&FolderHandle>, name: &[u8]) -> Result<SourceFile> {
        let (folder, at) = self.locate(parent, name);
        // Without NONBLOCK a FIFO that has been swapped in would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = match open_quietly(folder, at, flags) {
            Err(Errno::AGAIN) => open_leased(folder, at),
            other => other,
        };
        let fd = opened.map_err(|errno| match errno {
            Errno::LOOP | Errno::NXIO => self.replaced(parent, name, "a regular file"),
            other => self.error(parent, name, "opening the file", other.into()),
        })?;
        let stat = stat_at(fd.as_fd(), c"")
            .map_err(|cause| self.error(parent, name, "reading its status", cause))?;
        if stat.kind != FileKind::File {
            return Err(self.replaced(parent, name, "a regular file"));
        }
        Ok(SourceFile {
            fd,
            stat,
            parent: parent.cloned(),
            name: name.to_vec(),
        })
    }

    /// What a failure of [`SourceFile::read_at`] and its like is, with the path of the file.
    pub fn file_error(&self, file: &SourceFile, what: &str, cause: io::Error) -> Error {
        self.error(file.parent(), file.name(), what, cause)
    }
}

impl ReadAt for SourceFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        read_full(self.fd.as_fd(), offset, buffer)
    }
}

impl SourceFile {
    /// Its status when it was opened.
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// Its status now: whether it held still while it was read.
    pub fn stat_now(&self) -> io::Result<Stat> {
        stat_at(self.fd.as_fd(), c"")
    }

    /// Asks the kernel to forget what it has cached of the file, as far as that is on the medium.
    pub fn drop_cached(&self) -> io::Result<()> {
        Ok(fadvise(&self.fd, 0, None, Advice::DontNeed)?)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The folder it was opened in; nothing for a root.
    pub fn parent(&self) -> Option<&FolderHandle> {
        self.parent.as_ref()
    }

    /// Its name there.
    pub fn name(&self) -> &[u8] {
        &self.name
    }
}

/// Opens a file that a file server holds a lease on, which takes until the server gives it back.
///
/// Waiting is safe only on a regular file, so the object is held first, then examined, then opened
/// for reading: `NXIO` if it is of another kind.
pub(super) fn open_leased(folder: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let held = open_quietly(folder, name, OFlags::PATH)?;
    if !stat_at(held.as_fd(), c"").is_ok_and(|stat| stat.kind == FileKind::File) {
        return Err(Errno::NXIO);
    }
    let path = format!("/proc/self/fd/{}", held.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    retry_on_intr(|| openat(CWD, path.as_str(), flags, Mode::empty()))
}

/// Reads until `buffer` is full or the file ends; a full buffer costs no call to find the end.
pub(super) fn read_full(fd: BorrowedFd<'_>, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let rest = &mut buffer[filled..];
        match retry_on_intr(|| pread(fd, &mut *rest, offset + filled as u64))? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
