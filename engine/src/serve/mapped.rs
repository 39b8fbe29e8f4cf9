//! A view that is made of ranges of other views, one behind the other.

use std::ops::Range;
use std::sync::Arc;

use crate::error::Result;
use crate::operations::map_volume::MappedRange;
use crate::pipeline::sequence::Sequence;
use crate::serve::view::View;

/// Ranges of views.
#[derive(Default)]
pub(super) struct MappedView(Sequence<Arc<dyn View>>);

impl MappedView {
    /// Adds `range` of `view` at the end; false if the view has no such range.
    pub(super) fn push(&mut self, view: &Arc<dyn View>, range: Range<u64>) -> bool {
        self.0.push(Arc::clone(view), view.len(), range)
    }
}

impl View for MappedView {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let mut rest = &mut *out;
        let range = offset..offset.saturating_add(rest.len() as u64);
        for (part, within) in self.0.within(&range)? {
            let (piece, behind) = rest.split_at_mut((within.end - within.start) as usize);
            part.of.read_at(part.there(&within).start, piece)?;
            rest = behind;
        }
        Ok(())
    }

    fn map(&self, range: Range<u64>, pieces_max: usize) -> Result<Vec<MappedRange>> {
        let mut pieces: Vec<MappedRange> = Vec::new();
        for (part, within) in self.0.within(&range)? {
            let there = part.there(&within);
            let mut reached = there.start;
            for found in part.of.map(there.clone(), pieces_max)? {
                reached = found.range.end;
                let range = part.back(&found.range);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::operations::map_volume::RangeKind;
    use crate::testing::random::Random;

    /// Bytes of which those that are zero are a hole.
    struct Bytes(Vec<u8>);

    impl View for Bytes {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
            let at = offset as usize;
            out.copy_from_slice(&self.0[at..at + out.len()]);
            Ok(())
        }

        fn map(&self, range: Range<u64>, pieces_max: usize) -> Result<Vec<MappedRange>> {
            let bytes = &self.0[range.start as usize..range.end as usize];
            let mut at = range.start;
            let runs = bytes.chunk_by(|left, right| (*left == 0) == (*right == 0));
            let pieces = runs.take(pieces_max).map(|run| {
                let (start, is_hole) = (at, run[0] == 0);
                at += run.len() as u64;
                MappedRange {
                    range: start..at,
                    kind: if is_hole {
                        RangeKind::Hole
                    } else {
                        RangeKind::Data
                    },
                    chunk: None,
                }
            });
            Ok(pieces.collect())
        }
    }

    /// Random ranges of two views, and the bytes that they are.
    fn sample(random: &mut Random) -> (MappedView, Bytes) {
        let views = [0, 1].map(|_| {
            let bytes = (0..200).map(|at| u8::from(random.below(at % 9 + 1) > 1));
            Bytes(bytes.collect())
        });
        let [first, second] = views.map(Arc::new);
        let (mut mapped, mut bytes) = (MappedView::default(), Vec::new());
        for _ in 0..6 {
            let view = if random.one_in(2) { &first } else { &second };
            let start = random.below(200);
            let end = start + random.below(201 - start);
            let shared: Arc<dyn View> = Arc::<Bytes>::clone(view);
            assert!(mapped.push(&shared, start as u64..end as u64));
            bytes.extend(&view.0[start..end]);
        }
        (mapped, Bytes(bytes))
    }

    #[test]
    fn every_range_is_read_and_mapped_as_that_of_the_bytes_one_behind_the_other() {
        let mut random = Random::new(11);
        for _ in 0..50 {
            let (mapped, bytes) = sample(&mut random);
            let len = bytes.0.len();
            assert_eq!(mapped.len(), len as u64);
            for _ in 0..50 {
                let start = random.below(len + 1);
                let end = start + random.below(len + 1 - start);
                let mut read = vec![9; end - start];
                mapped.read_at(start as u64, &mut read).unwrap();
                assert!(read == bytes.0[start..end]);
                let range = start as u64..end as u64;
                let pieces_max = 1 + random.below(5);
                let expected = bytes.map(range.clone(), pieces_max).unwrap();
                assert_eq!(mapped.map(range, pieces_max).unwrap(), expected);
            }
        }
    }

    #[test]
    fn what_lies_outside_is_refused() {
        let view: Arc<dyn View> = Arc::new(Bytes(vec![1; 10]));
        let mut mapped = MappedView::default();
        assert!(!mapped.push(&view, 5..11) && mapped.is_empty());
        assert!(mapped.push(&view, 5..10) && mapped.push(&view, 0..2));
        let error = mapped.read_at(6, &mut [0; 2]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(mapped.map(0..8, 1).is_err());
        assert!(mapped.read_at(7, &mut []).is_ok());
    }
}
