//! Decoded pages of trees, kept for the next look: a walk over a whole tree decodes each about once.
//!
//! Bounded in bytes, shared by all trees of a repository: pages of one id hold the same entries.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::DecodeError;
use crate::format::entry::TreePath;
use crate::format::id::PageId;
use crate::format::tree::{self, TreeChild, TreeItem};
use crate::repository::chunks::ChunkReader;
use crate::serve::kept::Kept;

/// What a decoded entry takes beside its own bytes.
const ITEM_OVERHEAD: usize = size_of::<TreeItem>() + 96;
/// What a decoded child of an inner page takes beside its own bytes.
const CHILD_OVERHEAD: usize = size_of::<TreeChild>() + 64;

/// The pages that were used last.
pub struct TreePages(Mutex<Kept<PageId, Page>>);

/// A decoded page.
#[derive(Clone)]
pub(super) enum Page {
    /// Entries.
    Leaf(Arc<Leaf>),
    /// Pages of the level below.
    Inner(Arc<Inner>),
}

/// Neighbouring entries.
pub(super) struct Leaf {
    pub(super) items: Vec<TreeItem>,
}

/// Neighbouring pages.
pub(super) struct Inner {
    pub(super) children: Vec<TreeChild>,
    /// Entries before each child.
    pub(super) before: Vec<u64>,
    level: u8,
    entries: u64,
}

/// What the page above says of a page.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) id: PageId,
    pub(super) level: u8,
    pub(super) first: TreePath,
    pub(super) entries: u64,
}

impl TreePages {
    /// No pages yet, and never more than `bytes_max` bytes of them.
    pub fn new(bytes_max: usize) -> Self {
        Self(Mutex::new(Kept::new(bytes_max)))
    }

    /// A page, kept or read now.
    ///
    /// # Errors
    /// `Damaged` or `NotFound` if no copy can be had, or it is not what is said of it.
    pub(super) fn page(&self, reader: &ChunkReader<'_>, expected: &Expected) -> Result<Page> {
        let kept = self.0.lock().find(&expected.id);
        let page = match kept {
            Some(page) => page,
            None => self.read(reader, expected)?,
        };
        if page.is(expected) {
            return Ok(page);
        }
        let error = DecodeError::Malformed("page does not hold what it should");
        Err(damaged(expected.id, error))
    }

    fn read(&self, reader: &ChunkReader<'_>, expected: &Expected) -> Result<Page> {
        let bytes = reader.page(&expected.id)?;
        let malformed = |error| damaged(expected.id, error);
        let page = if expected.level == 0 {
            let items = tree::decode_leaf(&bytes).map_err(malformed)?;
            Page::Leaf(Arc::new(Leaf { items }))
        } else {
            let (level, children) = tree::decode_inner(&bytes).map_err(malformed)?;
            Page::Inner(Arc::new(Inner::new(level, children)))
        };
        let len = bytes.len() + page.overhead();
        self.0.lock().keep(expected.id, page.clone(), len);
        Ok(page)
    }
}

impl Page {
    fn is(&self, expected: &Expected) -> bool {
        match self {
            Self::Leaf(leaf) => {
                let first = leaf.items.first();
                expected.level == 0
                    && leaf.items.len() as u64 == expected.entries
                    && first.is_some_and(|item| is_at(item, &expected.first))
            }
            Self::Inner(inner) => {
                let first = inner.children.first();
                expected.level == inner.level
                    && expected.entries == inner.entries
                    && first.is_some_and(|child| child.first == expected.first)
            }
        }
    }

    fn overhead(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.items.len() * ITEM_OVERHEAD,
            Self::Inner(inner) => inner.children.len() * CHILD_OVERHEAD,
        }
    }
}

impl Inner {
    fn new(level: u8, children: Vec<TreeChild>) -> Self {
        let mut entries = 0_u64;
        let before = children.iter().map(|child| {
            let before = entries;
            entries = entries.saturating_add(child.entries);
            before
        });
        let before = before.collect();
        Self {
            children,
            before,
            level,
            entries,
        }
    }

    /// The child that holds the entry `number` of this page, or would hold it.
    pub(super) fn by_number(&self, number: u64) -> usize {
        let behind = self.before.partition_point(|before| *before <= number);
        behind.saturating_sub(1)
    }

    /// The child that holds the entry at `path`, or would hold it.
    pub(super) fn by_path(&self, path: &TreePath) -> usize {
        let behind = self.children.partition_point(|child| child.first <= *path);
        behind.saturating_sub(1)
    }
}

fn is_at(item: &TreeItem, path: &TreePath) -> bool {
    *item.folder == path.folder && item.entry.name == path.name
}

fn damaged(id: PageId, error: DecodeError) -> Error {
    Error::new(ErrorKind::Damaged, Place::Chunk(id), "page").with_source(error)
}
