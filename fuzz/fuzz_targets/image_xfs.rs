//! Fuzzes one entry of the engine's `testing::decoders`: images of XFS.

#![no_main]

use blockstore::testing::hostile_images;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: blockstore_fuzz::let_libraries_panic(), |bytes: &[u8]| {
    hostile_images::xfs(bytes)
});
