//! The key tree: which key is made from which, under which context. §5.
//!
//! Context strings are part of the format. Passwords go through Argon2id here and nowhere else.

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::format::slot::Argon2Costs;

/// A secret of 256 bits that leaves memory when it is dropped.
pub type Secret = Zeroizing<[u8; 32]>;

const CONFIG: &str = "blockstore v1 config key";
const CHUNK_ID: &str = "blockstore v1 chunk id key";
const PAGE_ID: &str = "blockstore v1 page id key";
const PAGE_BOUNDARY: &str = "blockstore v1 page boundary key";
const LOCAL_INDEX: &str = "blockstore local index key";
const CHUNKER: &str = "blockstore v1 chunker key";
const DATA_CLASS: &str = "blockstore v1 data class key";
const META_CLASS: &str = "blockstore v1 meta class key";
const FRAME: &str = "blockstore v1 frame key";
const TABLE: &str = "blockstore v1 table key";
const COMMITMENT: &str = "blockstore v1 commitment";
const KEY_FILE: &str = "blockstore v1 key file";

/// Keys made from the stable secret: they outlive every rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StableKey {
    /// Authenticates the config.
    Config,
    /// Makes ids of chunks.
    ChunkId,
    /// Makes ids of pages.
    PageId,
    /// Decides where pages end.
    PageBoundary,
    /// Decides where chunks end.
    Chunker,
    /// Checks what a machine keeps of the index for itself; nothing that is stored is made with it.
    LocalIndex,
}

/// Keys made from the secret of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassKey {
    /// Opens file and volume contents.
    Data,
    /// Opens everything else.
    Meta,
}

/// A key that lives as long as the repository.
pub fn stable_key(stable: &Secret, key: StableKey) -> Secret {
    let context = match key {
        StableKey::Config => CONFIG,
        StableKey::ChunkId => CHUNK_ID,
        StableKey::PageId => PAGE_ID,
        StableKey::PageBoundary => PAGE_BOUNDARY,
        StableKey::Chunker => CHUNKER,
        StableKey::LocalIndex => LOCAL_INDEX,
    };
    derive(context, &[&**stable])
}

/// The class key of one epoch.
pub fn class_key(epoch_secret: &Secret, class: ClassKey) -> Secret {
    let context = match class {
        ClassKey::Data => DATA_CLASS,
        ClassKey::Meta => META_CLASS,
    };
    derive(context, &[&**epoch_secret])
}

/// Key of the frames that the object with `salt` seals.
pub fn frame_key(class: &Secret, salt: &[u8; 32]) -> Secret {
    derive(FRAME, &[&**class, salt])
}

/// Key of the table of the object with `salt`.
pub fn table_key(meta_class: &Secret, salt: &[u8; 32]) -> Secret {
    derive(TABLE, &[&**meta_class, salt])
}

/// Binds `key` without telling it: AEADs alone do not.
pub fn commitment(key: &Secret) -> [u8; 32] {
    *derive(COMMITMENT, &[&**key])
}

/// Key that wraps a slot, from a password.
///
/// # Errors
/// If Argon2 refuses the costs; the text says why.
pub fn password_key(
    password: &[u8],
    salt: &[u8; 32],
    costs: Argon2Costs,
) -> Result<Secret, String> {
    let params = Params::new(costs.memory_kib, costs.passes, costs.lanes, Some(32));
    let params = params.map_err(|error| error.to_string())?;
    let mut key = Secret::default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, salt, &mut *key)
        .map_err(|error| error.to_string())?;
    Ok(key)
}

/// Key that wraps a slot, from the contents of a key file.
pub fn key_file_key(contents: &[u8], salt: &[u8; 32]) -> Secret {
    derive(KEY_FILE, &[salt, contents])
}

fn derive(context: &str, material: &[&[u8]]) -> Secret {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in material {
        hasher.update(part);
    }
    let mut key = Secret::default();
    hasher.finalize_xof().fill(&mut *key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_use_epoch_or_salt_differ() {
        let secret = Secret::from([1; 32]);
        let keys = [
            stable_key(&secret, StableKey::Config),
            stable_key(&secret, StableKey::ChunkId),
            stable_key(&secret, StableKey::PageId),
            stable_key(&secret, StableKey::PageBoundary),
            stable_key(&secret, StableKey::Chunker),
            class_key(&secret, ClassKey::Data),
            class_key(&secret, ClassKey::Meta),
            class_key(&Secret::from([2; 32]), ClassKey::Meta),
            frame_key(&secret, &[0; 32]),
            frame_key(&secret, &[1; 32]),
            table_key(&secret, &[0; 32]),
            Secret::from(commitment(&secret)),
            key_file_key(&[7; 32], &[0; 32]),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "key {index} repeats");
        }
    }

    #[test]
    fn a_password_gives_one_key_per_salt_and_impossible_costs_are_an_error() {
        let costs = Argon2Costs {
            memory_kib: 8,
            passes: 1,
            lanes: 1,
        };
        let key = password_key(b"secret", &[1; 32], costs).unwrap();
        assert_eq!(password_key(b"secret", &[1; 32], costs).unwrap(), key);
        assert_ne!(password_key(b"secret", &[2; 32], costs).unwrap(), key);
        assert!(
            password_key(
                b"secret",
                &[1; 32],
                Argon2Costs {
                    memory_kib: 0,
                    ..costs
                }
            )
            .is_err()
        );
    }
}
