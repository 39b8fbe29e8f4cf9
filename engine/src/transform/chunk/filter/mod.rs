//! Stage one: a filter that lets one position in 2,048 through, whatever the data.
//!
//! The value of a position is a keyed multilinear hash of the 16 bytes before it: eight signed
//! 16-bit words, each times a coefficient, summed modulo 2^32. The position is a *hit* when eleven
//! middle bits of the sum are zero. Every position needs eight multiplications and no state; SIMD
//! does two of them and their sum in one instruction, for many positions at once. One kernel a
//! file, and [`scalar`] is the definition in code. Kernels take whole blocks of 64 positions; a
//! rest is always scalar.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::fmt;
use std::ops::ControlFlow;

/// Bytes that a hit depends on.
pub(super) const WINDOW_LEN: usize = 16;
/// One position in 2 to the power of this is a hit.
pub(super) const SELECTIVITY_BITS: u32 = 11;

/// The bits of a position's value that are zero at a hit. Middle ones: the low bits of a product
/// depend on few bits of its word, and the high ones are alike for words that are near.
const HIT_MASK: u32 = ((1 << SELECTIVITY_BITS) - 1) << 13;
/// Positions that a kernel tests at a time.
const BLOCK_LEN: usize = 64;
/// Blocks between two looks at what was hit: 4 KiB, so that little is scanned beyond a cut.
const BATCH_BLOCKS: usize = 64;
/// Bytes before a block that its first windows reach into.
const LEAD_LEN: usize = WINDOW_LEN - 1;

/// The secrets of stage one.
#[derive(Clone, Copy)]
struct Coefficients {
    /// What the sum begins with.
    start: u32,
    /// Coefficient of each word of a window, its last word first.
    words: [i16; 8],
}

/// The hits of one block, in the order in which SIMD finds them: position `p` of the block (0 is
/// the end of its first byte) is bit `16 * (p % 4) + p / 4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hits(u64);

/// Which code computes hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

/// Finds hits under the key of one repository.
#[derive(Clone)]
pub(super) struct Filter {
    coefficients: Coefficients,
    kernel: Kernel,
}

/// The `n`-th 32 bytes of secrets that are drawn from a chunker key.
pub(super) fn draw(key: &[u8; 32], n: u32) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(b"chunker");
    hasher.update(&n.to_le_bytes());
    hasher.finalize().into()
}

impl Coefficients {
    /// The first draw, counted from 1, under which no run of one byte value is hit. Such runs are
    /// common, and would otherwise be hit at every position.
    fn new(key: &[u8; 32]) -> Self {
        (1..=u32::MAX)
            .map(|n| Self::from_draw(&draw(key, n)))
            .find(|coefficients| !coefficients.hit_some_constant_run())
            .expect("six draws in seven are suitable")
    }

    fn from_draw(digest: &[u8; 32]) -> Self {
        let [a, b, c, d, words @ ..] = digest;
        Self {
            start: u32::from_le_bytes([*a, *b, *c, *d]),
            words: std::array::from_fn(|k| {
                coefficient(u16::from_le_bytes([words[2 * k], words[2 * k + 1]]))
            }),
        }
    }

    fn hit_some_constant_run(&self) -> bool {
        (0..=u8::MAX).any(|byte| self.is_hit(&[byte; WINDOW_LEN]))
    }

    /// Whether the position after this window is a hit.
    #[inline]
    fn is_hit(&self, window: &[u8]) -> bool {
        let words = window
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
        let value = words
            .zip(self.words.iter().rev())
            .fold(self.start, |sum, (word, &c)| {
                sum.wrapping_add((i32::from(word) * i32::from(c)) as u32)
            });
        value & HIT_MASK == 0
    }

    /// Neighbouring coefficients as the 32 bits that multiply four bytes at once; the first pair is
    /// for the last four bytes of a window.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn pairs(&self) -> [u32; 4] {
        let bits = |word: i16| u32::from(word as u16);
        [0, 2, 4, 6].map(|k| bits(self.words[k]) << 16 | bits(self.words[k + 1]))
    }
}

/// An odd number of magnitude 2^14 to 2^15 from 16 random bits: odd, so that no bit of a word is
/// lost; large, so that its low bits reach all bits of the mask.
fn coefficient(bits: u16) -> i16 {
    let magnitude = (bits & 0x3ffe | 0x4001) as i16;
    if bits & 0x8000 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

impl Filter {
    /// The filter for a chunker key, with the fastest kernel of this CPU.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self {
            coefficients: Coefficients::new(key),
            kernel: Kernel::fastest(),
        }
    }

    /// The same filter on another kernel, which this CPU must have.
    #[cfg(test)]
    pub(super) fn with_kernel(&self, kernel: Kernel) -> Self {
        assert!(kernel.is_available());
        Self {
            coefficients: self.coefficients,
            kernel,
        }
    }

    /// Calls `visit` with each hit in `from < end <= to`, ascending, until it breaks. `from` is at
    /// least 15: the windows lie in `buf`.
    #[inline]
    pub(super) fn visit<B>(
        &self,
        buf: &[u8],
        from: usize,
        to: usize,
        mut visit: impl FnMut(usize) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let mut hits = [Hits(0); BATCH_BLOCKS];
        let mut from = from;
        while from < to {
            let batch = (to - from).min(BATCH_BLOCKS * BLOCK_LEN);
            let hits = &mut hits[..batch.div_ceil(BLOCK_LEN)];
            self.test(&buf[from - LEAD_LEN..from + batch], hits);
            for (block, hits) in hits.iter().enumerate() {
                for position in hits.ascending() {
                    visit(from + block * BLOCK_LEN + position + 1)?;
                }
            }
            from += batch;
        }
        ControlFlow::Continue(())
    }

    /// Tests all positions of `bytes` after the lead.
    fn test(&self, bytes: &[u8], hits: &mut [Hits]) {
        let blocks = (bytes.len() - LEAD_LEN) / BLOCK_LEN;
        let (whole, rest) = hits.split_at_mut(blocks);
        self.kernel.test(
            &self.coefficients,
            &bytes[..LEAD_LEN + blocks * BLOCK_LEN],
            whole,
        );
        scalar::test(&self.coefficients, &bytes[blocks * BLOCK_LEN..], rest);
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("kernel", &self.kernel)
            .finish_non_exhaustive()
    }
}

impl Hits {
    /// The positions that were hit.
    #[inline]
    fn ascending(self) -> impl Iterator<Item = usize> {
        let mut left = 0u64;
        let mut found = self.0;
        while found != 0 {
            let bit = found.trailing_zeros();
            left |= 1 << (bit / 16 + bit % 16 * 4);
            found &= found - 1;
        }
        std::iter::from_fn(move || {
            let position = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            (position < BLOCK_LEN).then_some(position)
        })
    }
}

impl Kernel {
    /// All kernels compiled in, the fastest first.
    pub(super) const ALL: &[Self] = &[
        #[cfg(target_arch = "x86_64")]
        Self::Avx512,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "aarch64")]
        Self::Neon,
        Self::Scalar,
    ];

    fn fastest() -> Self {
        let available = Self::ALL
            .iter()
            .copied()
            .find(|kernel| kernel.is_available());
        available.unwrap_or(Self::Scalar)
    }

    /// Whether this CPU can run it.
    pub(super) fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::is_available(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::is_available(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => neon::is_available(),
        }
    }

    /// Tests whole blocks: `bytes` is a lead, then one block for each of `hits`.
    fn test(self, coefficients: &Coefficients, bytes: &[u8], hits: &mut [Hits]) {
        match self {
            Self::Scalar => scalar::test(coefficients, bytes, hits),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::test(coefficients, bytes, hits),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::test(coefficients, bytes, hits),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => neon::test(coefficients, bytes, hits),
        }
    }
}
