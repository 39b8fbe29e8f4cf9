//! Decoded pages of extents, kept for the next read, and the way down them to one offset.
//!
//! Bounded in bytes. A page is kept with where its extents end, so that an offset is found by
//! bisection, level by level: what a view of any length costs to open is the pages that are read.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::format::entry::{Content, Extent};
use crate::format::extents::ExtentsChild;
use crate::format::id::PageId;
use crate::repository::chunks::ChunkReader;
use crate::repository::index::is_missing_or_damaged;
use crate::repository::manifest::content::{ExtentsPage, ExtentsPageAhead, read_page};

/// What one extent or child takes, with where it ends.
const ITEM_LEN: usize = size_of::<Extent>() + size_of::<u64>();

/// The pages that were used last.
pub(super) struct Pages {
    state: Mutex<State>,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    pages: HashMap<PageId, (Page, u64)>,
    clock: u64,
    bytes: usize,
}

#[derive(Clone)]
enum Page {
    Leaf(Arc<Run<Extent>>),
    Inner(Arc<Run<ExtentsChild>>),
}

/// Items one behind the other.
pub(super) struct Run<T> {
    items: Vec<T>,
    /// Where each ends, counted from the first byte of the run.
    ends: Vec<u64>,
}

/// What there is about an offset.
pub(super) enum About {
    /// These extents.
    Leaf(Leaf),
    /// A page that cannot be read, and why; it holds these bytes.
    Lost(Range<u64>, Error),
    /// Nothing: the content ends before it.
    End,
}

/// Neighbouring extents of a content.
#[derive(Clone)]
pub(super) struct Leaf {
    /// Where the first begins in the content.
    start: u64,
    extents: Arc<Run<Extent>>,
}

impl Pages {
    pub(super) fn new(bytes_max: usize) -> Self {
        let state = Mutex::default();
        Self { state, bytes_max }
    }

    /// What there is about the byte at `offset` of `content`.
    ///
    /// # Errors
    /// Of the medium as a whole.
    pub(super) fn about(
        &self,
        reader: &ChunkReader<'_>,
        content: &Content,
        offset: u64,
    ) -> Result<About> {
        if offset >= content.len() {
            return Ok(About::End);
        }
        let root = match content {
            Content::Inline(extents) => {
                let extents = Arc::new(Run::new(extents.clone(), |extent| extent.len));
                return Ok(About::Leaf(Leaf { start: 0, extents }));
            }
            Content::Tree(root) => root,
        };
        let child = ExtentsChild {
            len: root.len,
            unreadable: true, // a root says nothing of it
            page: root.page,
        };
        let level = root.level;
        let (mut ahead, mut start) = (ExtentsPageAhead { child, level }, 0_u64);
        loop {
            let range = start..start.saturating_add(ahead.child.len);
            match self.page(reader, ahead, ahead.child.page == root.page) {
                Ok(Page::Leaf(extents)) => return Ok(About::Leaf(Leaf { start, extents })),
                Ok(Page::Inner(children)) => {
                    let Some((begins, child)) = children.at(offset - start) else {
                        return Ok(About::End);
                    };
                    let (child, level) = (*child, ahead.level - 1);
                    (ahead, start) = (ExtentsPageAhead { child, level }, start + begins);
                }
                Err(error) if is_missing_or_damaged(&error) => {
                    return Ok(About::Lost(range, error));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn page(
        &self,
        reader: &ChunkReader<'_>,
        ahead: ExtentsPageAhead,
        is_root: bool,
    ) -> Result<Page> {
        if let Some(page) = self.state.lock().find(&ahead) {
            return Ok(page);
        }
        let page = match read_page(reader, ahead, is_root)? {
            ExtentsPage::Leaf(extents) => Page::Leaf(Arc::new(Run::new(extents, |one| one.len))),
            ExtentsPage::Inner(children) => {
                Page::Inner(Arc::new(Run::new(children, |one| one.len)))
            }
        };
        let mut state = self.state.lock();
        state.keep(ahead.child.page, page.clone(), self.bytes_max);
        Ok(page)
    }
}

impl State {
    /// A page that is as the one above says; any other is left to be read, and told.
    fn find(&mut self, ahead: &ExtentsPageAhead) -> Option<Page> {
        self.clock += 1;
        let (page, used) = self.pages.get_mut(&ahead.child.page)?;
        *used = self.clock;
        let is_leaf = matches!(page, Page::Leaf(_));
        let is_as_said = is_leaf == (ahead.level == 0) && page.len() == ahead.child.len;
        is_as_said.then(|| page.clone())
    }

    fn keep(&mut self, id: PageId, page: Page, bytes_max: usize) {
        self.clock += 1;
        self.bytes += page.bytes();
        if let Some((old, _)) = self.pages.insert(id, (page, self.clock)) {
            self.bytes -= old.bytes();
        }
        if self.bytes > bytes_max {
            self.let_go(bytes_max / 2);
        }
    }

    /// Half at once: so what is looked through to find the oldest is paid by many pages.
    fn let_go(&mut self, bytes_max: usize) {
        let mut by_use: Vec<_> = self
            .pages
            .iter()
            .map(|(id, (_, used))| (*used, *id))
            .collect();
        by_use.sort_unstable();
        for (_, id) in by_use {
            if self.bytes <= bytes_max {
                return;
            }
            if let Some((page, _)) = self.pages.remove(&id) {
                self.bytes -= page.bytes();
            }
        }
    }
}

impl Page {
    /// Length of all that is below it.
    fn len(&self) -> u64 {
        let end = match self {
            Self::Leaf(run) => run.ends.last(),
            Self::Inner(run) => run.ends.last(),
        };
        end.copied().unwrap_or(0)
    }

    fn bytes(&self) -> usize {
        ITEM_LEN
            * match self {
                Self::Leaf(run) => run.items.len(),
                Self::Inner(run) => run.items.len(),
            }
    }
}

impl<T> Run<T> {
    fn new(items: Vec<T>, len: impl Fn(&T) -> u64) -> Self {
        let mut end = 0_u64;
        let ends = items.iter().map(|item| {
            end = end.saturating_add(len(item));
            end
        });
        let ends = ends.collect();
        Self { items, ends }
    }

    /// The item about the byte at `offset`, and where it begins.
    fn at(&self, offset: u64) -> Option<(u64, &T)> {
        let index = self.ends.partition_point(|end| *end <= offset);
        let begins = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some((begins, self.items.get(index)?))
    }
}

impl Leaf {
    /// The extent about the byte at `offset` of the content, and where it begins there; nothing
    /// behind these extents.
    pub(super) fn at(&self, offset: u64) -> Option<(u64, &Extent)> {
        let (begins, extent) = self.extents.at(offset.checked_sub(self.start)?)?;
        Some((self.start + begins, extent))
    }
}
