//! Lists of ranges of bytes in their one spelling: ascending, apart, none empty.

use std::ops::Range;

/// The same bytes, those that overlap or touch in one range; empty ones go.
pub(crate) fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| range.start < range.end);
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    ranges.dedup_by(|next, kept| {
        let joins = next.start <= kept.end;
        if joins {
            kept.end = kept.end.max(next.end);
        }
        joins
    });
    ranges
}

/// Adds a range behind all others, joined with the last one if they touch.
pub(crate) fn push(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// What is left of `range` without `done`, which ascends.
pub(crate) fn without(range: &Range<u64>, done: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut left = Vec::new();
    let mut at = range.start;
    for span in done {
        if span.start > at {
            left.push(at..span.start.min(range.end));
        }
        at = at.max(span.end);
    }
    if at < range.end {
        left.push(at..range.end);
    }
    left.retain(|span| span.start < span.end);
    left
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "ranges are values here")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_normal_list_has_the_same_members_ascending_and_apart(
            ranges in prop::collection::vec((0u64..200, 0u64..20), 0..40)
        ) {
            let given: Vec<_> = ranges.iter().map(|&(at, len)| at..at + len).collect();
            let list = joined(given.clone());
            for at in 0..240 {
                let was = given.iter().any(|range| range.contains(&at));
                prop_assert_eq!(list.iter().any(|range| range.contains(&at)), was);
            }
            prop_assert!(list.iter().all(|range| range.start < range.end));
            prop_assert!(list.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }

    #[test]
    fn spans_that_touch_become_one() {
        assert_eq!(joined(vec![5..7, 1..3, 3..4, 6..9]), [1..4, 5..9]);
        assert_eq!(joined(Vec::new()), []);
    }

    #[test]
    fn what_is_left_is_the_range_without_what_is_done() {
        let left = |done: &[Range<u64>]| without(&(10..20), done);
        assert_eq!(left(&[]), [10..20]);
        assert_eq!(left(&[10..20]), []);
        assert_eq!(left(&[12..14, 16..18]), [10..12, 14..16, 18..20]);
        assert_eq!(left(&[10..12, 18..20]), [12..18]);
        assert_eq!(without(&(5..5), &[]), []);
    }
}
