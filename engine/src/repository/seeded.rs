//! Randomness by seed, for tests that must repeat themselves: session ids, salts, secrets.
//!
//! Compiled for tests and with the feature `testing` only. A seed holds for one thread; threads
//! that were given none ask the operating system.

use std::cell::RefCell;

use blake3::OutputReader;

thread_local! {
    static BYTES: RefCell<Option<OutputReader>> = const { RefCell::new(None) };
}

/// From now on this thread draws what it needs from `seed`; `None` ends it.
///
/// Two threads of one seed draw the same, salts of keys included: for repositories that go with
/// the test.
pub fn seed_this_thread(seed: Option<u64>) {
    let reader = seed.map(|seed| {
        blake3::Hasher::new()
            .update(&seed.to_le_bytes())
            .finalize_xof()
    });
    BYTES.with_borrow_mut(|bytes| *bytes = reader);
}

/// The next bytes, if this thread was given a seed.
pub(super) fn next<const N: usize>() -> Option<[u8; N]> {
    BYTES.with_borrow_mut(|bytes| {
        bytes.as_mut().map(|reader| {
            let mut drawn = [0; N];
            reader.fill(&mut drawn);
            drawn
        })
    })
}
