//! Authenticated encryption of frames, tables and bundles. §7.
//!
//! A [`Sealer`] owns its key and counts its nonces; it cannot be cloned, and nothing but its
//! counter can choose a nonce. So no (key, nonce) pair occurs twice.

use std::sync::atomic::{AtomicU64, Ordering};

use ring::aead::{self, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::format::envelope::{TAG_LEN, VERSION};
use crate::format::id::RepositoryId;
use crate::mutants::{self, Mutant};
use crate::transform::derive::Secret;

/// Length of what is authenticated beside every frame and table.
const AAD_LEN: usize = 60;

/// Algorithm that seals; the number is part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Aead {
    /// AES-256-GCM: the default where the processor has AES instructions.
    Aes256Gcm = 1,
    /// ChaCha20-Poly1305: the default elsewhere.
    ChaCha20Poly1305 = 2,
}

/// Bytes that did not open: changed, or sealed under another key or in another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsealError;

impl std::fmt::Display for UnsealError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "does not authenticate: changed, or sealed for another place or under another key",
        )
    }
}

impl std::error::Error for UnsealError {}

/// What a frame or table is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The repository.
    pub repository: RepositoryId,
    /// Number of the kind of object.
    pub kind: u8,
    /// Frame or table.
    pub part: Part,
    /// Salt of the object in which it was sealed.
    pub salt: [u8; 32],
}

/// The two things that are sealed in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// Content.
    Frame = 0,
    /// What tells where frames are.
    Table = 1,
}

/// One nonce of a [`Sealer`], to be used once: it can be neither copied nor made elsewhere.
#[derive(Debug)]
pub struct Turn(u64);

/// Seals, each time under the next nonce.
pub struct Sealer {
    key: LessSafeKey,
    binding: Binding,
    next: AtomicU64,
}

/// Opens what a [`Sealer`] of the same key and binding sealed.
pub struct Unsealer {
    key: LessSafeKey,
    binding: Binding,
}

impl Aead {
    /// The algorithm of this number.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Aes256Gcm),
            2 => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }

    /// The faster one on this processor.
    pub fn fastest_here() -> Self {
        #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
        let has_aes = std::arch::is_x86_feature_detected!("aes");
        #[cfg(target_arch = "aarch64")]
        let has_aes = std::arch::is_aarch64_feature_detected!("aes");
        #[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
        let has_aes = false;
        if has_aes {
            Self::Aes256Gcm
        } else {
            Self::ChaCha20Poly1305
        }
    }

    fn key(self, secret: &Secret) -> LessSafeKey {
        let algorithm = match self {
            Self::Aes256Gcm => &aead::AES_256_GCM,
            Self::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        };
        let key = UnboundKey::new(algorithm, &**secret).expect("both algorithms take 32 bytes");
        LessSafeKey::new(key)
    }
}

impl Binding {
    fn aad(&self, counter: u64) -> [u8; AAD_LEN] {
        let mut aad = [0; AAD_LEN];
        aad[..16].copy_from_slice(self.repository.as_bytes());
        let is_bound = !mutants::is_on(Mutant::KindNotBound);
        aad[16..19].copy_from_slice(&[self.kind * u8::from(is_bound), VERSION, self.part as u8]);
        aad[20..52].copy_from_slice(&self.salt);
        aad[52..].copy_from_slice(&counter.to_le_bytes());
        aad
    }
}

fn nonce_of(counter: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&counter.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

impl Sealer {
    /// A sealer of a key that has sealed nothing yet.
    pub fn new(algorithm: Aead, key: &Secret, binding: Binding) -> Self {
        Self {
            key: algorithm.key(key),
            binding,
            next: AtomicU64::new(0),
        }
    }

    /// Takes the next nonce.
    pub fn take_turn(&self) -> Turn {
        let step = u64::from(!mutants::is_on(Mutant::NonceStays));
        Turn(self.next.fetch_add(step, Ordering::Relaxed))
    }

    /// Encrypts all but the last 16 bytes of `slot` in place and writes the tag there; returns
    /// the counter that opens it.
    pub fn seal(&self, turn: Turn, slot: &mut [u8]) -> u64 {
        let Turn(counter) = turn;
        let aad = aead::Aad::from(self.binding.aad(counter));
        let (plain, tag) = slot.split_at_mut(slot.len() - TAG_LEN);
        let sealed = self
            .key
            .seal_in_place_separate_tag(nonce_of(counter), aad, plain);
        tag.copy_from_slice(
            sealed
                .expect("frames are far below the limit of the AEAD")
                .as_ref(),
        );
        counter
    }
}

impl Unsealer {
    /// An unsealer of this key and binding.
    pub fn new(algorithm: Aead, key: &Secret, binding: Binding) -> Self {
        Self {
            key: algorithm.key(key),
            binding,
        }
    }

    /// Decrypts `sealed` in place; gives the plaintext part of it.
    ///
    /// # Errors
    /// If anything differs from what was sealed; `sealed` is worthless then.
    pub fn unseal<'a>(
        &self,
        counter: u64,
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], UnsealError> {
        let aad = aead::Aad::from(self.binding.aad(counter));
        self.key
            .open_in_place(nonce_of(counter), aad, sealed)
            .map_err(|_| UnsealError)
    }
}

/// Seals the secrets of a slot under a key that seals nothing else.
pub fn seal_bundle(algorithm: Aead, key: &Secret, aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut sealed = plain.to_vec();
    algorithm
        .key(key)
        .seal_in_place_append_tag(nonce_of(0), aead::Aad::from(aad), &mut sealed)
        .expect("a bundle is far below the limit of the AEAD");
    sealed
}

/// Opens what [`seal_bundle`] sealed.
///
/// # Errors
/// If anything differs from what was sealed.
pub fn unseal_bundle(
    algorithm: Aead,
    key: &Secret,
    aad: &[u8],
    sealed: &[u8],
) -> Result<zeroize::Zeroizing<Vec<u8>>, UnsealError> {
    let mut plain = zeroize::Zeroizing::new(sealed.to_vec());
    let opened = algorithm
        .key(key)
        .open_in_place(nonce_of(0), aead::Aad::from(aad), &mut plain);
    let len = opened.map_err(|_| UnsealError)?.len();
    plain.truncate(len);
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding() -> Binding {
        let repository = RepositoryId([1; 16]);
        Binding {
            repository,
            kind: 1,
            part: Part::Frame,
            salt: [2; 32],
        }
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_only() {
        let key = Secret::from([7; 32]);
        for algorithm in [Aead::Aes256Gcm, Aead::ChaCha20Poly1305] {
            let sealer = Sealer::new(algorithm, &key, binding());
            let mut slot = [b"some content".as_slice(), &[0; TAG_LEN]].concat();
            sealer.seal(sealer.take_turn(), &mut [0; 40]);
            let counter = sealer.seal(sealer.take_turn(), &mut slot);
            assert_eq!(counter, 1);
            let unseal = |binding, counter| {
                let unsealer = Unsealer::new(algorithm, &key, binding);
                unsealer
                    .unseal(counter, &mut slot.clone())
                    .map(|plain| plain.to_vec())
            };
            assert_eq!(unseal(binding(), 1).as_deref(), Ok(&b"some content"[..]));
            assert!(unseal(binding(), 0).is_err());
            assert!(
                unseal(
                    Binding {
                        kind: 2,
                        ..binding()
                    },
                    1
                )
                .is_err()
            );
            assert!(
                unseal(
                    Binding {
                        part: Part::Table,
                        ..binding()
                    },
                    1
                )
                .is_err()
            );
            assert!(
                unseal(
                    Binding {
                        salt: [3; 32],
                        ..binding()
                    },
                    1
                )
                .is_err()
            );
            let repository = RepositoryId([2; 16]);
            assert!(
                unseal(
                    Binding {
                        repository,
                        ..binding()
                    },
                    1
                )
                .is_err()
            );
        }
    }

    #[test]
    fn a_bundle_opens_under_its_key_and_context_only() {
        let (key, other) = (Secret::from([1; 32]), Secret::from([2; 32]));
        let sealed = seal_bundle(Aead::Aes256Gcm, &key, b"slot", b"secrets");
        let open = |key, aad| unseal_bundle(Aead::Aes256Gcm, key, aad, &sealed);
        assert_eq!(open(&key, b"slot").unwrap().as_slice(), b"secrets");
        assert!(open(&key, b"other").is_err() && open(&other, b"slot").is_err());
    }
}
