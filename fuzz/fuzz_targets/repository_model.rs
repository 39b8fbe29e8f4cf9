//! Fuzzes one entry of the engine's `testing::decoders`: repository model.

#![no_main]

use blockstore::testing::hostile_repository;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hostile_repository::run(bytes));
