//! One regular file on its way into the target.
//!
//! Its bytes come in any order and from any thread. Nothing is flushed to the medium: a restore
//! that is cut short is run again.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::error::Result;
use crate::format::entry::Metadata;
use crate::limits::KIB;
use crate::targets::folder::metadata::NotApplied;
use crate::targets::folder::metadata::Object;
use crate::targets::folder::placement::Slot;

/// Zeros written at once.
static ZEROS: [u8; 256 * KIB] = [0; 256 * KIB];

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
    pub fn write_at(&self, mut offset: u64, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match rustix::io::pwrite(&self.file, bytes, offset) {
                Ok(0) => return self.checked("write", Err(Errno::IO)),
                Ok(written) => {
                    offset += written as u64;
                    bytes = &bytes[written..];
                }
                Err(Errno::INTR) => {}
                Err(errno) => return self.checked("write", Err(errno)),
            }
        }
        Ok(())
    }

    /// Writes zeros that take up space: reserved space without bytes would be a hole to whoever
    /// asks the file system.
    pub fn write_zeros(&self, mut offset: u64, mut len: u64) -> Result<()> {
        while len > 0 {
            let step = len.min(ZEROS.len() as u64);
            // At most the length of the array.
            self.write_at(offset, &ZEROS[..step as usize])?;
            (offset, len) = (offset + step, len - step);
        }
        Ok(())
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
        let mut filled = 0;
        while filled < buffer.len() {
            match rustix::io::pread(&self.file, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => return self.checked("read back", Err(Errno::IO)),
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(errno) => return self.checked("read back", Err(errno)),
            }
        }
        Ok(())
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
