//! Hints in their order: from memory, or merged from the runs of a temporary file.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::error::Result;
use crate::sources::volume::layout::hints::offsets::{Spilled, is_behind, scratch_error};

/// Longest and shortest buffer of one run.
const BUFFER_LEN_MAX: usize = 64 * 1024;
const BUFFER_LEN_MIN: usize = 512;

/// Hints in bytes from the start of the volume: ascending, each once.
///
/// After an error, which only a temporary file can have, there are no more.
#[derive(Debug)]
pub struct HintIter<'h>(Offsets<'h>);

#[derive(Debug)]
enum Offsets<'h> {
    InMemory(std::iter::Copied<std::slice::Iter<'h, u64>>),
    Merged(Merge<'h>),
}

impl<'h> HintIter<'h> {
    pub(super) fn in_memory(offsets: &'h [u64]) -> Self {
        Self(Offsets::InMemory(offsets.iter().copied()))
    }

    pub(super) fn merged(
        spilled: &'h Spilled,
        discarded: &'h [Range<u64>],
        memory_bytes: usize,
    ) -> Self {
        Self(Offsets::Merged(Merge::new(
            spilled,
            discarded,
            memory_bytes,
        )))
    }
}

impl Iterator for HintIter<'_> {
    type Item = Result<u64>;

    fn next(&mut self) -> Option<Result<u64>> {
        match &mut self.0 {
            Offsets::InMemory(offsets) => offsets.next().map(Ok),
            Offsets::Merged(merge) => {
                let next = merge.next_kept().transpose()?;
                Some(next.map_err(|error| {
                    merge.heap.clear();
                    merge.unread.clear();
                    scratch_error(&merge.spilled.folder, "read a temporary file", error)
                }))
            }
        }
    }
}

#[derive(Debug)]
struct Merge<'h> {
    spilled: &'h Spilled,
    /// Runs whose first offset is not in the heap yet.
    unread: Vec<usize>,
    runs: Vec<RunReader<'h>>,
    /// The next offset of each run, the smallest first.
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    last: Option<u64>,
    discarded: &'h [Range<u64>],
}

impl<'h> Merge<'h> {
    fn new(spilled: &'h Spilled, discarded: &'h [Range<u64>], memory_bytes: usize) -> Self {
        let count = spilled.runs.len().max(1);
        let buffer_len = (memory_bytes / count).clamp(BUFFER_LEN_MIN, BUFFER_LEN_MAX);
        let runs = spilled.runs.iter().map(|run| RunReader {
            file: &spilled.file,
            rest: run.clone(),
            buffer: Vec::new(),
            at: 0,
            buffer_len,
            last: 0,
        });
        Self {
            spilled,
            unread: (0..spilled.runs.len()).collect(),
            runs: runs.collect(),
            heap: BinaryHeap::with_capacity(count),
            last: None,
            discarded,
        }
    }

    fn next_kept(&mut self) -> io::Result<Option<u64>> {
        while let Some(run) = self.unread.pop() {
            self.refill(run)?;
        }
        while let Some(Reverse((offset, run))) = self.heap.pop() {
            self.refill(run)?;
            if self.last != Some(offset) && !self.is_discarded(offset) {
                self.last = Some(offset);
                return Ok(Some(offset));
            }
        }
        Ok(None)
    }

    fn refill(&mut self, run: usize) -> io::Result<()> {
        let next = self.runs[run].next()?;
        self.heap.extend(next.map(|offset| Reverse((offset, run))));
        Ok(())
    }

    /// Offsets ascend, so that places that lie behind are never asked again.
    fn is_discarded(&mut self, offset: u64) -> bool {
        while let Some((first, rest)) = self.discarded.split_first() {
            if offset <= first.end {
                return is_behind(first, offset);
            }
            self.discarded = rest;
        }
        false
    }
}

/// Reads one run, a buffer at a time.
#[derive(Debug)]
struct RunReader<'h> {
    file: &'h std::fs::File,
    rest: Range<u64>,
    buffer: Vec<u8>,
    at: usize,
    buffer_len: usize,
    last: u64,
}

impl RunReader<'_> {
    fn next(&mut self) -> io::Result<Option<u64>> {
        if self.at == self.buffer.len() && self.rest.is_empty() {
            return Ok(None);
        }
        let mut distance = 0;
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            distance |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
            if shift > 63 {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        let offset = self.last.checked_add(distance);
        self.last = offset.ok_or(io::ErrorKind::InvalidData)?;
        Ok(offset)
    }

    fn byte(&mut self) -> io::Result<u8> {
        if self.at == self.buffer.len() {
            let len = (self.rest.end - self.rest.start).min(self.buffer_len as u64);
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.resize(len as usize, 0);
            self.file.read_exact_at(&mut self.buffer, self.rest.start)?;
            self.rest.start += len;
            self.at = 0;
        }
        let byte = self.buffer[self.at];
        self.at += 1;
        Ok(byte)
    }
}
