//! Which grains of an overlay count: a bit each, set and never taken back.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::Result;

/// Bits in a word, which is the unit of a note in a file.
const WORD_BITS: u64 = 64;
/// Bytes of a word.
pub(super) const WORD_LEN: usize = 8;

/// The bits in memory.
#[derive(Debug)]
pub(super) struct Grains {
    words: Box<[AtomicU64]>,
    /// Words with bits that were set since the last flush. Who sets bits holds it.
    unflushed: Mutex<BTreeSet<usize>>,
}

/// Bytes that a file of bits has for so many grains.
pub(super) fn file_len(grains: u64) -> u64 {
    grains.div_ceil(WORD_BITS) * WORD_LEN as u64
}

impl Grains {
    /// From a file of bits, as long as [`file_len`] says. What it names is flushed, unless
    /// `is_unflushed`.
    pub(super) fn decode(bytes: &[u8], is_unflushed: bool) -> Self {
        let (words, _) = bytes.as_chunks::<WORD_LEN>();
        let words: Vec<_> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let set = words.iter().enumerate().filter(|(_, word)| **word != 0);
        let unflushed = match is_unflushed {
            true => set.map(|(index, _)| index).collect(),
            false => BTreeSet::new(),
        };
        Self {
            words: words.into_iter().map(AtomicU64::new).collect(),
            unflushed: Mutex::new(unflushed),
        }
    }

    pub(super) fn has(&self, grain: u64) -> bool {
        let (word, bit) = place(grain);
        let word = self.words.get(word);
        word.is_some_and(|word| word.load(Ordering::Acquire) & bit != 0)
    }

    /// Sets the bit of a grain, once `note` has noted the new value of its word.
    pub(super) fn set(
        &self,
        grain: u64,
        note: impl FnOnce(usize, u64) -> Result<()>,
    ) -> Result<()> {
        if self.has(grain) {
            return Ok(());
        }
        let (index, bit) = place(grain);
        let mut unflushed = self.unflushed.lock();
        if let Some(word) = self.words.get(index) {
            let value = word.load(Ordering::Acquire) | bit;
            note(index, value)?;
            word.store(value, Ordering::Release);
            unflushed.insert(index);
        }
        Ok(())
    }

    /// Words that changed since this was asked last, with their values now.
    pub(super) fn take_unflushed(&self) -> Vec<(usize, u64)> {
        let mut unflushed = self.unflushed.lock();
        let taken = std::mem::take(&mut *unflushed).into_iter();
        taken
            .filter_map(|index| Some((index, self.words.get(index)?.load(Ordering::Acquire))))
            .collect()
    }

    /// Up to which grain, and before `end`, all are as `first` is; and whether that counts.
    pub(super) fn run(&self, first: u64, end: u64) -> (u64, bool) {
        let is_set = self.has(first);
        let mut grain = first + 1;
        while grain < end {
            let (index, _) = place(grain);
            let word = self
                .words
                .get(index)
                .map_or(0, |word| word.load(Ordering::Acquire));
            let others = if is_set { !word } else { word };
            let ahead = others >> (grain % WORD_BITS);
            if ahead != 0 {
                return ((grain + u64::from(ahead.trailing_zeros())).min(end), is_set);
            }
            grain = (grain / WORD_BITS + 1) * WORD_BITS;
        }
        (end.max(first + 1), is_set)
    }
}

fn place(grain: u64) -> (usize, u64) {
    ((grain / WORD_BITS) as usize, 1 << (grain % WORD_BITS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn made_of(set: &[u64], grains: u64) -> Grains {
        let bits = Grains::decode(&vec![0; file_len(grains) as usize], false);
        for grain in set {
            bits.set(*grain, |_, _| Ok(())).expect("nothing fails");
        }
        bits
    }

    proptest! {
        #[test]
        fn runs_end_where_the_next_grain_is_other(
            set in prop::collection::vec(0_u64..300, 0..200),
            first in 0_u64..300,
            len in 1_u64..300,
        ) {
            let bits = made_of(&set, 300);
            let end = (first + len).min(300);
            let (behind, is_set) = bits.run(first, end);
            prop_assert!(behind > first && behind <= end);
            prop_assert!((first..behind).all(|grain| set.contains(&grain) == is_set));
            prop_assert!(behind == end || set.contains(&behind) != is_set);
        }

        #[test]
        fn what_is_flushed_is_what_was_set(set in prop::collection::vec(0_u64..300, 0..50)) {
            let bits = made_of(&set, 300);
            let mut file = vec![0; file_len(300) as usize];
            for (index, value) in bits.take_unflushed() {
                file[index * WORD_LEN..][..WORD_LEN].copy_from_slice(&value.to_le_bytes());
            }
            let found = Grains::decode(&file, false);
            prop_assert!((0..300).all(|grain| found.has(grain) == set.contains(&grain)));
            prop_assert!(bits.take_unflushed().is_empty());
        }
    }
}
