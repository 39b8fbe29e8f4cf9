//! A folder of a Unix file system that a tree is restored into.
//!
//! The caller goes through the tree in order: folders and files; then, in any order and from any
//! thread, the bytes of the files; then hard links and special files; symbolic links last, so
//! that none can be on the way to anything; then the metadata of folders, children before
//! parents. Whatever the tree says and whoever else is at work in the target, nothing outside it
//! is touched: every step starts at an open folder (`descent`), everything is created anew
//! (`placement`), and metadata goes to what was created and not to a name (`metadata`).
//!
//! New files have mode 0600 and folders 0700 until they are complete. Errors of the kind
//! `AlreadyExists` mean that something else is in the place; other errors, that the target cannot
//! hold the entry. Deliberately absent: threads, flushing to the medium, reading back.

mod descent;
mod file;
mod metadata;
mod owner;
mod placement;
#[cfg(test)]
mod tests;

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::AtFlags;
use rustix::fs::Dev;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

pub use crate::targets::folder::file::TargetFile;
pub use crate::targets::folder::metadata::Aspect;
pub use crate::targets::folder::metadata::NotApplied;
pub use crate::targets::folder::metadata::Reason;
pub use crate::targets::folder::owner::OwnerNames;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Place;
use crate::error::Result;
use crate::format::entry::FolderPath;
use crate::format::entry::Metadata;
use crate::format::entry::Node;
use crate::format::entry::Timestamp;
use crate::format::entry::TreePath;
use crate::format::entry::is_valid_name;
use crate::targets::folder::descent::Folder;
use crate::targets::folder::descent::Folders;
use crate::targets::folder::metadata::Object;
use crate::targets::folder::owner::Identity;
use crate::targets::folder::placement::Run;
use crate::targets::folder::placement::Slot;
use crate::targets::folder::placement::Verdict;

/// What to do when something is in the place of an entry already. Real folders are merged in
/// any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Refuse a target that is not empty.
    #[default]
    Fail,
    /// Replace it, unless it is a folder with anything in it.
    Overwrite,
    /// Leave it.
    Skip,
    /// Replace it if the entry was modified later.
    Newer,
    /// Leave it and restore beside it, as `name~1`.
    Copy,
}

/// How a tree is restored into a folder.
#[derive(Clone, Debug, Default)]
pub struct FolderTargetOptions {
    /// What to do when something is in the place already.
    pub on_conflict: OnConflict,
    /// Restore what gives power to whoever wrote the tree: foreign owners, setuid and setgid,
    /// capabilities and other attributes in `security.` and `trusted.`, device nodes.
    pub privileged: bool,
    /// Restore owners by these names; by number where a name is not among them.
    pub owner_names: OwnerNames,
}

/// A folder that a tree is restored into.
#[derive(Debug)]
pub struct FolderTarget {
    run: Arc<Run>,
}

/// How an entry got into the target.
#[derive(Debug, PartialEq, Eq)]
pub enum Placed<T> {
    /// Under its name, which was free.
    New(T),
    /// It is a folder, and the one that is there takes its children.
    Merged(T),
    /// In place of something else.
    Replaced(T),
    /// Under another name, because its own was taken.
    Renamed {
        /// The object.
        item: T,
        /// Its name in the target.
        name: Vec<u8>,
        /// Nobody asked for that: two names of the tree are one to the file system, or somebody
        /// else is at work there. To be reported.
        collision: bool,
    },
    /// Not at all, as the caller wished.
    Skipped {
        /// Why, for a person.
        why: &'static str,
    },
}

impl<T> Placed<T> {
    /// The object, if there is one.
    pub fn into_item(self) -> Option<T> {
        match self {
            Self::New(item) | Self::Merged(item) | Self::Replaced(item) => Some(item),
            Self::Renamed { item, .. } => Some(item),
            Self::Skipped { .. } => None,
        }
    }

    /// The object, if there is one, in its place.
    pub fn item(&self) -> Option<&T> {
        match self {
            Self::New(item) | Self::Merged(item) | Self::Replaced(item) => Some(item),
            Self::Renamed { item, .. } => Some(item),
            Self::Skipped { .. } => None,
        }
    }

    /// The same placing of what `change` makes of the object.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Placed<U> {
        match self {
            Self::New(item) => Placed::New(change(item)),
            Self::Merged(item) => Placed::Merged(change(item)),
            Self::Replaced(item) => Placed::Replaced(change(item)),
            Self::Renamed {
                item,
                name,
                collision,
            } => Placed::Renamed {
                item: change(item),
                name,
                collision,
            },
            Self::Skipped { why } => Placed::Skipped { why },
        }
    }

    /// The same placing of what `change` makes of the object, or its error.
    pub fn try_map<U>(self, change: impl FnOnce(T) -> Result<U>) -> Result<Placed<U>> {
        Ok(match self.map(change) {
            Placed::New(item) => Placed::New(item?),
            Placed::Merged(item) => Placed::Merged(item?),
            Placed::Replaced(item) => Placed::Replaced(item?),
            Placed::Renamed {
                item,
                name,
                collision,
            } => Placed::Renamed {
                item: item?,
                name,
                collision,
            },
            Placed::Skipped { why } => Placed::Skipped { why },
        })
    }
}

impl FolderTarget {
    /// Opens the folder at `path`, or creates it and what is missing above it. The path is the
    /// caller's and may lead through symbolic links; nothing below it ever does.
    pub fn open(path: &Path, options: FolderTargetOptions) -> Result<Self> {
        let failed = |what: &str, errno: Errno| {
            Error::io(Place::Path(path.to_path_buf()), what, errno.into())
        };
        create_with_parents(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| failed("open the target folder", errno))?;
        if options.on_conflict == OnConflict::Fail
            && !is_empty(root.as_fd()).map_err(|errno| failed("list the target folder", errno))?
        {
            let detail = "the target folder is not empty; say what to do about conflicts";
            return Err(Error::new(
                ErrorKind::InvalidInput,
                Place::Path(path.to_path_buf()),
                detail,
            ));
        }
        let identity =
            Identity::of_process().map_err(|errno| failed("find out who restores", errno))?;
        let run = Run::new(path.to_path_buf(), options, identity, Folders::new(root));
        Ok(Self { run: Arc::new(run) })
    }

    /// Makes a folder, or merges with the real folder that is there.
    pub fn make_folder(&self, at: &TreePath) -> Result<Placed<()>> {
        if *at == TreePath::default() {
            return Ok(Placed::Merged(()));
        }
        self.admit(at)?;
        let parent = self.run.open_folder(at)?;
        match make_private_folder(&parent, &at.name) {
            Ok(()) => self.adopt(at, &parent, &at.name).map(Placed::New),
            Err(Errno::EXIST) => self.settle_folder(at, &parent),
            Err(errno) => Err(self.run.error(at, "create the folder", errno)),
        }
    }

    /// Creates a file of `len` bytes, all of them a hole.
    pub fn create_file(
        &self,
        at: &TreePath,
        metadata: &Metadata,
        len: u64,
    ) -> Result<Placed<TargetFile>> {
        self.admit(at)?;
        let placed = self.run.place(at, metadata.mtime, create_private_file)?;
        placed.try_map(|(file, slot)| TargetFile::new(file, slot, len))
    }

    /// Creates a file and completes it at once.
    pub fn write_file(
        &self,
        at: &TreePath,
        metadata: &Metadata,
        bytes: &[u8],
    ) -> Result<Placed<Vec<NotApplied>>> {
        self.create_file(at, metadata, 0)?.try_map(|file| {
            file.write_at(0, bytes)?;
            file.finish(metadata)
        })
    }

    /// Makes a symbolic link; its target is not looked at.
    pub fn make_symlink(
        &self,
        at: &TreePath,
        link_target: &[u8],
        metadata: &Metadata,
    ) -> Result<Placed<Vec<NotApplied>>> {
        self.admit(at)?;
        let placed = self.run.place(at, metadata.mtime, |folder, name| {
            rustix::fs::symlinkat(link_target, folder, name)
        })?;
        placed.try_map(|((), slot)| self.complete(slot, FileType::Symlink, metadata))
    }

    /// Makes a named pipe, a socket or a device; devices only in a privileged restore.
    pub fn make_special(
        &self,
        at: &TreePath,
        node: &Node,
        metadata: &Metadata,
    ) -> Result<Placed<Vec<NotApplied>>> {
        self.admit(at)?;
        let (file_type, device) = self.special(at, node)?;
        let placed = self.run.place(at, metadata.mtime, |folder, name| {
            rustix::fs::mknodat(folder, name, file_type, Mode::RUSR | Mode::WUSR, device)
        })?;
        placed.try_map(|((), slot)| self.complete(slot, file_type, metadata))
    }

    /// Makes `at` another name of `leader`, which this target has placed before.
    ///
    /// `NotFound` if the leader is not there, `Unsupported` if the file system cannot link:
    /// the caller can restore a copy in both cases.
    pub fn make_hard_link(&self, at: &TreePath, leader: &TreePath) -> Result<Placed<()>> {
        self.admit(at)?;
        self.admit(leader)?;
        // A missing folder is not a missing leader.
        self.run.open_folder(at)?;
        let leader_folder = self.run.open_folder(leader)?;
        let leader_name = self.run.folders.name_of(leader);
        let absent = self.run.is_absent(leader);
        let mtime = self.mtime_of(&leader_folder, &leader_name);
        let linked = self.run.place(at, mtime, |folder, name| {
            if absent {
                // Whether its own name is taken matters more: then it may be left as it is.
                let there = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
                return Err(there.map_or_else(|errno| errno, |_| Errno::EXIST));
            }
            let flags = AtFlags::empty();
            rustix::fs::linkat(&leader_folder, leader_name.as_ref(), folder, name, flags)
        });
        linked
            .map_err(|error| self.link_error(at, leader, error))?
            .try_map(|((), slot)| slot.keep())
    }

    /// Gives a folder its metadata, once everything in it is complete; returns what could not be
    /// applied.
    pub fn apply_folder_metadata(
        &self,
        at: &FolderPath,
        metadata: &Metadata,
    ) -> Result<Vec<NotApplied>> {
        let entry = at.as_entry();
        let failed = |errno| self.run.error(&entry, "open the folder", errno);
        if *at != FolderPath::root() {
            self.admit(&entry)?;
        }
        let folder = self.run.folders.open(at).map_err(failed)?;
        let readable = folder.open_readable();
        let object = match &readable {
            Ok(fd) => Object::Open(fd.as_fd()),
            Err(_) => Object::Held(folder.as_fd()),
        };
        self.run
            .rules()
            .apply(&object, metadata, true)
            .map_err(failed)
    }

    /// Checks every name again, whoever made the path.
    fn admit(&self, at: &TreePath) -> Result<()> {
        let mut above = at.folder.0.split(|&byte| byte == 0);
        if is_valid_name(&at.name) && (at.folder.0.is_empty() || above.all(is_valid_name)) {
            return Ok(());
        }
        let detail = format!("`{at}` is not a path inside a tree");
        Err(Error::new(
            ErrorKind::InvalidInput,
            Place::Path(self.run.path.clone()),
            detail,
        ))
    }

    fn adopt(&self, at: &TreePath, parent: &Folder, name: &[u8]) -> Result<()> {
        let adopted = self.run.folders.adopt(at, parent, name);
        adopted.map_err(|errno| self.run.error(at, "open the new folder", errno))
    }

    /// Something has the name of a folder that is to be made.
    fn settle_folder(&self, at: &TreePath, parent: &Folder) -> Result<Placed<()>> {
        let there = placement::type_there(parent, at)
            .map_err(|errno| self.run.error(at, "look at what is in its place", errno))?;
        if there == FileType::Symlink {
            let detail = "a folder is needed where a symbolic link is; it is never followed";
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                self.run.place_of(at),
                detail,
            ));
        }
        // A folder entry has no time here: under `Newer` it replaces nothing.
        match self.run.judge(
            parent,
            at,
            Timestamp {
                seconds: i64::MIN,
                nanoseconds: 0,
            },
        )? {
            Verdict::Beside { collision: true } => self.make_folder_beside(at, parent, true),
            _ if there == FileType::Directory => self.merge(at).map(Placed::Merged),
            Verdict::Beside { collision } => self.make_folder_beside(at, parent, collision),
            Verdict::Skip(why) => Ok(Placed::Skipped { why }),
            Verdict::Replace => rustix::fs::unlinkat(parent, &at.name, AtFlags::empty())
                .and_then(|()| make_private_folder(parent, &at.name))
                .map_err(|errno| self.run.error(at, "replace by a folder", errno))
                .and_then(|()| self.adopt(at, parent, &at.name))
                .map(Placed::Replaced),
        }
    }

    fn make_folder_beside(
        &self,
        at: &TreePath,
        parent: &Folder,
        collision: bool,
    ) -> Result<Placed<()>> {
        let ((), name) = self.run.create_beside(parent, at, make_private_folder)?;
        self.run.folders.rename(at, name.clone());
        self.adopt(at, parent, &name)?;
        Ok(Placed::Renamed {
            item: (),
            name,
            collision,
        })
    }

    /// Makes sure that the owner of an existing folder can work in it until it gets its mode.
    fn merge(&self, at: &TreePath) -> Result<()> {
        let failed = |errno| self.run.error(at, "open the folder that is there", errno);
        let folder = self.run.folders.open(&at.as_folder()).map_err(failed)?;
        let stat = rustix::fs::fstat(&*folder).map_err(failed)?;
        let mode = metadata::mode_of(&stat);
        let me = self.run.identity.uid;
        if me != 0 && stat.st_uid == me && mode & 0o700 != 0o700 {
            Object::Held(folder.as_fd())
                .set_mode(mode | 0o700)
                .map_err(failed)?;
        }
        Ok(())
    }

    /// Gives what was just made its metadata and its name.
    fn complete(&self, slot: Slot, made: FileType, metadata: &Metadata) -> Result<Vec<NotApplied>> {
        let held = hold(&slot, made).map_err(|errno| self.run.error(&slot.at, "open", errno))?;
        let object = Object::Held(held.as_fd());
        let applied = self
            .run
            .rules()
            .apply(&object, metadata, slot.folder.gives_acl);
        let losses = applied.map_err(|errno| self.run.error(&slot.at, "look at", errno))?;
        slot.keep()?;
        Ok(losses)
    }

    fn special(&self, at: &TreePath, node: &Node) -> Result<(FileType, Dev)> {
        let refuse = |kind, detail| Err(Error::new(kind, self.run.place_of(at), detail));
        let (file_type, number) = match node {
            Node::Fifo => return Ok((FileType::Fifo, 0)),
            Node::Socket => return Ok((FileType::Socket, 0)),
            Node::CharDevice(number) => (FileType::CharacterDevice, number),
            Node::BlockDevice(number) => (FileType::BlockDevice, number),
            _ => return refuse(ErrorKind::InvalidInput, "is not a special file"),
        };
        if !self.run.options.privileged {
            self.run.mark_absent(at);
            return refuse(ErrorKind::Unsupported, "devices need a privileged restore");
        }
        Ok((file_type, rustix::fs::makedev(number.major, number.minor)))
    }

    fn mtime_of(&self, folder: &Folder, name: &[u8]) -> Timestamp {
        rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
            .map(|stat| metadata::mtime_of(&stat))
            .unwrap_or_default()
    }

    /// What a failed link means to the caller.
    fn link_error(&self, at: &TreePath, leader: &TreePath, error: Error) -> Error {
        let (kind, detail) = match errno_of(&error) {
            Some(Errno::NOENT) => (ErrorKind::NotFound, "which was not restored"),
            Some(Errno::MLINK | Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP) => (
                ErrorKind::Unsupported,
                "which the file system does not allow",
            ),
            _ => return error,
        };
        let detail = format!("link to `{leader}`, {detail}");
        Error::new(kind, self.run.place_of(at), detail).with_source(error)
    }
}

fn errno_of(error: &Error) -> Option<Errno> {
    let source = std::error::Error::source(error)?;
    let io: &std::io::Error = source.downcast_ref()?;
    Errno::from_io_error(io)
}

fn create_with_parents(path: &Path) -> Result<()> {
    let failed = |e| {
        Error::io(
            Place::Path(path.to_path_buf()),
            "create the target folder",
            e,
        )
    };
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(()),
    }
}

fn is_empty(folder: std::os::fd::BorrowedFd<'_>) -> Result<bool, Errno> {
    for entry in rustix::fs::Dir::read_from(folder)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn make_private_folder(parent: &Folder, name: &[u8]) -> Result<(), Errno> {
    rustix::fs::mkdirat(parent, name, Mode::RWXU)
}

fn create_private_file(folder: &Folder, name: &[u8]) -> Result<OwnedFd, Errno> {
    // Read as well: a restore may be asked to verify what it wrote.
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)
}

/// Holds what was just made; an error if somebody put something else, or another name of
/// something else, in its place.
fn hold(slot: &Slot, made: FileType) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = rustix::fs::openat(&slot.folder, &slot.name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&held)?;
    if metadata::file_type(&stat) == made && stat.st_nlink == 1 {
        Ok(held)
    } else {
        Err(Errno::STALE)
    }
}
