//! A temporary area on a medium: a fresh folder that one process fills and that goes away with it.
//!
//! ```text
//! .blockstore-bench-0123456789abcdef/     made for its owner alone, never a folder that was there
//!     blockstore-bench.lock               what it is, in words; locked as long as its owner lives
//! ```
//! It is removed when it is dropped. Of a process that was killed it stays, and the lock is free:
//! the next one that is asked to [`sweep`] removes it. The lock goes last, so that what is left of
//! a removal is recognised as well. Deliberately absent: every meaning of what lies in it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, FlockOperation, fadvise, flock, statvfs, syncfs};

use crate::error::{Error, ErrorKind, Place, Result};

/// How the name of every area begins; sixteen hex digits follow.
const NAME_BEGINS: &str = ".blockstore-bench-";
const NAME_DIGITS: usize = 16;
const LOCK: &str = "blockstore-bench.lock";
const WORDS: &str = "This folder is a temporary area of blockstore bench.\n";
/// How often a name is drawn, if somebody sweeps while the area is made.
const ATTEMPTS: u32 = 3;

/// A temporary area.
#[derive(Debug)]
pub struct ScratchArea {
    path: PathBuf,
    /// Held for the lock on it.
    _lock: File,
    is_removed: bool,
}

/// A file of an area.
#[derive(Debug)]
pub struct ScratchFile {
    file: File,
    path: PathBuf,
}

/// What a [`sweep`] did with the areas of others.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Nobody used them any more: they are gone.
    pub removed: Vec<PathBuf>,
    /// Nobody uses them any more, and they could not be removed.
    pub left: Vec<PathBuf>,
}

impl ScratchArea {
    /// Makes a fresh area in `folder`, which must exist.
    ///
    /// # Errors
    /// If nothing can be made or locked there.
    pub fn create(folder: &Path) -> Result<Self> {
        let mut attempt = 1;
        loop {
            let digits = getrandom::u64().map_err(|error| {
                failed(
                    folder,
                    "no name can be drawn for a temporary area",
                    io::Error::other(error),
                )
            })?;
            let path = folder.join(format!("{NAME_BEGINS}{digits:016x}"));
            match make(&path) {
                Ok(lock) => {
                    return Ok(Self {
                        path,
                        _lock: lock,
                        is_removed: false,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                Err(error) => {
                    return Err(failed(folder, "no temporary area can be made there", error));
                }
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder in it, and those above it.
    ///
    /// # Errors
    /// If that fails.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| failed(&path, "cannot be made", error))?;
        Ok(path)
    }

    /// Makes a file in it, whose folder exists.
    ///
    /// # Errors
    /// If that fails, or there is one.
    pub fn file(&self, name: &str) -> Result<ScratchFile> {
        let path = self.path.join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        match options.open(&path) {
            Ok(file) => Ok(ScratchFile { file, path }),
            Err(error) => Err(failed(&path, "cannot be made", error)),
        }
    }

    /// Everything that was written to its file system is on the medium.
    ///
    /// # Errors
    /// If the medium fails.
    pub fn sync(&self) -> Result<()> {
        let sync = || -> io::Result<()> { Ok(syncfs(File::open(&self.path)?)?) };
        sync().map_err(|error| failed(&self.path, "cannot be flushed", error))
    }

    /// Asks the kernel to forget what it has cached of the files in folder `name`, as far as that
    /// is on the medium. Best effort.
    pub fn drop_cached(&self, name: &str) {
        drop_cached_below(&self.path.join(name));
    }

    /// Removes what lies at `name` in it, a file or a folder with everything in it.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn clear(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        remove(&path).map_err(|error| failed(&path, "cannot be removed", error))
    }

    /// Removes it with everything in it.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn remove(mut self) -> Result<()> {
        self.is_removed = true;
        remove_area(&self.path).map_err(|error| failed(&self.path, "cannot be removed", error))
    }
}

/// Also when an error or a signal ends the work; what stays then, the next sweep removes.
impl Drop for ScratchArea {
    fn drop(&mut self) {
        if !self.is_removed {
            let _ = remove_area(&self.path);
        }
    }
}

impl ScratchFile {
    /// Appends `bytes`.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes);
        written.map_err(|error| failed(&self.path, "cannot be written", error))
    }

    /// What was written is on the medium.
    ///
    /// # Errors
    /// If the medium fails.
    pub fn sync(&self) -> Result<()> {
        let synced = self.file.sync_data();
        synced.map_err(|error| failed(&self.path, "cannot be flushed", error))
    }

    /// Reads from `offset`; fewer bytes only at the end.
    ///
    /// # Errors
    /// If the medium fails.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self
                .file
                .read_at(&mut buffer[filled..], offset + filled as u64)
            {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(&self.path, "cannot be read", error)),
            }
        }
        Ok(filled)
    }

    /// Asks the kernel to forget what it has cached of it, as far as that is on the medium.
    pub fn drop_cached(&self) {
        let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
    }
}

/// A pattern in gitignore syntax that matches every area, and nothing else.
pub fn pattern() -> String {
    format!("{NAME_BEGINS}{}/", "[0-9a-f]".repeat(NAME_DIGITS))
}

/// True if `folder` is below `path`, or `path` itself, whatever links lead there.
pub fn lies_below(folder: &Path, path: &Path) -> bool {
    match (folder.canonicalize(), path.canonicalize()) {
        (Ok(folder), Ok(path)) => folder.starts_with(path),
        _ => false,
    }
}

/// Bytes that this user may still write to the file system of `path`.
///
/// # Errors
/// If the file system does not tell.
pub fn free_space(path: &Path) -> Result<u64> {
    let space = statvfs(path).map_err(|e| failed(path, "has no known free space", e.into()))?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Removes the areas in `folder` that a process left which was killed.
///
/// # Errors
/// If the folder cannot be listed.
pub fn sweep(folder: &Path) -> Result<Swept> {
    let unlisted = |error| failed(folder, "cannot be listed", error);
    let mut swept = Swept::default();
    for entry in fs::read_dir(folder).map_err(unlisted)? {
        let entry = entry.map_err(unlisted)?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder || !entry.file_name().to_str().is_some_and(is_area_name) {
            continue;
        }
        let path = entry.path();
        // Empty: its owner died between its first and its second step, or at the last one.
        if fs::remove_dir(&path).is_ok() {
            swept.removed.push(path);
        } else if let Some(_lock) = abandoned(&path) {
            match remove_area(&path) {
                Ok(()) => swept.removed.push(path),
                Err(_) => swept.left.push(path),
            }
        }
    }
    swept.removed.sort();
    swept.left.sort();
    Ok(swept)
}

fn is_area_name(name: &str) -> bool {
    name.strip_prefix(NAME_BEGINS).is_some_and(|digits| {
        digits.len() == NAME_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// The lock of an area that is one of ours and that nobody holds.
fn abandoned(area: &Path) -> Option<File> {
    let mut options = OpenOptions::new();
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits();
    let lock = options
        .read(true)
        .custom_flags(no_follow.cast_signed())
        .open(area.join(LOCK))
        .ok()?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
    let mut words = String::new();
    let len = WORDS.len() as u64 + 1;
    (&lock).take(len).read_to_string(&mut words).ok()?;
    (words == WORDS).then_some(lock)
}

/// The words come after the lock: a file without them is one that is about to be locked.
fn make(area: &Path) -> io::Result<File> {
    DirBuilder::new().mode(0o700).create(area)?;
    let lock = || -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut lock = options.open(area.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        lock.write_all(WORDS.as_bytes())?;
        Ok(lock)
    };
    lock().inspect_err(|_| {
        let _ = remove_area(area);
    })
}

fn remove_area(area: &Path) -> io::Result<()> {
    for entry in fs::read_dir(area)? {
        let entry = entry?;
        if entry.file_name() != LOCK {
            remove(&entry.path())?;
        }
    }
    match fs::remove_file(area.join(LOCK)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::remove_dir(area),
    }
}

/// Folders that were restored may forbid even their owner to enter them.
fn remove(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return fs::remove_file(path);
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path);
            fs::remove_dir_all(path)
        }
        outcome => outcome,
    }
}

/// What fails here fails again, and louder, when it is removed.
fn open_up(folder: &Path) {
    let _ = fs::set_permissions(folder, Permissions::from_mode(0o700));
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

fn drop_cached_below(folder: &Path) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => drop_cached_below(&entry.path()),
            Ok(kind) if kind.is_file() => {
                if let Ok(file) = File::open(entry.path()) {
                    let _ = fadvise(&file, 0, None, Advice::DontNeed);
                }
            }
            _ => {}
        }
    }
}

fn failed(path: &Path, what: &str, error: io::Error) -> Error {
    Error::io(Place::Path(path.to_owned()), what, error)
}

/// Refuses to begin on a medium without `wanted` free bytes.
///
/// # Errors
/// `NoSpace`, with both numbers.
pub fn check_space(path: &Path, wanted: u64) -> Result<u64> {
    let free = free_space(path)?;
    if free >= wanted {
        return Ok(free);
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let detail = format!(
        "{} MiB are free, and up to {} MiB would be written",
        free >> 20,
        mib(wanted)
    );
    Err(Error::new(
        ErrorKind::NoSpace,
        Place::Path(path.to_owned()),
        detail,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn an_area_goes_with_all_that_is_in_it_whatever_its_permissions() {
        let temp = tempfile::tempdir().unwrap();
        let area = ScratchArea::create(temp.path()).unwrap();
        area.folder("restored/closed").unwrap();
        area.file("restored/closed/file")
            .unwrap()
            .write(b"x")
            .unwrap();
        let closed = area.path().join("restored/closed");
        fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
        area.remove().unwrap();
        assert!(names(temp.path()).is_empty());
        drop(ScratchArea::create(temp.path()).unwrap());
        assert!(names(temp.path()).is_empty());
    }

    #[test]
    fn a_sweep_removes_what_the_dead_left_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let living = ScratchArea::create(temp.path()).unwrap();
        let dead = temp.path().join(".blockstore-bench-00000000000000aa");
        let empty = temp.path().join(".blockstore-bench-00000000000000ab");
        let foreign = temp.path().join(".blockstore-bench-00000000000000ac");
        let named = temp.path().join(".blockstore-bench-notes");
        for folder in [&dead, &empty, &foreign, &named] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(dead.join(LOCK), WORDS).unwrap();
        fs::write(dead.join("data"), b"x").unwrap();
        fs::write(foreign.join("data"), b"x").unwrap();
        let swept = sweep(temp.path()).unwrap();
        assert_eq!((swept.removed, swept.left), (vec![dead, empty], vec![]));
        assert!(foreign.exists() && named.exists() && living.path().exists());
    }

    #[test]
    fn a_file_reads_back_and_no_second_one_takes_its_name() {
        let temp = tempfile::tempdir().unwrap();
        let area = ScratchArea::create(temp.path()).unwrap();
        let mut file = area.file("file").unwrap();
        file.write(b"0123456789").unwrap();
        file.sync().unwrap();
        file.drop_cached();
        let mut buffer = [0; 8];
        assert_eq!(file.read_at(4, &mut buffer).unwrap(), 6);
        assert_eq!(&buffer[..6], b"456789");
        assert_eq!(
            area.file("file").unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        area.clear("file").unwrap();
        assert!(area.file("file").is_ok());
    }

    #[test]
    fn a_medium_that_is_too_small_is_refused_with_both_numbers() {
        let temp = tempfile::tempdir().unwrap();
        assert!(check_space(temp.path(), 0).is_ok());
        let error = check_space(temp.path(), u64::MAX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(
            error.to_string().contains("MiB would be written"),
            "{error}"
        );
    }
}
