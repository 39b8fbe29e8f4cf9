//! A prune without its protocol: every frame moves to a new pack, the old packs are deleted, and
//! the index is rewritten. And a backend on which that happens while others read.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::error::Result;
use crate::format::name::ObjectKind;
use crate::format::name::ObjectName;
use crate::repository::Repository;
use crate::repository::index::Index;
use crate::repository::index::rewrite;
use crate::repository::index::rewrite::RewriteOptions;
use crate::repository::moved::PackMover;
use crate::repository::moved::SourcePack;
use crate::repository::session::Announced;
use crate::repository::session::Session;
use crate::repository::session::Writer;
use crate::storage::Backend;
use crate::storage::ObjectInfo;
use crate::storage::memory::MemoryBackend;
use crate::testing::sample_repository;

/// Moves all frames, those of different packs in turn, so that origins mix.
///
/// # Errors
/// Of the backend; of a pack that is damaged.
pub fn move_all(repository: &Repository) -> Result<()> {
    let (backend, index) = (repository.backend(), Index::default());
    let announced = Announced::put(repository, &Writer::default())?;
    let options = sample_repository::small_frames();
    let session = Session::start(repository, &index, announced, options)?;
    let packs = backend.list(ObjectKind::Pack)?;
    let packs: HashSet<_> = packs.into_iter().map(|pack| pack.name).collect();
    let sources = packs.iter().map(|pack| SourcePack::read(repository, pack));
    let sources = sources.collect::<Result<Vec<_>>>()?;
    let mut mover = PackMover::new(&session);
    let counts = sources.iter().map(|source| source.table().frames.len());
    for number in 0..counts.max().unwrap_or(0) {
        for source in &sources {
            if number < source.table().frames.len() {
                mover.take(source, number)?;
            }
        }
    }
    mover.finish()?;
    session.flush()?;
    packs.iter().try_for_each(|pack| backend.delete(pack))?;
    rewrite::rewrite_without(&session, &packs, RewriteOptions::default())?;
    let intent = session.finish_without_snapshot()?;
    backend.delete(&intent)
}

/// Objects in memory; now and then all frames move before a range of a pack is read.
#[derive(Debug)]
pub struct MovingBackend {
    inner: Arc<MemoryBackend>,
    reads: AtomicU64,
    /// Frames move before each read of this number.
    every: u64,
    moves_left: Mutex<u32>,
}

impl MovingBackend {
    /// Frames move `moves` times, before every `every`-th read.
    pub fn new(inner: Arc<MemoryBackend>, every: u64, moves: u32) -> Self {
        Self {
            inner,
            reads: AtomicU64::new(0),
            every,
            moves_left: Mutex::new(moves),
        }
    }

    /// How often they will move yet.
    pub fn moves_left(&self) -> u32 {
        *self.moves_left.lock()
    }
}

impl Backend for MovingBackend {
    fn put(&self, name: &ObjectName, data: &[u8]) -> Result<()> {
        self.inner.put(name, data)
    }

    fn get(&self, name: &ObjectName) -> Result<Vec<u8>> {
        self.inner.get(name)
    }

    fn get_range(&self, name: &ObjectName, offset: u64, out: &mut [u8]) -> Result<()> {
        let reads = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
        let mut moves_left = self.moves_left.lock();
        if *moves_left > 0 && reads.is_multiple_of(self.every) {
            *moves_left -= 1;
            move_all(&sample_repository::open(self.inner.clone()))?;
        }
        drop(moves_left);
        self.inner.get_range(name, offset, out)
    }

    fn list(&self, kind: ObjectKind) -> Result<Vec<ObjectInfo>> {
        self.inner.list(kind)
    }

    fn delete(&self, name: &ObjectName) -> Result<()> {
        self.inner.delete(name)
    }

    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }
}
