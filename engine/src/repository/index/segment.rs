//! One sorted part of the index, read where it lies.
//!
//! ```text
//! body := runs packs origins frames entries gap lines
//! ```
//! The first five are encoded as in an index run (FORMAT §9). A [line](super::line) has some bits
//! of each id of a bucket: an id that is absent costs one cache line, one that is there two more.
//! The zeros before the lines align them. All of it is a local matter, not the format.

use std::ops::Range;

use crate::format::Decoded;
use crate::format::cursor::Cursor;
use crate::format::id::ChunkId;
use crate::format::index_run::{
    ENTRY_LEN, FRAME_LEN, IndexEntry, IndexedFrame, IndexedPack, PACK_LEN,
};
use crate::format::table::{ORIGIN_LEN, Origin, TableName};
use crate::repository::index::bytes::SegmentBytes;
use crate::repository::index::line::{self, LINE_LEN};

/// What is let go at once, on either side of an entry that was looked at in vain.
const GIVEN_BACK_LEN: usize = 2 << 20;

/// How much of everything a segment holds, and so where in its body it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub runs: u32,
    pub packs: u32,
    pub origins: u32,
    pub frames: u32,
    pub entries: u32,
}

/// Where the parts of a body begin, and the end of the last.
#[derive(Clone, Copy, Debug)]
struct Starts {
    frames: usize,
    entries: usize,
    gap: usize,
    lines: usize,
    end: usize,
}

/// A sorted part of the index.
#[derive(Debug)]
pub(super) struct Segment {
    bytes: SegmentBytes,
    shape: Shape,
    starts: Starts,
    runs: Vec<TableName>,
    packs: Vec<IndexedPack>,
    origins: Vec<Origin>,
}

impl Shape {
    /// Number of buckets, each with a line.
    pub(super) fn buckets(&self) -> usize {
        line::line_count(self.entries)
    }

    /// Length of the body, bytes.
    pub(super) fn body_len(&self) -> usize {
        self.starts().end
    }

    /// Length of the zeros before the lines, bytes.
    pub(super) fn gap_len(&self) -> usize {
        let starts = self.starts();
        starts.lines - starts.gap
    }

    /// No count is above 2^32, no sum overflows.
    fn starts(&self) -> Starts {
        let heads = [
            self.runs as usize * TableName::LEN,
            self.packs as usize * PACK_LEN,
            self.origins as usize * ORIGIN_LEN,
        ];
        let frames: usize = heads.iter().sum();
        let entries = frames + self.frames as usize * FRAME_LEN;
        let gap = entries + self.entries as usize * ENTRY_LEN;
        let lines = gap.next_multiple_of(LINE_LEN);
        let end = lines + self.buckets() * LINE_LEN;
        Starts {
            frames,
            entries,
            gap,
            lines,
            end,
        }
    }
}

impl Segment {
    /// A segment of this shape; nothing if its head cannot be read.
    pub(super) fn new(bytes: SegmentBytes, shape: Shape) -> Option<Self> {
        let starts = shape.starts();
        let head = bytes.get(0..starts.frames)?;
        let mut cursor = Cursor::new(head);
        let head: Decoded<_> = (|| {
            let runs = (0..shape.runs).map(|_| TableName::decode(&mut cursor));
            let runs = runs.collect::<Decoded<Vec<_>>>()?;
            let packs = (0..shape.packs).map(|_| IndexedPack::decode(&mut cursor));
            let packs = packs.collect::<Decoded<Vec<_>>>()?;
            let origins = (0..shape.origins).map(|_| Origin::decode(&mut cursor));
            Ok((runs, packs, origins.collect::<Decoded<Vec<_>>>()?))
        })();
        let (runs, packs, origins) = head.ok()?;
        Some(Self {
            bytes,
            shape,
            starts,
            runs,
            packs,
            origins,
        })
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// The runs that it was made from.
    pub(super) fn runs(&self) -> &[TableName] {
        &self.runs
    }

    pub(super) fn packs(&self) -> &[IndexedPack] {
        &self.packs
    }

    pub(super) fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// True once a part of it could not be read: what it does not know may be there all the same.
    pub(super) fn is_damaged(&self) -> bool {
        self.bytes.is_damaged()
    }

    /// The entries of `id`.
    pub(super) fn find(&self, id: &ChunkId) -> Range<u32> {
        self.find_in_bucket(id).unwrap_or_default()
    }

    fn find_in_bucket(&self, id: &ChunkId) -> Option<Range<u32>> {
        let place = line::place_of(id, self.shape.buckets());
        let at = self.starts.lines + place.bucket * LINE_LEN;
        let bucket = self.bytes.get(at..at + LINE_LEN)?.first_chunk()?;
        let alike = line::alike(bucket, place.fraction);
        let end = alike.end.min(self.shape.entries);
        let id_at = |entry: u32| {
            let at = self.starts.entries + entry as usize * ENTRY_LEN;
            self.bytes.get(at..at + ChunkId::LEN)
        };
        let (mut first, mut behind) = (alike.start, end);
        while first < behind {
            let middle = first.midpoint(behind);
            if id_at(middle)? < id.0.as_slice() {
                first = middle + 1;
            } else {
                behind = middle;
            }
        }
        let copies = (first..end).take_while(|entry| id_at(*entry) == Some(&id.0));
        let found = first..first + copies.count() as u32;
        if found.is_empty() && !alike.is_empty() {
            self.give_back_around(alike.start);
        }
        Some(found)
    }

    /// A mapped page brings its neighbours along. After an absent id whose fingerprint was another's
    /// none of them is of use: so absent ids never cost more memory than the lines.
    fn give_back_around(&self, entry: u32) {
        let at = self.starts.entries + entry as usize * ENTRY_LEN;
        let from = (at / GIVEN_BACK_LEN * GIVEN_BACK_LEN).max(self.starts.entries);
        let to = at + GIVEN_BACK_LEN;
        self.bytes.give_back(from..to.min(self.starts.gap));
    }

    /// The entry of this number.
    pub(super) fn entry(&self, number: u32) -> Option<IndexEntry> {
        let at = self.starts.entries + number as usize * ENTRY_LEN;
        let bytes = self.bytes.get(at..at + ENTRY_LEN)?;
        IndexEntry::decode(&mut Cursor::new(bytes)).ok()
    }

    /// The frame of this number, its pack and its origin.
    pub(super) fn frame(&self, number: u32) -> Option<(IndexedFrame, &IndexedPack, &Origin)> {
        let at = self.starts.frames + number as usize * FRAME_LEN;
        let bytes = self.bytes.get(at..at + FRAME_LEN)?;
        let frame = IndexedFrame::decode(&mut Cursor::new(bytes)).ok()?;
        let pack = self.packs.get(frame.pack as usize)?;
        let origin = self.origins.get(frame.origin as usize)?;
        Some((frame, pack, origin))
    }
}
