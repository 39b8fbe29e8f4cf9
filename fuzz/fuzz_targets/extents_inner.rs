//! Fuzzes one entry of the engine's `testing::decoders`: extents inner.

#![no_main]

use blockstore::testing::decoders;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| decoders::extents_inner(bytes));
