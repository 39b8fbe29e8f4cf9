//! A folder tree of a Linux file system, or any single object of one, as a source.
//!
//! Every system call is made relative to an open folder ([`FolderHandle`]), never by path: that
//! is faster, has no limit of length, and nobody can lead us elsewhere by swapping a folder for a
//! symbolic link in between. An object is named by its open folder and its name there; the root
//! of the source is `None` and the empty name, as in [`FolderSource::root`].
//!
//! Below: the kernel. Above: `operations::snapshot`, which owns the order of the walk. Deliberately
//! absent: recursion, threads, following symbolic links, access times (they are neither read nor,
//! where the kernel permits it, changed).

mod error;
mod excludes;
mod fiemap;
mod file;
pub(in crate::sources) mod file_system;
mod listing;
mod metadata;
mod open;
mod owners;
mod scan;
pub(in crate::sources) mod sparse;
mod stat;
mod tags;
mod xattrs;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::FolderPath;
use crate::limits;

pub use error::problem_of;
pub use excludes::Excludes;
#[cfg(any(test, feature = "testing"))]
pub use excludes::is_excluded;
pub use file::SourceFile;
#[cfg(any(test, feature = "testing"))]
pub use file_system::believes_holes;
pub use listing::{Found, Listing};
pub use scan::{ChangeTest, Known, ScanStart};
pub use sparse::DataRuns;
pub use stat::{FileKind, Stat};
pub use tags::CACHE_TAG_SIGNATURE;

use excludes::Matcher;
use owners::Owners;

/// One path given by the user, and what is below it.
#[derive(Debug)]
pub struct FolderSource {
    path: PathBuf,
    /// The folder that holds the root; the root itself may be of any kind.
    parent: OwnedFd,
    /// Name of the root in `parent`.
    name: Vec<u8>,
    device: u64,
    one_file_system: bool,
    matcher: Matcher,
    owners: Owners,
}

/// What of a folder tree belongs to the snapshot.
#[derive(Clone, Debug, Default)]
pub struct FolderOptions {
    /// Folders on another file system than the root stay empty; see [`Found::is_mount_point`].
    pub one_file_system: bool,
    /// What is left out.
    pub excludes: Excludes,
}

/// An open folder of a source; clones share it, and it closes with the last of them.
#[derive(Clone, Debug)]
pub struct FolderHandle(Arc<OpenFolder>);

#[derive(Debug)]
struct OpenFolder {
    fd: OwnedFd,
    path: FolderPath,
    /// The kernel keeps one reading position per open folder: one listing at a time.
    cursor: Mutex<()>,
}

impl FolderSource {
    /// Opens `path`, an object of any kind.
    ///
    /// A symbolic link is taken as the link that it is; with a slash behind it, as what it points
    /// at. `..` is resolved by the file system, because after a symbolic link it does not lead
    /// where the text says.
    pub fn open(path: &Path, options: FolderOptions) -> Result<Self> {
        let matcher = Matcher::new(&options.excludes)?;
        let failed =
            |error: io::Error| Error::io(Place::Path(path.to_owned()), "opening the source", error);
        let path = absolute(path).map_err(failed)?;
        let (folder, name) = match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) => (folder, name.as_bytes().to_vec()),
            _ => (Path::new("/"), b".".to_vec()),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = openat(CWD, folder, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
        let device = stat::stat_at(parent.as_fd(), &name).map_err(failed)?.device;
        let FolderOptions {
            one_file_system, ..
        } = options;
        Ok(Self {
            path,
            parent,
            name,
            device,
            one_file_system,
            matcher,
            owners: Owners::default(),
        })
    }

    /// Absolute, without `.`, `..` and doubled slashes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The root as it is now, with the empty name.
    pub fn root(&self) -> Result<Found> {
        let stat = self.stat(None, b"")?;
        Ok(Found {
            name: Vec::new(),
            stat,
            is_mount_point: false,
        })
    }

    /// The object as it is now.
    pub fn stat(&self, parent: Option<&FolderHandle>, name: &[u8]) -> Result<Stat> {
        let (folder, at) = self.locate(parent, name);
        stat::stat_at(folder, at).map_err(|e| self.error(parent, name, "reading its status", e))
    }

    /// Opens a folder for listing; `NotFound` if something else has taken its place.
    pub fn open_folder(&self, parent: Option<&FolderHandle>, name: &[u8]) -> Result<FolderHandle> {
        let (folder, at) = self.locate(parent, name);
        let path = parent.map_or_else(FolderPath::root, |parent| parent.path().child(name));
        if path.0.len() > limits::PATH_LEN_LIMIT
            || path.components().nth(limits::PATH_DEPTH_LIMIT).is_some()
        {
            let place = Place::Path(self.display_path(parent, name));
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                place,
                "the folder lies too deep",
            ));
        }
        let fd = open::open_quietly(folder, at, OFlags::RDONLY | OFlags::DIRECTORY).map_err(
            |e| match e {
                Errno::NOTDIR | Errno::LOOP => self.replaced(parent, name, "a folder"),
                other => self.error(parent, name, "opening the folder", other.into()),
            },
        )?;
        Ok(FolderHandle(Arc::new(OpenFolder {
            fd,
            path,
            cursor: Mutex::new(()),
        })))
    }

    /// Opens the folder at `path` anew, one folder after the other from the root, for a walk that
    /// cannot keep a handle for every folder that waits: handles are a scarce resource.
    pub fn open_folder_at(&self, path: &FolderPath) -> Result<FolderHandle> {
        let mut folder = self.open_folder(None, b"")?;
        for name in path.components() {
            folder = self.open_folder(Some(&folder), name)?;
        }
        Ok(folder)
    }

    /// The folder and the name there by which the kernel finds an object.
    fn locate<'a>(
        &'a self,
        parent: Option<&'a FolderHandle>,
        name: &'a [u8],
    ) -> (BorrowedFd<'a>, &'a [u8]) {
        match parent {
            Some(parent) => (parent.fd(), name),
            None => (self.parent.as_fd(), &self.name),
        }
    }

    /// Path of an object for people; only errors need one.
    fn display_path(&self, parent: Option<&FolderHandle>, name: &[u8]) -> PathBuf {
        let mut path = self.path.clone();
        if let Some(parent) = parent {
            path.extend(parent.path().components().map(OsStr::from_bytes));
        }
        if !name.is_empty() {
            path.push(OsStr::from_bytes(name));
        }
        path
    }
}

impl FolderHandle {
    /// Where the folder lies below the root of its source.
    pub fn path(&self) -> &FolderPath {
        &self.0.path
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

/// `path` from the root of the file system; see [`FolderSource::open`].
fn absolute(path: &Path) -> io::Result<PathBuf> {
    let text = path.as_os_str().as_bytes();
    let wants_target = text.ends_with(b"/") || text.ends_with(b"/.");
    let clean: PathBuf = std::path::absolute(path)?.components().collect();
    if wants_target && clean.is_symlink() {
        return clean.canonicalize();
    }
    if !clean.components().any(|part| part == Component::ParentDir) {
        return Ok(clean);
    }
    match (clean.parent(), clean.file_name()) {
        (Some(parent), Some(name)) => Ok(parent.canonicalize()?.join(name)),
        _ => clean.canonicalize(),
    }
}

#[cfg(test)]
mod tests;
