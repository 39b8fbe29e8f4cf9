//! One sorted part of the index, read where it lies.
//!
//! ```text
//! body := runs packs origins frames entries buckets fingerprints
//! ```
//! The first five are encoded as in an index run (FORMAT §9). `buckets` says where the ids that
//! share their first bits begin, `fingerprints` has 16 more bits of each id: an id that is absent
//! costs two cache lines, one that is there two more. All of it is a local matter, not the format.

use std::ops::Range;

use crate::format::Decoded;
use crate::format::cursor::Cursor;
use crate::format::id::ChunkId;
use crate::format::index_run::{
    ENTRY_LEN, FRAME_LEN, IndexEntry, IndexedFrame, IndexedPack, PACK_LEN,
};
use crate::format::table::{ORIGIN_LEN, Origin, TableName};
use crate::repository::index::bytes::SegmentBytes;

pub(super) const BUCKET_LEN: usize = 4;
pub(super) const FINGERPRINT_LEN: usize = 2;
/// Ids in a bucket, on average: the fingerprints of one fit a cache line.
const ENTRIES_PER_BUCKET: u64 = 8;
const BUCKET_BITS_MAX: u32 = 30;

/// How much of everything a segment holds, and so where in its body it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub runs: u32,
    pub packs: u32,
    pub origins: u32,
    pub frames: u32,
    pub entries: u32,
}

/// A sorted part of the index.
#[derive(Debug)]
pub(super) struct Segment {
    bytes: SegmentBytes,
    shape: Shape,
    runs: Vec<TableName>,
    packs: Vec<IndexedPack>,
    origins: Vec<Origin>,
}

impl Shape {
    /// First bits of an id that choose its bucket.
    fn bucket_bits(&self) -> u32 {
        let buckets = u64::from(self.entries) / ENTRIES_PER_BUCKET;
        buckets.max(1).ilog2().min(BUCKET_BITS_MAX)
    }

    /// Number of buckets.
    pub(super) fn buckets(&self) -> usize {
        1 << self.bucket_bits()
    }

    /// Length of the body, bytes.
    pub(super) fn body_len(&self) -> usize {
        self.starts()[7]
    }

    /// The bucket of an id.
    pub(super) fn bucket_of(&self, id: &ChunkId) -> usize {
        let [a, b, c, d, ..] = id.0;
        let prefix = u32::from_le_bytes([d, c, b, a]); // most significant first, as ids compare
        (u64::from(prefix) >> (32 - self.bucket_bits())) as usize
    }

    /// Where each part begins, and the end of the last. No count is above 2^32, no sum overflows.
    fn starts(&self) -> [usize; 8] {
        let lens = [
            self.runs as usize * TableName::LEN,
            self.packs as usize * PACK_LEN,
            self.origins as usize * ORIGIN_LEN,
            self.frames as usize * FRAME_LEN,
            self.entries as usize * ENTRY_LEN,
            (self.buckets() + 1) * BUCKET_LEN,
            self.entries as usize * FINGERPRINT_LEN,
        ];
        let mut starts = [0; 8];
        for (part, len) in lens.into_iter().enumerate() {
            starts[part + 1] = starts[part] + len;
        }
        starts
    }
}

/// More bits of an id than its bucket tells.
pub(super) fn fingerprint_of(id: &ChunkId) -> [u8; FINGERPRINT_LEN] {
    [id.0[4], id.0[5]]
}

impl Segment {
    /// A segment of this shape; nothing if its head cannot be read.
    pub(super) fn new(bytes: SegmentBytes, shape: Shape) -> Option<Self> {
        let starts = shape.starts();
        let head = bytes.get(0..starts[3])?;
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
        let [.., entries_at, buckets_at, fingerprints_at, _] = self.shape.starts();
        let at = buckets_at + self.shape.bucket_of(id) * BUCKET_LEN;
        let ends = self.bytes.get(at..at + 2 * BUCKET_LEN)?;
        let (from, to) = (le_u32(ends), le_u32(&ends[BUCKET_LEN..]));
        let place = |entry: u32| fingerprints_at + entry as usize * FINGERPRINT_LEN;
        let fingerprints = self.bytes.get(place(from)..place(to))?;
        let wanted = fingerprint_of(id);
        let is_same = |entry: u32| {
            let at = entries_at + entry as usize * ENTRY_LEN;
            self.bytes.get(at..at + ChunkId::LEN) == Some(id.0.as_slice())
        };
        let mut alike = (from..to)
            .zip(fingerprints.chunks_exact(FINGERPRINT_LEN))
            .filter(|(_, fingerprint)| **fingerprint == wanted)
            .map(|(entry, _)| entry);
        let first = alike.find(|entry| is_same(*entry))?;
        let copies = (first..to).take_while(|entry| is_same(*entry)).count();
        Some(first..first + copies as u32)
    }

    /// The entry of this number.
    pub(super) fn entry(&self, number: u32) -> Option<IndexEntry> {
        let at = self.shape.starts()[4] + number as usize * ENTRY_LEN;
        let bytes = self.bytes.get(at..at + ENTRY_LEN)?;
        IndexEntry::decode(&mut Cursor::new(bytes)).ok()
    }

    /// The frame of this number, its pack and its origin.
    pub(super) fn frame(&self, number: u32) -> Option<(IndexedFrame, &IndexedPack, &Origin)> {
        let at = self.shape.starts()[3] + number as usize * FRAME_LEN;
        let bytes = self.bytes.get(at..at + FRAME_LEN)?;
        let frame = IndexedFrame::decode(&mut Cursor::new(bytes)).ok()?;
        let pack = self.packs.get(frame.pack as usize)?;
        let origin = self.origins.get(frame.origin as usize)?;
        Some((frame, pack, origin))
    }
}

fn le_u32(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
