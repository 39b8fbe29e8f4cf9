//! Objects as files of a local folder: the durability protocol, spelled once.
//!
//! ```text
//! put:   tmp/<writer>-<n>  created exclusively, written, flushed,
//!        then renamed to its name without replacing; the folder is marked
//! sync:  flushes every marked folder, and the parents of folders that were made on the way
//! ```
//!
//! A file whose flush failed is thrown away and written again under a new name: the kernel may
//! have dropped its pages, and a second flush would say nothing about them. A folder cannot be
//! thrown away, so one failed flush of a folder makes every later `sync` of this backend fail.
//!
//! Room is kept for what frees space: `reserve`. Below: [`Disk`], so that all of this runs on a
//! simulated disk as well. Deliberately absent: locks, handles kept open between calls, links
//! followed, anything read from `tmp/`.

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Place;
use crate::error::Result;
use crate::format::id::SessionId;
use crate::format::name::ObjectKind;
use crate::format::name::ObjectName;
use crate::storage::Backend;
use crate::storage::ObjectInfo;
use crate::storage::disk::Disk;
use crate::storage::folders::Folders;
use crate::storage::os_disk::OsDisk;
use crate::storage::outcome::about_temporary;
use crate::storage::outcome::found;
use crate::storage::outcome::is_full;
use crate::storage::outcome::is_missing;
use crate::storage::outcome::uninterrupted;
use crate::storage::refuse;
use crate::storage::room::Room;

mod reserve;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod reserve_tests;
#[cfg(test)]
mod tests;

/// Files that are being written. Same file system as the rest, or a rename could not publish them.
const TEMPORARY: &str = "tmp";
/// What a fresh file system may hold before anybody used it.
const FOUND_ON_EMPTY_DISKS: &str = "lost+found";
/// How often a file whose flush fails is written anew before the disk is given up.
const FLUSH_ATTEMPTS: u32 = 3;
/// How often a put makes its folder again that somebody else removes as empty.
const PUBLISH_ATTEMPTS: u32 = 3;

/// A repository folder on a mounted file system, or on any other [`Disk`].
#[derive(Debug)]
pub struct LocalBackend<D: Disk = OsDisk> {
    disk: D,
    /// Drawn for this backend: two writers never meet in `tmp/`.
    writer: u64,
    temporaries: AtomicU64,
    folders: Folders,
    /// Of two syncs at once the second must not miss that the first one failed.
    syncing: Mutex<()>,
}

impl LocalBackend {
    /// Prepares `path` for a repository; the folder is made if only it is missing. A folder with
    /// something else in it is refused, and one that was prepared before is simply opened.
    pub fn create(path: &Path) -> Result<Self> {
        let place = || Place::Path(path.to_owned());
        let disk = OsDisk::create(path).map_err(|e| Error::io(place(), "cannot be made", e))?;
        Self::create_on(disk, place())
    }

    /// Opens a folder that was prepared by [`LocalBackend::create`].
    pub fn open(path: &Path) -> Result<Self> {
        let place = || Place::Path(path.to_owned());
        let disk = OsDisk::open(path).map_err(|e| Error::io(place(), "cannot be opened", e))?;
        Self::open_on(disk, place())
    }

    /// Device and inode number of the repository's folder. A source that meets them while it
    /// walks is about to put the repository into itself.
    pub fn identity(&self) -> Result<(u64, u64)> {
        self.disk
            .identity()
            .map_err(|e| Error::io(Place::Repository, "cannot be examined", e))
    }
}

impl<D: Disk> LocalBackend<D> {
    /// [`LocalBackend::create`] on any disk; errors are at `place`.
    pub fn create_on(disk: D, place: Place) -> Result<Self> {
        let names = list_root(&disk, &place)?;
        if !names.iter().any(|name| name == ObjectKind::Config.folder())
            && let Some(foreign) = names.iter().find(|name| !is_ours(name))
        {
            let detail = format!("the folder is not empty: it holds {foreign:?}");
            return Err(Error::new(ErrorKind::InvalidInput, place, detail));
        }
        let backend = Self::on(disk, &place)?;
        let folders = ObjectKind::ALL.map(ObjectKind::folder);
        for folder in folders.into_iter().chain([TEMPORARY]) {
            backend
                .make_folders(folder)
                .map_err(|e| Error::io(place.clone(), "cannot be prepared", e))?;
        }
        // Its folders come first: a crash leaves no reserve in what looks like somebody's folder.
        backend.sync()?;
        backend.renew_reserve()?;
        Ok(backend)
    }

    /// [`LocalBackend::open`] on any disk; errors are at `place`.
    pub fn open_on(disk: D, place: Place) -> Result<Self> {
        if list_root(&disk, &place)?
            .iter()
            .any(|name| name == ObjectKind::Config.folder())
        {
            return Self::on(disk, &place);
        }
        let detail = "there is no repository: the folder holds no `config`";
        Err(Error::new(ErrorKind::NotFound, place, detail))
    }

    fn on(disk: D, place: &Place) -> Result<Self> {
        let writer = disk
            .draw()
            .map_err(|e| Error::io(place.clone(), "cannot be opened", e))?;
        Ok(Self {
            disk,
            writer,
            temporaries: AtomicU64::new(0),
            folders: Folders::default(),
            syncing: Mutex::new(()),
        })
    }

    /// Removes what crashed writers left in `tmp/`: files last written before `cutoff`. How many
    /// went is returned.
    ///
    /// Other writers may be at work, and their files look the same. So choose a cutoff long before
    /// the present, a day or more: a put takes seconds. A writer that was frozen for longer loses
    /// one put, which fails then and leaves nothing behind; no object is ever in danger.
    pub fn remove_stale_temporaries(&self, cutoff: SystemTime) -> Result<u64> {
        let failed = |e| Error::io(Place::Repository, "the folder `tmp` cannot be swept", e);
        let mut removed = 0;
        for name in self.list_folder(TEMPORARY).map_err(failed)? {
            let path = format!("{TEMPORARY}/{name}");
            let stat = found(self.disk.stat(&path)).map_err(failed)?;
            if stat.is_some_and(|stat| stat.is_file && stat.modified < cutoff) {
                removed += u64::from(found(self.disk.unlink(&path)).map_err(failed)?.is_some());
            }
        }
        Ok(removed)
    }
}

impl<D: Disk> Backend for LocalBackend<D> {
    fn put(&self, name: &ObjectName, data: &[u8]) -> Result<()> {
        refuse::too_long_to_put(name, data.len())?;
        self.leave_room(name, data.len(), data.len())?;
        let failed = |e| Error::io(Place::Object(*name), "it cannot be stored", e);
        let temporary = self.write_temporary(data).map_err(failed)?;
        self.leave_room(name, data.len(), 0)
            .inspect_err(|_| self.discard(&temporary))?;
        self.publish(&temporary, name).map_err(|error| {
            self.discard(&temporary);
            match error.kind() {
                io::ErrorKind::AlreadyExists => refuse::taken(name),
                _ => failed(error),
            }
        })
    }

    fn get(&self, name: &ObjectName) -> Result<Vec<u8>> {
        let failed = |e| read_error(name, e);
        let file = self.open_object(name)?;
        let len = self.disk.len(&file).map_err(failed)?;
        refuse::too_long_to_get(name, len)?;
        let mut data = vec![0; usize::try_from(len).expect("limits fit in memory")];
        let filled = self.fill(&file, 0, &mut data).map_err(failed)?;
        data.truncate(filled);
        Ok(data)
    }

    fn get_range(&self, name: &ObjectName, offset: u64, out: &mut [u8]) -> Result<()> {
        let file = self.open_object(name)?;
        match self.fill(&file, offset, out) {
            Ok(filled) if filled == out.len() => Ok(()),
            Ok(_) => Err(refuse::beyond_the_end(name, offset, out.len())),
            Err(error) => Err(read_error(name, error)),
        }
    }

    fn list(&self, kind: ObjectKind) -> Result<Vec<ObjectInfo>> {
        let mut objects = Vec::new();
        let folder = kind.folder();
        let outcome = match kind {
            ObjectKind::Pack => self.list_sessions(folder, &mut objects),
            _ => self.list_objects(folder, &mut objects),
        };
        let detail = || format!("the folder `{folder}` cannot be listed");
        outcome.map_err(|e| Error::io(Place::Repository, &detail(), e))?;
        objects.sort_unstable();
        objects.dedup_by_key(|object| object.name); // a folder that changes may repeat itself
        Ok(objects)
    }

    fn delete(&self, name: &ObjectName) -> Result<()> {
        let path = name.to_string();
        found(self.disk.unlink(&path))
            .map_err(|e| Error::io(Place::Object(*name), "it cannot be deleted", e))?;
        let folder = parent_of(&path);
        self.folders.mark(folder);
        if name.kind() == ObjectKind::Pack {
            self.remove_if_empty(folder);
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let _alone = self.syncing.lock();
        if let Some(folder) = self.folders.suspected() {
            let detail =
                format!("a flush of the folder `{folder}` failed: names in it may be lost");
            return Err(Error::new(ErrorKind::Io, Place::Repository, detail));
        }
        for (folder, mark) in self.folders.dirty() {
            self.flush_folder(&folder).map_err(|error| {
                self.folders.suspect(&folder);
                Error::io(
                    Place::Repository,
                    &format!("the folder `{folder}` is not flushed"),
                    error,
                )
            })?;
            self.folders.flushed(&folder, mark);
        }
        Ok(())
    }

    fn release_reserve(&self) -> Result<bool> {
        let is_released = self.unlink_reserve().map_err(reserve::failed("released"))?;
        if is_released {
            self.sync()?;
        }
        Ok(is_released)
    }

    fn renew_reserve(&self) -> Result<()> {
        if self.make_reserve().map_err(reserve::failed("made"))? {
            self.sync()?;
        }
        Ok(())
    }

    fn room(&self) -> Result<Option<Room>> {
        self.examine_room().map_err(reserve::failed("examined"))
    }
}

/// Writing.
impl<D: Disk> LocalBackend<D> {
    /// A file in `tmp/` with these bytes, flushed; its path.
    fn write_temporary(&self, data: &[u8]) -> io::Result<String> {
        self.make_folders(TEMPORARY)?;
        let mut attempt = 1;
        loop {
            let (path, file) = self.create_temporary()?;
            let discard = |_: &io::Error| self.discard(&path);
            self.write_all(&file, data).inspect_err(discard)?;
            match uninterrupted(|| self.disk.flush_file(&file)).inspect_err(discard) {
                Ok(()) => return Ok(path),
                Err(error) if attempt == FLUSH_ATTEMPTS || is_full(&error) => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    fn create_temporary(&self) -> io::Result<(String, D::File)> {
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        let path = format!("{TEMPORARY}/{:016x}-{number:x}", self.writer);
        let create = || uninterrupted(|| self.disk.create_exclusive(&path));
        let created = match create() {
            // Somebody tidied up all of `tmp`.
            Err(error) if is_missing(&error) => {
                self.folders.unlearn(TEMPORARY);
                self.make_folders(TEMPORARY)?;
                create()
            }
            created => created,
        };
        let file = created.map_err(about_temporary)?;
        Ok((path, file))
    }

    fn write_all(&self, file: &D::File, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            match uninterrupted(|| self.disk.write(file, data))? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => data = &data[written..],
            }
        }
        Ok(())
    }

    /// Gives a flushed file its name. The folder is made here and not earlier, because whoever
    /// deletes the last pack of a session may remove it at any time.
    fn publish(&self, temporary: &str, name: &ObjectName) -> io::Result<()> {
        let path = name.to_string();
        let folder = parent_of(&path);
        let mut attempt = 1;
        loop {
            self.make_folders(folder)?;
            match self.disk.rename_noreplace(temporary, &path) {
                Err(error) if is_missing(&error) && attempt < PUBLISH_ATTEMPTS => {
                    self.folders.unlearn(folder);
                    attempt += 1;
                }
                Err(error) if is_missing(&error) => {
                    return Err(io::Error::other(
                        "the temporary file or the folder was removed",
                    ));
                }
                outcome => {
                    // After the rename: a sync that runs now must not take the mark for old.
                    self.folders.mark(folder);
                    return outcome;
                }
            }
        }
    }

    /// Makes `folder` and those above it, unless this backend has seen it. One that exists may
    /// have been made by a writer that died before its sync, so its parent is marked all the same.
    fn make_folders(&self, folder: &str) -> io::Result<()> {
        if folder.is_empty() || self.folders.is_known(folder) {
            return Ok(());
        }
        let parent = parent_of(folder);
        self.make_folders(parent)?;
        match self.disk.make_folder(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.folders.mark(parent);
        self.folders.learn(folder);
        Ok(())
    }

    /// Of a folder that somebody removed as empty, its absence is made durable.
    fn flush_folder(&self, folder: &str) -> io::Result<()> {
        match uninterrupted(|| self.disk.flush_folder(folder)) {
            Err(error) if is_missing(&error) && !folder.is_empty() => {
                self.flush_folder(parent_of(folder))
            }
            outcome => outcome,
        }
    }

    /// Best effort: an empty folder is untidy, not wrong.
    fn remove_if_empty(&self, folder: &str) {
        if self.disk.remove_folder(folder).is_ok() {
            self.folders.unlearn(folder);
            self.folders.mark(parent_of(folder));
        }
    }

    /// Best effort: what stays is swept by [`LocalBackend::remove_stale_temporaries`].
    fn discard(&self, temporary: &str) {
        let _ = self.disk.unlink(temporary);
    }
}

/// Reading.
impl<D: Disk> LocalBackend<D> {
    fn open_object(&self, name: &ObjectName) -> Result<D::File> {
        uninterrupted(|| self.disk.open(&name.to_string())).map_err(|error| {
            if is_missing(&error) {
                refuse::missing(name)
            } else {
                read_error(name, error)
            }
        })
    }

    /// Reads until `out` is full or the file ends; how much was read.
    fn fill(&self, file: &D::File, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < out.len() {
            let from = offset.saturating_add(filled as u64);
            match uninterrupted(|| self.disk.read_at(file, from, &mut out[filled..]))? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }

    /// A folder that does not exist holds nothing.
    fn list_folder(&self, folder: &str) -> io::Result<Vec<String>> {
        found(self.disk.list_folder(folder)).map(Option::unwrap_or_default)
    }

    /// Objects that lie in `folder` itself. One that goes while we look is not there.
    fn list_objects(&self, folder: &str, objects: &mut Vec<ObjectInfo>) -> io::Result<()> {
        for file in self.list_folder(folder)? {
            let path = format!("{folder}/{file}");
            let Ok(name) = path.parse() else { continue };
            if let Some(stat) = found(self.disk.stat(&path))?
                && stat.is_file
            {
                objects.push(ObjectInfo {
                    name,
                    len: stat.len,
                });
            }
        }
        Ok(())
    }

    /// Objects that lie in a folder for each session.
    fn list_sessions(&self, folder: &str, objects: &mut Vec<ObjectInfo>) -> io::Result<()> {
        for session in self.list_folder(folder)? {
            if session.parse::<SessionId>().is_err() {
                continue;
            }
            match self.list_objects(&format!("{folder}/{session}"), objects) {
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }
}

fn list_root<D: Disk>(disk: &D, place: &Place) -> Result<Vec<String>> {
    disk.list_folder("")
        .map_err(|e| Error::io(place.clone(), "cannot be listed", e))
}

/// True for what a `create` that was interrupted may have left.
fn is_ours(name: &str) -> bool {
    name == TEMPORARY
        || name == FOUND_ON_EMPTY_DISKS
        || ObjectKind::ALL.iter().any(|kind| kind.folder() == name)
}

fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn read_error(name: &ObjectName, error: io::Error) -> Error {
    Error::io(Place::Object(*name), "it cannot be read", error)
}
