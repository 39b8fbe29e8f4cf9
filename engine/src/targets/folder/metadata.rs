//! Metadata, by descriptor, in the one order that works.
//!
//! Owner, then attributes, then mode, then ACLs, then times: a change of owner clears setuid bits
//! and capabilities, attributes of a read-only file are read-only too, a change of mode rewrites
//! ACLs, and everything touches the times. Afterwards the object is looked at once more, because
//! some file systems accept what they do not keep.
//! What could not be applied is returned, never an error: the content is there. Deliberately
//! absent: atime, which is left as it is.

use std::fmt;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::Stat;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::UTIME_OMIT;
use rustix::fs::Uid;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::format::entry::Metadata;
use crate::format::entry::Timestamp;
use crate::format::entry::Xattr;
use crate::targets::folder::FolderTargetOptions;
use crate::targets::folder::owner::Identity;

const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";
/// Namespaces that only a privileged restore writes.
const PRIVILEGED_XATTRS: [&[u8]; 2] = [b"security.", b"trusted."];
/// ACLs and what else is a view of the mode.
const SYSTEM_XATTRS: &[u8] = b"system.";
/// Setuid and setgid.
const SET_ID: u16 = 0o6000;
/// All that `Metadata::mode` can say.
const MODE_BITS: u16 = 0o7777;

/// One piece of metadata that a restored object lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotApplied {
    /// What is lacking.
    pub what: Aspect,
    /// Why.
    pub why: Reason,
}

/// Pieces of metadata.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    /// User and group.
    Owner,
    /// Permissions.
    Mode,
    /// Setuid and setgid.
    SetId,
    /// The extended attribute of this name.
    Xattr(Vec<u8>),
    /// Time of last modification.
    Mtime,
}

/// Why something was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Only a privileged restore does this.
    NeedsPrivilege,
    /// Setuid and setgid are meant for an owner that could not be set.
    OwnerNotSet,
    /// The file system took it and kept something else.
    NotKept,
    /// The system refused: its error number.
    Refused(i32),
}

/// Something to apply metadata to.
#[derive(Debug)]
pub(super) enum Object<'a> {
    /// An open file or folder.
    Open(BorrowedFd<'a>),
    /// Anything, held with `O_PATH`: links and devices, which must not be opened.
    Held(BorrowedFd<'a>),
}

/// What a run may apply.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) options: &'a FolderTargetOptions,
    pub(super) identity: &'a Identity,
}

/// True if what is made in this folder gets an ACL from it; also where that cannot be told.
pub(super) fn has_default_acl(folder: BorrowedFd<'_>) -> bool {
    match rustix::fs::getxattr_query(path_of(folder), ACL_DEFAULT) {
        Ok(len) => len > 0,
        // No /proc to ask.
        Err(errno) => errno == Errno::NOENT,
    }
}

/// Removes ACLs that the folder above gave, or that an earlier restore left.
pub(super) fn drop_acls(object: &Object<'_>) -> Result<(), Errno> {
    for name in [ACL_ACCESS, ACL_DEFAULT] {
        match object.remove_xattr(name) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::ACCESS | Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

impl Rules<'_> {
    /// Applies `wanted` and returns what is lacking. `acl_given`: the object may have an ACL that
    /// it did not ask for.
    pub(super) fn apply(
        &self,
        object: &Object<'_>,
        wanted: &Metadata,
        acl_given: bool,
    ) -> Result<Vec<NotApplied>, Errno> {
        let mut losses = Losses::default();
        let before = object.stat()?;
        let is_symlink = file_type(&before) == FileType::Symlink;
        let owner = self.options.owner_names.resolve(&wanted.owner);
        let owner_set = self.set_owner(object, &before, owner, &mut losses);
        let mode = self.mode_to_set(wanted.mode & MODE_BITS, owner_set, &mut losses);
        if acl_given && !is_symlink {
            losses.note(Aspect::Xattr(ACL_ACCESS.to_vec()), drop_acls(object));
        }
        let (acls, others): (Vec<_>, Vec<_>) = wanted
            .xattrs
            .iter()
            .partition(|xattr| xattr.name.starts_with(SYSTEM_XATTRS));
        self.set_xattrs(object, &others, &mut losses);
        // A change of owner may have cleared setuid and setgid since `before`.
        let stale = mode_of(&before) != mode || mode & SET_ID != 0 || acl_given;
        if stale && !is_symlink {
            losses.note(Aspect::Mode, object.set_mode(mode));
        }
        self.set_xattrs(object, &acls, &mut losses);
        losses.note(Aspect::Mtime, object.set_mtime(wanted.mtime));
        let after = object.stat()?;
        losses.check(
            Aspect::Owner,
            !owner_set || (after.st_uid, after.st_gid) == owner,
        );
        losses.check(Aspect::Mode, is_symlink || mode_of(&after) == mode);
        losses.check(Aspect::Mtime, mtime_of(&after) == wanted.mtime);
        Ok(losses.0)
    }

    /// True if the object has the owner afterwards.
    fn set_owner(
        &self,
        object: &Object<'_>,
        before: &Stat,
        (uid, gid): (u32, u32),
        losses: &mut Losses,
    ) -> bool {
        if (before.st_uid, before.st_gid) == (uid, gid) {
            return true;
        }
        let privileged = self.options.privileged;
        let may_set_uid = before.st_uid == uid || privileged;
        let may_set_gid = before.st_gid == gid || privileged || self.identity.is_in(gid);
        if !may_set_uid || !may_set_gid {
            losses.add(Aspect::Owner, Reason::NeedsPrivilege);
        }
        let set = object.set_owner(may_set_uid.then_some(uid), may_set_gid.then_some(gid));
        losses.note(Aspect::Owner, set);
        may_set_uid && may_set_gid && set.is_ok()
    }

    /// The mode without what may not be set.
    fn mode_to_set(&self, mode: u16, owner_set: bool, losses: &mut Losses) -> u16 {
        if mode & SET_ID == 0 || (self.options.privileged && owner_set) {
            return mode;
        }
        let privileged = self.options.privileged;
        let why = if privileged {
            Reason::OwnerNotSet
        } else {
            Reason::NeedsPrivilege
        };
        losses.add(Aspect::SetId, why);
        mode & !SET_ID
    }

    fn set_xattrs(&self, object: &Object<'_>, xattrs: &[&Xattr], losses: &mut Losses) {
        for xattr in xattrs {
            let guarded = PRIVILEGED_XATTRS
                .iter()
                .any(|space| xattr.name.starts_with(space));
            if guarded && !self.options.privileged {
                losses.add(Aspect::Xattr(xattr.name.clone()), Reason::NeedsPrivilege);
            } else if let Err(errno) = object.set_xattr(&xattr.name, &xattr.value) {
                losses.note(Aspect::Xattr(xattr.name.clone()), Err(errno));
            }
        }
    }
}

#[derive(Default)]
struct Losses(Vec<NotApplied>);

impl Losses {
    fn add(&mut self, what: Aspect, why: Reason) {
        self.0.push(NotApplied { what, why });
    }

    fn note(&mut self, what: Aspect, outcome: Result<(), Errno>) {
        if let Err(errno) = outcome {
            self.add(what, Reason::Refused(errno.raw_os_error()));
        }
    }

    /// Notes what did not stick, unless it is known already that it was not set.
    fn check(&mut self, what: Aspect, kept: bool) {
        if !kept && !self.0.iter().any(|loss| loss.what == what) {
            self.add(what, Reason::NotKept);
        }
    }
}

impl Object<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Open(fd) | Self::Held(fd) => *fd,
        }
    }

    fn stat(&self) -> Result<Stat, Errno> {
        rustix::fs::fstat(self.fd())
    }

    fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
        // The number -1 means "leave it" to the kernel and belongs to nobody.
        if [uid, gid].contains(&Some(u32::MAX)) {
            return Err(Errno::INVAL);
        }
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        rustix::fs::chownat(self.fd(), c"", uid, gid, AtFlags::EMPTY_PATH)
    }

    pub(super) fn set_mode(&self, mode: u16) -> Result<(), Errno> {
        let mode = Mode::from_raw_mode(mode.into());
        match self {
            Self::Open(fd) => rustix::fs::fchmod(fd, mode),
            Self::Held(fd) => rustix::fs::chmodat(CWD, path_of(*fd), mode, AtFlags::empty()),
        }
    }

    fn set_xattr(&self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Open(fd) => rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()),
            Self::Held(fd) => rustix::fs::setxattr(path_of(*fd), name, value, XattrFlags::empty()),
        }
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Open(fd) => rustix::fs::fremovexattr(fd, name),
            Self::Held(fd) => rustix::fs::removexattr(path_of(*fd), name),
        }
    }

    fn set_mtime(&self, mtime: Timestamp) -> Result<(), Errno> {
        // Larger numbers are commands to the kernel, such as "now".
        if mtime.nanoseconds >= 1_000_000_000 {
            return Err(Errno::INVAL);
        }
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: mtime.seconds,
                tv_nsec: mtime.nanoseconds.into(),
            },
        };
        match self {
            Self::Open(fd) => rustix::fs::futimens(fd, &times),
            Self::Held(fd) => {
                match rustix::fs::utimensat(fd, c"", &times, AtFlags::EMPTY_PATH) {
                    // Linux before 5.8.
                    Err(Errno::INVAL | Errno::NOENT) => {
                        rustix::fs::utimensat(CWD, path_of(*fd), &times, AtFlags::empty())
                    }
                    outcome => outcome,
                }
            }
        }
    }
}

/// The kernel's own name for an open descriptor. It leads to the object itself, whatever
/// happened to its name meanwhile, and is not followed further if that is a link.
fn path_of(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

pub(super) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

pub(super) fn mode_of(stat: &Stat) -> u16 {
    // The twelve bits fit.
    (stat.st_mode & u32::from(MODE_BITS)) as u16
}

pub(super) fn mtime_of(stat: &Stat) -> Timestamp {
    // The kernel keeps nanoseconds below 10^9.
    Timestamp {
        seconds: stat.st_mtime,
        nanoseconds: stat.st_mtime_nsec as u32,
    }
}

impl fmt::Display for NotApplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} not restored: {}", self.what, self.why)
    }
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str("owner"),
            Self::Mode => f.write_str("mode"),
            Self::SetId => f.write_str("setuid or setgid"),
            Self::Xattr(name) => write!(f, "attribute {}", name.escape_ascii()),
            Self::Mtime => f.write_str("modification time"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeedsPrivilege => f.write_str("needs a privileged restore"),
            Self::OwnerNotSet => f.write_str("its owner could not be set"),
            Self::NotKept => f.write_str("the file system does not keep it"),
            Self::Refused(errno) => write!(f, "{}", std::io::Error::from_raw_os_error(*errno)),
        }
    }
}
