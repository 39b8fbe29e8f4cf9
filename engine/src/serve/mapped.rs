//! A view that is made of ranges of other views, one behind the other.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::operations::map_volume::MappedRange;
use crate::serve::view::View;

/// Ranges of views.
#[derive(Default)]
pub(super) struct MappedView {
    /// By where each begins; none is empty.
    parts: Vec<Part>,
    len: u64,
}

struct Part {
    start: u64,
    view: Arc<dyn View>,
    range: Range<u64>,
}

impl MappedView {
    /// Adds `range` of `view` at the end; false if the view has no such range.
    pub(super) fn push(&mut self, view: &Arc<dyn View>, range: Range<u64>) -> bool {
        let len = range.end.checked_sub(range.start);
        let end = len.and_then(|len| self.len.checked_add(len));
        let (Some(end), true) = (end, range.end <= view.len()) else {
            return false;
        };
        if end > self.len {
            let (start, view) = (self.len, Arc::clone(view));
            self.parts.push(Part { start, view, range });
            self.len = end;
        }
        true
    }

    /// The parts that bytes from `range.start` on lie in, each with what of it is in `range`.
    fn parts(&self, range: &Range<u64>) -> Result<impl Iterator<Item = (&Part, Range<u64>)>> {
        if range.start > range.end || range.end > self.len {
            let detail = format!("{range:?} lies outside of {} bytes", self.len);
            let place = Place::Argument("range");
            return Err(Error::new(ErrorKind::InvalidInput, place, detail));
        }
        let (start, end) = (range.start, range.end);
        let behind = self.parts.partition_point(|part| part.start <= start);
        let parts = self.parts.iter().skip(behind.saturating_sub(1));
        Ok(parts
            .map(move |part| (part, part.start.max(start)..part.end().min(end)))
            .take_while(|(_, within)| within.start < within.end))
    }
}

impl Part {
    fn end(&self) -> u64 {
        self.start + (self.range.end - self.range.start)
    }

    /// Where a byte of the whole lies in the view.
    fn place_of(&self, at: u64) -> u64 {
        self.range.start + (at - self.start)
    }
}

impl View for MappedView {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let mut rest = &mut *out;
        let range = offset..offset.saturating_add(rest.len() as u64);
        for (part, within) in self.parts(&range)? {
            let (piece, behind) = rest.split_at_mut((within.end - within.start) as usize);
            part.view.read_at(part.place_of(within.start), piece)?;
            rest = behind;
        }
        Ok(())
    }

    fn map(&self, range: Range<u64>, pieces_max: usize) -> Result<Vec<MappedRange>> {
        let mut pieces: Vec<MappedRange> = Vec::new();
        for (part, within) in self.parts(&range)? {
            let there = part.place_of(within.start)..part.place_of(within.end);
            let back = |at: u64| at - part.range.start + part.start;
            let mut reached = there.start;
            for found in part.view.map(there.clone(), pieces_max)? {
                reached = found.range.end;
                let range = back(found.range.start)..back(found.range.end);
                let count = pieces.len();
                match pieces.last_mut().filter(|last| last.kind == found.kind) {
                    Some(last) => last.range.end = range.end,
                    None if count == pieces_max => return Ok(pieces),
                    None => pieces.push(MappedRange { range, ..found }),
                }
            }
            if reached < there.end {
                break;
            }
        }
        Ok(pieces)
    }
}
