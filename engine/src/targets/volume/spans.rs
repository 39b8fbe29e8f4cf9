//! Arithmetic on ranges of bytes: what is done, and what is left.

use std::ops::Range;

/// The same bytes in ascending spans that do not touch.
pub fn joined(mut spans: Vec<Range<u64>>) -> Vec<Range<u64>> {
    spans.sort_unstable_by_key(|span| span.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined
}

/// What is left of `range` without `done`, which ascends.
pub fn without(range: &Range<u64>, done: &[Range<u64>]) -> Vec<Range<u64>> {
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
