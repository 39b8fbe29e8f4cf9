//! Fuzzes one entry of the engine's `testing::decoders`: index run.

#![no_main]

use blockstore::testing::decoders;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| decoders::index_run(bytes));
