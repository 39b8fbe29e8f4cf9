//! One worker: its buffers, and what it does with the bytes of a file.

use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;

use crate::error::{Error, Result};
use crate::format::entry::{Extent, ExtentKind};
use crate::limits::{FRAME_LEN_TARGET, LONG_FRAME_LEN_TARGET};
use crate::observe::{Counter, Observer};
use crate::pipeline::budget::Budget;
use crate::pipeline::ingest::Sums;
use crate::repository::frame_writer::FrameWriter;
use crate::transform::chunk::{Candidate, Chunker};
use crate::transform::hash::IdKey;

/// Bytes that are read and scanned at a time: what fits a core's own cache.
const STEP_LEN: usize = 512 * 1024;

/// A source of bytes at offsets: an open file, a volume.
pub trait ReadAt: Send + Sync {
    /// Fills `buffer` from `offset`; fewer bytes only at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// What can go wrong with a content: the source, which costs one entry, or storing, which costs
/// the session.
#[derive(Debug)]
pub enum IngestError {
    /// The source could not be read.
    Source(io::Error),
    /// The chunk could not be stored.
    Store(Error),
}

impl From<io::Error> for IngestError {
    fn from(error: io::Error) -> Self {
        Self::Source(error)
    }
}

impl From<Error> for IngestError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// One worker of an ingest.
pub struct Worker<'s> {
    chunks: ChunkStore<'s>,
    chunker: &'s Chunker,
    buffer: Vec<u8>,
    candidates: Vec<Candidate>,
    cuts: Vec<usize>,
    budget: Budget,
    sums: &'s Sums,
    observer: &'s dyn Observer,
}

/// Hashes chunks, and stores those that are new.
struct ChunkStore<'s> {
    frames: FrameWriter<'s>,
    id_key: &'s IdKey,
    sums: &'s Sums,
}

/// A piece of a run of data of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// First byte of the piece.
    pub start: u64,
    /// First byte behind the piece: chunks that begin before it are the piece's.
    pub end: u64,
    /// First byte behind the run.
    pub run_end: u64,
}

impl<'s> Worker<'s> {
    pub(crate) fn new(
        frames: FrameWriter<'s>,
        chunker: &'s Chunker,
        budget: Budget,
        sums: &'s Sums,
        observer: &'s dyn Observer,
    ) -> Self {
        let id_key = frames.id_key();
        let (buffer, candidates, cuts) = (Vec::new(), Vec::new(), Vec::new());
        let chunks = ChunkStore {
            frames,
            id_key,
            sums,
        };
        Self {
            chunks,
            chunker,
            buffer,
            candidates,
            cuts,
            budget,
            sums,
            observer,
        }
    }

    /// Ingests a content that fits the worker's buffer: `runs` of data, holes between them, up to
    /// `len`. Gives its extents; a content that ends early gives fewer bytes.
    pub fn ingest(
        &mut self,
        reader: &dyn ReadAt,
        runs: impl IntoIterator<Item = io::Result<Range<u64>>>,
        len: u64,
    ) -> Result<Vec<Extent>, IngestError> {
        let (mut extents, mut at) = (Vec::new(), 0);
        for run in runs {
            let run = run?;
            push_extent(&mut extents, run.start - at, ExtentKind::Hole);
            let segment = Segment {
                start: run.start,
                end: run.end,
                run_end: run.end,
            };
            let found = self.fill(reader, segment, false)?;
            self.cuts.clear();
            self.cuts.extend(self.chunker.cuts(&self.buffer[..found]));
            self.store_cuts(0, FRAME_LEN_TARGET, &mut extents)?;
            at = run.start + found as u64;
            if found < (run.end - run.start) as usize {
                return Ok(extents); // the file became shorter while it was read
            }
        }
        push_extent(&mut extents, len.saturating_sub(at), ExtentKind::Hole);
        Ok(extents)
    }

    /// Ingests the chunks that begin in `segment`. `first` waits for where the first of them
    /// begins, `next` passes on where the first behind the segment does.
    pub(crate) fn ingest_segment(
        &mut self,
        reader: &dyn ReadAt,
        segment: Segment,
        first: impl FnOnce() -> Result<u64, IngestError>,
        next: impl FnOnce(u64),
    ) -> Result<Vec<Extent>, IngestError> {
        let found = self.fill(reader, segment, true)?;
        let first = first()?;
        let data_end = segment.start + found as u64;
        if first >= data_end {
            next(first); // shorter than it was: nothing begins here any more
            return Ok(Vec::new());
        }
        let from = (first - segment.start) as usize;
        let wanted = (segment.end - segment.start) as usize;
        let at_end = data_end >= segment.run_end || found < self.reach(segment);
        self.cuts.clear();
        let (candidates, cuts) = (&self.candidates, &mut self.cuts);
        let behind = self
            .chunker
            .select(candidates, from, wanted.min(found), found, at_end, cuts);
        next(segment.start + behind as u64);
        let mut extents = Vec::with_capacity(self.cuts.len());
        self.store_cuts(from, LONG_FRAME_LEN_TARGET, &mut extents)?;
        Ok(extents)
    }

    /// Seals what was gathered.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.chunks.frames.flush()
    }

    /// The chunker of the repository.
    pub(super) fn chunker(&self) -> &'s Chunker {
        self.chunker
    }

    /// Lends its buffer, to be given back.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// Takes the buffer back.
    pub(super) fn return_buffer(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }

    /// Counts bytes that were read.
    pub(super) fn count_read(&self, len: u64) {
        self.sums.read_bytes.fetch_add(len, Ordering::Relaxed);
        self.observer.count(Counter::BytesRead, len);
    }

    /// Stores a chunk, if it is new, in a frame of about this length, and gives what an extent says
    /// of it.
    pub(super) fn store_chunk(&mut self, chunk: &[u8], frame_len: usize) -> Result<ExtentKind> {
        self.chunks.store(chunk, frame_len)
    }

    /// How many bytes a segment needs: itself, and one longest chunk behind it.
    fn reach(&self, segment: Segment) -> usize {
        let overlap = self.chunker.sizes().max() as u64;
        (segment.end.saturating_add(overlap).min(segment.run_end) - segment.start) as usize
    }

    /// Reads a segment and what its last chunk needs behind it; scans each step while it is hot.
    fn fill(&mut self, reader: &dyn ReadAt, segment: Segment, scan: bool) -> io::Result<usize> {
        let wanted = self.reach(segment);
        self.candidates.clear();
        if self.buffer.len() < wanted {
            let longest = self.budget.segment_len + self.chunker.sizes().max();
            self.buffer.resize(wanted.max(longest.min(2 * wanted)), 0);
        }
        let mut found = 0;
        while found < wanted {
            let end = (found + STEP_LEN).min(wanted);
            let read =
                reader.read_at(segment.start + found as u64, &mut self.buffer[found..end])?;
            if scan {
                self.chunker
                    .scan(&self.buffer[..found + read], found, &mut self.candidates);
            }
            found += read;
            if found < end {
                break;
            }
        }
        let own = found.min((segment.end - segment.start) as usize) as u64;
        self.count_read(own);
        Ok(found)
    }

    /// Hashes and stores the chunks that end at `cuts`, the first of which begins at `start`.
    fn store_cuts(
        &mut self,
        mut start: usize,
        frame_len: usize,
        extents: &mut Vec<Extent>,
    ) -> Result<()> {
        for &cut in &self.cuts {
            let chunk = &self.buffer[start..cut];
            let len = chunk.len() as u64;
            start = cut;
            let kind = self.chunks.store(chunk, frame_len)?;
            push_extent(extents, len, kind);
        }
        Ok(())
    }
}

impl ChunkStore<'_> {
    fn store(&mut self, chunk: &[u8], frame_len: usize) -> Result<ExtentKind> {
        if is_zero(chunk) {
            return Ok(ExtentKind::Zero);
        }
        let id = self.id_key.id_of(chunk);
        self.frames.aim(frame_len);
        if self.frames.store(id, chunk)? {
            self.sums.new_chunks.fetch_add(1, Ordering::Relaxed);
            let len = chunk.len() as u64;
            self.sums.new_bytes.fetch_add(len, Ordering::Relaxed);
        }
        Ok(ExtentKind::Chunk(id))
    }
}

/// Appends an extent, or lengthens the one at the end where both are one.
pub(super) fn push_extent(extents: &mut Vec<Extent>, len: u64, kind: ExtentKind) {
    match extents.last_mut() {
        _ if len == 0 => {}
        Some(last) if last.kind == kind && kind.merges() => last.len += len,
        _ => extents.push(Extent { len, kind }),
    }
}

/// True if all bytes are zero: content ends the test at its first bytes, and zeros are compared as
/// fast as memory gives them.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes
        .chunks(ZEROS.len())
        .all(|part| *part == ZEROS[..part.len()])
}
