//! What an interrupted restore has done already.
//!
//! ```text
//! head    magic, root, range, target, how it began; checksum
//! span*   first byte, first byte behind; checksum over everything before it
//! ```
//! A span is appended after what it says was flushed, and is flushed itself. Checksums are a
//! chain: a record of another journal, and everything behind a torn one, does not count. The
//! journal is small and simple on purpose: it says which bytes need not be written again, and
//! `verify` is the judge of whether they are right.
//!
//! Deliberately absent: any say on ranges that were lost; they are not spans, so a resumed restore
//! tries them again.

mod record;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::OFlags;

pub use crate::targets::volume::journal::record::JournalHead;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Place;
use crate::error::Result;
use crate::limits::MIB;
use crate::pipeline::ranges::joined;
use crate::targets::positioned;
use crate::targets::volume::VolumeTarget;
use crate::targets::volume::journal::record::Checksum;
use crate::targets::volume::journal::record::MAGIC;
use crate::targets::volume::journal::record::SPAN_LEN;
use crate::targets::volume::journal::record::decode_head;
use crate::targets::volume::journal::record::decode_spans;
use crate::targets::volume::journal::record::difference;
use crate::targets::volume::journal::record::encode_head;
use crate::targets::volume::journal::record::encode_span;
use crate::targets::volume::open::failed;
use crate::targets::volume::open::flush_folder_of;
use crate::targets::volume::refused;

/// Longest journal that is read: two million spans, each of them followed by a lost chunk.
const JOURNAL_LEN_MAX: u64 = 64 * MIB as u64;
/// Stands behind the name of a file whose journal lies beside it.
const SUFFIX: &str = ".restore-journal";

/// A journal that is open for appending.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    len: u64,
    checksum: Checksum,
}

impl Journal {
    /// Where the journal of a restore to `target` lies: in `state_folder`, or beside a file. A
    /// device without such a folder has none.
    pub fn place(target: &VolumeTarget, state_folder: Option<&Path>) -> Option<PathBuf> {
        let identity = target.identity();
        match state_folder {
            Some(folder) => {
                let kind = if identity.is_device { "device" } else { "file" };
                let (device, number) = (identity.device, identity.inode_or_len);
                Some(folder.join(format!("{kind}-{device:x}-{number:x}{SUFFIX}")))
            }
            None if identity.is_device => None,
            None => {
                let mut path = target.path().as_os_str().to_owned();
                path.push(SUFFIX);
                Some(PathBuf::from(path))
            }
        }
    }

    /// Begins a journal at `path`, in place of an older one.
    ///
    /// # Errors
    /// If something else is there, or it cannot be written.
    pub fn create(path: &Path, head: &JournalHead) -> Result<Self> {
        let file = open(path, true)?;
        let mut found = [0; MAGIC.len()];
        let len = length(path, &file)?;
        if len > 0 {
            let of_old = positioned::read_at(file.as_fd(), 0, &mut found);
            if of_old.is_err() || found != MAGIC {
                let detail = "is in the way of the journal of this restore and is none; move it";
                return Err(refused(ErrorKind::AlreadyExists, path, detail));
            }
        }
        let (bytes, checksum) = encode_head(head);
        let journal = Self {
            file,
            path: path.to_owned(),
            len: bytes.len() as u64,
            checksum,
        };
        journal.cut_to(0)?;
        journal.write(0, &bytes)?;
        flush_folder_of(path)?;
        Ok(journal)
    }

    /// Opens the journal of the interrupted restore that `head` describes; gives the spans that
    /// are done, ascending.
    ///
    /// # Errors
    /// If there is none, or it is of another restore.
    pub fn resume(path: &Path, head: &JournalHead) -> Result<(Self, Vec<Range<u64>>)> {
        let file = open(path, false).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                let detail = "there is no journal to resume from; restore without resume";
                refused(ErrorKind::NotFound, path, detail)
            }
            _ => error,
        })?;
        let mut bytes = Vec::new();
        let read = (&file).take(JOURNAL_LEN_MAX).read_to_end(&mut bytes);
        read.map_err(|error| Error::io(Place::Path(path.to_owned()), "read", error))?;
        let Some((found, checksum)) = decode_head(&bytes) else {
            let detail = "is no whole journal of a restore; restore without resume";
            return Err(refused(ErrorKind::Damaged, path, detail));
        };
        if let Some(difference) = difference(&found, head) {
            let detail = format!("{difference}; restore without resume");
            return Err(refused(ErrorKind::InvalidInput, path, detail));
        }
        let (spans, len, checksum) = decode_spans(&bytes, checksum, &head.range);
        let journal = Self {
            file,
            path: path.to_owned(),
            len,
            checksum,
        };
        journal.cut_to(len)?;
        Ok((journal, joined(spans)))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records that `spans` were written and flushed.
    pub fn append(&mut self, spans: &[Range<u64>]) -> Result<()> {
        let mut bytes = Vec::with_capacity(spans.len() * SPAN_LEN);
        let mut checksum = self.checksum;
        for span in spans {
            checksum = encode_span(&mut bytes, span, &checksum);
        }
        self.write(self.len, &bytes)?;
        self.len += bytes.len() as u64;
        self.checksum = checksum;
        Ok(())
    }

    /// Removes it: there is nothing to resume.
    pub fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path)
            .map_err(|error| Error::io(Place::Path(self.path.clone()), "remove", error))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        positioned::write_at(self.file.as_fd(), offset, bytes)
            .and_then(|()| rustix::fs::fdatasync(&self.file))
            .map_err(|errno| failed(&self.path, "write", errno))
    }

    fn cut_to(&self, len: u64) -> Result<()> {
        let outcome = rustix::fs::ftruncate(&self.file, len);
        outcome.map_err(|errno| failed(&self.path, "cut its end", errno))
    }
}

/// A symbolic link in its place is not followed.
fn open(path: &Path, create: bool) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).mode(0o600);
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    let failed = |error| Error::io(Place::Path(path.to_owned()), "open the journal", error);
    options.open(path).map_err(failed)
}

fn length(path: &Path, file: &File) -> Result<u64> {
    let failed = |error| Error::io(Place::Path(path.to_owned()), "examine", error);
    file.metadata().map(|stat| stat.len()).map_err(failed)
}
