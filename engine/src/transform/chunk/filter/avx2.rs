//! The filter on AVX2: eight positions at a time, every fourth, with `vpmaddwd`.
#![allow(unsafe_code)] // SIMD loads, and calls of code that needs a CPU feature

use std::arch::x86_64::*;

use super::BLOCK_LEN;
use super::Coefficients;
use super::HIT_MASK;
use super::Hits;
use super::LEAD_LEN;
use super::x86::prefetch_after;

/// Bytes of a vector.
const VECTOR_LEN: usize = 32;

/// Whether this CPU can run the kernel.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
}

/// Tests whole blocks: `bytes` is a lead, then one block for each of `hits`.
pub(super) fn test(coefficients: &Coefficients, bytes: &[u8], hits: &mut [Hits]) {
    assert!(is_available(), "the kernel was chosen on this CPU");
    // SAFETY: the CPU has the feature, as was just tested.
    unsafe { test_blocks(coefficients, bytes, hits) }
}

#[target_feature(enable = "avx2")]
fn test_blocks(coefficients: &Coefficients, bytes: &[u8], hits: &mut [Hits]) {
    let start = _mm256_set1_epi32(coefficients.start as i32);
    let [c0, c1, c2, c3] = coefficients
        .pairs()
        .map(|pair| _mm256_set1_epi32(pair as i32));
    let mask = _mm256_set1_epi32(HIT_MASK as i32);
    for (block, hits) in hits.iter_mut().enumerate() {
        let block = &bytes[block * BLOCK_LEN..][..LEAD_LEN + BLOCK_LEN];
        prefetch_after(block);
        let mut found = 0;
        for half in 0..2 {
            for phase in 0..4 {
                // A lane holds the last four bytes of its window; the rest lies 4, 8 and 12 before.
                let at = half * VECTOR_LEN + phase;
                let a = _mm256_madd_epi16(load(block, at + 12), c0);
                let b = _mm256_madd_epi16(load(block, at + 8), c1);
                let c = _mm256_madd_epi16(load(block, at + 4), c2);
                let d = _mm256_madd_epi16(load(block, at), c3);
                let sum = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
                let tested = _mm256_and_si256(_mm256_add_epi32(sum, start), mask);
                let zero = _mm256_cmpeq_epi32(tested, _mm256_setzero_si256());
                let lanes = _mm256_movemask_ps(_mm256_castsi256_ps(zero)) as u64;
                found |= lanes << (16 * phase + 8 * half);
            }
        }
        *hits = Hits(found);
    }
}

/// The 32 bytes of `block` from `at` on.
#[inline]
#[target_feature(enable = "avx2")]
fn load(block: &[u8], at: usize) -> __m256i {
    let bytes = &block[at..at + VECTOR_LEN];
    // SAFETY: `bytes` is as long as a vector, and this load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}
