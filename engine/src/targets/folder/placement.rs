//! Where a new object gets its name: at once, in place of something, beside it, or not at all.
//!
//! Everything is created exclusively; nothing that exists is ever opened for writing. What
//! replaces something is made under a temporary name and renamed over it when it is complete, so
//! that a restore that fails leaves the old object whole.
//!
//! A name that is taken although the tree has it only once and the folder did not list it before
//! is a collision: the file system folds case or normalises. Both objects are kept, whatever the
//! caller wants done about conflicts. Deliberately absent: folders as replacements; they are
//! merged, in `folder`.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::hash::BuildHasher;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use rustix::fs::AtFlags;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Place;
use crate::error::Result;
use crate::format::entry::FolderPath;
use crate::format::entry::Timestamp;
use crate::format::entry::TreePath;
use crate::limits::NAME_LEN_LIMIT;
use crate::targets::folder::FolderTargetOptions;
use crate::targets::folder::OnConflict;
use crate::targets::folder::Placed;
use crate::targets::folder::descent::Folder;
use crate::targets::folder::descent::Folders;
use crate::targets::folder::metadata;
use crate::targets::folder::metadata::Rules;
use crate::targets::folder::owner::Identity;

/// Most names `name~N` that are tried.
const BESIDE_ATTEMPTS: u32 = 10_000;

/// What all parts of one restore into a folder share.
#[derive(Debug)]
pub(super) struct Run {
    /// The target folder as the caller named it, for errors only.
    pub(super) path: PathBuf,
    pub(super) options: FolderTargetOptions,
    pub(super) identity: Identity,
    pub(super) folders: Folders,
    /// Hashes of the entries that are not there: skipped, failed or abandoned. A false hit costs
    /// a copy in place of a hard link.
    absent: Mutex<HashSet<u64>>,
    hasher: RandomState,
    /// The names that were in a folder when it first had a conflict.
    listing: Mutex<Option<(FolderPath, HashSet<Vec<u8>>)>>,
    /// Sets the temporary names of this run apart from those of others.
    tag: u64,
    temporaries: AtomicU64,
}

/// What happens to an entry whose name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Replace,
    Beside { collision: bool },
    Skip(&'static str),
}

/// The name of a new object; it is removed again unless it is kept.
#[derive(Debug)]
pub(super) struct Slot {
    run: Arc<Run>,
    pub(super) at: TreePath,
    pub(super) folder: Arc<Folder>,
    /// The name it was created under.
    pub(super) name: Vec<u8>,
    /// It gets the name of its entry when it is kept.
    replaces: bool,
    kept: bool,
}

impl Run {
    pub(super) fn new(
        path: PathBuf,
        options: FolderTargetOptions,
        identity: Identity,
        folders: Folders,
    ) -> Self {
        let hasher = RandomState::new();
        let tag = hasher.hash_one(&path);
        Self {
            path,
            options,
            identity,
            folders,
            absent: Mutex::default(),
            hasher,
            listing: Mutex::default(),
            tag,
            temporaries: AtomicU64::new(0),
        }
    }

    pub(super) fn rules(&self) -> Rules<'_> {
        Rules {
            options: &self.options,
            identity: &self.identity,
        }
    }

    /// Where `at` is, for a person.
    pub(super) fn place_of(&self, at: &TreePath) -> Place {
        Place::Path(self.path.join(OsStr::from_bytes(&at.to_bytes())))
    }

    /// A failed system call on `at`; what stands in the way of it is a conflict.
    pub(super) fn error(&self, at: &TreePath, what: &str, errno: Errno) -> Error {
        match errno {
            Errno::ISDIR | Errno::NOTDIR | Errno::LOOP | Errno::NOTEMPTY => {
                Error::new(ErrorKind::AlreadyExists, self.place_of(at), what).with_source(errno)
            }
            errno => Error::io(self.place_of(at), what, errno.into()),
        }
    }

    /// Records that `at` is not in the target.
    pub(super) fn mark_absent(&self, at: &TreePath) {
        self.absent.lock().insert(self.hasher.hash_one(at));
    }

    pub(super) fn is_absent(&self, at: &TreePath) -> bool {
        let absent = self.absent.lock();
        !absent.is_empty() && absent.contains(&self.hasher.hash_one(at))
    }

    pub(super) fn open_folder(&self, at: &TreePath) -> Result<Arc<Folder>> {
        self.folders
            .open(&at.folder)
            .map_err(|errno| self.error(at, "open its folder", errno))
    }

    /// Makes a new object for `at` with `create`, under the name that the caller's wishes allow.
    /// `mtime` is that of the entry.
    pub(super) fn place<T>(
        self: &Arc<Self>,
        at: &TreePath,
        mtime: Timestamp,
        create: impl Fn(&Folder, &[u8]) -> Result<T, Errno>,
    ) -> Result<Placed<(T, Slot)>> {
        let placed = self
            .open_folder(at)
            .and_then(|folder| self.place_in(folder, at, mtime, create));
        if matches!(placed, Ok(Placed::Skipped { .. }) | Err(_)) {
            self.mark_absent(at);
        }
        placed
    }

    fn place_in<T>(
        self: &Arc<Self>,
        folder: Arc<Folder>,
        at: &TreePath,
        mtime: Timestamp,
        create: impl Fn(&Folder, &[u8]) -> Result<T, Errno>,
    ) -> Result<Placed<(T, Slot)>> {
        let slot = |folder, name, replaces| Slot {
            run: Arc::clone(self),
            at: at.clone(),
            folder,
            name,
            replaces,
            kept: false,
        };
        match create(&folder, &at.name) {
            Ok(item) => return Ok(Placed::New((item, slot(folder, at.name.clone(), false)))),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(self.error(at, "create", errno)),
        }
        match self.judge(&folder, at, mtime)? {
            Verdict::Skip(why) => Ok(Placed::Skipped { why }),
            Verdict::Replace => {
                self.clear_empty_folder(&folder, at)?;
                let (item, name) = self.create_temporary(&folder, at, create)?;
                Ok(Placed::Replaced((item, slot(folder, name, true))))
            }
            Verdict::Beside { collision } => {
                let (item, name) = self.create_beside(&folder, at, create)?;
                self.folders.rename(at, name.clone());
                let item = (item, slot(folder, name.clone(), false));
                Ok(Placed::Renamed {
                    item,
                    name,
                    collision,
                })
            }
        }
    }

    /// What to do about `at`, whose name is taken.
    pub(super) fn judge(
        &self,
        folder: &Folder,
        at: &TreePath,
        mtime: Timestamp,
    ) -> Result<Verdict> {
        let on_conflict = self.options.on_conflict;
        // The target was empty: whatever is there, this run or somebody else made it meanwhile.
        if on_conflict == OnConflict::Fail || !self.was_listed(folder, at)? {
            return Ok(Verdict::Beside { collision: true });
        }
        Ok(match on_conflict {
            OnConflict::Fail | OnConflict::Copy => Verdict::Beside { collision: false },
            OnConflict::Overwrite => Verdict::Replace,
            OnConflict::Skip => Verdict::Skip("its name is taken"),
            OnConflict::Newer if self.mtime_there(folder, at)? < mtime => Verdict::Replace,
            OnConflict::Newer => Verdict::Skip("what is there is not older"),
        })
    }

    /// True if the folder had exactly this name when it was first looked at. A tree has a name
    /// once, so a name that this run made is never listed when it is asked for.
    fn was_listed(&self, folder: &Folder, at: &TreePath) -> Result<bool> {
        let mut listing = self.listing.lock();
        if let Some((_, names)) = listing.as_ref().filter(|(path, _)| *path == at.folder) {
            return Ok(names.contains(&at.name));
        }
        let names = list(folder).map_err(|errno| self.error(at, "list its folder", errno))?;
        let found = names.contains(&at.name);
        *listing = Some((at.folder.clone(), names));
        Ok(found)
    }

    fn mtime_there(&self, folder: &Folder, at: &TreePath) -> Result<Timestamp> {
        let stat = rustix::fs::statat(folder, &at.name, AtFlags::SYMLINK_NOFOLLOW);
        stat.map(|stat| metadata::mtime_of(&stat))
            .map_err(|e| self.error(at, "look at", e))
    }

    /// An empty folder gives way to another object; one with anything in it never does.
    fn clear_empty_folder(&self, folder: &Folder, at: &TreePath) -> Result<()> {
        match rustix::fs::unlinkat(folder, &at.name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOTDIR | Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.error(at, "replace the folder that is in its place", errno)),
        }
    }

    fn create_temporary<T>(
        &self,
        folder: &Folder,
        at: &TreePath,
        create: impl Fn(&Folder, &[u8]) -> Result<T, Errno>,
    ) -> Result<(T, Vec<u8>)> {
        loop {
            let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
            let name = format!(".blockstore-{:016x}-{number}", self.tag).into_bytes();
            match create(folder, &name) {
                Ok(item) => return Ok((item, name)),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(self.error(at, "create", errno)),
            }
        }
    }

    /// Creates `name~1`, or `name~2`, and so on.
    pub(super) fn create_beside<T>(
        &self,
        folder: &Folder,
        at: &TreePath,
        create: impl Fn(&Folder, &[u8]) -> Result<T, Errno>,
    ) -> Result<(T, Vec<u8>)> {
        for number in 1..BESIDE_ATTEMPTS {
            let name = name_beside(&at.name, number);
            match create(folder, &name) {
                Ok(item) => return Ok((item, name)),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(self.error(at, "create beside what is there", errno)),
            }
        }
        Err(self.error(at, "find a free name beside what is there", Errno::EXIST))
    }
}

impl Slot {
    /// The object is complete and takes its place.
    pub(super) fn keep(mut self) -> Result<()> {
        if self.replaces {
            rustix::fs::renameat(&self.folder, &self.name, &self.folder, &self.at.name)
                .map_err(|errno| self.run.error(&self.at, "put in its place", errno))?;
            // Renaming one hard link over another of the same file leaves both.
            let left = rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty());
            if let Err(errno) = left
                && errno != Errno::NOENT
            {
                return Err(self.run.error(&self.at, "remove its temporary name", errno));
            }
        }
        self.kept = true;
        Ok(())
    }

    pub(super) fn run(&self) -> &Run {
        &self.run
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.kept {
            // Best effort: the caller has an error already, or gave the object up.
            rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty()).ok();
            self.run.mark_absent(&self.at);
        }
    }
}

fn list(folder: &Folder) -> Result<HashSet<Vec<u8>>, Errno> {
    let entries = Dir::new(folder.open_readable()?)?;
    entries
        .map(|entry| Ok(entry?.file_name().to_bytes().to_vec()))
        .collect()
}

/// `name~number`; a name at the limit loses its end.
fn name_beside(name: &[u8], number: u32) -> Vec<u8> {
    let suffix = format!("~{number}");
    let mut beside = name[..name.len().min(NAME_LEN_LIMIT - suffix.len())].to_vec();
    beside.extend_from_slice(suffix.as_bytes());
    beside
}

/// What is in the place of `at`, not following links.
pub(super) fn type_there(folder: &Folder, at: &TreePath) -> Result<FileType, Errno> {
    let stat = rustix::fs::statat(folder, &at.name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(metadata::file_type(&stat))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_beside_another_fits_the_file_system() {
        assert_eq!(name_beside(b"a", 12), b"a~12");
        let longest = name_beside(&[b'x'; NAME_LEN_LIMIT], 7);
        assert_eq!(longest.len(), NAME_LEN_LIMIT);
        assert!(longest.ends_with(b"x~7"));
    }
}
