//! What must be looked at again, and what the source says is allocated there.

use std::io;
use std::ops::Range;

use crate::pipeline::ranges::joined;
use crate::pipeline::volume::rules::{IncrementalRule, VolumeRules};
use crate::pipeline::volume::{Allocated, Allocation, VolumeReader};

/// Bytes that a source is asked about at first; more once its answers are short.
const ASKED_FIRST: u64 = 1 << 30;
/// Most bytes that a source is asked about.
const ASKED_MAX: u64 = 1 << 40;
/// Answers of at most so many pieces are short.
const SHORT_ANSWER: usize = 64;

/// What makes parts of a volume other than in its parent.
#[derive(Default)]
pub(super) struct Changes<'c> {
    /// Bytes that may have changed, in any order.
    pub ranges: &'c [Range<u64>],
    /// Bytes that the parent has not: they are read again.
    pub unreadable: Vec<Range<u64>>,
    /// Cuts that one of both has.
    pub cuts: Vec<u64>,
    /// Length of the parent, bytes.
    pub old_len: u64,
    /// Length now, bytes.
    pub len: u64,
}

impl Changes<'_> {
    /// The grains that they touch: ascending, disjoint, none beside another.
    pub(super) fn dirty(&self, rules: &VolumeRules) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = self.ranges.to_vec();
        ranges.extend_from_slice(&self.unreadable);
        if IncrementalRule::CutsThatDiffer.holds() {
            ranges.extend(self.cuts.iter().map(|&cut| cut..cut + 1));
        }
        ranges.extend(self.tail());
        union_of_grains(rules, ranges, 0..self.len)
    }

    /// What a new length changes: everything behind the old one, and the last grain of the
    /// shorter volume, which ends where no grain does or did.
    fn tail(&self) -> impl Iterator<Item = Range<u64>> + use<> {
        let (shorter, longer) = (self.old_len.min(self.len), self.old_len.max(self.len));
        let last = shorter.saturating_sub(1)..shorter;
        let is_resized = shorter < longer;
        let last = (is_resized && IncrementalRule::TailOfResize.holds()).then_some(last);
        last.into_iter()
            .chain(is_resized.then_some(shorter..longer))
    }
}

/// The grains within `bounds` that `ranges` touch, the first and last of them cut at the bounds:
/// ascending, disjoint, none beside another.
pub(super) fn union_of_grains(
    rules: &VolumeRules,
    ranges: Vec<Range<u64>>,
    bounds: Range<u64>,
) -> Vec<Range<u64>> {
    let clipped = ranges.into_iter().filter_map(|range| {
        let (start, end) = (range.start.max(bounds.start), range.end.min(bounds.end));
        (start < end).then(|| {
            let start = rules.grain_start(start).max(bounds.start);
            start..rules.grain_end(end).min(bounds.end)
        })
    });
    joined(clipped.collect())
}

/// What a source says is allocated, asked once for each place and in pieces.
pub(super) struct AllocationMap<'v> {
    reader: &'v dyn VolumeReader,
    /// The last answer, without gaps.
    pieces: Vec<Allocated>,
    asked: u64,
}

impl<'v> AllocationMap<'v> {
    /// Nothing was asked yet.
    pub(super) fn new(reader: &'v dyn VolumeReader) -> Self {
        Self {
            reader,
            pieces: Vec::new(),
            asked: ASKED_FIRST,
        }
    }

    /// The pieces of `range`, which is not empty.
    pub(super) fn pieces(&mut self, range: Range<u64>) -> io::Result<Vec<Allocated>> {
        let mut pieces: Vec<Allocated> = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let piece = self.piece_at(at, range.end)?;
            at = piece.range.end;
            match pieces.last_mut() {
                Some(last) if last.kind == piece.kind => last.range.end = at,
                _ => pieces.push(piece),
            }
        }
        Ok(pieces)
    }

    /// What is known of the byte at `start` without reading it, and how far the same is known,
    /// up to `limit`.
    pub(super) fn run_at(&mut self, start: u64, limit: u64) -> io::Result<Allocated> {
        let mut run = self.piece_at(start, limit)?;
        while run.kind != Allocation::Data && run.range.end < limit {
            let next = self.piece_at(run.range.end, limit)?;
            if next.kind != run.kind {
                break;
            }
            run.range.end = next.range.end;
        }
        Ok(run)
    }

    /// The piece from `at` on, at most to `limit`.
    fn piece_at(&mut self, at: u64, limit: u64) -> io::Result<Allocated> {
        let behind = self.pieces.partition_point(|piece| piece.range.end <= at);
        let known = self
            .pieces
            .get(behind)
            .filter(|piece| piece.range.start <= at);
        if known.is_none() {
            self.ask(at..at.saturating_add(self.asked).min(limit))?;
        }
        let behind = self.pieces.partition_point(|piece| piece.range.end <= at);
        let (end, kind) = match self.pieces.get(behind) {
            Some(piece) => (piece.range.end.min(limit), piece.kind),
            None => (limit, Allocation::Data),
        };
        Ok(Allocated {
            range: at..end,
            kind,
        })
    }

    fn ask(&mut self, range: Range<u64>) -> io::Result<()> {
        self.pieces = without_gaps(self.reader.allocation(range.clone())?, range);
        self.asked = if self.pieces.len() <= SHORT_ANSWER {
            (self.asked * 4).min(ASKED_MAX)
        } else {
            ASKED_FIRST
        };
        Ok(())
    }
}

/// An answer as it should be: in order, and data where it says nothing or contradicts itself.
fn without_gaps(answer: Vec<Allocated>, range: Range<u64>) -> Vec<Allocated> {
    let mut pieces: Vec<Allocated> = Vec::with_capacity(answer.len());
    let mut at = range.start;
    let mut push = |range: Range<u64>, kind| match pieces.last_mut() {
        _ if range.is_empty() => {}
        Some(last) if last.kind == kind => last.range.end = range.end,
        _ => pieces.push(Allocated { range, kind }),
    };
    for piece in answer {
        let (start, end) = (piece.range.start.max(at), piece.range.end.min(range.end));
        if start < end {
            push(at..start, Allocation::Data);
            push(start..end, piece.kind);
            at = end;
        }
    }
    push(at..range.end, Allocation::Data);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(range: Range<u64>, kind: Allocation) -> Allocated {
        Allocated { range, kind }
    }

    #[test]
    fn an_answer_with_gaps_and_contradictions_counts_as_data_where_it_says_nothing() {
        use Allocation::{Data, Hole, Zero};
        let answer = vec![
            piece(0..50, Hole),
            piece(60..70, Zero),
            piece(65..80, Hole),
            piece(10..20, Zero),
            piece(90..500, Hole),
        ];
        let expected = vec![
            piece(10..50, Hole),
            piece(50..60, Data),
            piece(60..70, Zero),
            piece(70..80, Hole),
            piece(80..90, Data),
            piece(90..100, Hole),
        ];
        assert_eq!(without_gaps(answer, 10..100), expected);
        assert_eq!(without_gaps(vec![], 0..5), [piece(0..5, Data)]);
    }

    #[test]
    fn ranges_in_any_order_become_grains_within_the_volume() {
        let rules = VolumeRules::small(4096, 65_536, Default::default());
        let ranges = vec![9000..9001, 0..1, 4095..4097, 30_000..u64::MAX, 7..7];
        let grains = union_of_grains(&rules, ranges, 0..33_000);
        assert_eq!(grains, [0..12_288, 28_672..33_000]);
    }
}
