//! Fuzzes one entry of the engine's `testing::decoders`: states of overlays.

#![no_main]

use blockstore::testing::decoders;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| decoders::overlay_state(bytes));
