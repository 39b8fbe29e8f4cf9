//! The least that a backup can cost: the bare kernels, on the same bytes and as many threads.
//!
//! ```text
//! source    folders are listed and files read; every piece is worked off where it was read
//! frames    new chunks are compressed, sealed, opened and hashed again, and written
//! restore   frames are read, opened, hashed, and written to files
//! ```
//! No index but a set of ids, no manifest, no queue, no commit, no hashes of a pack's blocks. What
//! is a promise is part of the floor: ids, verification before the commit, metadata of files.

mod frames;
mod restore;
mod source;

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use blockstore::transform::chunk::{ChunkSizes, Chunker};
use ring::aead::{AES_256_GCM, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use self::frames::FrameRecord;
use self::source::Found;

const KEY: [u8; 32] = [7; 32];
const SHARDS: usize = 64;

/// The kernels on one source.
pub struct Floor {
    source: PathBuf,
    packs: PathBuf,
    threads: usize,
    chunker: Chunker,
    sealing: LessSafeKey,
    nonces: AtomicU64,
    known: Known,
    found: Found,
    frames: Vec<FrameRecord>,
}

/// The ids that were met.
struct Known(Vec<Mutex<HashSet<[u8; 32], BuildHasherDefault<FirstBytes>>>>);

/// Ids are hashes already.
#[derive(Default)]
struct FirstBytes(u64);

impl Floor {
    /// Works on `source` with so many threads; packs go to the folder `packs`.
    pub fn new(source: &Path, packs: &Path, threads: usize) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, &KEY).expect("a key has 32 bytes");
        raise_limit_of_open_files();
        Self {
            source: source.to_owned(),
            packs: packs.to_owned(),
            threads,
            chunker: Chunker::new(&KEY, ChunkSizes::default()),
            sealing: LessSafeKey::new(key),
            nonces: AtomicU64::new(0),
            known: Known((0..SHARDS).map(|_| Mutex::default()).collect()),
            found: Found::default(),
            frames: Vec::new(),
        }
    }

    /// Lists the source and asks for the metadata of every entry.
    ///
    /// # Errors
    /// If the source cannot be read.
    pub fn unchanged(&self) -> io::Result<()> {
        source::read(self, source::Depth::Metadata).map(drop)
    }

    /// Reads everything, and stores what is new: all of it the first time, nothing afterwards.
    ///
    /// # Errors
    /// If the source cannot be read, or packs not be written.
    pub fn ingest(&mut self) -> io::Result<()> {
        let (found, frames) = source::read(self, source::Depth::Contents)?;
        if self.frames.is_empty() {
            (self.found, self.frames) = (found, frames);
        }
        Ok(())
    }

    /// Brings everything back to the folder `target`, which must be empty.
    ///
    /// # Errors
    /// If a pack cannot be read, or a file not be written.
    pub fn restore(&self, plan: &Plan, target: &Path) -> io::Result<()> {
        restore::restore(self, plan, Some(target))
    }

    /// Reads, opens and hashes everything that was stored.
    ///
    /// # Errors
    /// If a pack cannot be read.
    pub fn check(&self, plan: &Plan) -> io::Result<()> {
        restore::restore(self, plan, None)
    }

    /// What goes where; the floor of a restore begins behind it.
    pub fn plan(&self) -> Plan {
        restore::plan(self)
    }
}

pub use self::restore::Plan;

impl Known {
    /// True if `id` is new.
    fn insert(&self, id: [u8; 32]) -> bool {
        let shard = &self.0[usize::from(id[31]) % SHARDS];
        shard.lock().expect("no thread panicked").insert(id)
    }
}

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes));
    }

    fn write_usize(&mut self, _len: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

fn nonce_of(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// Runs `work` on every thread and gathers what each gives.
fn on_all_threads<T: Send>(
    threads: usize,
    work: impl Fn() -> io::Result<T> + Sync,
) -> io::Result<Vec<T>> {
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        let ends = running.into_iter().map(|thread| thread.join());
        ends.map(|end| end.expect("no thread panics")).collect()
    })
}

/// Folders and files of several chunks stay open until the end.
fn raise_limit_of_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    let _ = setrlimit(Resource::Nofile, limit);
}
