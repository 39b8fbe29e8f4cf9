//! The key tree (FORMAT.md section 5), the AEADs, and the bundle in which the secrets travel.

use crate::reference::bytes::Reader;
use crate::reference::fault::Fault;
use crate::reference::fault::Rejection;
use crate::reference::fault::Result;
use std::collections::BTreeMap;

/// 32 secret bytes.
pub type Key = [u8; 32];

/// Which of the two kinds of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Frames of data packs: contents of files and volumes.
    Data,
    /// Everything else that is sealed.
    Meta,
}

/// Everything that a bundle of grant 1 holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Keyring {
    /// Survives rotation.
    pub stable: Key,
    /// Secrets by epoch number; at least one.
    pub epochs: BTreeMap<u32, Key>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring of {} epochs", self.epochs.len())
    }
}

impl Keyring {
    /// `bundle = version grant epoch_count stable (epoch secret)*`
    pub fn decode(bundle: &[u8]) -> Result<Keyring> {
        let mut reader = Reader::new("bundle", bundle);
        let version = reader.u8()?;
        if version != 1 {
            return Err(reader.fault(Fault::UnknownVersion, format!("version {version}")));
        }
        let grant = reader.u8()?;
        reader.require(grant == 1, "a grant that version 1 does not give")?;
        let count = reader.u16()?;
        reader.require(count > 0, "no epoch")?;
        let stable = reader.array()?;
        let mut epochs = BTreeMap::new();
        for _ in 0..count {
            let epoch = reader.u32()?;
            let ascends = epochs
                .last_key_value()
                .is_none_or(|(&before, _)| before < epoch);
            reader.require(ascends, "epochs do not ascend")?;
            epochs.insert(epoch, reader.array()?);
        }
        reader.finish()?;
        Ok(Keyring { stable, epochs })
    }

    /// Authenticates config.
    pub fn config_key(&self) -> Key {
        blake3::derive_key("blockstore v1 config key", &self.stable)
    }

    /// Makes the id of a chunk.
    pub fn chunk_id(&self, plaintext: &[u8]) -> [u8; 32] {
        let key = blake3::derive_key("blockstore v1 chunk id key", &self.stable);
        blake3::keyed_hash(&key, plaintext).into()
    }

    /// Makes the id of a page.
    pub fn page_id(&self, page: &[u8]) -> [u8; 32] {
        let key = blake3::derive_key("blockstore v1 page id key", &self.stable);
        blake3::keyed_hash(&key, page).into()
    }

    /// Decides where leaves of trees end.
    pub fn page_boundary_key(&self) -> Key {
        blake3::derive_key("blockstore v1 page boundary key", &self.stable)
    }

    fn class_key(&self, class: Class, epoch: u32) -> Result<Key> {
        let secret = self.epochs.get(&epoch).ok_or_else(|| {
            Rejection::new(
                Fault::WrongKey,
                "keyring",
                format!("there is no epoch {epoch}"),
            )
        })?;
        Ok(match class {
            Class::Data => blake3::derive_key("blockstore v1 data class key", secret),
            Class::Meta => blake3::derive_key("blockstore v1 meta class key", secret),
        })
    }

    /// The key of the frames that an object with this salt sealed.
    pub fn frame_key(&self, class: Class, epoch: u32, salt: &[u8; 32]) -> Result<Key> {
        let class_key = self.class_key(class, epoch)?;
        Ok(blake3::derive_key(
            "blockstore v1 frame key",
            &[class_key, *salt].concat(),
        ))
    }

    /// The key of the table of the object with this salt.
    pub fn table_key(&self, epoch: u32, salt: &[u8; 32]) -> Result<Key> {
        let class_key = self.class_key(Class::Meta, epoch)?;
        Ok(blake3::derive_key(
            "blockstore v1 table key",
            &[class_key, *salt].concat(),
        ))
    }
}

/// Binds a key without telling it.
pub fn commitment(key: &Key) -> [u8; 32] {
    blake3::derive_key("blockstore v1 commitment", key)
}

/// Key-encrypting key of a password.
pub fn password_kek(password: &[u8], salt: &[u8; 32], m: u32, t: u32, p: u32) -> Result<Key> {
    let malformed = |error: argon2::Error| {
        Rejection::new(
            Fault::Malformed,
            "slot",
            format!("Argon2 parameters: {error}"),
        )
    };
    let parameters = argon2::Params::new(m, t, p, Some(32)).map_err(malformed)?;
    let argon2 = argon2::Argon2::new(
        argon2::Algorithm::Argon2id,
        argon2::Version::V0x13,
        parameters,
    );
    let mut kek = [0; 32];
    argon2
        .hash_password_into(password, salt, &mut kek)
        .map_err(malformed)?;
    Ok(kek)
}

/// Key-encrypting key of a key file.
pub fn key_file_kek(contents: &[u8], salt: &[u8; 32]) -> Result<Key> {
    let reader = Reader::new("key file", contents);
    reader.require(contents.len() >= 32, "shorter than 32 bytes")?;
    reader.limit(contents.len() as u64, 1 << 20, "its length")?;
    Ok(blake3::derive_key(
        "blockstore v1 key file",
        &[salt, contents].concat(),
    ))
}

/// Whether `aead` is one of version 1.
pub fn aead_is_known(aead: u64) -> bool {
    aead == 1 || aead == 2
}

/// What is opened, and the context that it was sealed in.
pub struct Sealed<'a> {
    /// 1 AES-256-GCM, 2 ChaCha20-Poly1305.
    pub aead: u8,
    /// The counter of the nonce.
    pub counter: u64,
    /// Additional data.
    pub aad: &'a [u8],
    /// Ciphertext and tag.
    pub bytes: &'a [u8],
}

impl Sealed<'_> {
    /// The plaintext; `BadChecksum` where bytes or context changed. Compare commitments before.
    pub fn open(&self, key: &Key) -> Result<Vec<u8>> {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&self.counter.to_le_bytes());
        let opened = match self.aead {
            1 => open_with::<aes_gcm::Aes256Gcm>(key, nonce, self),
            2 => open_with::<chacha20poly1305::ChaCha20Poly1305>(key, nonce, self),
            other => {
                let sentence = format!("{other} is no AEAD of version 1");
                return Err(Rejection::new(Fault::Malformed, "sealed bytes", sentence));
            }
        };
        opened.ok_or_else(|| {
            Rejection::new(
                Fault::BadChecksum,
                "sealed bytes",
                "the AEAD tag does not agree",
            )
        })
    }
}

fn open_with<C>(key: &Key, nonce: [u8; 12], sealed: &Sealed<'_>) -> Option<Vec<u8>>
where
    C: aes_gcm::KeyInit + aes_gcm::aead::Aead,
{
    let cipher = C::new_from_slice(key).ok()?;
    let nonce = aes_gcm::aead::Nonce::<C>::try_from(nonce.as_slice()).ok()?;
    let payload = aes_gcm::aead::Payload {
        msg: sealed.bytes,
        aad: sealed.aad,
    };
    cipher.decrypt(&nonce, payload).ok()
}
