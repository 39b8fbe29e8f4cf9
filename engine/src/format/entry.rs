//! What a tree says about one file system object, and the paths inside a tree.
//!
//! Values only: how they are laid out in pages is in `format::tree`. Sources make them, targets
//! take them. Deliberately absent: atime, device and inode numbers, link counts: what a restore
//! cannot or should not bring back is not part of the content.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::format::id::{ChunkId, PageId};

/// One object of a file system, in its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// One path component, raw bytes; empty for the root of a tree only.
    pub name: Vec<u8>,
    /// What every kind has.
    pub metadata: Metadata,
    /// What it is.
    pub node: Node,
}

/// What every kind of object has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The 12 permission bits: rwx, setuid, setgid, sticky.
    pub mode: u16,
    /// Who owns it; most entries share one.
    pub owner: Arc<Owner>,
    /// Last modification.
    pub mtime: Timestamp,
    /// Extended attributes, ascending by name; POSIX ACLs and capabilities are among them.
    /// Always empty for hard links: the leader carries them.
    pub xattrs: Vec<Xattr>,
}

/// Owner by number and by name; names are empty where the source had none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// User name, raw bytes.
    pub user: Vec<u8>,
    /// Group name, raw bytes.
    pub group: Vec<u8>,
}

/// A point in time: seconds since 1970 (negative before), and nanoseconds in 0..10^9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// Nanoseconds after them.
    pub nanoseconds: u32,
}

/// One extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// Full name with its namespace, raw bytes.
    pub name: Vec<u8>,
    /// Raw value.
    pub value: Vec<u8>,
}

/// What an entry is, with what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Regular file.
    File(Content),
    /// Folder: its children are entries of their own.
    Folder,
    /// Symbolic link, target verbatim.
    Symlink(Vec<u8>),
    /// Named pipe.
    Fifo,
    /// Unix domain socket.
    Socket,
    /// Character device.
    CharDevice(DeviceNumber),
    /// Block device.
    BlockDevice(DeviceNumber),
    /// Another name of an earlier entry of the same tree.
    HardLink(TreePath),
}

/// Number of a device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceNumber {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// Bytes of a file or volume, as extents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// At most `limits::EXTENTS_INLINE_MAX` extents; none for an empty file.
    Inline(Vec<Extent>),
    /// More extents than that: the root of an extents manifest.
    Tree(ExtentsRoot),
}

/// Root of an extents manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtentsRoot {
    /// Length of the content, bytes.
    pub len: u64,
    /// Root page.
    pub page: PageId,
    /// Level of the root page.
    pub level: u8,
}

/// A run of bytes of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Length, bytes; at least 1.
    pub len: u64,
    /// Where the bytes come from.
    pub kind: ExtentKind,
}

/// Where the bytes of an extent come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtentKind {
    /// A stored chunk.
    Chunk(ChunkId),
    /// Reads as zeros and is not allocated.
    Hole,
    /// Reads as zeros and is allocated.
    Zero,
    /// Could not be read from its source; restored as zeros.
    Unreadable,
}

impl ExtentKind {
    /// True for a kind of which two are never neighbours: they are one extent.
    pub fn merges(self) -> bool {
        !matches!(self, Self::Chunk(_))
    }
}

/// Place of an entry in a tree.
///
/// Orders by folder, then by name, both as raw bytes: the children of one folder are contiguous,
/// and a folder comes before everything below it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TreePath {
    /// Path of the folder from the root of the tree.
    pub folder: FolderPath,
    /// One component; empty for the root itself.
    pub name: Vec<u8>,
}

/// Path of a folder from the root of its tree: components joined by zero bytes, empty for the
/// root. The zero byte makes byte order the order of a walk.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderPath(pub Vec<u8>);

impl Content {
    /// Length, bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(extents) => extents.iter().map(|extent| extent.len).sum(),
            Self::Tree(root) => root.len,
        }
    }

    /// True for the content of an empty file.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FolderPath {
    /// The root of a tree.
    pub fn root() -> Self {
        Self::default()
    }

    /// The folder `name` in this one.
    #[must_use]
    pub fn child(&self, name: &[u8]) -> Self {
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        path.extend_from_slice(&self.0);
        if !path.is_empty() {
            path.push(0);
        }
        path.extend_from_slice(name);
        Self(path)
    }

    /// The folder that `below` is, seen from this one.
    #[must_use]
    pub fn join(&self, below: &Self) -> Self {
        match (self.0.as_slice(), below.0.as_slice()) {
            (_, []) => self.clone(),
            ([], _) => below.clone(),
            (folder, below) => Self([folder, &[0], below].concat()),
        }
    }

    /// Path of `other` seen from this folder: the inverse of `join`; nothing if it lies elsewhere.
    pub fn below(&self, other: &Self) -> Option<Self> {
        let rest = other.0.strip_prefix(self.0.as_slice())?;
        match (self.0.as_slice(), rest) {
            ([], _) | (_, []) => Some(Self(rest.to_vec())),
            (_, [0, rest @ ..]) => Some(Self(rest.to_vec())),
            _ => None,
        }
    }

    /// Where this folder's own entry lies; the root's is the empty name in the root.
    pub fn as_entry(&self) -> TreePath {
        let mut names = self.0.rsplitn(2, |&byte| byte == 0);
        let name = names.next().unwrap_or_default().to_vec();
        let folder = Self(names.next().unwrap_or_default().to_vec());
        TreePath { folder, name }
    }

    /// The names on the way from the root, outermost first.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty())
    }

    /// True if `other` is this folder or lies below it.
    pub fn contains(&self, other: &Self) -> bool {
        self.0.is_empty()
            || other
                .0
                .strip_prefix(self.0.as_slice())
                .is_some_and(|rest| matches!(rest, [] | [0, ..]))
    }
}

impl TreePath {
    /// The entry `name` in `folder`.
    pub fn new(folder: FolderPath, name: impl Into<Vec<u8>>) -> Self {
        Self {
            folder,
            name: name.into(),
        }
    }

    /// The folder that this entry is, if it is one: where its children lie.
    pub fn as_folder(&self) -> FolderPath {
        if self.name.is_empty() {
            self.folder.clone()
        } else {
            self.folder.child(&self.name)
        }
    }

    /// With slashes, relative to the root of the tree; empty for the root.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.as_folder().0;
        bytes
            .iter_mut()
            .filter(|byte| **byte == 0)
            .for_each(|byte| *byte = b'/');
        bytes
    }
}

impl Ord for TreePath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folder
            .cmp(&other.folder)
            .then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_bytes().escape_ascii())
    }
}

/// True if `name` can be one component of a path on a Unix file system, and so of a tree.
pub fn is_valid_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= crate::limits::NAME_LEN_LIMIT
        && name != b"."
        && name != b".."
        && !name.iter().any(|&byte| byte == 0 || byte == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_comes_before_all_below_it_and_siblings_with_longer_names_after() {
        let a = FolderPath::root().child(b"a");
        let a_dot = FolderPath::root().child(b"a.b");
        let below = a.child(b"zzz");
        assert!(a < below && below < a_dot);
        assert!(a.contains(&below) && a.contains(&a) && !a.contains(&a_dot));
    }

    #[test]
    fn a_folder_path_knows_its_own_entry() {
        let path = FolderPath::root().child(b"a").child(b"b");
        assert_eq!(
            path.as_entry(),
            TreePath::new(FolderPath::root().child(b"a"), *b"b")
        );
        assert_eq!(path.as_entry().as_folder(), path);
        assert_eq!(path.as_entry().to_bytes(), b"a/b");
        assert_eq!(FolderPath::root().as_entry(), TreePath::default());
    }

    #[test]
    fn joining_a_path_and_taking_it_off_again_gives_it_back() {
        let (root, a) = (FolderPath::root(), FolderPath::root().child(b"a"));
        let a_b = a.child(b"b");
        for (folder, below) in [(&root, &root), (&root, &a_b), (&a, &root), (&a, &a_b)] {
            assert_eq!(folder.below(&folder.join(below)).as_ref(), Some(below));
        }
        assert_eq!(a.join(&a.child(b"b")), a.child(b"a").child(b"b"));
        assert_eq!(a_b.below(&a), None);
        assert_eq!(a.below(&FolderPath::root().child(b"ab")), None);
    }

    #[test]
    fn names_that_lead_elsewhere_are_invalid() {
        for name in [&b""[..], b".", b"..", b"a/b", b"a\0b", &[b'x'; 256]] {
            assert!(
                !is_valid_name(name),
                "{:?}",
                name.escape_ascii().to_string()
            );
        }
        assert!(is_valid_name(b"...") && is_valid_name(&[0xff; 255]));
    }
}
