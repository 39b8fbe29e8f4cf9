//! The extents of a part of a volume, in windows that fit memory.

use std::ops::Range;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::{Content, ExtentKind, ExtentsRoot};
use crate::format::id::ChunkId;
use crate::format::snapshot::Root;
use crate::limits::MIB;
use crate::pipeline::budget::Budget;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::content::{ExtentCursor, ExtentStep};

/// Most bytes of data in one window: more makes neither reading nor writing faster.
const WINDOW_LEN_MAX: usize = 64 * MIB;
/// What a planned piece costs on its way, bytes: itself, its place, its share of a batch.
const PIECE_COST: usize = 192;
/// Most zeros in one window, so that cancelling and checkpoints are never far.
const FILL_LEN_MAX: u64 = 1 << 30;

/// What is restored or verified at once: everything in one range of the volume.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The range.
    pub range: Range<u64>,
    /// Its data, ascending.
    pub pieces: Vec<Piece>,
    /// What reads as zeros, ascending.
    pub fills: Vec<Fill>,
    /// Pages that begin to be lost here.
    pub losses: Vec<Loss>,
}

/// The wanted part of a chunk at its place in the volume: all of it, but at the ends of a range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub id: ChunkId,
    /// Length of the chunk, bytes.
    pub chunk_len: u32,
    /// Bytes of the chunk before the wanted ones.
    pub skip: u32,
    /// Wanted bytes.
    pub len: u32,
    /// Where the first of them lies in the volume.
    pub at: u64,
}

/// A range that reads as zeros.
#[derive(Clone, Debug)]
pub(super) struct Fill {
    pub range: Range<u64>,
    /// What it was.
    pub zeros: Zeros,
}

/// What a range was that reads as zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zeros {
    /// Took up no space.
    Hole,
    /// Took up space.
    Allocated,
    /// Nobody knows: the page that says it is lost, or the source could not be read there.
    Lost,
}

/// A range that cannot be had, and why.
#[derive(Debug)]
pub(super) struct Loss {
    pub range: Range<u64>,
    pub error: Error,
}

impl Piece {
    /// First byte behind it.
    pub(super) fn end(&self) -> u64 {
        self.at + u64::from(self.len)
    }

    /// Where it lies.
    pub(super) fn range(&self) -> Range<u64> {
        self.at..self.end()
    }

    /// True if only a part of the chunk is wanted: its id says nothing about that alone.
    pub(super) fn is_cut(&self) -> bool {
        self.len < self.chunk_len
    }

    /// The wanted bytes of the chunk.
    pub(super) fn of<'b>(&self, chunk: &'b [u8]) -> &'b [u8] {
        let skip = self.skip as usize;
        &chunk[skip..skip + self.len as usize]
    }
}

/// Where the bytes of an extent come from, once it is known.
#[derive(Clone, Copy)]
enum Bytes {
    Chunk(ChunkId),
    Zeros(Zeros),
}

/// What an extent of each kind is restored as: the one place that knows the kinds.
fn bytes_of(kind: ExtentKind) -> Bytes {
    match kind {
        ExtentKind::Chunk(id) => Bytes::Chunk(id),
        ExtentKind::Hole => Bytes::Zeros(Zeros::Hole),
        ExtentKind::Zero => Bytes::Zeros(Zeros::Allocated),
        ExtentKind::Unreadable => Bytes::Zeros(Zeros::Lost),
    }
}

/// Plans window after window.
pub(super) struct Planner<'r> {
    extents: ExtentCursor<'r>,
    root_page: Place,
    /// What is left of the range.
    rest: Range<u64>,
    /// What is left of the extent that was begun: where it lies as a whole, and what it is.
    begun: Option<(Range<u64>, Bytes)>,
    data_len_max: u64,
    pieces_max: usize,
}

impl<'r> Planner<'r> {
    /// Plans `range` of the volume behind `root`.
    pub(super) fn new(
        reader: &'r ChunkReader<'r>,
        root: &Root,
        range: Range<u64>,
        budget: Budget,
    ) -> Self {
        let content = Content::Tree(ExtentsRoot {
            len: root.bytes,
            page: root.page,
            level: root.level,
        });
        // A restore fills no packs: their share of the budget pays for the window.
        let window_len = budget.cache_len.min(WINDOW_LEN_MAX);
        Self {
            extents: ExtentCursor::new(reader, &content),
            root_page: Place::Chunk(root.page),
            rest: range,
            begun: None,
            data_len_max: window_len as u64,
            pieces_max: (window_len / PIECE_COST).max(1),
        }
    }

    /// The next window; nothing behind the end of the range.
    pub(super) fn next(&mut self) -> Result<Option<Window>> {
        let start = self.rest.start;
        let mut window = Window::default();
        let (mut data_len, mut fill_len) = (0, 0);
        while !self.rest.is_empty()
            && data_len < self.data_len_max
            && fill_len < FILL_LEN_MAX
            && window.pieces.len() < self.pieces_max
        {
            let (extent, bytes) = self.extent(&mut window)?;
            let from = self.rest.start.max(extent.start);
            let to = self.rest.end.min(extent.end);
            match bytes {
                Bytes::Chunk(id) => {
                    // Chunks are shorter than their limit of 2^24 bytes.
                    window.pieces.push(Piece {
                        id,
                        chunk_len: (extent.end - extent.start) as u32,
                        skip: (from - extent.start) as u32,
                        len: (to - from) as u32,
                        at: from,
                    });
                    data_len += to - from;
                    self.rest.start = to;
                }
                Bytes::Zeros(zeros) => {
                    let to = to.min(from + (FILL_LEN_MAX - fill_len));
                    let range = from..to;
                    window.fills.push(Fill { range, zeros });
                    fill_len += to - from;
                    self.rest.start = to;
                    if to < extent.end {
                        self.begun = Some((extent, bytes));
                    }
                }
            }
        }
        window.range = start..self.rest.start;
        Ok((!window.range.is_empty()).then_some(window))
    }

    /// The extent at the beginning of the rest.
    fn extent(&mut self, window: &mut Window) -> Result<(Range<u64>, Bytes)> {
        if let Some(begun) = self.begun.take() {
            return Ok(begun);
        }
        self.extents.seek(self.rest.start)?;
        match self.extents.next()? {
            None => {
                let detail = "the volume ends before the length that its root says";
                Err(Error::new(
                    ErrorKind::Damaged,
                    self.root_page.clone(),
                    detail,
                ))
            }
            Some(ExtentStep::Extent(extent)) => {
                let end = self.extents.offset();
                let range = end - extent.len..end;
                if extent.kind == ExtentKind::Unreadable {
                    let detail = "could not be read from the source when the snapshot was made";
                    let place = self.root_page.clone();
                    let error = Error::new(ErrorKind::NotFound, place, detail);
                    window.losses.push(self.loss(&range, error));
                }
                Ok((range, bytes_of(extent.kind)))
            }
            Some(ExtentStep::Lost { len, error }) => {
                let end = self.extents.offset();
                let range = end - len..end;
                window.losses.push(self.loss(&range, error));
                Ok((range, Bytes::Zeros(Zeros::Lost)))
            }
        }
    }

    /// What of `range` is wanted, as lost.
    fn loss(&self, range: &Range<u64>, error: Error) -> Loss {
        let range = range.start.max(self.rest.start)..range.end.min(self.rest.end);
        Loss { range, error }
    }
}
