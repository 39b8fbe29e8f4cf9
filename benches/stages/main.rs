//! Each transform on its own, and beside it the bare kernel that bounds it.
//!
//! ```text
//! chunk      where chunks end
//! hash       ids of chunks
//! compress   frames, by class of data, level and length
//! seal       frames under their keys
//! verify     what was sealed, opened and hashed again before it counts
//! ```

#![allow(missing_docs, reason = "criterion makes the entry point")]

mod chunk;
mod compress;
mod hash;
mod seal;
mod verify;

use blockstore::format::id::RepositoryId;
use blockstore::transform::derive::Secret;
use blockstore::transform::seal::{Binding, Part};
use criterion::{criterion_group, criterion_main};
use ring::aead::{AES_256_GCM, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

const KIB: usize = 1 << 10;
const FRAME_LEN: usize = 512 * KIB;
const CHUNK_LEN: usize = 64 * KIB;

fn secret() -> Secret {
    Secret::from([9; 32])
}

fn binding() -> Binding {
    Binding {
        repository: RepositoryId([1; 16]),
        kind: 1,
        part: Part::Frame,
        salt: [2; 32],
    }
}

/// AES-256-GCM as it comes, and the only nonce that is used here.
fn bare_key() -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*secret()).expect("a key has 32 bytes"))
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

criterion_group!(
    stages,
    chunk::bench,
    hash::bench,
    compress::bench,
    seal::bench,
    verify::bench
);
criterion_main!(stages);
