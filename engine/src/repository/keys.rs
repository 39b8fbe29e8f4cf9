//! Ways in, and the keys behind them. §5, §6.

use std::fmt;

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::DecodeError;
use crate::format::config::Config;
use crate::format::envelope::{Header, SealedKind};
use crate::format::id::{RepositoryId, SlotId};
use crate::format::name::ObjectName;
use crate::format::record::{self, Record, RecordKind, TAG_LEN};
use crate::format::slot::{Argon2Costs, Bundle, Slot, WayIn};
use crate::format::table::Origin;
use crate::limits::{
    ARGON2_LANES_DEFAULT, ARGON2_MEMORY_KIB_DEFAULT, ARGON2_PASSES_DEFAULT, KEY_FILE_LEN_LIMIT,
    KEY_FILE_LEN_MIN,
};
use crate::repository::random;
use crate::storage::Backend;
use crate::transform::derive::{self, ClassKey, Secret, StableKey};
use crate::transform::hash::{BoundaryKey, IdKey};
use crate::transform::seal::{self, Aead, Binding, Part, Sealer, Unsealer};

/// What a person or program brings to open a repository.
#[derive(Clone)]
pub enum UnlockSecret {
    /// A password, any bytes, not empty.
    Password(Zeroizing<Vec<u8>>),
    /// The contents of a key file.
    KeyFile(Zeroizing<Vec<u8>>),
}

/// How a new slot is made.
#[derive(Clone, Debug)]
pub struct SlotOptions {
    /// What Argon2id costs, for passwords.
    pub costs: Argon2Costs,
    /// For people.
    pub label: String,
}

impl Default for SlotOptions {
    fn default() -> Self {
        let costs = Argon2Costs {
            memory_kib: ARGON2_MEMORY_KIB_DEFAULT,
            passes: ARGON2_PASSES_DEFAULT,
            lanes: ARGON2_LANES_DEFAULT,
        };
        Self {
            costs,
            label: String::new(),
        }
    }
}

impl UnlockSecret {
    /// A password.
    pub fn password(password: impl Into<Vec<u8>>) -> Self {
        Self::Password(Zeroizing::new(password.into()))
    }

    /// The contents of a key file.
    pub fn key_file(contents: impl Into<Vec<u8>>) -> Self {
        Self::KeyFile(Zeroizing::new(contents.into()))
    }

    /// What to call it in a sentence.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Password(_) => "password",
            Self::KeyFile(_) => "key file",
        }
    }

    fn validate(&self) -> Result<()> {
        let refuse = |detail: &str| {
            let place = Place::Argument(self.word());
            Err(Error::new(ErrorKind::InvalidInput, place, detail))
        };
        match self {
            Self::Password(password) if password.is_empty() => refuse("is empty; choose one"),
            Self::KeyFile(contents) if contents.len() < KEY_FILE_LEN_MIN => {
                refuse("is too short: expected at least 32 random bytes")
            }
            Self::KeyFile(contents) if contents.len() > KEY_FILE_LEN_LIMIT => {
                refuse("is too long: expected at most 1 MiB")
            }
            _ => Ok(()),
        }
    }

    fn way(&self, costs: Argon2Costs) -> WayIn {
        match self {
            Self::Password(_) => WayIn::Password(costs),
            Self::KeyFile(_) => WayIn::KeyFile,
        }
    }

    /// The key that wraps a slot, or `None` if the slot is for another way in.
    fn wrapping_key(&self, way: WayIn, salt: &[u8; 32]) -> Result<Option<Secret>> {
        match (self, way) {
            (Self::Password(password), WayIn::Password(costs)) => {
                let key = derive::password_key(password, salt, costs);
                key.map(Some).map_err(|detail| {
                    Error::new(ErrorKind::InvalidInput, Place::Argument("password"), detail)
                })
            }
            (Self::KeyFile(contents), WayIn::KeyFile) => {
                Ok(Some(derive::key_file_key(contents, salt)))
            }
            _ => Ok(None),
        }
    }
}

/// The record of a new slot that wraps `bundle`.
pub(crate) fn make_slot(
    bundle: &Bundle,
    config: &Config,
    id: SlotId,
    secret: &UnlockSecret,
    options: &SlotOptions,
    created: u64,
) -> Result<Vec<u8>> {
    secret.validate()?;
    let salt = random()?;
    let way = secret.way(options.costs);
    let key = secret
        .wrapping_key(way, &salt)?
        .expect("the way in was made for this secret");
    let aead = Aead::from_byte(config.aead).unwrap_or(Aead::Aes256Gcm);
    let sealed = seal::seal_bundle(
        aead,
        &key,
        &slot_context(config.repository, id),
        &bundle.encode(),
    );
    let label = options.label.clone();
    let slot = Slot {
        way,
        salt,
        aead: aead as u8,
        bundle: sealed,
        created,
        label,
    };
    Ok(record::encode(RecordKind::Slot, &slot.encode(), |tagged| {
        slot_tag(&key, tagged)
    }))
}

/// Opens the slot `name`; `None` if `secret` does not fit it.
pub(crate) fn try_slot(
    backend: &dyn Backend,
    name: &ObjectName,
    repository: RepositoryId,
    secret: &UnlockSecret,
) -> Result<Option<Bundle>> {
    let ObjectName::Key(id) = *name else {
        return Ok(None);
    };
    let bytes = backend.get(name)?;
    let decode_error = |error| Error::damaged(*name, "cannot be read").with_source(error);
    let record = Record::decode(&bytes, RecordKind::Slot).map_err(decode_error)?;
    let slot = Slot::decode(record.body).map_err(decode_error)?;
    let Some(key) = secret.wrapping_key(slot.way, &slot.salt)? else {
        return Ok(None);
    };
    if slot_tag(&key, record.tagged) != record.tag {
        return Ok(None);
    }
    let aead = Aead::from_byte(slot.aead).ok_or_else(|| Error::damaged(*name, "unknown AEAD"))?;
    let context = slot_context(repository, id);
    let bundle = seal::unseal_bundle(aead, &key, &context, &slot.bundle)
        .map_err(|error| Error::damaged(*name, "secrets do not open").with_source(error))?;
    Bundle::decode(&bundle).map(Some).map_err(decode_error)
}

/// The tag commits to the wrapping key: a slot cannot open under two passwords.
fn slot_tag(key: &Secret, tagged: &[u8]) -> [u8; TAG_LEN] {
    *blake3::keyed_hash(&derive::commitment(key), tagged).as_bytes()
}

fn slot_context(repository: RepositoryId, id: SlotId) -> [u8; 32] {
    let mut context = [0; 32];
    context[..16].copy_from_slice(repository.as_bytes());
    context[16..].copy_from_slice(id.as_bytes());
    context
}

/// Every key of an opened repository.
pub struct Keys {
    repository: RepositoryId,
    config: Secret,
    chunker: Secret,
    chunk_id: IdKey,
    page_id: IdKey,
    boundary: BoundaryKey,
    local_index: Secret,
    epochs: Vec<EpochKeys>,
}

struct EpochKeys {
    epoch: u32,
    data: Secret,
    meta: Secret,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// What a new object is sealed with.
pub struct ObjectKeys {
    /// Its header, encoded.
    pub header: [u8; crate::format::envelope::HEADER_LEN],
    /// Itself as an origin of frames.
    pub origin: Origin,
    /// Seals its frames.
    pub frames: Sealer,
    /// Opens them again, to verify.
    pub verify: Unsealer,
    /// Seals its table.
    pub table: Sealer,
}

/// What a new object is sealed with that holds frames of other objects alone.
pub(crate) struct TableKeys {
    /// Its header, encoded.
    pub header: [u8; crate::format::envelope::HEADER_LEN],
    /// Itself as an origin: of no frame, so that it commits to no key.
    pub origin: Origin,
    /// Seals its table.
    pub table: Sealer,
}

impl Keys {
    /// The keys behind the secrets of a slot.
    pub(crate) fn from_bundle(bundle: &Bundle, repository: RepositoryId) -> Self {
        let stable = |key| derive::stable_key(&bundle.stable, key);
        let epochs = bundle.epochs.iter().map(|(epoch, secret)| EpochKeys {
            epoch: *epoch,
            data: derive::class_key(secret, ClassKey::Data),
            meta: derive::class_key(secret, ClassKey::Meta),
        });
        Self {
            repository,
            config: stable(StableKey::Config),
            chunker: stable(StableKey::Chunker),
            chunk_id: IdKey::new(stable(StableKey::ChunkId)),
            page_id: IdKey::new(stable(StableKey::PageId)),
            boundary: BoundaryKey::new(stable(StableKey::PageBoundary)),
            local_index: stable(StableKey::LocalIndex),
            epochs: epochs.collect(),
        }
    }

    /// Keys of secrets that a test chose.
    #[cfg(any(test, feature = "testing"))]
    pub fn for_testing(bundle: &Bundle, repository: RepositoryId) -> Self {
        Self::from_bundle(bundle, repository)
    }

    /// Puts other keys in the place of those of contents.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn forget_data_keys(&mut self) {
        for keys in &mut self.epochs {
            keys.data = Secret::from([0; 32]);
        }
    }

    /// Keyed hash that authenticates the config.
    pub(crate) fn config_tag(&self, tagged: &[u8]) -> [u8; TAG_LEN] {
        *blake3::keyed_hash(&self.config, tagged).as_bytes()
    }

    /// Checks that a holder of these keys wrote the config `name`, for keys that are there.
    pub fn verify_config(
        &self,
        name: &ObjectName,
        record: &Record<'_>,
        config: &Config,
    ) -> Result<()> {
        let damaged = |detail: &str, error| Error::damaged(*name, detail).with_source(error);
        if self.config_tag(record.tagged) != record.tag {
            let detail = "was not written by a holder of this repository's keys";
            return Err(damaged(detail, DecodeError::BadChecksum));
        }
        if self.epoch(config.epoch).is_none() {
            let error = DecodeError::Malformed("epoch that the key slot lacks");
            return Err(damaged("cannot be used with this key slot", error));
        }
        Ok(())
    }

    /// Key of the chunker.
    pub(crate) fn chunker(&self) -> &[u8; 32] {
        &self.chunker
    }

    /// Makes ids of chunks.
    pub fn chunk_id(&self) -> &IdKey {
        &self.chunk_id
    }

    /// Makes ids of pages.
    pub fn page_id(&self) -> &IdKey {
        &self.page_id
    }

    /// Decides where pages end.
    pub(crate) fn boundary(&self) -> &BoundaryKey {
        &self.boundary
    }

    /// Checks the copy of the index that a machine keeps for itself.
    pub(crate) fn local_index(&self) -> &Secret {
        &self.local_index
    }

    /// Fresh keys for one new object of `kind`.
    pub(crate) fn new_object(&self, kind: SealedKind, config: &Config) -> Result<ObjectKeys> {
        let TableKeys {
            header,
            mut origin,
            table,
        } = self.new_table(kind, config)?;
        let aead = aead_of(config);
        let classes = self.classes(config)?;
        let frame_key = derive::frame_key(classes.frames(kind), &origin.salt);
        origin.commitment = derive::commitment(&frame_key);
        let binding = self.binding(kind, Part::Frame, origin.salt);
        Ok(ObjectKeys {
            header,
            origin,
            frames: Sealer::new(aead, &frame_key, binding),
            verify: Unsealer::new(aead, &frame_key, binding),
            table,
        })
    }

    /// Fresh keys for one new object of `kind` that seals no frame: no data class key is used.
    pub(crate) fn new_table(&self, kind: SealedKind, config: &Config) -> Result<TableKeys> {
        let aead = aead_of(config);
        let salt = random()?;
        let table_key = derive::table_key(&self.classes(config)?.meta, &salt);
        let binding = self.binding(kind, Part::Table, salt);
        let header = Header {
            kind,
            aead: aead as u8,
            epoch: config.epoch,
            repository: self.repository,
            salt,
            commitment: derive::commitment(&table_key),
        };
        Ok(TableKeys {
            header: header.encode(),
            origin: Origin {
                salt,
                commitment: Origin::NO_COMMITMENT,
                epoch: config.epoch,
                aead: aead as u8,
            },
            table: Sealer::new(aead, &table_key, binding),
        })
    }

    /// The class keys of new objects.
    fn classes(&self, config: &Config) -> Result<&EpochKeys> {
        self.epoch(config.epoch).ok_or_else(|| {
            let detail = format!("key slot lacks epoch {}", config.epoch);
            Error::new(ErrorKind::WrongKey, Place::Repository, detail)
        })
    }

    fn binding(&self, kind: SealedKind, part: Part, salt: [u8; 32]) -> Binding {
        Binding {
            repository: self.repository,
            kind: kind as u8,
            part,
            salt,
        }
    }

    /// Opens frames of `kind` that were sealed in `origin`.
    pub(crate) fn frame_unsealer(
        &self,
        kind: SealedKind,
        origin: &Origin,
    ) -> Result<Unsealer, KeyError> {
        let classes = self
            .epoch(origin.epoch)
            .ok_or(KeyError::UnknownEpoch(origin.epoch))?;
        let aead = Aead::from_byte(origin.aead).ok_or(KeyError::Commitment)?;
        let key = derive::frame_key(classes.frames(kind), &origin.salt);
        if derive::commitment(&key) != origin.commitment {
            return Err(KeyError::Commitment);
        }
        let binding = self.binding(kind, Part::Frame, origin.salt);
        Ok(Unsealer::new(aead, &key, binding))
    }

    /// Opens the table behind `header`.
    pub(crate) fn table_unsealer(&self, header: &Header) -> Result<Unsealer, KeyError> {
        if header.repository != self.repository {
            return Err(KeyError::AnotherRepository(header.repository));
        }
        let classes = self
            .epoch(header.epoch)
            .ok_or(KeyError::UnknownEpoch(header.epoch))?;
        let aead = Aead::from_byte(header.aead).ok_or(KeyError::Commitment)?;
        let key = derive::table_key(&classes.meta, &header.salt);
        if derive::commitment(&key) != header.commitment {
            return Err(KeyError::Commitment);
        }
        let binding = self.binding(header.kind, Part::Table, header.salt);
        Ok(Unsealer::new(aead, &key, binding))
    }

    fn epoch(&self, epoch: u32) -> Option<&EpochKeys> {
        self.epochs.iter().find(|keys| keys.epoch == epoch)
    }
}

/// The algorithm of new objects.
fn aead_of(config: &Config) -> Aead {
    Aead::from_byte(config.aead).unwrap_or(Aead::Aes256Gcm)
}

impl EpochKeys {
    fn frames(&self, kind: SealedKind) -> &Secret {
        if kind == SealedKind::DataPack {
            &self.data
        } else {
            &self.meta
        }
    }
}

/// Why no key opens an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// It belongs to another repository.
    AnotherRepository(RepositoryId),
    /// This slot has no keys of that epoch.
    UnknownEpoch(u32),
    /// The key that should fit does not.
    Commitment,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnotherRepository(id) => write!(f, "belongs to another repository: {id}"),
            Self::UnknownEpoch(epoch) => {
                write!(f, "is sealed in epoch {epoch}, which this key lacks")
            }
            Self::Commitment => f.write_str("is not sealed under this repository's keys"),
        }
    }
}

impl std::error::Error for KeyError {}
