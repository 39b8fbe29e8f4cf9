//! Fuzzes one entry of the engine's `testing::decoders`: images of ext.

#![no_main]

use blockstore::testing::hostile_images;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hostile_images::ext(bytes));
