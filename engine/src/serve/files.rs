//! What everything that shows files gives: a tree whose nodes have numbers.
//!
//! A mount and whoever else shows files to others knows nothing of where they come from: a captured
//! folder, names made up for volumes and snapshots, or what a reader finds inside an image. Numbers
//! are the tree's own and stay what they are as long as it is there, so that nobody has to remember
//! which were handed out.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::entry::{DeviceNumber, Timestamp, Xattr};
use crate::operations::map_volume::{MappedRange, RangeKind};
use crate::operations::walk;
use crate::serve::view::View;

/// The number of every tree's root.
pub const ROOT: u64 = 0;
/// Numbers of nodes are below this.
pub const NUMBER_LIMIT: u64 = 1 << 40;
/// A unit of what files take, bytes, as `stat` counts it.
const BLOCK_LEN: u64 = 512;
/// Stretch of a content that is asked for at once.
const MAP_STRETCH_LEN: u64 = 1 << 36;
/// Pieces of one answer about a content.
const MAP_PIECES_MAX: usize = 1_024;
/// Data behind which the rest of a content is not looked at to find what it takes: as much manifest
/// as is read in a tenth of a second.
const COUNTED_DATA_MAX: u64 = 64 << 30;

/// A tree of files; any thread asks at any time.
///
/// Every call fails with `NotFound` of a path if the number is, or is not any more, one of a node,
/// and with `InvalidInput` if the node is of another kind than the call is for.
pub trait Files: Send + Sync {
    /// What `stat` says of a node.
    ///
    /// # Errors
    /// Also if what describes it is lost.
    fn attributes(&self, number: u64) -> Result<Attributes>;

    /// The number of `name` in a folder.
    ///
    /// # Errors
    /// Also if it cannot be known whether there is one, because a page is lost.
    fn child(&self, folder: u64, name: &[u8]) -> Result<Option<u64>>;

    /// Gives what lies in a folder to `each`, in an order that is always the same, from `position` on: 0
    /// or what a child said. Ends early where `each` is false.
    ///
    /// # Errors
    /// Also at the place from which on it cannot be known what there is; never shorter in silence.
    fn children(
        &self,
        folder: u64,
        position: u64,
        each: &mut dyn FnMut(&Child<'_>) -> bool,
    ) -> Result<()>;

    /// The folder that a folder lies in; of the root itself.
    ///
    /// # Errors
    /// As for all calls.
    fn parent(&self, folder: u64) -> Result<u64>;

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// As for all calls.
    fn target(&self, number: u64) -> Result<Vec<u8>>;

    /// Extended attributes, ascending by name.
    ///
    /// # Errors
    /// As for all calls.
    fn xattrs(&self, number: u64) -> Result<Vec<Xattr>>;

    /// True if it is known that no node has extended attributes, neither here nor in trees that are to be
    /// seen in it.
    fn is_without_xattrs(&self) -> bool {
        false
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// As for all calls; what of the bytes is lost, reading tells.
    fn content(&self, number: u64) -> Result<Arc<dyn View>>;

    /// True if the children of a folder have numbers one behind another, in the order of its listing,
    /// each [`Child::next`] being the number of the next; but for files of several names.
    fn is_in_order(&self) -> bool {
        false
    }

    /// Numbers about this one that follow one another in the listing of its folder, as far as one
    /// page of the tree says; nothing where they do not.
    fn run(&self, _number: u64) -> Option<Range<u64>> {
        None
    }

    /// Finds out what is left open in listings ([`Child::is_final`]) as far as that is one matter for
    /// all of the tree. It may take long, and ends early where `goes_on` is false.
    ///
    /// # Errors
    /// As for all calls.
    fn settle(&self, _goes_on: &dyn Fn() -> bool) -> Result<()> {
        Ok(())
    }

    /// How people know the node, raw bytes.
    fn path(&self, number: u64) -> Vec<u8>;

    /// The tree that is to be seen in the place of this node, root for node.
    fn mounted(&self, _number: u64) -> Option<Arc<dyn MountedTree>> {
        None
    }

    /// False if nodes come and go, or change.
    fn is_fixed(&self) -> bool {
        true
    }
}

/// A tree that is opened once somebody looks at it.
pub trait MountedTree: Send + Sync {
    /// The tree.
    ///
    /// # Errors
    /// If it cannot be opened; it may be tried again.
    fn open(&self) -> Result<Arc<dyn Files>>;
}

/// A tree that is there.
pub struct Ready(pub Arc<dyn Files>);

impl MountedTree for Ready {
    fn open(&self) -> Result<Arc<dyn Files>> {
        Ok(Arc::clone(&self.0))
    }
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Regular file.
    File,
    /// Folder.
    Folder,
    /// Symbolic link.
    Symlink,
    /// Named pipe.
    Fifo,
    /// Unix domain socket.
    Socket,
    /// Character device.
    CharDevice(DeviceNumber),
    /// Block device.
    BlockDevice(DeviceNumber),
}

/// What `stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// What it is.
    pub kind: Kind,
    /// The 12 permission bits.
    pub mode: u16,
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// Last modification.
    pub mtime: Timestamp,
    /// Length of the content or of the target of a link, bytes.
    pub len: u64,
    /// What it takes, in units of 512 bytes; less than the length where there are holes.
    pub blocks: u64,
    /// Names that it has; of folders 1, which says nothing.
    pub links: u32,
}

/// One entry of a folder.
#[derive(Debug)]
pub struct Child<'c> {
    /// Its name, one path component.
    pub name: &'c [u8],
    /// Its number.
    pub number: u64,
    /// The position behind it.
    pub next: u64,
    /// What it is like.
    pub attributes: Attributes,
    /// False if the kind and length are right, and the rest is to be asked for.
    pub is_final: bool,
}

/// Units that so many bytes take.
pub fn blocks_of(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_LEN)
}

/// Bytes of a content that are not holes.
///
/// Of a very long one what lies behind the first data is taken for data, all but one block: who sees
/// less than the length looks for the holes.
///
/// # Errors
/// Of the view.
pub fn allocated(view: &dyn View) -> Result<u64> {
    let (len, mut at, mut data) = (view.len(), 0, 0_u64);
    while at < len && data < COUNTED_DATA_MAX {
        let pieces = pieces_from(view, at)?;
        let Some(last) = pieces.last() else { break };
        at = last.range.end;
        let stored = pieces.iter().filter(|piece| piece.kind != RangeKind::Hole);
        data += stored
            .map(|piece| piece.range.end - piece.range.start)
            .sum::<u64>();
    }
    let rest = (len - at).saturating_sub(BLOCK_LEN);
    Ok(data.saturating_add(rest))
}

/// The first byte from `offset` on that is in a hole, or else in none; the end counts as a hole.
/// Nothing if there is no such byte.
///
/// # Errors
/// Of the view.
pub fn seek(view: &dyn View, offset: u64, hole: bool) -> Result<Option<u64>> {
    let (len, mut at) = (view.len(), offset);
    if offset >= len {
        return Ok(None);
    }
    while at < len {
        let pieces = pieces_from(view, at)?;
        let Some(last) = pieces.last() else { break };
        at = last.range.end;
        let mut wanted = pieces
            .iter()
            .filter(|piece| (piece.kind == RangeKind::Hole) == hole);
        if let Some(found) = wanted.next() {
            return Ok(Some(found.range.start));
        }
    }
    Ok(hole.then_some(len))
}

/// What the bytes from `at` on are, as far as is asked for at once.
fn pieces_from(view: &dyn View, at: u64) -> Result<Vec<MappedRange>> {
    let end = view.len().min(at.saturating_add(MAP_STRETCH_LEN));
    view.map(at..end, MAP_PIECES_MAX)
}

/// Why a call about a node of this path fails that is of another kind.
pub(super) fn other_kind(path: &[u8], expected: &str) -> Error {
    let detail = format!("is not a {expected}");
    Error::new(ErrorKind::InvalidInput, walk::place(path), detail)
}

/// Why a call about a number fails that means no node any more.
pub(super) fn gone(path: &[u8]) -> Error {
    let detail = "is not there any more";
    Error::new(ErrorKind::NotFound, walk::place(path), detail)
}
