//! Fuzzes one entry of the engine's `testing::decoders`: boot.

#![no_main]

use blockstore::testing::decoders;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| decoders::boot(bytes));
