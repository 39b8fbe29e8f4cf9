//! Fuzzes one entry of the engine's `testing::decoders`: prune_record.

#![no_main]

use blockstore::testing::decoders;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| decoders::prune_record(bytes));
