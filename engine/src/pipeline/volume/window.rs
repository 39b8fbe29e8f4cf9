//! The bytes of a volume around the place that is being cut: read once, in order, forgotten behind.

use std::io;
use std::ops::Range;

/// Reads begin and end at multiples of this, or with the volume: what sources and caches read at
/// least anyway.
pub(super) const READ_UNIT: u64 = 4096;

/// Fills a buffer from an offset, and gives the ranges that could not be read.
pub(super) type Read<'r> = dyn FnMut(u64, &mut [u8]) -> io::Result<Vec<Range<u64>>> + 'r;

/// Bytes of a volume without a gap.
pub(super) struct Window {
    bytes: Vec<u8>,
    /// Offset of the first byte.
    start: u64,
    /// How many bytes were read.
    len: usize,
    /// It forgets what lies behind before it grows beyond this.
    len_max: usize,
    /// What could not be read, ascending.
    unreadable: Vec<Range<u64>>,
}

impl Window {
    /// An empty window over a buffer that is used again.
    pub(super) fn new(bytes: Vec<u8>, len_max: usize) -> Self {
        Self {
            bytes,
            start: 0,
            len: 0,
            len_max,
            unreadable: Vec::new(),
        }
    }

    /// The buffer.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// First byte behind what was read.
    pub(super) fn end(&self) -> u64 {
        self.start + self.len as u64
    }

    /// True if reading can go on behind `offset` without a gap.
    pub(super) fn holds(&self, offset: u64) -> bool {
        (self.start..=self.end()).contains(&offset)
    }

    /// Bytes that were loaded.
    pub(super) fn slice(&self, range: Range<u64>) -> &[u8] {
        let from = (range.start - self.start) as usize;
        &self.bytes[from..from + (range.end - range.start) as usize]
    }

    /// Where the unreadable range that holds `offset` ends, if one does.
    pub(super) fn unreadable_at(&self, offset: u64) -> Option<u64> {
        let next = self.unreadable.iter().find(|range| range.end > offset)?;
        (next.start <= offset).then_some(next.end)
    }

    /// Where the first unreadable range behind `offset` begins, if one is known.
    pub(super) fn next_unreadable(&self, offset: u64) -> Option<u64> {
        let starts = self.unreadable.iter().map(|range| range.start);
        starts.into_iter().find(|&start| start > offset)
    }

    /// True if a byte of `range` could not be read.
    pub(super) fn is_unreadable_in(&self, range: &Range<u64>) -> bool {
        let overlaps = |lost: &Range<u64>| lost.start < range.end && lost.end > range.start;
        self.unreadable.iter().any(overlaps)
    }

    /// Reads on until everything of `from..to` is here. What lies before `from` may be forgotten.
    pub(super) fn load(&mut self, from: u64, to: u64, read: &mut Read<'_>) -> io::Result<()> {
        if !self.holds(from) {
            self.start = from - from % READ_UNIT;
            self.len = 0;
            self.unreadable.clear();
        }
        if to <= self.end() {
            return Ok(());
        }
        if (to - self.start) as usize > self.len_max {
            self.forget_before(from - from % READ_UNIT);
        }
        let wanted = (to - self.start) as usize;
        if self.bytes.len() < wanted {
            self.bytes
                .resize(wanted.max(self.len_max.min(2 * wanted)), 0);
        }
        let (offset, loaded) = (self.end(), self.len);
        let mut lost = read(offset, &mut self.bytes[loaded..wanted])?;
        self.len = wanted;
        lost.sort_unstable_by_key(|range| range.start);
        for range in lost {
            self.add_unreadable(range.start.max(offset)..range.end.min(to));
        }
        Ok(())
    }

    fn forget_before(&mut self, offset: u64) {
        if offset <= self.start {
            return;
        }
        let behind = (offset - self.start) as usize;
        self.bytes.copy_within(behind..self.len, 0);
        self.len -= behind;
        self.start = offset;
        self.unreadable.retain(|range| range.end > offset);
    }

    fn add_unreadable(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        match self.unreadable.last_mut() {
            Some(last) if range.start <= last.end => {
                last.end = last.end.max(range.end);
            }
            _ => self.unreadable.push(range),
        }
    }
}
