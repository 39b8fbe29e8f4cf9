//! Decoded pages of extents, kept for the next read, and the way down them to one offset.
//!
//! Bounded in bytes. A page is kept with where its extents end, so that an offset is found by
//! bisection, level by level: what a view of any length costs to open is the pages that are read.

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
use crate::serve::kept::Kept;

/// What one extent or child takes, with where it ends.
const ITEM_LEN: usize = size_of::<Extent>() + size_of::<u64>();

/// The pages that were used last.
pub(super) struct Pages(Mutex<Kept<PageId, Page>>);

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
        Self(Mutex::new(Kept::new(bytes_max)))
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
        let kept = self.0.lock().find(&ahead.child.page);
        // Any other than the one above says is left to be read, and told.
        if let Some(page) = kept.filter(|page| page.is(&ahead)) {
            return Ok(page);
        }
        let page = match read_page(reader, ahead, is_root)? {
            ExtentsPage::Leaf(extents) => Page::Leaf(Arc::new(Run::new(extents, |one| one.len))),
            ExtentsPage::Inner(children) => {
                Page::Inner(Arc::new(Run::new(children, |one| one.len)))
            }
        };
        let mut kept = self.0.lock();
        kept.keep(ahead.child.page, page.clone(), page.bytes());
        Ok(page)
    }
}

impl Page {
    fn is(&self, ahead: &ExtentsPageAhead) -> bool {
        let is_leaf = matches!(self, Self::Leaf(_));
        is_leaf == (ahead.level == 0) && self.len() == ahead.child.len
    }

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
