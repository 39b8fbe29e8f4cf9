//! A read request under way, and which of its bytes have arrived.

use std::ops::Range;

use crate::limits;

use super::fault::{Fault, refusal};

/// A read request under way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) cookie: u64,
    /// Where it lies in the caller's buffer.
    pub(super) range: Range<usize>,
    /// What has arrived, within the buffer: ascending, apart.
    arrived: Vec<Range<usize>>,
    refused: Option<Fault>,
}

impl Pending {
    pub(super) fn new(cookie: u64, range: Range<usize>) -> Self {
        Self {
            cookie,
            range,
            arrived: Vec::new(),
            refused: None,
        }
    }

    /// Where `len` bytes at `start` of the export lie in the buffer that begins at `offset`.
    pub(super) fn within(&self, offset: u64, start: u64, len: u32) -> Result<Range<usize>, Fault> {
        let outside = || Fault::protocol("it answers with another range than was asked for");
        let start = start.checked_sub(offset).ok_or_else(outside)?;
        let start = usize::try_from(start).map_err(|_| outside())?;
        let end = start.checked_add(len as usize).ok_or_else(outside)?;
        if start < self.range.start || end > self.range.end {
            return Err(outside());
        }
        Ok(start..end)
    }

    /// Notes that `range` has arrived; nothing may arrive twice, and no piece may be empty.
    pub(super) fn arrive(&mut self, range: Range<usize>) -> Result<(), Fault> {
        if range.is_empty() && !self.range.is_empty() {
            return Err(Fault::protocol("a chunk of data is empty"));
        }
        let at = self.arrived.partition_point(|r| r.end <= range.start);
        if self.arrived.get(at).is_some_and(|r| r.start < range.end) {
            return Err(Fault::protocol("it sends the same bytes twice"));
        }
        let joins_next = self.arrived.get(at).is_some_and(|r| r.start == range.end);
        let joins_last = at > 0 && self.arrived[at - 1].end == range.start;
        match (joins_last, joins_next) {
            (true, true) => self.arrived[at - 1].end = self.arrived.remove(at).end,
            (true, false) => self.arrived[at - 1].end = range.end,
            (false, true) => self.arrived[at].start = range.start,
            (false, false) => self.arrived.insert(at, range),
        }
        if self.arrived.len() > limits::NBD_READ_PIECES_LIMIT {
            return Err(Fault::protocol("it answers a read in too many pieces"));
        }
        Ok(())
    }

    pub(super) fn refuse(&mut self, error: u32, text: &[u8]) {
        self.refused.get_or_insert_with(|| refusal(error, text));
    }

    /// How a completed request ended: refused, answered, or neither.
    pub(super) fn finish(self) -> Result<Option<Fault>, Fault> {
        if self.refused.is_none() && self.arrived != [self.range] {
            return Err(Fault::protocol(
                "it leaves out a part of what was asked for",
            ));
        }
        Ok(self.refused)
    }
}
