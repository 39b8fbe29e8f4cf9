//! Building manifests: entries go in in order, pages are stored as they end, a root comes out.

use crate::error::Result;
use crate::format::entry::{Entry, FolderPath, Node, TreePath};
use crate::format::id::PageId;
use crate::format::page::{ends_page, mark_of};
use crate::format::scan::{ScanChild, ScanLeafWriter, Seen};
use crate::format::tree::{TreeChild, TreeLeafWriter};
use crate::limits::{INNER_PAGE_CHILDREN_MEAN, TREE_PAGE_ENTRIES_MEAN};
use crate::repository::frame_writer::FrameWriter;
use crate::repository::keys::Keys;
use crate::repository::manifest::shape::{Scan, Shape, Tree};

/// Stores pages: names each by its id and passes it on to the frames of meta packs.
pub struct PageStore<'s> {
    frames: FrameWriter<'s>,
    pub(super) keys: &'s Keys,
}

impl<'s> PageStore<'s> {
    /// A store of pages behind `frames`, which must be of the meta class.
    pub(crate) fn new(frames: FrameWriter<'s>, keys: &'s Keys) -> Self {
        Self { frames, keys }
    }

    /// Stores a page, if it is new.
    pub(super) fn put(&mut self, page: &[u8]) -> Result<PageId> {
        let id = self.keys.page_id().id_of(page);
        self.frames.store(id, page)?;
        Ok(id)
    }

    /// Seals what is still gathered.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.frames.flush()
    }
}

/// Where a manifest begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltRoot<C> {
    /// What the root page holds, as an inner page would say it.
    pub child: C,
    /// Level of the root page.
    pub level: u8,
}

/// The inner levels above the leaves that were stored so far.
pub(super) struct Levels<S: Shape> {
    levels: Vec<Level<S::Child>>,
}

struct Level<C> {
    /// Children of the page that is being gathered.
    children: Vec<C>,
    /// Their encoded length, bytes.
    entries_len: usize,
    /// Pages of this level that ended already.
    ended: u64,
    scratch: Vec<u8>,
}

impl<C> Default for Level<C> {
    fn default() -> Self {
        let (children, scratch) = (Vec::new(), Vec::new());
        Self {
            children,
            entries_len: 0,
            ended: 0,
            scratch,
        }
    }
}

impl<S: Shape> Levels<S> {
    pub(super) fn new() -> Self {
        Self { levels: Vec::new() }
    }

    /// Adds a page that ended at height `at` below these levels, and ends pages above it.
    pub(super) fn push(
        &mut self,
        mut at: usize,
        mut child: S::Child,
        store: &mut PageStore<'_>,
    ) -> Result<()> {
        loop {
            while self.levels.len() <= at {
                self.levels.push(Level::default());
            }
            let level = &mut self.levels[at];
            level.scratch.clear();
            S::encode_child(&mut level.scratch, &child);
            level.entries_len += level.scratch.len();
            let page = S::page(&child);
            level.children.push(child);
            // A page of one child would make the level above as long as this one.
            let may_end = level.children.len() >= 2;
            let mark = || mark_of(&page.0);
            if !may_end || !ends_page(level.entries_len, mark, INNER_PAGE_CHILDREN_MEAN) {
                return Ok(());
            }
            child = self.end_page(at, store)?;
            at += 1;
        }
    }

    /// True if no page of a level below `at` is being gathered.
    pub(super) fn is_between_pages(&self, at: usize) -> bool {
        self.levels.iter().take(at).all(|l| l.children.is_empty())
    }

    /// Adds a page of height `at` that was stored before, with all below it. No page of a level
    /// below may be being gathered.
    pub(super) fn push_stored(
        &mut self,
        at: usize,
        child: S::Child,
        store: &mut PageStore<'_>,
    ) -> Result<()> {
        debug_assert!(self.is_between_pages(at));
        self.push(at, child, store)?;
        // The page has pages below it: what comes next on those levels is no root.
        for level in self.levels.iter_mut().take(at) {
            level.ended += 1;
        }
        Ok(())
    }

    fn end_page(&mut self, at: usize, store: &mut PageStore<'_>) -> Result<S::Child> {
        let level = &mut self.levels[at];
        let page = store.put(&S::encode_inner(at as u8 + 1, &level.children))?;
        let child = S::join(&level.children, page);
        level.children.clear();
        level.entries_len = 0;
        level.ended += 1;
        Ok(child)
    }

    /// Ends all pages; a level of one page is the root.
    pub(super) fn finish(mut self, store: &mut PageStore<'_>) -> Result<BuiltRoot<S::Child>> {
        let mut at = 0;
        loop {
            let level = self.levels.get(at).expect("something was pushed");
            if let ([root], 0) = (level.children.as_slice(), level.ended) {
                return Ok(BuiltRoot {
                    child: root.clone(),
                    level: at as u8,
                });
            }
            if !level.children.is_empty() {
                let child = self.end_page(at, store)?;
                self.push(at + 1, child, store)?;
            }
            at += 1;
        }
    }
}

/// Builds a tree from entries in order.
pub struct TreeBuilder {
    leaf: TreeLeafWriter,
    first: TreePath,
    entries: u64,
    bytes: u64,
    levels: Levels<Tree>,
}

impl TreeBuilder {
    /// A builder that has seen nothing.
    pub fn new() -> Self {
        let (leaf, first) = (TreeLeafWriter::default(), TreePath::default());
        Self {
            leaf,
            first,
            entries: 0,
            bytes: 0,
            levels: Levels::new(),
        }
    }

    /// Adds an entry, which must come after all before it.
    pub fn push(
        &mut self,
        folder: &FolderPath,
        entry: &Entry,
        store: &mut PageStore<'_>,
    ) -> Result<()> {
        if self.leaf.is_empty() {
            self.first = TreePath {
                folder: folder.clone(),
                name: entry.name.clone(),
            };
        }
        self.leaf.push(folder, entry);
        self.entries += 1;
        if let Node::File(content) = &entry.node {
            self.bytes = self.bytes.saturating_add(content.len());
        }
        let mark = || mark_of(&store.keys.boundary().hash(&folder.0, &entry.name));
        if ends_page(self.leaf.entries_len(), mark, TREE_PAGE_ENTRIES_MEAN) {
            self.end_leaf(store)?;
        }
        Ok(())
    }

    /// Ends the tree; it must have its root entry.
    pub fn finish(mut self, store: &mut PageStore<'_>) -> Result<BuiltRoot<TreeChild>> {
        if !self.leaf.is_empty() {
            self.end_leaf(store)?;
        }
        self.levels.finish(store)
    }

    fn end_leaf(&mut self, store: &mut PageStore<'_>) -> Result<()> {
        let page = store.put(&self.leaf.finish())?;
        let first = std::mem::take(&mut self.first);
        let (entries, bytes) = (
            std::mem::take(&mut self.entries),
            std::mem::take(&mut self.bytes),
        );
        self.levels.push(
            0,
            TreeChild {
                first,
                entries,
                bytes,
                page,
            },
            store,
        )
    }
}

impl Default for TreeBuilder {
    fn default() -> Self {
        Self::new()
    }
}

/// Builds a scan from entries in order.
pub struct ScanBuilder {
    leaf: ScanLeafWriter,
    first: TreePath,
    entries: u64,
    levels: Levels<Scan>,
}

impl ScanBuilder {
    /// A builder that has seen nothing.
    pub fn new() -> Self {
        let (leaf, first) = (ScanLeafWriter::default(), TreePath::default());
        Self {
            leaf,
            first,
            entries: 0,
            levels: Levels::new(),
        }
    }

    /// Adds an entry, which must come after all before it.
    pub fn push(
        &mut self,
        folder: &FolderPath,
        name: &[u8],
        seen: &Seen,
        store: &mut PageStore<'_>,
    ) -> Result<()> {
        if self.leaf.is_empty() {
            self.first = TreePath {
                folder: folder.clone(),
                name: name.to_vec(),
            };
        }
        self.leaf.push(folder, name, seen);
        self.entries += 1;
        let mark = || mark_of(&store.keys.boundary().hash(&folder.0, name));
        if ends_page(self.leaf.entries_len(), mark, TREE_PAGE_ENTRIES_MEAN) {
            self.end_leaf(store)?;
        }
        Ok(())
    }

    /// Ends the scan; it must have an entry.
    pub fn finish(mut self, store: &mut PageStore<'_>) -> Result<BuiltRoot<ScanChild>> {
        if !self.leaf.is_empty() {
            self.end_leaf(store)?;
        }
        self.levels.finish(store)
    }

    fn end_leaf(&mut self, store: &mut PageStore<'_>) -> Result<()> {
        let page = store.put(&self.leaf.finish())?;
        let (first, entries) = (
            std::mem::take(&mut self.first),
            std::mem::take(&mut self.entries),
        );
        self.levels.push(
            0,
            ScanChild {
                first,
                entries,
                page,
            },
            store,
        )
    }
}

impl Default for ScanBuilder {
    fn default() -> Self {
        Self::new()
    }
}
