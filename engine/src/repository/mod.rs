//! Objects become meaning: packs, index, pages, keys, sessions, snapshots.
//!
//! The order of writing is the argument that a crash loses nothing that was acknowledged:
//!
//! - W1 A snapshot names only pages that were durable before it was put.
//! - W2 A page names only pages and chunks that were durable before the snapshot was put.
//! - W3 An index run names only packs that were durable before it was put.
//! - W4 A commit is one put-if-absent of one key, after everything it needs is durable.
//! - W5 No object changes after its put, and no name is used twice.
//!
//! **Architecture Invariant:** nothing here spawns a thread, and only [`session::Session`] writes
//! packs, index runs and snapshots.
//!
//! **Architecture Invariant:** reading needs packs, snapshots, keys and config; the index is
//! derived and may be deleted.

pub mod boots;
pub mod chunks;
pub mod frame_writer;
pub(crate) mod generations;
#[cfg(test)]
mod generations_tests;
pub mod index;
pub mod keys;
pub mod manifest;
pub(crate) mod moved;
#[cfg(test)]
mod moved_tests;
pub mod object;
pub mod pack;
pub mod protocol;
pub mod prunes;
pub mod retention;
#[cfg(any(test, feature = "testing"))]
pub mod seeded;
pub mod session;
pub mod snapshots;

use std::sync::{Arc, OnceLock};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::config::{ABILITY_PUT_IF_ABSENT, Config};
use crate::format::id::{RepositoryId, SessionId, SlotId};
use crate::format::name::{ObjectKind, ObjectName};
use crate::format::record::{self, Record, RecordKind};
use crate::format::slot::Bundle;
use crate::limits::KEY_SLOTS_LIMIT;
use crate::repository::index::{Index, LocalIndex};
use crate::repository::keys::{Keys, SlotOptions, UnlockSecret};
use crate::storage::cache::CacheFolder;
use crate::storage::{Backend, ObjectInfo};
use crate::transform::chunk::{ChunkSizes, Chunker};
use crate::transform::derive::Secret;
use crate::transform::seal::Aead;

/// A repository that was opened with a key.
pub struct Repository {
    backend: Arc<dyn Backend>,
    config: Config,
    keys: Keys,
    local: Option<LocalIndex>,
    index: OnceLock<Index>,
}

/// What a new repository is like.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// Chunk lengths, fixed for ever.
    pub chunk_sizes: ChunkSizes,
    /// Algorithm of objects; `None` takes the faster one on this processor.
    pub aead: Option<Aead>,
    /// The first way in.
    pub slot: SlotOptions,
    /// Seconds since 1970.
    pub created: u64,
}

impl CreateOptions {
    /// Default parameters, made at `created` seconds since 1970.
    pub fn new(created: u64) -> Self {
        let (chunk_sizes, slot) = (ChunkSizes::default(), SlotOptions::default());
        Self {
            chunk_sizes,
            aead: None,
            slot,
            created,
        }
    }
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository")
            .field("id", &self.config.repository)
            .finish_non_exhaustive()
    }
}

impl Repository {
    /// Makes a repository on an empty backend: the slot first, then the config that makes it one.
    pub fn create(
        backend: Arc<dyn Backend>,
        secret: &UnlockSecret,
        options: &CreateOptions,
    ) -> Result<Self> {
        if !backend.list(ObjectKind::Config)?.is_empty() {
            let detail = "there is one already; open it, or choose another place";
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                Place::Repository,
                detail,
            ));
        }
        let aead = options.aead.unwrap_or_else(Aead::fastest_here);
        let config = Config {
            repository: RepositoryId(random()?),
            created: options.created,
            chunk_len_min: options.chunk_sizes.min() as u32,
            chunk_len_avg: options.chunk_sizes.avg() as u32,
            chunk_len_max: options.chunk_sizes.max() as u32,
            aead: aead as u8,
            abilities: ABILITY_PUT_IF_ABSENT,
            epoch: 1,
        };
        let bundle = Bundle {
            stable: random_secret()?,
            epochs: vec![(config.epoch, random_secret()?)],
        };
        let keys = Keys::from_bundle(&bundle, config.repository);
        let slot = SlotId(random()?);
        let record = keys::make_slot(
            &bundle,
            &config,
            slot,
            secret,
            &options.slot,
            options.created,
        )?;
        backend.put(&ObjectName::Key(slot), &record)?;
        backend.sync()?;
        let record = record::encode(RecordKind::Config, &config.encode(), |tagged| {
            keys.config_tag(tagged)
        });
        backend.put(&ObjectName::Config(1), &record)?;
        backend.sync()?;
        Self::probe_put_if_absent(&*backend, &record)?;
        Ok(Self {
            backend,
            config,
            keys,
            local: None,
            index: OnceLock::new(),
        })
    }

    /// A second put of the config must fail, or several writers could destroy each other's work.
    fn probe_put_if_absent(backend: &dyn Backend, record: &[u8]) -> Result<()> {
        match backend.put(&ObjectName::Config(1), record) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                let detail =
                    "this storage overwrites existing objects; it cannot hold a repository";
                Err(Error::new(
                    ErrorKind::Unsupported,
                    Place::Repository,
                    detail,
                ))
            }
        }
    }

    /// Opens a repository with the first slot that `secret` fits.
    pub fn open(backend: Arc<dyn Backend>, secret: &UnlockSecret) -> Result<Self> {
        let configs = backend.list(ObjectKind::Config)?;
        let Some(ObjectInfo { name, .. }) = configs.last() else {
            let detail = "there is none here";
            return Err(Error::new(ErrorKind::NotFound, Place::Repository, detail));
        };
        let record_bytes = backend.get(name)?;
        let decode_error = |error| Error::damaged(*name, "cannot be read").with_source(error);
        let record = Record::decode(&record_bytes, RecordKind::Config).map_err(decode_error)?;
        let config = Config::decode(record.body).map_err(decode_error)?;
        let bundle = unlock(&*backend, config.repository, secret)?;
        let keys = Keys::from_bundle(&bundle, config.repository);
        keys.verify_config(name, &record, &config)?;
        Ok(Self {
            backend,
            config,
            keys,
            local: None,
            index: OnceLock::new(),
        })
    }

    /// The same repository, its index kept on this machine too: later starts read only what is
    /// new of it. The cache can be deleted at any time.
    pub fn with_cache(mut self, cache: &CacheFolder) -> Result<Self> {
        let key = self.keys.local_index().clone();
        self.local = Some(LocalIndex::open(cache, key, self.config.repository)?);
        Ok(self)
    }

    /// The same repository for one who maintains it and reads no content.
    #[cfg(any(test, feature = "testing"))]
    pub fn without_data_keys(mut self) -> Self {
        self.keys.forget_data_keys();
        self
    }

    /// Its id.
    pub fn id(&self) -> RepositoryId {
        self.config.repository
    }

    /// Its parameters.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where its objects lie.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// Its keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The chunker of this repository.
    pub fn chunker(&self) -> Result<Chunker> {
        let config = &self.config;
        let sizes = ChunkSizes::new(
            config.chunk_len_min,
            config.chunk_len_avg,
            config.chunk_len_max,
        );
        let sizes =
            sizes.map_err(|error| Error::damaged(ObjectName::Config(1), error.to_string()))?;
        Ok(Chunker::new(self.keys.chunker(), sizes))
    }

    /// The index as it was when it was first asked for.
    pub fn index(&self) -> Result<&Index> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let loaded = Index::load(&*self.backend, &self.keys, self.local.as_ref())?;
        Ok(self.index.get_or_init(|| loaded))
    }

    /// Where the index is kept on this machine.
    pub(crate) fn local_index(&self) -> Option<&LocalIndex> {
        self.local.as_ref()
    }
}

/// Tries every slot; one that is damaged or hostile does not stop the others.
fn unlock(
    backend: &dyn Backend,
    repository: RepositoryId,
    secret: &UnlockSecret,
) -> Result<Bundle> {
    let slots = backend.list(ObjectKind::Key)?;
    if slots.is_empty() {
        let detail = "has no key slot left; restore keys/ from a copy";
        return Err(Error::new(ErrorKind::Damaged, Place::Repository, detail));
    }
    let mut damaged = None;
    for info in slots.iter().take(KEY_SLOTS_LIMIT) {
        match keys::try_slot(backend, &info.name, repository, secret) {
            Ok(Some(bundle)) => return Ok(bundle),
            Ok(None) => {}
            Err(error) => damaged = Some(error),
        }
    }
    let detail = format!(
        "this {} opens none of {} key slots",
        secret.word(),
        slots.len()
    );
    let error = Error::new(ErrorKind::WrongKey, Place::Repository, detail);
    Err(match damaged {
        Some(cause) if slots.len() == 1 => cause,
        Some(cause) => error.with_source(cause),
        None => error,
    })
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    #[cfg(any(test, feature = "testing"))]
    if let Some(bytes) = seeded::next() {
        return Ok(bytes);
    }
    let mut bytes = [0; N];
    let filled = getrandom::fill(&mut bytes);
    filled.map(|()| bytes).map_err(|error| {
        let detail = format!("the system gives no random numbers: {error}");
        Error::new(ErrorKind::Io, Place::Repository, detail)
    })
}

fn random_secret() -> Result<Secret> {
    random().map(Secret::from)
}

/// A new session id.
pub(crate) fn new_session_id() -> Result<SessionId> {
    random().map(SessionId)
}
