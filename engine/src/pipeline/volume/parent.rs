//! The manifest of the snapshot before, where an incremental build needs it.

use std::collections::HashSet;
use std::ops::Range;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::cuts::CutsChild;
use crate::format::entry::{Content, Extent, ExtentKind, ExtentsRoot};
use crate::format::id::{ChunkId, PageId};
use crate::pipeline::volume::rules::VolumeRules;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::builder::PageStore;
use crate::repository::manifest::content::{ExtentCursor, ExtentStep};
use crate::repository::manifest::cuts::CutsCursor;
use crate::repository::manifest::extents::ExtentsBuilder;

/// A volume as an earlier snapshot has it.
#[derive(Clone, Copy)]
pub struct ParentVolume<'p> {
    /// Reads its pages; no chunk is read.
    pub reader: &'p ChunkReader<'p>,
    /// Its extents.
    pub extents: ExtentsRoot,
    /// Page and level of its cuts, if it had any.
    pub cuts: Option<(PageId, u8)>,
    /// How it was divided.
    pub rules: VolumeRules,
    /// True to see for every chunk that it is still there; else only where pages are opened
    /// anyway, as long as nothing is known to be missing.
    pub check_chunks: bool,
}

/// What lies at a place of the parent.
#[derive(Clone, Copy, Debug)]
enum Known {
    /// An extent that may be taken over.
    Extent(Extent),
    /// So many bytes whose page or chunk is lost.
    Lost(u64),
}

/// A walk over a parent, from low to high offsets.
pub(super) struct ParentWalk<'p> {
    cursor: ExtentCursor<'p>,
    is_stored: &'p dyn Fn(&ChunkId) -> bool,
    /// True if pages may be taken over unread.
    takes_pages: bool,
    /// What the walk came upon last, and where it begins.
    pending: Option<(u64, Known)>,
    len: u64,
}

impl<'p> ParentWalk<'p> {
    /// A walk over `parent`; `is_stored` tells chunks that are there.
    pub(super) fn new(
        parent: &ParentVolume<'p>,
        takes_pages: bool,
        is_stored: &'p dyn Fn(&ChunkId) -> bool,
    ) -> Self {
        let content = Content::Tree(parent.extents);
        Self {
            cursor: ExtentCursor::new(parent.reader, &content),
            is_stored,
            takes_pages,
            pending: None,
            len: parent.extents.len,
        }
    }

    /// The extents of `range`, cut at its bounds, and where they begin; what is lost is left out,
    /// and so is what lies behind the parent's end.
    pub(super) fn extents_of(&mut self, range: Range<u64>) -> Result<Vec<(u64, Extent)>> {
        let mut extents = Vec::new();
        let mut at = range.start;
        while at < range.end.min(self.len) {
            let (start, known) = self.known_at(at)?;
            match known {
                Known::Lost(len) => at = start + len,
                Known::Extent(extent) => {
                    // A chunk that ends behind a volume that was shortened is cut anew.
                    extents.extend(clip(start, extent, &range)?.map(|clipped| (at, clipped)));
                    at = start + extent.len;
                }
            }
        }
        Ok(extents)
    }

    /// Takes over everything of `range` into `builder`, whole pages unread where both allow it.
    /// Stops where something is lost, and tells what. `is_end` if both volumes end with `range`.
    pub(super) fn take_over(
        &mut self,
        range: Range<u64>,
        is_end: bool,
        builder: &mut ExtentsBuilder,
        store: &mut PageStore<'_>,
    ) -> Result<Option<Range<u64>>> {
        let mut at = range.start;
        while at < range.end {
            if self.takes_pages
                && let Some(stop) = self.take_page(at, range.end, is_end, builder, store)?
            {
                at = stop;
                continue;
            }
            if at >= self.len {
                return Ok(Some(at..range.end));
            }
            // A page at a time: the next level may be one that the builder can take whole.
            if self.opens_page(at)? {
                continue;
            }
            let (start, known) = self.known_at(at)?;
            match known {
                Known::Lost(len) => return Ok(Some(at..(start + len).min(range.end))),
                Known::Extent(extent) => {
                    let clipped = clip(start, extent, &(at..range.end))?;
                    let clipped = clipped.ok_or_else(across_anchor)?;
                    builder.push(clipped, store)?;
                    at += clipped.len;
                }
            }
        }
        Ok(None)
    }

    /// Takes over the page that begins at `at`, if it ends early enough that its last extent has
    /// its neighbour of old behind it. Gives where it ends.
    fn take_page(
        &mut self,
        at: u64,
        end: u64,
        is_end: bool,
        builder: &mut ExtentsBuilder,
        store: &mut PageStore<'_>,
    ) -> Result<Option<u64>> {
        self.forget_before(at);
        if self.pending.is_some() || self.cursor.offset() != at {
            return Ok(None);
        }
        let Some(page) = self.cursor.ahead() else {
            return Ok(None);
        };
        let stop = at.saturating_add(page.child.len);
        let ends_early = stop < end || (stop == end && is_end);
        if !ends_early || !builder.is_between_pages(page.level) {
            return Ok(None);
        }
        // Unreadable extents are built anew, so none is below; of a root that is not known.
        let mut child = page.child;
        child.unreadable = false;
        builder.push_page(child, page.level, store)?;
        self.cursor.skip_page();
        Ok(Some(stop))
    }

    /// Opens the page ahead that holds the byte at `at`, or passes over one before it. False if
    /// there is none, because an extent comes next.
    fn opens_page(&mut self, at: u64) -> Result<bool> {
        self.forget_before(at);
        if self.pending.is_some() {
            return Ok(false);
        }
        let Some(page) = self.cursor.ahead() else {
            return Ok(false);
        };
        let start = self.cursor.offset();
        if start.saturating_add(page.child.len) <= at {
            self.cursor.skip_page();
        } else if let Some((len, _)) = self.cursor.open_page()? {
            self.pending = Some((start, Known::Lost(len)));
        }
        Ok(true)
    }

    /// What holds the byte at `at`, and where that begins.
    fn known_at(&mut self, at: u64) -> Result<(u64, Known)> {
        self.forget_before(at);
        if let Some(pending) = self.pending {
            return Ok(pending);
        }
        self.cursor.seek(at)?;
        let start = self.cursor.offset();
        let known = match self.cursor.next()? {
            None => Known::Lost(self.len.saturating_sub(start).max(1)),
            Some(ExtentStep::Lost { len, .. }) => Known::Lost(len),
            Some(ExtentStep::Extent(extent)) => match extent.kind {
                ExtentKind::Chunk(id) if !(self.is_stored)(&id) => Known::Lost(extent.len),
                _ => Known::Extent(extent),
            },
        };
        self.pending = Some((start, known));
        Ok((start, known))
    }

    fn forget_before(&mut self, at: u64) {
        let stop = self.pending.map(|(start, known)| match known {
            Known::Extent(extent) => start + extent.len,
            Known::Lost(len) => start + len,
        });
        if stop.is_some_and(|stop| stop <= at) {
            self.pending = None;
        }
    }
}

/// The part of an extent that lies in `range`; nothing of a chunk that ends behind it.
fn clip(start: u64, extent: Extent, range: &Range<u64>) -> Result<Option<Extent>> {
    let stop = start + extent.len;
    if extent.kind.merges() {
        return Ok(Some(Extent {
            len: stop.min(range.end) - start.max(range.start),
            kind: extent.kind,
        }));
    }
    if start < range.start {
        return Err(across_anchor());
    }
    Ok((stop <= range.end).then_some(extent))
}

fn across_anchor() -> Error {
    let detail = "a chunk lies across an anchor: no volume was stored so; \
                  take a snapshot that reads everything";
    Error::new(ErrorKind::Damaged, Place::Argument("parent"), detail)
}

/// The cuts that only the parent has, or only `new`. Pages that both have are passed over unread:
/// `known` are the leaves of the new ones.
pub(super) fn cuts_that_differ(
    parent: &ParentVolume<'_>,
    new: &[u64],
    known: &HashSet<PageId>,
) -> Result<Vec<u64>> {
    let Some((page, level)) = parent.cuts else {
        return Ok(new.to_vec());
    };
    let mut cursor = CutsCursor::new(parent.reader, page, level);
    let mut new = new.iter().copied().peekable();
    let mut differ = Vec::new();
    loop {
        if let Some(page) = cursor.page_ahead() {
            if is_same_page(&page, new.peek(), known) {
                new.by_ref().take(page.count as usize).for_each(drop);
                cursor.skip_page();
            } else {
                cursor.open_page()?;
            }
            continue;
        }
        match (cursor.peek()?, new.peek().copied()) {
            (None, None) => return Ok(differ),
            (Some(old), Some(cut)) if old == cut => {
                cursor.next()?;
                new.next();
            }
            (Some(old), cut) if cut.is_none_or(|cut| old < cut) => {
                differ.push(old);
                cursor.next()?;
            }
            (_, cut) => {
                differ.extend(cut);
                new.next();
            }
        }
    }
}

/// Pages of one id hold the same cuts, so the new ones go on with all of them.
fn is_same_page(page: &CutsChild, next: Option<&u64>, known: &HashSet<PageId>) -> bool {
    next == Some(&page.first) && known.contains(&page.page)
}
