//! Ranges of several things, one behind the other, as one: so a logical volume lies in disks.

use std::ops::Range;

use crate::error::{Error, ErrorKind, Place, Result};

/// Ranges of things of one type.
#[derive(Clone, Debug)]
pub(crate) struct Sequence<T> {
    /// By where each begins; none is empty.
    parts: Vec<Part<T>>,
    len: u64,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Part<T> {
    /// First byte in the whole.
    start: u64,
    /// What it is a range of.
    pub of: T,
    /// Its bytes there.
    pub range: Range<u64>,
}

impl<T> Default for Sequence<T> {
    fn default() -> Self {
        let parts = Vec::new();
        Self { parts, len: 0 }
    }
}

impl<T> Sequence<T> {
    /// Length of the whole, bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// All of them.
    pub(crate) fn parts(&self) -> &[Part<T>] {
        &self.parts
    }

    /// Adds `range` of `of`, which is `of_len` bytes long, at the end; false if it has no such range.
    pub(crate) fn push(&mut self, of: T, of_len: u64, range: Range<u64>) -> bool {
        let len = range.end.checked_sub(range.start);
        let end = len.and_then(|len| self.len.checked_add(len));
        let (Some(end), true) = (end, range.end <= of_len) else {
            return false;
        };
        if end > self.len {
            let start = self.len;
            self.parts.push(Part { start, of, range });
            self.len = end;
        }
        true
    }

    /// The parts that `range` of the whole lies in, each with what of `range` it has.
    ///
    /// # Errors
    /// `InvalidInput` if it reaches beyond the end.
    pub(crate) fn within(
        &self,
        range: &Range<u64>,
    ) -> Result<impl Iterator<Item = (&Part<T>, Range<u64>)>> {
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

impl<T> Part<T> {
    fn end(&self) -> u64 {
        self.start + (self.range.end - self.range.start)
    }

    /// Where bytes of the whole that are in this part lie in what it is a range of.
    pub(crate) fn there(&self, within: &Range<u64>) -> Range<u64> {
        let there = |at: u64| self.range.start + (at - self.start);
        there(within.start)..there(within.end)
    }

    /// Where bytes of what it is a range of lie in the whole.
    pub(crate) fn back(&self, there: &Range<u64>) -> Range<u64> {
        let back = |at: u64| self.start + (at - self.range.start);
        back(there.start)..back(there.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::Random;

    #[test]
    fn a_range_is_found_in_its_parts_and_leads_back_from_each() {
        let mut random = Random::new(12);
        for _ in 0..50 {
            let (mut sequence, mut bytes) = (Sequence::default(), Vec::new());
            for of in 0..6 {
                let start = random.below(100) as u64;
                let range = start..start + random.below(40) as u64;
                assert!(sequence.push(of, 140, range.clone()));
                bytes.extend(range.map(|at| (of, at)));
            }
            let len = bytes.len();
            assert_eq!(sequence.len(), len as u64);
            let start = random.below(len + 1);
            let end = start + random.below(len + 1 - start);
            let mut found = Vec::new();
            for (part, within) in sequence.within(&(start as u64..end as u64)).unwrap() {
                let there = part.there(&within);
                assert_eq!(part.back(&there), within);
                found.extend(there.map(|at| (part.of, at)));
            }
            assert_eq!(found, bytes[start..end]);
        }
    }

    #[test]
    fn what_lies_outside_is_refused() {
        let mut sequence = Sequence::default();
        assert!(!sequence.push('a', 10, 5..11) && sequence.len() == 0);
        assert!(!sequence.push('a', 10, Range { start: 6, end: 5 }));
        assert!(sequence.push('a', 10, 5..10) && sequence.push('b', u64::MAX, 1..u64::MAX - 9));
        assert!(!sequence.push('c', 10, 0..10), "no length is that long");
        let beyond = sequence.len() + 1;
        assert!(sequence.within(&(0..beyond)).is_err());
        assert_eq!(sequence.within(&(3..3)).unwrap().count(), 0);
    }
}
