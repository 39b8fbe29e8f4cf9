//! What the kernel asks, answered.
//!
//! Files and folders are not opened: the kernel is told so at the first of each, and asks no more.
//! Whatever would write is refused by the kernel, which knows that the mount is for reading.

use std::error::Error as _;
use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use fuser::{
    Errno, FileAttr, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus,
    ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyXattr, Request,
};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::snapshot::Snapshot;
use crate::limits::NAME_LEN_LIMIT;
use crate::serve::files::{self, Attributes, Child, Files};
use crate::serve::mount::MountOptions;
use crate::serve::mount::ahead::Ahead;
use crate::serve::mount::attr;
use crate::serve::mount::inodes::{Inodes, Node};
use crate::serve::mount::opened::Opened;
use crate::serve::problems::Problems;
use crate::serve::view::View;

/// For how long the kernel may believe what never changes: a year.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The same of folders in which snapshots come and go.
const FOR_NOW: Duration = Duration::from_secs(1);
/// Requests that the kernel may have under way without anybody waiting: what it reads ahead.
const BACKGROUND_MAX: u16 = 64;
/// Entries of `.` and `..` come before the children.
const DOTS: u64 = 2;
/// Unit of what `df` shows, bytes.
const UNIT_LEN: u32 = 4_096;
/// The inode of what is mounted.
const TOP: u64 = 1;
/// `whence` of `lseek`.
const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;

/// One mount, as the kernel sees it.
pub(super) struct Session {
    inodes: Arc<Inodes>,
    /// Files that will be asked for next.
    ahead: Arc<Ahead>,
    options: MountOptions,
    totals: Totals,
    opened: Opened,
    problems: Arc<Problems>,
    /// Nothing in it ever changes.
    is_fixed: bool,
    /// The kernel can do without files, and without folders, being opened.
    without_open: bool,
    without_opendir: bool,
}

/// What `df` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    entries: u64,
    bytes: u64,
}

impl Totals {
    /// Of these together.
    pub(super) fn of(snapshots: &[Snapshot]) -> Self {
        let sum = |of: fn(&Snapshot) -> u64| snapshots.iter().map(of).fold(0, u64::saturating_add);
        Self {
            entries: sum(|one| one.totals.entries),
            bytes: sum(|one| one.totals.bytes),
        }
    }
}

impl Session {
    pub(super) fn new(
        files: Arc<dyn Files>,
        options: MountOptions,
        totals: Totals,
        problems: Arc<Problems>,
    ) -> Self {
        let is_fixed = files.is_fixed();
        Self {
            inodes: Arc::new(Inodes::new(files)),
            ahead: Arc::default(),
            options,
            totals,
            opened: Opened::default(),
            problems,
            is_fixed,
            without_open: false,
            without_opendir: false,
        }
    }

    /// What reads ahead for it, once there is a mount.
    pub(super) fn ahead(&self) -> (Arc<Ahead>, Arc<Inodes>) {
        (Arc::clone(&self.ahead), Arc::clone(&self.inodes))
    }

    /// The error number for an error of an inode; tells those that are a loss.
    fn errno(&self, inode: INodeNo, error: &Error) -> Errno {
        match (error.kind(), error.place()) {
            // What is missing in the repository has a cause.
            (ErrorKind::NotFound, Place::Path(_)) if error.source().is_none() => {
                return Errno::ESTALE;
            }
            (ErrorKind::InvalidInput, _) => return Errno::EINVAL,
            _ => {}
        }
        let node = self.inodes.node(inode.0);
        let path = node.map(|node| node.files.path(node.number));
        self.problems
            .tell(inode.0, &path.unwrap_or_default(), error);
        match error.kind() {
            ErrorKind::Unsupported => Errno::EOPNOTSUPP,
            _ => Errno::EIO,
        }
    }

    fn attr(&self, inode: u64, attributes: &Attributes) -> FileAttr {
        let owner = (self.options.uid, self.options.gid);
        attr::of(inode, attributes, owner)
    }

    /// A child of a folder; nothing if there is none.
    fn find(&self, folder: &Node, name: &OsStr) -> Result<Option<FileAttr>> {
        let Some(number) = folder.files.child(folder.number, name.as_bytes())? else {
            return Ok(None);
        };
        let inode = self.inodes.inode_in(folder, number)?;
        self.look(inode).map(Some)
    }

    fn look(&self, inode: u64) -> Result<FileAttr> {
        let node = self.inodes.node(inode)?;
        let attributes = node.files.attributes(node.number)?;
        Ok(self.attr(inode, &attributes))
    }

    fn view(&self, inode: INodeNo) -> Result<Arc<dyn View>> {
        self.opened.view(inode.0, || {
            let node = self.inodes.node(inode.0)?;
            node.files.content(node.number)
        })
    }

    /// Gives what lies in a folder from `offset` on to `add`, until that says that it has enough.
    /// An error behind something that was given is left to whoever asks on.
    fn list(
        &self,
        inode: INodeNo,
        offset: u64,
        add: &mut dyn FnMut(&Listed<'_>) -> bool,
    ) -> Result<()> {
        let node = self.inodes.node(inode.0)?;
        let mut given = 0_u64;
        let mut failed = None;
        if offset < DOTS {
            let attributes = node.files.attributes(node.number)?;
            let dots = [(&b"."[..], inode.0), (b"..", node.parent()?)];
            for (name, inode) in dots.into_iter().skip(offset as usize) {
                let attr = self.attr(inode, &attributes);
                let next = if name.len() == 1 { 1 } else { DOTS };
                let ttl = Duration::ZERO;
                if !add(&Listed {
                    name,
                    next,
                    attr,
                    ttl,
                }) {
                    return Ok(());
                }
                given += 1;
            }
        }
        let ttl = self.ttl(&node);
        let position = offset.saturating_sub(DOTS);
        let is_in_order = node.files.is_in_order();
        let mut listed: Option<Range<u64>> = None;
        let mut is_open = false;
        let mut each = |child: &Child<'_>| {
            let inode = match self.inodes.inode_in(&node, child.number) {
                Ok(inode) => inode,
                Err(error) => {
                    failed = Some(error);
                    return false;
                }
            };
            given += 1;
            is_open |= !child.is_final;
            if is_in_order {
                let place = node.inode_of(child.next.saturating_sub(1));
                let first = listed.as_ref().map_or(place, |listed| listed.start);
                listed = Some(first..place + 1);
            }
            add(&Listed {
                name: child.name,
                next: child.next + DOTS,
                attr: self.attr(inode, &child.attributes),
                // Asked for again before it is believed.
                ttl: if child.is_final { ttl } else { Duration::ZERO },
            })
        };
        let result = node.files.children(node.number, position, &mut each);
        match listed {
            Some(listed) => self.ahead.listed(inode.0, listed),
            None if result.is_ok() => self.ahead.listed_whole(inode.0),
            None => {}
        }
        if is_open {
            let offer = || self.ahead.listed_in_part(inode.0);
            self.inodes.settle_once(inode.0, offer);
        }
        match failed.map_or(result, Err) {
            Err(error) if given == 0 => Err(error),
            _ => Ok(()),
        }
    }

    /// For how long what is said of the children of a folder holds.
    fn ttl(&self, folder: &Node) -> Duration {
        if folder.files.is_fixed() {
            FOR_EVER
        } else {
            FOR_NOW
        }
    }

    fn xattr(&self, inode: INodeNo, name: &OsStr) -> Result<Option<Vec<u8>>> {
        let node = self.inodes.node(inode.0)?;
        let xattrs = node.files.xattrs(node.number)?;
        let found = xattrs.into_iter().find(|one| one.name == name.as_bytes());
        Ok(found.map(|one| one.value))
    }

    /// True if nothing in the mount has attributes: the kernel is told that there is no such thing, and
    /// asks for none any more, as `ls -l` does several times for every file. It is not told so when it
    /// asks for their names: `tar --xattrs` would warn of every file.
    fn is_without_xattrs(&self) -> bool {
        let top = self.inodes.node(TOP);
        self.is_fixed && top.is_ok_and(|top| top.files.is_without_xattrs())
    }

    /// Names, each with a zero byte behind it.
    fn xattr_names(&self, inode: INodeNo) -> Result<Vec<u8>> {
        let node = self.inodes.node(inode.0)?;
        let xattrs = node.files.xattrs(node.number)?;
        let names = xattrs.iter().map(|one| [&one.name, &b"\0"[..]].concat());
        Ok(names.collect::<Vec<_>>().concat())
    }

    /// Where `lseek` leads; nothing if that is behind the end.
    fn seek(&self, inode: INodeNo, offset: i64, whence: i32) -> Result<Option<i64>> {
        let hole = match whence {
            SEEK_DATA => false,
            SEEK_HOLE => true,
            other => {
                let detail = format!("{other} is no way of seeking");
                let place = Place::Argument("whence");
                return Err(Error::new(ErrorKind::InvalidInput, place, detail));
            }
        };
        let (Ok(offset), view) = (u64::try_from(offset), self.view(inode)?) else {
            return Ok(None);
        };
        let found = files::seek(&*view, offset, hole)?;
        Ok(found.and_then(|found| i64::try_from(found).ok()))
    }
}

/// One entry of a listing.
struct Listed<'l> {
    name: &'l [u8],
    next: u64,
    attr: FileAttr,
    ttl: Duration,
}

impl Filesystem for Session {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let offered = config.capabilities();
        self.without_open = offered.contains(InitFlags::FUSE_NO_OPEN_SUPPORT);
        self.without_opendir =
            self.is_fixed && offered.contains(InitFlags::FUSE_NO_OPENDIR_SUPPORT);
        let mut wanted = InitFlags::FUSE_DO_READDIRPLUS
            | InitFlags::FUSE_PARALLEL_DIROPS
            | InitFlags::FUSE_ASYNC_DIO;
        if self.is_fixed {
            wanted |= InitFlags::FUSE_CACHE_SYMLINKS;
        }
        if self.options.allow_other {
            // Or else the group bits of the mode, which stand for the mask, would give too much.
            wanted |= InitFlags::FUSE_POSIX_ACL;
        }
        // What an older kernel does not have makes it slower, and shows no file to more people: it
        // has no ACLs either.
        let _ = config.add_capabilities(wanted & offered);
        let _ = config.set_max_background(BACKGROUND_MAX);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let folder = self.inodes.node(parent.0);
        let found = folder.and_then(|folder| Ok((self.ttl(&folder), self.find(&folder, name)?)));
        match found {
            Ok((ttl, Some(attr))) => reply.entry(&ttl, &attr, Generation(0)),
            Ok((ttl, None)) if ttl == FOR_EVER => {
                reply.entry(&ttl, &attr::nothing(), Generation(0))
            }
            Ok((_, None)) => reply.error(Errno::ENOENT),
            Err(error) if error.kind() == ErrorKind::InvalidInput => reply.error(Errno::ENOTDIR),
            Err(error) => reply.error(self.errno(parent, &error)),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.look(inode.0) {
            Ok(attr) => {
                let node = self.inodes.node(inode.0);
                let ttl = node.map_or(FOR_NOW, |node| self.ttl(&node));
                reply.attr(&ttl, &attr);
            }
            Err(error) => reply.error(self.errno(inode, &error)),
        }
    }

    fn readlink(&self, _: &Request, inode: INodeNo, reply: ReplyData) {
        let node = self.inodes.node(inode.0);
        match node.and_then(|node| node.files.target(node.number)) {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(self.errno(inode, &error)),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        if self.without_open {
            return reply.error(Errno::ENOSYS);
        }
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn opendir(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        if self.without_opendir {
            return reply.error(Errno::ENOSYS);
        }
        let node = self.inodes.node(inode.0);
        let flags = match node.is_ok_and(|node| node.files.is_fixed()) {
            true => FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_CACHE_DIR,
            false => FopenFlags::empty(),
        };
        reply.opened(FileHandle(0), flags);
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let view = match self.view(inode) {
            Ok(view) => view,
            Err(error) => return reply.error(self.errno(inode, &error)),
        };
        if offset == 0 {
            self.ahead.read(inode.0, || self.inodes.run(inode.0));
        }
        // Fewer bytes than were asked for mean the end to the kernel: a part is never given.
        let len = view.len().saturating_sub(offset).min(size.into()) as usize;
        if len == 0 {
            return reply.data(&[]);
        }
        self.opened.read(&*view, offset, len, |read| match read {
            Ok(bytes) => reply.data(bytes),
            Err(error) => reply.error(self.errno(inode, &error)),
        });
    }

    fn lseek(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        match self.seek(inode, offset, whence) {
            Ok(Some(found)) => reply.offset(found),
            Ok(None) => reply.error(Errno::ENXIO),
            Err(error) => reply.error(self.errno(inode, &error)),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let mut add = |one: &Listed<'_>| {
            let name = OsStr::from_bytes(one.name);
            !reply.add(one.attr.ino, one.next, one.attr.kind, name)
        };
        match self.list(inode, offset, &mut add) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(self.errno(inode, &error)),
        }
    }

    fn readdirplus(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let mut add = |one: &Listed<'_>| {
            let name = OsStr::from_bytes(one.name);
            !reply.add(
                one.attr.ino,
                one.next,
                name,
                &one.ttl,
                &one.attr,
                Generation(0),
            )
        };
        match self.list(inode, offset, &mut add) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(self.errno(inode, &error)),
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let blocks = self.totals.bytes.div_ceil(UNIT_LEN.into());
        let name_len = NAME_LEN_LIMIT as u32;
        reply.statfs(
            blocks,
            0,
            0,
            self.totals.entries,
            0,
            UNIT_LEN,
            name_len,
            UNIT_LEN,
        );
    }

    fn getxattr(&self, _: &Request, inode: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        if self.is_without_xattrs() {
            return reply.error(Errno::ENOSYS);
        }
        match self.xattr(inode, name) {
            Ok(Some(value)) => reply_xattr(reply, &value, size),
            Ok(None) => reply.error(Errno::NO_XATTR),
            Err(error) => reply.error(self.errno(inode, &error)),
        }
    }

    fn listxattr(&self, _: &Request, inode: INodeNo, size: u32, reply: ReplyXattr) {
        match self.xattr_names(inode) {
            Ok(names) => reply_xattr(reply, &names, size),
            Err(error) => reply.error(self.errno(inode, &error)),
        }
    }
}

/// Of 0 bytes only the length is asked.
fn reply_xattr(reply: ReplyXattr, value: &[u8], size: u32) {
    let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
    match size {
        0 => reply.size(len),
        size if size < len => reply.error(Errno::ERANGE),
        _ => reply.data(value),
    }
}
