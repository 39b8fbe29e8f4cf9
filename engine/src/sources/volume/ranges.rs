//! Lists of ranges in their one spelling: ascending, apart, none empty.

use std::ops::Range;

/// Sorts ranges and joins those that overlap or touch; empty ones go.
pub(super) fn normalise(ranges: &mut Vec<Range<u64>>) {
    ranges.retain(|range| range.start < range.end);
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    ranges.dedup_by(|next, kept| {
        let joins = next.start <= kept.end;
        if joins {
            kept.end = kept.end.max(next.end);
        }
        joins
    });
}

/// Adds a range behind all others, joined with the last one if they touch.
pub(super) fn push(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_normal_list_has_the_same_members_ascending_and_apart(
            ranges in prop::collection::vec((0u64..200, 0u64..20), 0..40)
        ) {
            let mut list: Vec<_> = ranges.iter().map(|&(at, len)| at..at + len).collect();
            let given = list.clone();
            normalise(&mut list);
            for at in 0..240 {
                let was = given.iter().any(|range| range.contains(&at));
                prop_assert_eq!(list.iter().any(|range| range.contains(&at)), was);
            }
            prop_assert!(list.iter().all(|range| range.start < range.end));
            prop_assert!(list.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
