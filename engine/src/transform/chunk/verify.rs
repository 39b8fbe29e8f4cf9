//! Stage two: a keyed 64-bit hash of the last 32 bytes, at the few positions the filter lets
//! through.
//!
//! SipHash-1-3, a pseudorandom function for inputs this short: which positions pass is independent
//! of the filter, of the data's structure, and unknown without the key. Not a defence by itself:
//! a cut that is seen still confirms a guess of the bytes before it.

use std::fmt;

/// Bytes that are hashed.
pub(super) const WINDOW_LEN: usize = 32;
/// The harder test asks for this many bits more than the mean distance of candidates calls for, the
/// easier one for as many fewer. One level keeps chunk lengths together at no cost in sharing.
const NORMALIZATION_BITS: u32 = 1;

/// Hashes windows under the key of one repository, and judges them.
#[derive(Clone)]
pub(super) struct Verifier {
    key: [u64; 2],
    easy_bits: u32,
}

/// What the hash of a window says about the position after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No chunk may end here.
    None,
    /// A chunk of at least the average may.
    Easy,
    /// Any chunk of at least the minimum may.
    Hard,
}

impl Verifier {
    /// `bits` are those which stage two would test without normalisation, at least two.
    pub(super) fn new(key: &[u8; 32], bits: u32) -> Self {
        let digest = super::filter::draw(key, 0);
        Self {
            key: [word(&digest, 0), word(&digest, 1)],
            easy_bits: bits - NORMALIZATION_BITS,
        }
    }

    /// Tests the leading bits of the hash for zero.
    #[inline]
    pub(super) fn judge(&self, window: &[u8]) -> Verdict {
        let zeros = self.hash(window).leading_zeros();
        if zeros >= self.easy_bits + 2 * NORMALIZATION_BITS {
            Verdict::Hard
        } else if zeros >= self.easy_bits {
            Verdict::Easy
        } else {
            Verdict::None
        }
    }

    /// SipHash-1-3 of the 32 bytes of `window`.
    #[inline]
    fn hash(&self, window: &[u8]) -> u64 {
        let mut state = State::new(self.key);
        for index in 0..WINDOW_LEN / 8 {
            state.absorb(word(window, index));
        }
        state.absorb((WINDOW_LEN as u64) << 56);
        state.finish()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("easy_bits", &self.easy_bits)
            .finish_non_exhaustive()
    }
}

/// The `index`-th little-endian u64 of `bytes`.
#[inline]
fn word(bytes: &[u8], index: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[8 * index..8 * index + 8]);
    u64::from_le_bytes(word)
}

/// The four words of SipHash.
struct State([u64; 4]);

impl State {
    #[inline]
    fn new([k0, k1]: [u64; 2]) -> Self {
        Self([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ])
    }

    #[inline]
    fn absorb(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.0[0] ^= word;
    }

    #[inline]
    fn finish(mut self) -> u64 {
        self.0[2] ^= 0xff;
        for _ in 0..3 {
            self.round();
        }
        let [v0, v1, v2, v3] = self.0;
        v0 ^ v1 ^ v2 ^ v3
    }

    #[inline]
    fn round(&mut self) {
        let [mut v0, mut v1, mut v2, mut v3] = self.0;
        v0 = v0.wrapping_add(v1);
        v1 = v1.rotate_left(13) ^ v0;
        v0 = v0.rotate_left(32);
        v2 = v2.wrapping_add(v3);
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.wrapping_add(v3);
        v3 = v3.rotate_left(21) ^ v0;
        v2 = v2.wrapping_add(v1);
        v1 = v1.rotate_left(17) ^ v2;
        v2 = v2.rotate_left(32);
        self.0 = [v0, v1, v2, v3];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::Hasher;

    #[test]
    fn the_hash_is_siphash_1_3() {
        // The standard library's default hasher is SipHash-1-3 under the zero key.
        let verifier = Verifier {
            key: [0; 2],
            easy_bits: 1,
        };
        for first in 0..=u8::MAX {
            let window: [u8; WINDOW_LEN] = std::array::from_fn(|i| first.wrapping_add(i as u8 * 7));
            let mut reference = std::collections::hash_map::DefaultHasher::new();
            reference.write(&window);
            assert_eq!(verifier.hash(&window), reference.finish());
        }
    }

    #[test]
    fn the_key_of_the_hash_is_that_of_the_specification() {
        let verifier = Verifier::new(&std::array::from_fn(|i| i as u8), 5);
        assert_eq!(verifier.key, [0xe94a_0413_90c4_a4ac, 0xb4fa_7fc2_5eeb_8cb2]);
    }

    #[test]
    fn both_halves_of_the_key_count() {
        let hash = |key| Verifier { key, easy_bits: 1 }.hash(&[0; WINDOW_LEN]);
        assert_ne!(hash([0, 0]), hash([1, 0]));
        assert_ne!(hash([0, 0]), hash([0, 1]));
        assert_ne!(hash([1, 0]), hash([0, 1]));
    }

    #[test]
    fn tests_pass_as_often_as_their_bits_say() {
        let verifier = Verifier::new(&[7; 32], 4);
        let mut passed = [0u32; 2];
        for i in 0..1u64 << 16 {
            let mut window = [0; WINDOW_LEN];
            window[..8].copy_from_slice(&i.to_le_bytes());
            match verifier.judge(&window) {
                Verdict::None => {}
                Verdict::Easy => passed[0] += 1,
                Verdict::Hard => passed[1] += 1,
            }
        }
        let [easy, hard] = passed;
        assert!(
            (7900..8500).contains(&(easy + hard)),
            "about 1 in 8 pass: {easy} + {hard}"
        );
        assert!(
            (1900..2200).contains(&hard),
            "about 1 in 32 pass the harder test: {hard}"
        );
    }
}
