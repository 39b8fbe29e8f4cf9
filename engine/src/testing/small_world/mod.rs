//! A repository so small that a whole run of writers and prunes on it takes a millisecond or two.
//!
//! ```text
//! files       what there is to capture: files of a few known chunks, written as text
//! writer      a snapshot of files, taken on one thread, by the engine's own session and commit
//! prune       the prune that runs beside writers: one function to put another one in its place
//! checker     after a run: nothing that was acknowledged is missing, and all that is there is whole
//! ```
//! Everything is drawn by seed and made without the pipeline: the same schedule of calls gives the
//! same run. A snapshot says in a tag what it must read back as.

pub mod checker;
pub mod files;
pub mod prune;
pub mod writer;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::LazyLock;

use crate::error::Result;
use crate::format::id::SessionId;
use crate::repository::Repository;
use crate::repository::seeded::seed_this_thread;
use crate::storage::Backend;
use crate::storage::memory::MemoryBackend;
use crate::testing::keys;
use crate::testing::prepared::put_slot_and_config;

/// What the repository holds at first: the newest is last, and only the first needs chunks 4 and 5,
/// each of which shares a pack with one that both need.
pub const BEGUN_WITH: [&str; 2] = ["04/25", "01/23"];
/// Seed of the repository that every world is a copy of.
const SEED: u64 = 1;

/// A copy of the small repository.
pub struct SmallWorld {
    /// Its objects.
    pub storage: Arc<MemoryBackend>,
    /// The snapshots it began with, in the order of [`BEGUN_WITH`].
    pub begun_with: Vec<SessionId>,
}

impl SmallWorld {
    /// A fresh copy: it costs no copy of the objects' bytes.
    pub fn new() -> Self {
        static PREPARED: LazyLock<SmallWorld> =
            LazyLock::new(|| prepare().expect("storage in memory takes everything"));
        Self {
            storage: Arc::new(PREPARED.storage.fork()),
            begun_with: PREPARED.begun_with.clone(),
        }
    }
}

impl Default for SmallWorld {
    fn default() -> Self {
        Self::new()
    }
}

fn prepare() -> Result<SmallWorld> {
    seed_this_thread(Some(SEED));
    let storage = Arc::new(MemoryBackend::new());
    put_slot_and_config(&storage)?;
    let mut begun_with = Vec::new();
    for files in BEGUN_WITH {
        let repository = open(Arc::clone(&storage) as Arc<dyn Backend>)?;
        begun_with.push(writer::write(&repository, files)?.session);
    }
    seed_this_thread(None);
    Ok(SmallWorld {
        storage,
        begun_with,
    })
}

/// Opens the repository, as a machine of its own would.
pub fn open(backend: Arc<dyn Backend>) -> Result<Repository> {
    Repository::open(backend, &keys::key_file())
}
