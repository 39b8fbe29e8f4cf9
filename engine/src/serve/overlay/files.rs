//! The files of an overlay, and the lock that keeps others from them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation, OFlags};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits::{OVERLAY_GRAIN_LEN, RECORD_LEN_LIMIT};

use super::grains::{self, Grains, WORD_LEN};
use super::state::State;

const STATE: &str = "state";
/// A state in the making: in a folder without a state it says that what lies there is ours.
const STATE_NEW: &str = "state.new";
const DATA: &str = "data";
const WRITTEN: &str = "written";
const FLUSHED: &str = "flushed";

/// The folder of an overlay, locked as long as this lives, and its files.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Holds the lock, which the kernel lets go when the process ends however it does.
    folder: File,
    data: File,
    written: File,
    flushed: File,
}

impl Folder {
    /// Opens and locks it. A folder that is empty or not there becomes an overlay with this state.
    pub(super) fn open(path: &Path, new: &State) -> Result<Self> {
        let fail = |what: &str, error| Error::io(Place::Path(path.to_owned()), what, error);
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(fail("cannot be made", error));
            }
            _ => {}
        }
        let folder = File::open(path).map_err(|error| fail("cannot be opened", error))?;
        let locked = rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive);
        if locked == Err(Errno::WOULDBLOCK) {
            let detail = "is in use by another process";
            return Err(Error::new(
                ErrorKind::Busy,
                Place::Path(path.to_owned()),
                detail,
            ));
        }
        locked.map_err(|errno| fail("cannot be locked", errno.into()))?;
        let is_there = |name: &str| path.join(name).symlink_metadata().is_ok();
        if !is_there(STATE) {
            let mut found = path
                .read_dir()
                .map_err(|error| fail("cannot be read", error))?;
            if found.next().is_some() && !is_there(STATE_NEW) {
                let detail = "holds other files: an overlay needs a folder of its own";
                let place = Place::Path(path.to_owned());
                return Err(Error::new(ErrorKind::AlreadyExists, place, detail));
            }
            create(path, &folder, new)?;
        }
        Ok(Self {
            path: path.to_owned(),
            folder,
            data: open_file(path, DATA, false)?,
            written: open_file(path, WRITTEN, false)?,
            flushed: open_file(path, FLUSHED, false)?,
        })
    }

    pub(super) fn error(&self, kind: ErrorKind, detail: &str) -> Error {
        Error::new(kind, Place::Path(self.path.clone()), detail)
    }

    fn fail(&self, name: &str, what: &str, error: impl Into<io::Error>) -> Error {
        Error::io(Place::Path(self.path.join(name)), what, error.into())
    }

    pub(super) fn state(&self) -> Result<State> {
        let place = || Place::Path(self.path.join(STATE));
        let read = open_file(&self.path, STATE, false)?;
        let mut bytes = Vec::new();
        read.take(RECORD_LEN_LIMIT)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::io(place(), "cannot be read", error))?;
        State::decode(&bytes)
            .map_err(|error| Error::new(ErrorKind::Damaged, place(), error.to_string()))
    }

    pub(super) fn set_state(&self, state: &State) -> Result<()> {
        write_state(&self.path, state)?;
        put_state_in_place(&self.path, &self.folder)
    }

    /// The grains that count. If the machine `went_down` they are those of the last flush, and what
    /// was written after it is forgotten for good.
    pub(super) fn grains(&self, len: u64, went_down: bool) -> Result<Grains> {
        let file_len = grains::file_len(len.div_ceil(OVERLAY_GRAIN_LEN));
        self.check_len(DATA, &self.data, len)?;
        self.check_len(WRITTEN, &self.written, file_len)?;
        self.check_len(FLUSHED, &self.flushed, file_len)?;
        let (name, file) = match went_down {
            true => (FLUSHED, &self.flushed),
            false => (WRITTEN, &self.written),
        };
        let mut bytes = vec![0; file_len as usize];
        let read = file.read_exact_at(&mut bytes, 0);
        read.map_err(|error| self.fail(name, "cannot be read", error))?;
        if went_down {
            let written = self.written.write_all_at(&bytes, 0);
            written
                .and_then(|()| self.written.sync_data())
                .map_err(|error| self.fail(WRITTEN, "cannot be written", error))?;
        }
        Ok(Grains::decode(&bytes, !went_down))
    }

    fn check_len(&self, name: &str, file: &File, expected: u64) -> Result<()> {
        let found = file.metadata();
        let found = found
            .map_err(|error| self.fail(name, "cannot be examined", error))?
            .len();
        if found == expected {
            return Ok(());
        }
        let place = Place::Path(self.path.join(name));
        let detail = format!("has {found} bytes instead of {expected}");
        Err(Error::new(ErrorKind::Damaged, place, detail))
    }

    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let read = self.data.read_exact_at(out, offset);
        read.map_err(|error| self.fail(DATA, "cannot be read", error))
    }

    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let written = self.data.write_all_at(bytes, offset);
        written.map_err(|error| self.fail(DATA, "cannot be written", error))
    }

    /// Makes a grain zeros: a hole, where the file system has them.
    pub(super) fn clear(&self, range: Range<u64>) -> Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let len = range.end - range.start;
        match rustix::fs::fallocate(&self.data, flags, range.start, len) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.write(range.start, &vec![0; len as usize]),
            Err(errno) => Err(self.fail(DATA, "cannot be cleared", errno)),
        }
    }

    /// Notes a word of the bits of grains that count.
    pub(super) fn note(&self, word: usize, value: u64) -> Result<()> {
        let offset = (word * WORD_LEN) as u64;
        let written = self.written.write_all_at(&value.to_le_bytes(), offset);
        written.map_err(|error| self.fail(WRITTEN, "cannot be written", error))
    }

    /// Makes the data durable, and after it the bits that say that it is there.
    pub(super) fn flush(&self, words: &[(usize, u64)]) -> Result<()> {
        self.data
            .sync_data()
            .map_err(|error| self.fail(DATA, "cannot be flushed", error))?;
        for (word, value) in words {
            let offset = (word * WORD_LEN) as u64;
            self.flushed
                .write_all_at(&value.to_le_bytes(), offset)
                .map_err(|error| self.fail(FLUSHED, "cannot be written", error))?;
        }
        if words.is_empty() {
            return Ok(());
        }
        self.flushed
            .sync_data()
            .map_err(|error| self.fail(FLUSHED, "cannot be flushed", error))
    }
}

/// Files first and the state last: an overlay without a state never was one.
fn create(path: &Path, folder: &File, state: &State) -> Result<()> {
    write_state(path, state)?;
    let bits = grains::file_len(state.len.div_ceil(OVERLAY_GRAIN_LEN));
    for (name, len) in [(DATA, state.len), (WRITTEN, bits), (FLUSHED, bits)] {
        let file = open_file(path, name, true)?;
        let made = file.set_len(0).and_then(|()| file.set_len(len));
        made.and_then(|()| file.sync_all())
            .map_err(|error| Error::io(Place::Path(path.join(name)), "cannot be made", error))?;
    }
    put_state_in_place(path, folder)
}

fn write_state(path: &Path, state: &State) -> Result<()> {
    let mut file = open_file(path, STATE_NEW, true)?;
    let written = file
        .set_len(0)
        .and_then(|()| file.write_all(state.encode().as_bytes()))
        .and_then(|()| file.sync_all());
    written.map_err(|error| {
        let place = Place::Path(path.join(STATE_NEW));
        Error::io(place, "cannot be written", error)
    })
}

fn put_state_in_place(path: &Path, folder: &File) -> Result<()> {
    let place = || Place::Path(path.join(STATE));
    std::fs::rename(path.join(STATE_NEW), path.join(STATE))
        .and_then(|()| folder.sync_all())
        .map_err(|error| Error::io(place(), "cannot be replaced", error))
}

/// A symbolic link in its place is not followed.
fn open_file(folder: &Path, name: &str, creates: bool) -> Result<File> {
    let path = folder.join(name);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(creates).mode(0o600);
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    options
        .open(&path)
        .map_err(|error| Error::io(Place::Path(path), "cannot be opened", error))
}
