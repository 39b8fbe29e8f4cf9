//! One regular file on its way into the target.
//!
//! Its bytes come in any order and from any thread. Nothing is flushed to the medium: a restore
//! that is cut short is run again.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::error::Result;
use crate::format::entry::Metadata;
use crate::targets::folder::metadata::NotApplied;
use crate::targets::folder::metadata::Object;
use crate::targets::folder::placement::Slot;
use crate::targets::positioned;

/// A file that was created and is not complete.
///
/// Holds one descriptor: the caller bounds how many are open. Dropped without
/// [`finish`](Self::finish), it is removed again, and what it would have replaced stays.
#[derive(Debug)]
pub struct TargetFile {
    file: OwnedFd,
    slot: Slot,
}

impl TargetFile {
    /// A new file of `len` bytes that is one hole.
    pub(super) fn new(file: OwnedFd, slot: Slot, len: u64) -> Result<Self> {
        let new = Self { file, slot };
        if len > 0 {
            new.checked("set its length", rustix::fs::ftruncate(&new.file, len))?;
        }
        Ok(new)
    }

    /// Writes bytes of the file.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let outcome = positioned::write_at(self.file.as_fd(), offset, bytes);
        self.checked("write", outcome)
    }

    /// Writes zeros that take up space: reserved space without bytes would be a hole to whoever
    /// asks the file system.
    pub fn write_zeros(&self, offset: u64, len: u64) -> Result<()> {
        let outcome = positioned::write_zeros(self.file.as_fd(), offset, len);
        self.checked("write", outcome)
    }

    /// Has everything written reach the medium, and leave memory: what is read afterwards comes
    /// from the medium.
    pub fn settle(&self) -> Result<()> {
        self.checked("flush", rustix::fs::fdatasync(&self.file))?;
        // A hint: a file system that ignores it gives the same bytes, from memory.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
        Ok(())
    }

    /// Fills `buffer` with what was written from `offset` on.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let outcome = positioned::read_at(self.file.as_fd(), offset, buffer);
        self.checked("read back", outcome)
    }

    /// Gives the file its metadata and its name; returns what could not be applied.
    pub fn finish(self, metadata: &Metadata) -> Result<Vec<NotApplied>> {
        let object = Object::Open(self.file.as_fd());
        let rules = self.slot.run().rules();
        let applied = rules.apply(&object, metadata, self.slot.folder.gives_acl);
        let losses =
            applied.map_err(|errno| self.slot.run().error(&self.slot.at, "look at", errno))?;
        self.slot.keep()?;
        Ok(losses)
    }

    fn checked(&self, what: &str, outcome: Result<(), Errno>) -> Result<()> {
        outcome.map_err(|errno| self.slot.run().error(&self.slot.at, what, errno))
    }
}
