//! The forced cuts of a volume: written in order, walked in order from any place on.

use std::collections::HashSet;
use std::vec;

use crate::error::Result;
use crate::format::DecodeError;
use crate::format::cuts::{self, CutsChild, CutsLeafWriter};
use crate::format::id::PageId;
use crate::format::page::{ends_page, mark_of};
use crate::limits::CUTS_PAGE_ENTRIES_MEAN;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::builder::{BuiltRoot, Levels, PageStore};
use crate::repository::manifest::content::damaged_page;
use crate::repository::manifest::shape::Cuts;

/// A list of cuts that was built.
#[derive(Debug)]
pub struct BuiltCuts {
    /// Its root; nothing if there was no cut.
    pub root: Option<BuiltRoot<CutsChild>>,
    /// Its leaves, so that another list can be compared with it page by page.
    pub leaves: HashSet<PageId>,
}

/// Builds a list of cuts.
pub struct CutsBuilder {
    leaf: CutsLeafWriter,
    first: u64,
    last: u64,
    levels: Levels<Cuts>,
    leaves: HashSet<PageId>,
}

impl CutsBuilder {
    /// A builder that has seen nothing.
    pub fn new() -> Self {
        Self {
            leaf: CutsLeafWriter::default(),
            first: 0,
            last: 0,
            levels: Levels::new(),
            leaves: HashSet::new(),
        }
    }

    /// Adds a cut, which must be above 0 and above all before it.
    pub fn push(&mut self, cut: u64, store: &mut PageStore<'_>) -> Result<()> {
        if self.leaf.count() == 0 {
            self.first = cut;
        }
        self.leaf.push(cut);
        self.last = cut;
        let mark = || mark_of(&store.keys.boundary().hash_of_cut(cut));
        if ends_page(self.leaf.entries_len(), mark, CUTS_PAGE_ENTRIES_MEAN) {
            self.end_leaf(store)?;
        }
        Ok(())
    }

    /// Ends the list.
    pub fn finish(mut self, store: &mut PageStore<'_>) -> Result<BuiltCuts> {
        if self.leaf.count() > 0 {
            self.end_leaf(store)?;
        }
        let root = if self.leaves.is_empty() {
            None
        } else {
            Some(self.levels.finish(store)?)
        };
        let leaves = self.leaves;
        Ok(BuiltCuts { root, leaves })
    }

    fn end_leaf(&mut self, store: &mut PageStore<'_>) -> Result<()> {
        let count = self.leaf.count() as u64;
        let page = store.put(&self.leaf.finish())?;
        let first = self.first;
        self.leaves.insert(page);
        self.levels.push(0, CutsChild { first, count, page }, store)
    }
}

impl Default for CutsBuilder {
    fn default() -> Self {
        Self::new()
    }
}

/// A walk over a list of cuts in order.
pub struct CutsCursor<'r> {
    reader: &'r ChunkReader<'r>,
    /// The root, until it is opened: what it holds is not known before.
    root: Option<(PageId, u8)>,
    /// Children still to visit, outermost first, with the level of the pages they name.
    stack: Vec<(u8, vec::IntoIter<CutsChild>)>,
    leaf: vec::IntoIter<u64>,
    /// The last cut of the last leaf, to see that the next comes after it.
    last: u64,
}

impl<'r> CutsCursor<'r> {
    /// A walk from the first cut.
    pub fn new(reader: &'r ChunkReader<'r>, page: PageId, level: u8) -> Self {
        Self {
            reader,
            root: Some((page, level)),
            stack: Vec::new(),
            leaf: Vec::new().into_iter(),
            last: 0,
        }
    }

    /// The next cut; nothing behind the last.
    ///
    /// # Errors
    /// When a page cannot be read: where its cuts were is not known any more.
    #[expect(
        clippy::should_implement_trait,
        reason = "a step can fail as a whole, an iterator cannot"
    )]
    pub fn next(&mut self) -> Result<Option<u64>> {
        self.open_to_leaf()?;
        Ok(self.leaf.next())
    }

    /// The next cut, left where it is.
    pub fn peek(&mut self) -> Result<Option<u64>> {
        self.open_to_leaf()?;
        Ok(self.leaf.as_slice().first().copied())
    }

    /// The page that comes next, if one must be read for the next cut and its parent was.
    pub fn page_ahead(&mut self) -> Option<CutsChild> {
        if !self.leaf.as_slice().is_empty() || self.root.is_some() {
            return None;
        }
        while let Some((_, children)) = self.stack.last() {
            if let Some(child) = children.as_slice().first() {
                return Some(*child);
            }
            self.stack.pop();
        }
        None
    }

    /// Passes over the page ahead and all below it, unread.
    pub fn skip_page(&mut self) {
        if self.page_ahead().is_some()
            && let Some((_, children)) = self.stack.last_mut()
        {
            children.next();
        }
    }

    /// Passes over the cuts of the page that is open.
    pub fn skip_leaf(&mut self) {
        self.leaf = Vec::new().into_iter();
    }

    /// Opens the page ahead, whatever its level; an error leaves it behind.
    pub fn open_page(&mut self) -> Result<()> {
        if let Some((page, level)) = self.root.take() {
            return self.open(page, level, None);
        }
        if self.page_ahead().is_some()
            && let Some((level, children)) = self.stack.last_mut()
            && let Some(child) = children.next()
        {
            let level = *level;
            return self.open(child.page, level, Some(child));
        }
        Ok(())
    }

    /// Passes over all cuts below `offset`, and over the pages that hold nothing else, unread.
    pub fn seek(&mut self, offset: u64) -> Result<()> {
        loop {
            while self
                .leaf
                .as_slice()
                .first()
                .is_some_and(|&cut| cut < offset)
            {
                self.leaf.next();
            }
            if !self.leaf.as_slice().is_empty() {
                return Ok(());
            }
            if self.root.is_none() && self.page_ahead().is_none() {
                return Ok(());
            }
            let ends_before = |next: &CutsChild| next.first <= offset;
            let children = self.stack.last().map(|(_, children)| children.as_slice());
            if children
                .and_then(|children| children.get(1))
                .is_some_and(ends_before)
            {
                self.skip_page();
            } else {
                self.open_page()?;
            }
        }
    }

    fn open_to_leaf(&mut self) -> Result<()> {
        while self.leaf.as_slice().is_empty()
            && (self.root.is_some() || self.page_ahead().is_some())
        {
            self.open_page()?;
        }
        Ok(())
    }

    fn open(&mut self, id: PageId, level: u8, child: Option<CutsChild>) -> Result<()> {
        let page = self.reader.page(&id)?;
        let malformed = |what| damaged_page(id, DecodeError::Malformed(what));
        let (first, count) = if level == 0 {
            let cuts = cuts::decode_leaf(&page).map_err(|error| damaged_page(id, error))?;
            let (first, count) = (cuts.first().copied(), cuts.len() as u64);
            if first.is_some_and(|first| first <= self.last) {
                return Err(malformed("cuts do not ascend across pages"));
            }
            self.last = cuts.last().copied().unwrap_or(self.last);
            self.leaf = cuts.into_iter();
            (first, count)
        } else {
            let decoded = cuts::decode_inner(&page).map_err(|error| damaged_page(id, error))?;
            let (found_level, children) = decoded;
            if found_level != level {
                return Err(malformed("page of another level"));
            }
            let first = children.first().map(|child| child.first);
            let counts = children.iter().map(|child| child.count);
            let count = counts.fold(0, u64::saturating_add);
            self.stack.push((level - 1, children.into_iter()));
            (first, count)
        };
        match child {
            Some(child) if (Some(child.first), child.count) != (first, count) => {
                self.leaf = Vec::new().into_iter();
                if level > 0 {
                    self.stack.pop();
                }
                Err(malformed("page does not hold what it should"))
            }
            _ => Ok(()),
        }
    }
}
