//! The view of a stored content: a file, a volume, a partition.
//!
//! Reads that come in order are noticed, and what follows them is read ahead along the manifest.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::{Content, Extent, ExtentKind};
use crate::limits::MIB;
use crate::operations::map_volume::{MappedRange, RangeKind};
use crate::serve::library::Library;
use crate::serve::pages::About;
use crate::serve::view::View;

/// How far from where it was expected a read may begin and still be the next: kernels and clients
/// ask for several pieces at once, which come in any order.
const IN_ORDER_SLACK: u64 = 4 * MIB as u64;
/// Reads in order after which the next are taken for granted.
const IN_ORDER_MIN: u32 = 2;

/// A stored content, or a range of it.
pub struct ContentView {
    library: Arc<Library>,
    content: Content,
    range: Range<u64>,
    order: Mutex<Order>,
}

/// How the reads of a view came so far; offsets in the content.
#[derive(Default)]
struct Order {
    /// Reads that came in order, without one that did not.
    count: u32,
    /// Where the next would begin.
    next: u64,
    /// What lies before this was read ahead.
    ahead: u64,
}

impl ContentView {
    pub(super) fn new(library: Arc<Library>, content: Content, range: Range<u64>) -> Self {
        let order = Mutex::new(Order {
            next: range.start,
            ..Order::default()
        });
        Self {
            library,
            content,
            range,
            order,
        }
    }

    /// The bytes of the content that `range` of the view is.
    fn within(&self, range: &Range<u64>) -> Result<Range<u64>> {
        let len = self.range.end - self.range.start;
        if range.start <= range.end && range.end <= len {
            return Ok(self.range.start + range.start..self.range.start + range.end);
        }
        let detail = format!("{range:?} lies outside of {len} bytes");
        Err(Error::new(
            ErrorKind::InvalidInput,
            Place::Argument("range"),
            detail,
        ))
    }

    fn read(&self, extent: &Extent, from: u64, out: &mut [u8]) -> Result<()> {
        match extent.kind {
            ExtentKind::Chunk(id) => self.library.shelf.read_chunk(&id, extent.len, from, out),
            ExtentKind::Hole | ExtentKind::Zero => {
                out.fill(0);
                Ok(())
            }
            ExtentKind::Unreadable => {
                let detail = "could not be read when it was captured";
                Err(Error::new(
                    ErrorKind::Damaged,
                    Place::Argument("range"),
                    detail,
                ))
            }
        }
    }

    /// What the byte at `at` of the content is, and where that ends.
    fn kind_at(&self, at: u64) -> Result<(RangeKind, u64)> {
        match self.library.shelf.about(&self.content, at)? {
            About::Leaf(leaf) => match leaf.at(at) {
                Some((begins, extent)) => Ok((extent.kind.into(), begins + extent.len)),
                None => Err(ends_early(at)),
            },
            About::Lost(range, _) => Ok((RangeKind::Lost, range.end)),
            About::End => Err(ends_early(at)),
        }
    }

    fn read_ahead(&self, read: &Range<u64>) {
        let ahead_len = self.library.shelf.ahead_len;
        let ahead = self.order.lock().after(read, ahead_len, self.range.end);
        if !ahead.is_empty() {
            self.library.read_ahead(&self.content, ahead);
        }
    }
}

impl View for ContentView {
    fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let range = self.within(&(offset..offset.saturating_add(out.len() as u64)))?;
        self.read_ahead(&range);
        let mut at = range.start;
        while at < range.end {
            let leaf = match self.library.shelf.about(&self.content, at)? {
                About::Leaf(leaf) => leaf,
                About::Lost(_, error) => return Err(error),
                About::End => return Err(ends_early(at)),
            };
            while let Some((begins, extent)) = leaf.at(at).filter(|_| at < range.end) {
                let end = (begins + extent.len).min(range.end);
                let part = (at - range.start) as usize..(end - range.start) as usize;
                self.read(extent, at - begins, &mut out[part])?;
                at = end;
            }
        }
        Ok(())
    }

    fn map(&self, range: Range<u64>, pieces_max: usize) -> Result<Vec<MappedRange>> {
        let range = self.within(&range)?;
        let mut pieces: Vec<MappedRange> = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let (kind, end) = self.kind_at(at)?;
            let end = end.min(range.end);
            let shown = at - self.range.start..end - self.range.start;
            let count = pieces.len();
            match pieces.last_mut().filter(|last| last.kind == kind) {
                Some(last) => last.range.end = shown.end,
                None if count == pieces_max => break,
                None => pieces.push(MappedRange {
                    range: shown,
                    kind,
                    chunk: None,
                }),
            }
            at = end;
        }
        Ok(pieces)
    }
}

impl Order {
    /// Notes a read, and gives what is to be read ahead after it.
    fn after(&mut self, read: &Range<u64>, ahead_len: u64, end: u64) -> Range<u64> {
        if read.start.abs_diff(self.next) > IN_ORDER_SLACK {
            *self = Self {
                count: 1,
                next: read.end,
                ahead: read.end,
            };
            return 0..0;
        }
        self.count = self.count.saturating_add(1);
        self.next = self.next.max(read.end);
        let (from, to) = (self.ahead.max(self.next), (self.next + ahead_len).min(end));
        // In steps: each looks through the manifest once.
        let is_due = to > from && (to - from >= ahead_len / 4 || to == end);
        if self.count < IN_ORDER_MIN || !is_due {
            return 0..0;
        }
        self.ahead = to;
        from..to
    }
}

fn ends_early(at: u64) -> Error {
    let detail = format!("the manifest ends at {at}");
    Error::new(ErrorKind::Damaged, Place::Argument("range"), detail)
}
