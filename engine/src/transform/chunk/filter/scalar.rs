//! The filter position by position: the definition, and the code for rests and for other CPUs.

use super::BLOCK_LEN;
use super::Coefficients;
use super::Hits;
use super::WINDOW_LEN;

/// Tests all positions of `bytes` after the lead; the last block may be short.
pub(super) fn test(coefficients: &Coefficients, bytes: &[u8], hits: &mut [Hits]) {
    hits.fill(Hits(0));
    for (index, window) in bytes.windows(WINDOW_LEN).enumerate() {
        let position = index % BLOCK_LEN;
        let bit = 16 * (position % 4) + position / 4;
        hits[index / BLOCK_LEN].0 |= u64::from(coefficients.is_hit(window)) << bit;
    }
}
