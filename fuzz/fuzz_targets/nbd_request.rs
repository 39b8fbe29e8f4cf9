//! Fuzzes one entry of the engine's `testing::decoders`: nbd_request.

#![no_main]

use blockstore::testing::decoders;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| decoders::nbd_request(bytes));
