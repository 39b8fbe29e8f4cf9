//! Walking the extents of one content in order, from any offset on.

use std::ops::Range;
use std::vec;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::DecodeError;
use crate::format::entry::{Content, Extent, ExtentKind};
use crate::format::extents::{self, ExtentsChild};
use crate::format::id::PageId;
use crate::repository::chunks::ChunkReader;
use crate::repository::index::is_missing_or_damaged;

/// What a walk comes upon.
#[derive(Debug)]
pub enum ExtentStep {
    /// The next extent.
    Extent(Extent),
    /// Bytes whose page cannot be read.
    Lost {
        /// How many.
        len: u64,
        /// Why.
        error: Error,
    },
}

/// A page that a walk comes to next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtentsPageAhead {
    /// What the page above says of it; of a root, `unreadable` is true because nothing is known.
    pub child: ExtentsChild,
    /// Its level.
    pub level: u8,
}

/// What a page of extents holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtentsPage {
    /// Extents in order.
    Leaf(Vec<Extent>),
    /// Pages of the level below, in order.
    Inner(Vec<ExtentsChild>),
}

/// A walk over the extents of one content.
pub struct ExtentCursor<'r> {
    reader: &'r ChunkReader<'r>,
    /// The root, until it is opened.
    root: Option<ExtentsPageAhead>,
    stack: Vec<(u8, vec::IntoIter<ExtentsChild>)>,
    leaf: vec::IntoIter<Extent>,
    /// First byte of what comes next.
    offset: u64,
}

impl<'r> ExtentCursor<'r> {
    /// A walk from the first byte.
    pub fn new(reader: &'r ChunkReader<'r>, content: &Content) -> Self {
        let (root, leaf) = match content {
            Content::Inline(extents) => (None, extents.clone()),
            Content::Tree(root) => {
                let child = ExtentsChild {
                    len: root.len,
                    unreadable: true,
                    page: root.page,
                };
                let level = root.level;
                (Some(ExtentsPageAhead { child, level }), Vec::new())
            }
        };
        Self {
            reader,
            root,
            stack: Vec::new(),
            leaf: leaf.into_iter(),
            offset: 0,
        }
    }

    /// First byte of what comes next.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next extent or loss; nothing behind the last.
    #[expect(
        clippy::should_implement_trait,
        reason = "a step can fail as a whole, an iterator cannot"
    )]
    pub fn next(&mut self) -> Result<Option<ExtentStep>> {
        loop {
            if let Some(extent) = self.leaf.next() {
                self.pass(extent.len);
                return Ok(Some(ExtentStep::Extent(extent)));
            }
            if self.ahead().is_none() {
                return Ok(None);
            }
            if let Some((len, error)) = self.open_page()? {
                return Ok(Some(ExtentStep::Lost { len, error }));
            }
        }
    }

    /// The page that must be read for the next extent, if one must be.
    pub fn page_ahead(&mut self) -> Option<PageId> {
        self.ahead().map(|page| page.child.page)
    }

    /// The same, with what is known of it.
    pub fn ahead(&mut self) -> Option<ExtentsPageAhead> {
        if !self.leaf.as_slice().is_empty() {
            return None;
        }
        if self.root.is_some() {
            return self.root;
        }
        while let Some((level, children)) = self.stack.last() {
            if let Some(&child) = children.as_slice().first() {
                let level = *level;
                return Some(ExtentsPageAhead { child, level });
            }
            self.stack.pop();
        }
        None
    }

    /// Passes over the page ahead and all below it, unread.
    pub fn skip_page(&mut self) {
        if let Some(page) = self.take_page() {
            self.pass(page.child.len);
        }
    }

    /// Opens the page ahead, whatever its level. Where it cannot be read it is passed over: how
    /// many bytes it held, and why they are lost.
    pub fn open_page(&mut self) -> Result<Option<(u64, Error)>> {
        let is_root = self.root.is_some();
        let Some(page) = self.take_page() else {
            return Ok(None);
        };
        match self.open(page, is_root) {
            Ok(()) => Ok(None),
            Err(error) if is_missing_or_damaged(&error) => {
                self.pass(page.child.len);
                Ok(Some((page.child.len, error)))
            }
            Err(error) => Err(error),
        }
    }

    /// Goes on to the extent or lost page that holds the byte at `offset`, and passes over all
    /// before it, pages unread. Never goes back. `offset()` tells where that extent begins.
    pub fn seek(&mut self, offset: u64) -> Result<()> {
        loop {
            while let Some(extent) = self.leaf.as_slice().first() {
                if self.offset.saturating_add(extent.len) > offset {
                    return Ok(());
                }
                let len = extent.len;
                self.leaf.next();
                self.pass(len);
            }
            let Some(page) = self.ahead() else {
                return Ok(());
            };
            if self.offset.saturating_add(page.child.len) <= offset {
                self.skip_page();
            } else {
                let is_root = self.root.is_some();
                match self.open(page, is_root) {
                    Ok(()) => self.forget_opened(is_root, page.level),
                    // Left ahead: the next step tells the loss.
                    Err(error) if is_missing_or_damaged(&error) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Takes the page that was just opened from its place in the walk.
    fn forget_opened(&mut self, is_root: bool, level: u8) {
        if is_root {
            self.root = None;
            return;
        }
        let below = usize::from(level > 0);
        if let Some(at) = self.stack.len().checked_sub(1 + below)
            && let Some((_, children)) = self.stack.get_mut(at)
        {
            children.next();
        }
    }

    fn take_page(&mut self) -> Option<ExtentsPageAhead> {
        let page = self.ahead()?;
        if self.root.take().is_none()
            && let Some((_, children)) = self.stack.last_mut()
        {
            children.next();
        }
        Some(page)
    }

    fn pass(&mut self, len: u64) {
        self.offset = self.offset.saturating_add(len);
    }

    fn open(&mut self, page: ExtentsPageAhead, is_root: bool) -> Result<()> {
        match read_page(self.reader, page, is_root)? {
            ExtentsPage::Leaf(list) => self.leaf = list.into_iter(),
            ExtentsPage::Inner(children) => self.stack.push((page.level - 1, children.into_iter())),
        }
        Ok(())
    }
}

/// Reads one page, and sees that it holds what is said of it. Of a root `page` says the length alone.
///
/// # Errors
/// `Damaged` or `NotFound` if no copy of it can be had, or it is another page than it should be.
pub fn read_page(
    reader: &ChunkReader<'_>,
    page: ExtentsPageAhead,
    is_root: bool,
) -> Result<ExtentsPage> {
    let ExtentsPageAhead { child, level } = page;
    let page = reader.page(&child.page)?;
    let malformed = |error| damaged_page(child.page, error);
    if level == 0 {
        let list = extents::decode_leaf(&page).map_err(malformed)?;
        expect_sums(child, extents::sums_of(&list), is_root)?;
        return Ok(ExtentsPage::Leaf(list));
    }
    let (found_level, children) = extents::decode_inner(&page).map_err(malformed)?;
    if found_level != level {
        return Err(malformed(DecodeError::Malformed("page of another level")));
    }
    let lens = children.iter().map(|child| child.len);
    let len = lens.fold(0, u64::saturating_add);
    let unreadable = children.iter().any(|child| child.unreadable);
    expect_sums(child, (len, unreadable), is_root)?;
    Ok(ExtentsPage::Inner(children))
}

/// Checks what a page holds against what the page above says; a root says its length alone.
fn expect_sums(child: ExtentsChild, found: (u64, bool), is_root: bool) -> Result<()> {
    let (len, unreadable) = found;
    if child.len == len && (is_root || child.unreadable == unreadable) {
        return Ok(());
    }
    Err(damaged_page(
        child.page,
        DecodeError::Malformed("page does not hold what it should"),
    ))
}

pub(super) fn damaged_page(id: PageId, error: DecodeError) -> Error {
    Error::new(ErrorKind::Damaged, Place::Chunk(id), "page").with_source(error)
}
/// What of `content` could not be read when it was captured: ascending, apart. Opens only the pages
/// that say they hold such; of those that are lost nothing is known.
pub fn unreadable_ranges(reader: &ChunkReader<'_>, content: &Content) -> Result<Vec<Range<u64>>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut cursor = ExtentCursor::new(reader, content);
    loop {
        if let Some(page) = cursor.ahead() {
            if page.child.unreadable {
                let _ = cursor.open_page()?;
            } else {
                cursor.skip_page();
            }
            continue;
        }
        let start = cursor.offset();
        match cursor.next()? {
            None => return Ok(ranges),
            Some(ExtentStep::Extent(extent)) if extent.kind == ExtentKind::Unreadable => {
                let end = start + extent.len;
                match ranges.last_mut() {
                    Some(last) if last.end == start => last.end = end,
                    _ => ranges.push(start..end),
                }
            }
            Some(_) => {}
        }
    }
}
