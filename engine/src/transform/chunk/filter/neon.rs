//! The filter on NEON: four positions at a time, every fourth, sixteen of them gathered into one
//! vector of flags.
#![allow(unsafe_code)] // SIMD loads, and calls of code that needs a CPU feature

use std::arch::aarch64::*;

use super::BLOCK_LEN;
use super::Coefficients;
use super::HIT_MASK;
use super::Hits;
use super::LEAD_LEN;

/// Bytes of a vector.
const VECTOR_LEN: usize = 16;
/// One bit for each lane of half a vector of flags.
const LANE_BITS: [u8; VECTOR_LEN] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];

/// Whether this CPU can run the kernel.
pub(super) fn is_available() -> bool {
    std::arch::is_aarch64_feature_detected!("neon")
}

/// Tests whole blocks: `bytes` is a lead, then one block for each of `hits`.
pub(super) fn test(coefficients: &Coefficients, bytes: &[u8], hits: &mut [Hits]) {
    assert!(is_available(), "the kernel was chosen on this CPU");
    // SAFETY: the CPU has the feature, as was just tested.
    unsafe { test_blocks(coefficients, bytes, hits) }
}

#[target_feature(enable = "neon")]
fn test_blocks(coefficients: &Coefficients, bytes: &[u8], hits: &mut [Hits]) {
    let start = vdupq_n_u32(coefficients.start);
    let pairs = coefficients
        .pairs()
        .map(|pair| vreinterpretq_s16_u32(vdupq_n_u32(pair)));
    let lane_bits = load(&LANE_BITS, 0);
    for (block, hits) in hits.iter_mut().enumerate() {
        let block = &bytes[block * BLOCK_LEN..][..LEAD_LEN + BLOCK_LEN];
        let mut found = 0;
        for phase in 0..4 {
            let quarters =
                [0, 1, 2, 3].map(|q| test_four(block, q * VECTOR_LEN + phase, &pairs, start));
            let [a, b, c, d] = quarters;
            let low = vcombine_u16(vmovn_u32(a), vmovn_u32(b));
            let high = vcombine_u16(vmovn_u32(c), vmovn_u32(d));
            let flags = vcombine_u8(vmovn_u16(low), vmovn_u16(high));
            let bits = vandq_u8(flags, lane_bits);
            let low = u64::from(vaddv_u8(vget_low_u8(bits)));
            let high = u64::from(vaddv_u8(vget_high_u8(bits)));
            found |= (high << 8 | low) << (16 * phase);
        }
        *hits = Hits(found);
    }
}

/// All ones in each lane whose window is a hit: windows of 16 bytes that begin at `at`, `at + 4`,
/// `at + 8` and `at + 12`.
#[inline]
#[target_feature(enable = "neon")]
fn test_four(block: &[u8], at: usize, pairs: &[int16x8_t; 4], start: uint32x4_t) -> uint32x4_t {
    // Products of the words of lanes 0 and 1, and of lanes 2 and 3: neighbours are added last.
    let mut low = vdupq_n_s32(0);
    let mut high = vdupq_n_s32(0);
    for (back, &pair) in pairs.iter().enumerate() {
        let words = vreinterpretq_s16_u8(load(block, at + 12 - 4 * back));
        low = vmlal_s16(low, vget_low_s16(words), vget_low_s16(pair));
        high = vmlal_high_s16(high, words, pair);
    }
    let sum = vaddq_u32(vreinterpretq_u32_s32(vpaddq_s32(low, high)), start);
    vceqzq_u32(vandq_u32(sum, vdupq_n_u32(HIT_MASK)))
}

/// The 16 bytes of `block` from `at` on.
#[inline]
#[target_feature(enable = "neon")]
fn load(block: &[u8], at: usize) -> uint8x16_t {
    let bytes = &block[at..at + VECTOR_LEN];
    // SAFETY: `bytes` is as long as a vector, and this load needs no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}
