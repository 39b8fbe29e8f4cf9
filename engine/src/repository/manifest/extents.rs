//! Building extents manifests: from extents in order, and from whole pages of an older manifest.

use crate::error::Result;
use crate::format::entry::{Content, Extent, ExtentKind, ExtentsRoot};
use crate::format::extents::{self, ExtentsChild};
use crate::format::page::{ends_page, mark_of};
use crate::limits::{EXTENTS_INLINE_MAX, EXTENTS_PAGE_ENTRIES_MEAN};
use crate::repository::manifest::builder::{BuiltRoot, Levels, PageStore};
use crate::repository::manifest::shape::Extents;

/// Builds the extents manifest of a long file or a volume.
pub struct ExtentsBuilder {
    /// The newest extent, while a neighbour may still be merged into it.
    pending: Option<Extent>,
    /// The leaf that is being gathered.
    leaf: Vec<Extent>,
    /// Its encoded length, bytes.
    entries_len: usize,
    scratch: Vec<u8>,
    levels: Levels<Extents>,
    is_empty: bool,
}

impl ExtentsBuilder {
    /// A builder that has seen nothing.
    pub fn new() -> Self {
        let (leaf, scratch) = (Vec::new(), Vec::new());
        Self {
            pending: None,
            leaf,
            entries_len: 0,
            scratch,
            levels: Levels::new(),
            is_empty: true,
        }
    }

    /// Appends an extent; neighbouring holes, zeros and unreadable extents become one.
    pub fn push(&mut self, extent: Extent, store: &mut PageStore<'_>) -> Result<()> {
        if extent.len == 0 {
            return Ok(());
        }
        self.is_empty = false;
        if let Some(pending) = &mut self.pending
            && pending.kind == extent.kind
        {
            pending.len += extent.len;
            return Ok(());
        }
        if let Some(before) = self.pending.take() {
            self.append(before, store)?;
        }
        if extent.kind.merges() {
            self.pending = Some(extent);
            return Ok(());
        }
        self.append(extent, store)
    }

    /// True if a stored page of `level` may come next: no page of that level or below it is being
    /// gathered, and nothing waits for its neighbour.
    pub fn is_between_pages(&self, level: u8) -> bool {
        self.pending.is_none() && self.leaf.is_empty() && self.levels.is_between_pages(level.into())
    }

    /// Takes over a page of an older manifest with all below it, unread. Gives the same manifest
    /// as pushing each of its extents, if
    ///
    /// - the builder [is between pages](Self::is_between_pages) of that level,
    /// - the page ended where its content said, or is the end of both manifests, and
    /// - what is pushed next does not merge with its last extent: as nothing does that followed
    ///   it in the older manifest.
    pub fn push_page(
        &mut self,
        child: ExtentsChild,
        level: u8,
        store: &mut PageStore<'_>,
    ) -> Result<()> {
        self.is_empty = false;
        self.levels.push_stored(level.into(), child, store)
    }

    /// Ends the manifest.
    pub fn finish(mut self, store: &mut PageStore<'_>) -> Result<BuiltRoot<ExtentsChild>> {
        if let Some(pending) = self.pending.take() {
            self.append(pending, store)?;
        }
        if !self.leaf.is_empty() || self.is_empty {
            self.end_leaf(store)?;
        }
        self.levels.finish(store)
    }

    /// Appends an extent that will not change any more, and ends the leaf if the extent says so.
    fn append(&mut self, extent: Extent, store: &mut PageStore<'_>) -> Result<()> {
        self.scratch.clear();
        extents::encode_extent(&mut self.scratch, &extent);
        self.entries_len += self.scratch.len();
        self.leaf.push(extent);
        let mark = || match extent.kind {
            ExtentKind::Chunk(id) => mark_of(&id.0),
            // No multiple of anything: what is no chunk ends a page by its length alone.
            ExtentKind::Hole | ExtentKind::Zero | ExtentKind::Unreadable => 1,
        };
        if ends_page(self.entries_len, mark, EXTENTS_PAGE_ENTRIES_MEAN) {
            self.end_leaf(store)?;
        }
        Ok(())
    }

    fn end_leaf(&mut self, store: &mut PageStore<'_>) -> Result<()> {
        let page = store.put(&extents::encode_leaf(&self.leaf))?;
        let (len, unreadable) = extents::sums_of(&self.leaf);
        self.leaf.clear();
        self.entries_len = 0;
        let child = ExtentsChild {
            len,
            unreadable,
            page,
        };
        self.levels.push(0, child, store)
    }
}

impl Default for ExtentsBuilder {
    fn default() -> Self {
        Self::new()
    }
}

/// Builds the content of one file from extents in order. Short contents stay a list; pages are
/// stored only once there are too many extents for that.
#[derive(Default)]
pub struct ContentBuilder {
    /// All extents, while the content is short.
    list: Vec<Extent>,
    /// Set once the content is long.
    long: Option<ExtentsBuilder>,
}

impl ContentBuilder {
    /// Appends an extent; neighbours that are one become one.
    pub fn push(&mut self, extent: Extent, store: &mut PageStore<'_>) -> Result<()> {
        if let Some(long) = &mut self.long {
            return long.push(extent, store);
        }
        match self.list.last_mut() {
            _ if extent.len == 0 => return Ok(()),
            Some(last) if last.kind == extent.kind && extent.kind.merges() => {
                last.len += extent.len;
                return Ok(());
            }
            _ => self.list.push(extent),
        }
        if self.list.len() <= EXTENTS_INLINE_MAX {
            return Ok(());
        }
        let long = self.long.insert(ExtentsBuilder::new());
        let mut list = std::mem::take(&mut self.list).into_iter();
        list.try_for_each(|extent| long.push(extent, store))
    }

    /// The content.
    pub fn finish(self, store: &mut PageStore<'_>) -> Result<Content> {
        let Some(long) = self.long else {
            return Ok(Content::Inline(self.list));
        };
        let root = long.finish(store)?;
        Ok(Content::Tree(ExtentsRoot {
            len: root.child.len,
            page: root.child.page,
            level: root.level,
        }))
    }
}
