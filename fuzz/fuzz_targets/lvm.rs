//! Fuzzes one entry of the engine's `testing::decoders`: metadata of volume groups.

#![no_main]

use blockstore::testing::decoders;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| decoders::lvm(bytes));
