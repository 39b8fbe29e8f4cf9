//! The parts of an entry that need more than a status: names of owners, extended attributes,
//! targets of links.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::readlinkat;
use rustix::io::{Errno, retry_on_intr};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::{Metadata, Node, Xattr};
use crate::observe::Problem;
use crate::sources::folder::error::problem_of;
use crate::sources::folder::file::SourceFile;
use crate::sources::folder::stat::{FileKind, Stat};
use crate::sources::folder::xattrs::{Holder, Xattrs};
use crate::sources::folder::{FolderHandle, FolderSource};

impl FolderSource {
    /// Metadata of an object of any kind that is not open, with what could not be had of it.
    ///
    /// Goes through `/proc`: no system call reads the attributes of a link or device relative to
    /// a folder. Open files and folders have their own ways, [`Self::file_metadata`] and
    /// [`Self::folder_metadata`], which are faster. A hard link needs [`Self::link_metadata`].
    pub fn metadata(
        &self,
        parent: Option<&FolderHandle>,
        name: &[u8],
        stat: &Stat,
    ) -> (Metadata, Vec<Problem>) {
        let (folder, at) = self.locate(parent, name);
        let mut path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        path.push(OsStr::from_bytes(at));
        self.with_xattrs(parent, name, stat, Holder::Path(&path).read())
    }

    /// Metadata of an open folder.
    pub fn folder_metadata(&self, folder: &FolderHandle, stat: &Stat) -> (Metadata, Vec<Problem>) {
        self.with_xattrs(Some(folder), b"", stat, Holder::Open(folder.fd()).read())
    }

    /// Metadata of an open file, with the status that it was opened with.
    pub fn file_metadata(&self, file: &SourceFile) -> (Metadata, Vec<Problem>) {
        let xattrs = Holder::Open(file.fd()).read();
        self.with_xattrs(file.parent(), file.name(), file.stat(), xattrs)
    }

    /// Metadata without extended attributes, as a hard link has it: its leader carries them.
    pub fn link_metadata(&self, stat: &Stat) -> Metadata {
        Metadata {
            mode: stat.mode,
            owner: self.owners.owner(stat.uid, stat.gid),
            mtime: stat.mtime,
            xattrs: Vec::new(),
        }
    }

    /// What an object is that has no content of its own to read. A regular file is refused: it is
    /// opened instead.
    pub fn read_node(
        &self,
        parent: Option<&FolderHandle>,
        name: &[u8],
        stat: &Stat,
    ) -> Result<Node> {
        Ok(match stat.kind {
            FileKind::Folder => Node::Folder,
            FileKind::Symlink => Node::Symlink(self.read_link(parent, name)?),
            FileKind::Fifo => Node::Fifo,
            FileKind::Socket => Node::Socket,
            FileKind::CharDevice => Node::CharDevice(stat.rdev),
            FileKind::BlockDevice => Node::BlockDevice(stat.rdev),
            FileKind::File => {
                let place = Place::Path(self.display_path(parent, name));
                let detail = "the content of a regular file is not part of its status";
                return Err(Error::new(ErrorKind::InvalidInput, place, detail));
            }
        })
    }

    fn read_link(&self, parent: Option<&FolderHandle>, name: &[u8]) -> Result<Vec<u8>> {
        let (folder, at) = self.locate(parent, name);
        let target = retry_on_intr(|| readlinkat(folder, at, Vec::new()));
        target
            .map(|target| target.into_bytes())
            .map_err(|errno| match errno {
                Errno::INVAL => self.replaced(parent, name, "a symbolic link"),
                other => self.error(parent, name, "reading the symbolic link", other.into()),
            })
    }

    fn with_xattrs(
        &self,
        parent: Option<&FolderHandle>,
        name: &[u8],
        stat: &Stat,
        xattrs: io::Result<Xattrs>,
    ) -> (Metadata, Vec<Problem>) {
        let problem = |what: &str, cause| problem_of(&self.error(parent, name, what, cause));
        let metadata = |xattrs: Vec<Xattr>| Metadata {
            xattrs,
            ..self.link_metadata(stat)
        };
        match xattrs {
            Err(cause) => (
                metadata(Vec::new()),
                vec![problem("listing extended attributes", cause)],
            ),
            Ok(Xattrs {
                attributes,
                missing,
            }) => {
                let problems = missing.into_iter().map(|(attribute, cause)| {
                    problem(
                        &format!("extended attribute {}", attribute.escape_ascii()),
                        cause,
                    )
                });
                (metadata(attributes), problems.collect())
            }
        }
    }
}
