//! All targets in one program, which fuzzes the one that `FUZZ_TARGET` names, or writes what all begin
//! with if that is empty: a compiler makes it in a fraction of the time that it takes for each by
//! itself. Slower to run, as the fuzzer looks at what was reached of all of them after each input.

#![no_main]

use std::process;
use std::sync::OnceLock;

use blockstore::testing::decoders::{self, Decoder};
use blockstore_fuzz::corpus;
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<&Decoder> = OnceLock::new();

fn choose() {
    blockstore_fuzz::let_libraries_panic();
    let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
    if wanted.is_empty() {
        corpus::write_all().expect("a corpus is written");
        process::exit(0);
    }
    let target = decoders::all().iter().find(|(name, _)| *name == wanted);
    let target = target.unwrap_or_else(|| panic!("FUZZ_TARGET: no target has the name {wanted:?}"));
    TARGET.get_or_init(|| target);
}

fuzz_target!(init: choose(), |bytes: &[u8]| {
    let (_, decode) = TARGET.get().expect("it was chosen");
    decode(bytes)
});
