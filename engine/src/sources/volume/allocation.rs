//! Putting an answer about allocation together, piece by piece.

use std::ops::Range;

use crate::limits::ALLOCATION_PIECES_MAX;
use crate::sources::volume::{Allocated, Allocation};

/// An answer in the making: covers its range exactly, joins neighbours, and stays bounded.
#[derive(Debug)]
pub(super) struct AllocationBuilder {
    next: u64,
    end: u64,
    pieces: Vec<Allocated>,
}

impl AllocationBuilder {
    pub(super) fn new(range: Range<u64>) -> Self {
        Self {
            next: range.start,
            end: range.end,
            pieces: Vec::new(),
        }
    }

    /// True once nothing more is wanted.
    pub(super) fn is_done(&self) -> bool {
        self.next == self.end
    }

    /// Everything up to `end` is of this kind. What lies outside of the range is cut off; once
    /// there are too many pieces, the rest of the range becomes data.
    pub(super) fn push_until(&mut self, end: u64, kind: Allocation) {
        let end = end.min(self.end);
        if end <= self.next {
            return;
        }
        let is_full = self.pieces.len() >= ALLOCATION_PIECES_MAX;
        match self.pieces.last_mut() {
            Some(last) if last.kind == kind => last.range.end = end,
            _ if is_full => return self.fill(),
            _ => self.pieces.push(Allocated {
                range: self.next..end,
                kind,
            }),
        }
        self.next = end;
    }

    /// The rest is data, even if the last piece has to become data as well.
    fn fill(&mut self) {
        self.next = self.end;
        if let Some(last) = self.pieces.last_mut() {
            last.range.end = self.end;
            last.kind = Allocation::Data;
        }
        self.join_last();
    }

    fn join_last(&mut self) {
        let count = self.pieces.len();
        if count >= 2 && self.pieces[count - 2].kind == self.pieces[count - 1].kind {
            self.pieces.pop();
            self.pieces[count - 2].range.end = self.end;
        }
    }

    /// The answer; what nobody spoke of is data.
    pub(super) fn finish(mut self) -> Vec<Allocated> {
        self.push_until(self.end, Allocation::Data);
        self.pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Allocation::{Data, Hole, Zero};

    fn piece(range: Range<u64>, kind: Allocation) -> Allocated {
        Allocated { range, kind }
    }

    #[test]
    fn an_answer_covers_its_range_and_joins_neighbours_of_a_kind() {
        let mut builder = AllocationBuilder::new(10..100);
        for (end, kind) in [(5, Hole), (20, Data), (30, Data), (50, Zero), (40, Hole)] {
            builder.push_until(end, kind);
        }
        builder.push_until(60, Hole);
        assert!(!builder.is_done());
        let expected = [piece(10..30, Data), piece(30..50, Zero)];
        let rest = [piece(50..60, Hole), piece(60..100, Data)];
        assert_eq!(builder.finish(), [expected, rest].concat());
    }

    #[test]
    fn an_empty_range_has_an_empty_answer() {
        let builder = AllocationBuilder::new(7..7);
        assert!(builder.is_done());
        assert!(builder.finish().is_empty());
    }

    #[test]
    fn an_answer_of_too_many_pieces_ends_in_data() {
        let end = 2 * ALLOCATION_PIECES_MAX as u64;
        let mut builder = AllocationBuilder::new(0..end);
        for at in 0..end {
            builder.push_until(at + 1, if at % 2 == 0 { Data } else { Hole });
        }
        assert!(builder.is_done());
        let pieces = builder.finish();
        assert!(pieces.len() <= ALLOCATION_PIECES_MAX);
        let last = pieces.last().expect("pieces");
        assert_eq!((last.kind, last.range.end), (Data, end));
        assert!(pieces.windows(2).all(|w| w[0].kind != w[1].kind));
        assert!(
            pieces
                .windows(2)
                .all(|w| w[0].range.end == w[1].range.start)
        );
    }
}
