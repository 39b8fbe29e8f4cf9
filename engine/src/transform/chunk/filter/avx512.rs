//! The filter on AVX-512 with VNNI: sixteen positions at a time, every fourth, with `vpdpwssd`,
//! which multiplies and adds to the sum in one.
#![allow(unsafe_code)] // SIMD loads, and calls of code that needs a CPU feature

use std::arch::x86_64::*;

use super::BLOCK_LEN;
use super::Coefficients;
use super::HIT_MASK;
use super::Hits;
use super::LEAD_LEN;
use super::x86::prefetch_after;

/// Bytes of a vector.
const VECTOR_LEN: usize = 64;

/// Whether this CPU can run the kernel.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
}

/// Tests whole blocks: `bytes` is a lead, then one block for each of `hits`.
pub(super) fn test(coefficients: &Coefficients, bytes: &[u8], hits: &mut [Hits]) {
    assert!(is_available(), "the kernel was chosen on this CPU");
    // SAFETY: the CPU has the features, as was just tested.
    unsafe { test_blocks(coefficients, bytes, hits) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn test_blocks(coefficients: &Coefficients, bytes: &[u8], hits: &mut [Hits]) {
    let start = _mm512_set1_epi32(coefficients.start as i32);
    let [c0, c1, c2, c3] = coefficients
        .pairs()
        .map(|pair| _mm512_set1_epi32(pair as i32));
    let mask = _mm512_set1_epi32(HIT_MASK as i32);
    for (block, hits) in hits.iter_mut().enumerate() {
        let block = &bytes[block * BLOCK_LEN..][..LEAD_LEN + BLOCK_LEN];
        prefetch_after(block);
        let mut found = 0;
        for phase in 0..4 {
            // A lane holds the last four bytes of its window; the rest lies 4, 8 and 12 before.
            let a = _mm512_dpwssd_epi32(start, load(block, phase + 12), c0);
            let a = _mm512_dpwssd_epi32(a, load(block, phase + 8), c1);
            let b = _mm512_madd_epi16(load(block, phase + 4), c2);
            let b = _mm512_dpwssd_epi32(b, load(block, phase), c3);
            let lanes = _mm512_testn_epi32_mask(_mm512_add_epi32(a, b), mask);
            found |= u64::from(lanes) << (16 * phase);
        }
        *hits = Hits(found);
    }
}

/// The 64 bytes of `block` from `at` on.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(block: &[u8], at: usize) -> __m512i {
    let bytes = &block[at..at + VECTOR_LEN];
    // SAFETY: `bytes` is as long as a vector, and this load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}
