//! What the kernels of x86 share.
#![allow(unsafe_code)] // a prefetch takes a raw pointer

use std::arch::x86_64::_MM_HINT_T0;
use std::arch::x86_64::_mm_prefetch;

/// How far ahead of the reading memory is asked for: hardware alone stops at each 4 KiB page.
const DISTANCE: usize = 2048;

/// Asks for the memory behind `bytes`, whether it belongs to anyone or not.
#[inline(always)]
#[allow(
    unused_unsafe,
    reason = "the intrinsic became safe after the oldest compiler we support"
)]
pub(super) fn prefetch_after(bytes: &[u8]) {
    // SAFETY: a prefetch reads nothing and never faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(DISTANCE).cast()) }
}
