//! The ids of one bucket in one cache line: an id that is absent costs one access to memory.
//!
//! ```text
//! line := first:u32 count:u8 fingerprints
//! ```
//! `first` is the number of the bucket's first entry. The rest of the line is divided among its
//! ids: each has as many bits as there is room for, of those that follow what its bucket tells.
//! Ids ascend, and so do their fingerprints, evenly spread: a search knows about where to look.

use std::ops::Range;

use crate::format::id::ChunkId;

/// Length of a line: that of the cache lines of nearly every processor.
pub(super) const LINE_LEN: usize = 64;
const HEAD_LEN: usize = 5;
const ROOM_BITS: usize = (LINE_LEN - HEAD_LEN) * 8;
/// Ids in a line, on average. With more of them lines take less memory, and more absent ids have
/// the fingerprint of another: one in 24,000 here.
const IDS_PER_LINE: usize = 19;
const FINGERPRINT_BITS_MAX: usize = 32;
/// Stands for more ids than a line can count, which only copies of one id can be.
const COUNTLESS: u8 = u8::MAX;
/// Bits of each fingerprint, by their number.
const BITS: [u8; COUNTLESS as usize + 1] = bits_by_count();
/// Fingerprints that are compared at once: the wanted one is rarely elsewhere.
const WINDOW: u32 = 11;
/// What a fingerprint is read from at once.
const WORD_LEN: usize = 8;

/// Where an id lies among all: its bucket, and how far behind the bucket's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IdPlace {
    pub bucket: usize,
    /// In parts of 2^64 of the bucket.
    pub fraction: u64,
}

/// How many lines so many ids need.
pub(super) fn line_count(entries: u32) -> usize {
    (entries as usize).div_ceil(IDS_PER_LINE).max(1)
}

/// The place of `id` among `buckets` buckets, ascending as ids do.
pub(super) fn place_of(id: &ChunkId, buckets: usize) -> IdPlace {
    let first = id.0.first_chunk().copied().unwrap_or_default();
    let prefix = u64::from_le_bytes(first).swap_bytes(); // most significant first, as ids compare
    let place = u128::from(prefix) * buckets as u128;
    IdPlace {
        bucket: (place >> 64) as usize,
        fraction: place as u64,
    }
}

/// The line of the ids with these fractions, ascending, the first of which is entry `first`.
pub(super) fn encode(first: u32, fractions: &[u64]) -> [u8; LINE_LEN] {
    let mut line = [0; LINE_LEN];
    let count = u8::try_from(fractions.len()).unwrap_or(COUNTLESS);
    line[..4].copy_from_slice(&first.to_le_bytes());
    line[4] = count;
    let bits = BITS[usize::from(count)];
    let of_room = fractions.iter().take(ROOM_BITS / usize::from(bits).max(1));
    for (number, fraction) in (0..).zip(of_room) {
        let (at, shift) = word_of(number * u32::from(bits));
        let word = word_at(&line, at) | (fingerprint(*fraction, bits) << shift);
        line[at..at + WORD_LEN].copy_from_slice(&word.to_le_bytes());
    }
    line
}

/// The entries that may be the id at `fraction` of the bucket of `line`: all from its first, where
/// they are countless.
pub(super) fn alike(line: &[u8; LINE_LEN], fraction: u64) -> Range<u32> {
    let head = word_at(line, 0);
    let (first, count) = (head as u32, (head >> 32) as u8);
    if count == COUNTLESS {
        return first..u32::MAX;
    }
    let bits = BITS[usize::from(count)];
    let (count, wanted) = (u32::from(count), fingerprint(fraction, bits));
    let nth = |number: u32| {
        let (at, shift) = word_of(number * u32::from(bits));
        (word_at(line, at) >> shift) & ((1 << bits) - 1)
    };
    let guess = ((u128::from(fraction) * u128::from(count)) >> 64) as u32;
    if count >= WINDOW && is_absent_near(guess, count, wanted, nth) {
        return first..first;
    }
    let mut from = guess;
    while from > 0 && nth(from - 1) >= wanted {
        from -= 1;
    }
    while from < count && nth(from) < wanted {
        from += 1;
    }
    let mut to = from;
    while to < count && nth(to) == wanted {
        to += 1;
    }
    first.saturating_add(from)..first.saturating_add(to)
}

/// True if the fingerprints around the guess tell that none is the wanted one. Always compares the
/// same number of them: no branch depends on where among them it would be.
fn is_absent_near(guess: u32, count: u32, wanted: u64, nth: impl Fn(u32) -> u64) -> bool {
    let from = guess.saturating_sub(WINDOW / 2).min(count - WINDOW);
    let last = from + WINDOW - 1;
    let mut is_here = false;
    for number in from..from + WINDOW {
        is_here |= nth(number) == wanted;
    }
    let is_behind = (from > 0) & (nth(from) > wanted);
    let is_ahead = (last + 1 < count) & (nth(last) < wanted);
    !(is_here | is_behind | is_ahead)
}

const fn bits_by_count() -> [u8; COUNTLESS as usize + 1] {
    let mut bits = [0; COUNTLESS as usize + 1];
    let mut count = 1;
    while count < COUNTLESS as usize {
        let room = ROOM_BITS / count;
        bits[count] = if room < FINGERPRINT_BITS_MAX {
            room as u8
        } else {
            FINGERPRINT_BITS_MAX as u8
        };
        count += 1;
    }
    bits
}

fn fingerprint(fraction: u64, bits: u8) -> u64 {
    fraction.checked_shr(64 - u32::from(bits)).unwrap_or(0)
}

/// The word in which the fingerprint at `bit` lies whole, and the bits before it there.
fn word_of(bit: u32) -> (usize, u32) {
    let bit = HEAD_LEN as u32 * 8 + bit;
    let at = (bit / 8).min((LINE_LEN - WORD_LEN) as u32);
    (at as usize, bit - at * 8)
}

fn word_at(line: &[u8; LINE_LEN], at: usize) -> u64 {
    let word = line[at..].first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::Random;

    fn fractions(seed: u64, count: usize) -> Vec<u64> {
        let mut random = Random::new(seed);
        let mut fractions: Vec<_> = (0..count).map(|_| random.number()).collect();
        fractions.sort_unstable();
        fractions
    }

    #[test]
    fn every_id_of_a_line_of_any_length_is_found() {
        for count in (0..60).chain([235, 236, 237, 254, 255, 256, 1000]) {
            let fractions = fractions(count as u64, count);
            let line = encode(7, &fractions);
            for (number, fraction) in fractions.iter().enumerate() {
                let found = alike(&line, *fraction);
                assert!(found.contains(&(7 + number as u32)), "{number} of {count}");
                assert!(found.end <= 7 + count as u32 || count >= COUNTLESS.into());
            }
        }
    }

    #[test]
    fn copies_of_one_id_are_found_together() {
        for copies in [2, 30, 200] {
            let line = encode(0, &vec![1 << 63; copies]);
            assert_eq!(alike(&line, 1 << 63), 0..copies as u32);
        }
        assert_eq!(alike(&encode(5, &[1 << 63; 2000]), 1 << 63), 5..u32::MAX);
        assert!(alike(&encode(0, &[1 << 63; 30]), 1 << 62).is_empty());
    }

    #[test]
    fn an_absent_id_hardly_ever_looks_like_another() {
        let mut random = Random::new(1);
        let line = encode(0, &fractions(2, IDS_PER_LINE));
        let wrong = (0..100_000).filter(|_| !alike(&line, random.number()).is_empty());
        assert!(wrong.count() < 10);
    }

    #[test]
    fn places_ascend_with_ids_and_fill_all_buckets() {
        let id = |byte| ChunkId([byte; ChunkId::LEN]);
        let buckets = 1000;
        let places: Vec<_> = (0..=255).map(|byte| place_of(&id(byte), buckets)).collect();
        assert!(places.is_sorted_by_key(|place| (place.bucket, place.fraction)));
        assert_eq!(places[0].bucket, 0);
        assert_eq!(places[255].bucket, buckets - 1);
    }
}
