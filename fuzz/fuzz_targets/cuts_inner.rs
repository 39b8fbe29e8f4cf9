//! Fuzzes one entry of the engine's `testing::decoders`: cuts inner.

#![no_main]

use blockstore::testing::decoders;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| decoders::cuts_inner(bytes));
