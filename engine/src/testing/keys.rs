//! The fixed secrets of tests: those of `format-spec/vectors/README.md`, so that vectors, seeds and
//! prepared repositories open under one set of keys.

use zeroize::Zeroizing;

use crate::format::config::ABILITY_PUT_IF_ABSENT;
use crate::format::config::Config;
use crate::format::id::RepositoryId;
use crate::format::id::SessionId;
use crate::format::id::SlotId;
use crate::format::slot::Bundle;
use crate::repository::keys::Keys;
use crate::repository::keys::UnlockSecret;

/// The repository of tests.
pub const REPOSITORY: RepositoryId = RepositoryId(ascending(0x60));
/// The session that seeds name.
pub const SESSION: SessionId = SessionId(ascending(0x70));
/// The slot of a prepared repository.
pub const SLOT: SlotId = SlotId(ascending(0x80));

const fn ascending<const N: usize>(first: u8) -> [u8; N] {
    let mut bytes = [0; N];
    let mut index = 0;
    while index < N {
        bytes[index] = first + index as u8;
        index += 1;
    }
    bytes
}

/// The secrets behind all keys.
pub fn bundle() -> Bundle {
    Bundle {
        stable: Zeroizing::new(ascending(0x00)),
        epochs: vec![
            (1, Zeroizing::new(ascending(0x20))),
            (2, Zeroizing::new(ascending(0x40))),
        ],
    }
}

/// The keys made of them.
pub fn keys() -> Keys {
    Keys::from_bundle(&bundle(), REPOSITORY)
}

/// Opens the slot of a prepared repository; a key file costs no Argon2 run.
pub fn key_file() -> UnlockSecret {
    UnlockSecret::key_file([0x4b; 64])
}

/// Parameters with the smallest chunks that a repository may have.
pub fn config() -> Config {
    Config {
        repository: REPOSITORY,
        created: 1_790_000_000,
        chunk_len_min: 64,
        chunk_len_avg: 8192,
        chunk_len_max: 16_384,
        aead: 1,
        abilities: ABILITY_PUT_IF_ABSENT,
        epoch: 1,
    }
}
