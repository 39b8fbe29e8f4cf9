//! Reading chunks and pages: locate, fetch the frame, open it, verify the id.
//!
//! Every copy of an id is tried; what no copy gives is an error that names the id and the place. A
//! prune may move frames meanwhile: a pack that is gone makes the reader look again at what there is.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::id::{ChunkId, PageId};
use crate::format::name::{ObjectName, PackClass};
use crate::repository::Repository;
pub use crate::repository::generations::FrameRef;
use crate::repository::generations::Generations;
use crate::repository::index::{Index, Location, is_missing_or_damaged};
use crate::repository::object::{self, FrameCode};
use crate::transform::compress::Decompressor;

/// How often one read looks again because every copy that it knew of was gone.
const LOOKS_PER_READ_MAX: u32 = 8;

/// Reads chunks and pages of one repository; shared by threads.
pub struct ChunkReader<'r> {
    repository: &'r Repository,
    index: &'r Index,
    /// What it knows, and what it finds when the index misses an id or a pack is gone.
    known: Generations<'r>,
    cache: Mutex<FrameCache>,
    /// Of threads that read pages; as many as read at once.
    buffers: Mutex<Vec<FrameBuffers>>,
}

/// Buffers of one reading thread.
#[derive(Default)]
pub struct FrameBuffers {
    decompressor: Decompressor,
    sealed: Vec<u8>,
    /// Neighbouring frames that were read at once.
    range: Vec<u8>,
    /// Plaintext of the frame that was read last.
    pub plain: Vec<u8>,
}

/// Plaintexts of the frames that were used last, bounded in bytes.
struct FrameCache {
    frames: HashMap<FrameKey, (Arc<Vec<u8>>, u64)>,
    clock: u64,
    bytes: usize,
    bytes_max: usize,
}

/// One copy of a chunk, in few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkPlace {
    /// The frame.
    pub frame: FrameRef,
    /// First byte in the frame's plaintext.
    pub offset: u32,
    /// Length, bytes.
    pub len: u32,
}

impl ChunkPlace {
    /// First byte behind the chunk in the frame's plaintext.
    pub(crate) fn end(&self) -> u32 {
        self.offset.saturating_add(self.len)
    }
}

type FrameKey = FrameRef;

impl<'r> ChunkReader<'r> {
    /// A reader that keeps at most `cache_bytes` of plaintext.
    pub fn new(repository: &'r Repository, cache_bytes: usize) -> Result<Self> {
        Ok(Self::with_index(
            repository,
            repository.index()?,
            cache_bytes,
        ))
    }

    /// A reader that goes by an index of the caller's.
    pub(crate) fn with_index(
        repository: &'r Repository,
        index: &'r Index,
        cache_bytes: usize,
    ) -> Self {
        let (frames, clock, bytes) = (HashMap::new(), 0, 0);
        let cache = Mutex::new(FrameCache {
            frames,
            clock,
            bytes,
            bytes_max: cache_bytes,
        });
        Self {
            repository,
            index,
            known: Generations::new(index),
            cache,
            buffers: Mutex::default(),
        }
    }

    /// The repository it reads.
    pub fn repository(&self) -> &'r Repository {
        self.repository
    }

    /// The copies of a chunk or page that are known, those in unindexed packs included if there
    /// is no other.
    pub fn locate(&self, id: &ChunkId) -> Result<Vec<Location>> {
        let found = self.known.copies(id);
        if found.is_empty() {
            return self.locate_all(id);
        }
        Ok(found.into_iter().map(|(_, copy)| copy).collect())
    }

    /// Every copy of a chunk or page, those in unindexed packs included.
    pub fn locate_all(&self, id: &ChunkId) -> Result<Vec<Location>> {
        self.look_once()?;
        let found = self.known.copies(id);
        Ok(found.into_iter().map(|(_, copy)| copy).collect())
    }

    /// Finds what took the place of packs that are gone, unless that was done.
    pub(crate) fn look_for(&self, gone: &[ObjectName]) -> Result<()> {
        self.known.look_for(self.repository, gone)
    }

    /// Finds what was stored since this reader began: for one that outlives snapshots.
    #[cfg(feature = "fuse")]
    pub(crate) fn look_again(&self) -> Result<()> {
        self.known.look_again(self.repository)
    }

    fn look_once(&self) -> Result<()> {
        self.known.look_once(self.repository)?;
        self.index.ensure_whole()
    }

    /// A copy of the chunk `id` of `class`, if one is known.
    pub fn find(&self, id: &ChunkId, class: PackClass) -> Result<Option<ChunkPlace>> {
        let mut found = self.known.copy(id, class);
        if found.is_none() {
            self.look_once()?;
            found = self.known.copy(id, class);
        }
        Ok(found.map(place_of))
    }

    /// The same, once the pack of `gone` was found gone: a copy in a pack that may be there.
    pub fn find_moved(
        &self,
        id: &ChunkId,
        class: PackClass,
        gone: FrameRef,
    ) -> Result<Option<ChunkPlace>> {
        self.look_for(&[self.frame(gone).pack.name()])?;
        let found = self.known.copy(id, class);
        let found = found.filter(|(_, copy)| !self.known.is_gone(&copy.pack.name()));
        Ok(found.map(place_of))
    }

    /// First byte of a frame in its pack, and the first behind it.
    pub fn frame_range(&self, frame: FrameRef) -> (u64, u64) {
        let frame = self.frame(frame).frame;
        (frame.offset, frame.offset + u64::from(frame.stored_len))
    }

    /// True if two frames lie in one pack.
    pub fn same_pack(&self, one: FrameRef, other: FrameRef) -> bool {
        one.is_of_same_generation(other) && self.frame(one).pack == self.frame(other).pack
    }

    /// Reads everything from one frame to another of the same pack; gives where the range begins.
    pub fn read_frames(
        &self,
        first: FrameRef,
        last: FrameRef,
        buffers: &mut FrameBuffers,
    ) -> Result<u64> {
        let ((start, _), (_, end)) = (self.frame_range(first), self.frame_range(last));
        buffers.range.resize(end.saturating_sub(start) as usize, 0);
        let name = self.frame(first).pack.name();
        self.repository
            .backend()
            .get_range(&name, start, &mut buffers.range)?;
        Ok(start)
    }

    /// Opens a frame of the range that begins at `start` into `buffers.plain`.
    pub fn open_from_range(
        &self,
        frame: FrameRef,
        start: u64,
        buffers: &mut FrameBuffers,
    ) -> Result<()> {
        let location = self.frame(frame);
        let from = location.frame.offset.saturating_sub(start) as usize;
        let FrameBuffers {
            decompressor,
            range,
            plain,
            ..
        } = buffers;
        let sealed = range.get_mut(from..from + location.frame.stored_len as usize);
        let sealed =
            sealed.ok_or_else(|| self.loss_at(&location, "frame lies outside of its pack"))?;
        let wanted_len = location.frame.plain_len;
        self.open(&location, wanted_len, sealed, decompressor, plain)
    }

    /// Length of a frame's plaintext, bytes.
    pub(crate) fn plain_len(&self, frame: FrameRef) -> u32 {
        self.frame(frame).frame.plain_len
    }

    /// Reads and opens one frame into `buffers.plain`.
    pub fn read_one_frame(&self, frame: FrameRef, buffers: &mut FrameBuffers) -> Result<()> {
        self.read_frame(&self.frame(frame), buffers)
    }

    /// The same of its first `wanted_len` bytes, and as many more as come with them.
    pub(crate) fn read_frame_start(
        &self,
        frame: FrameRef,
        wanted_len: u32,
        buffers: &mut FrameBuffers,
    ) -> Result<()> {
        let location = self.frame(frame);
        let wanted_len = wanted_len.min(location.frame.plain_len);
        self.fetch_and_open(&location, wanted_len, buffers)
    }

    /// The chunk at `place` in its frame's plaintext, if it is what its id says.
    pub fn verified<'p>(
        &self,
        id: &ChunkId,
        place: &ChunkPlace,
        plain: &'p [u8],
    ) -> Option<&'p [u8]> {
        let (from, len) = (place.offset as usize, place.len as usize);
        let bytes = plain.get(from..from + len)?;
        (self.repository.keys().chunk_id().id_of(bytes) == *id).then_some(bytes)
    }

    fn frame(&self, frame: FrameRef) -> Location {
        self.known.frame(frame)
    }

    /// The page `id`, verified.
    pub fn page(&self, id: &PageId) -> Result<Vec<u8>> {
        self.read(id, PackClass::Meta)
    }

    /// The chunk `id`, verified.
    pub fn chunk(&self, id: &ChunkId) -> Result<Vec<u8>> {
        self.read(id, PackClass::Data)
    }

    fn read(&self, id: &ChunkId, class: PackClass) -> Result<Vec<u8>> {
        let mut last_error = None;
        let mut tried = Vec::new();
        for _ in 0..LOOKS_PER_READ_MAX {
            let mut gone = Vec::new();
            for (frame, copy) in self.known.copies(id) {
                if copy.pack.class != class || tried.contains(&frame) {
                    continue;
                }
                tried.push(frame);
                match self.read_copy(id, frame, &copy) {
                    Ok(bytes) => return Ok(bytes),
                    Err(error) if is_missing_or_damaged(&error) => {
                        if error.kind() == ErrorKind::NotFound {
                            gone.push(copy.pack.name());
                        }
                        last_error = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            self.look_once()?;
            self.look_for(&gone)?;
            let is_untried = |(frame, copy): &(FrameRef, Location)| {
                copy.pack.class == class && !tried.contains(frame)
            };
            if !self.known.copies(id).iter().any(is_untried) {
                break;
            }
        }
        Err(lost(id, class, last_error))
    }

    fn read_copy(&self, id: &ChunkId, key: FrameRef, location: &Location) -> Result<Vec<u8>> {
        let cached = self.cache.lock().get(key);
        let plain = match cached {
            Some(plain) => plain,
            None => {
                let mut buffers = self.buffers.lock().pop().unwrap_or_default();
                self.read_frame(location, &mut buffers)?;
                let plain = Arc::new(std::mem::take(&mut buffers.plain));
                self.buffers.lock().push(buffers);
                self.cache.lock().insert(key, Arc::clone(&plain));
                plain
            }
        };
        self.slice(id, location, &plain).map(<[u8]>::to_vec)
    }

    /// The chunk or page `id` in the plaintext of its frame, verified.
    pub fn slice<'p>(
        &self,
        id: &ChunkId,
        location: &Location,
        plain: &'p [u8],
    ) -> Result<&'p [u8]> {
        let (from, len) = (location.offset as usize, location.len as usize);
        let keys = self.repository.keys();
        let id_key = match location.pack.class {
            PackClass::Data => keys.chunk_id(),
            PackClass::Meta => keys.page_id(),
        };
        plain
            .get(from..from + len)
            .filter(|bytes| id_key.id_of(bytes) == *id)
            .ok_or_else(|| {
                let detail = format!("content does not have the id {id}");
                Error::new(ErrorKind::Damaged, self.place(location), detail)
            })
    }

    /// Fetches and opens the frame of `location` into `buffers.plain`.
    pub fn read_frame(&self, location: &Location, buffers: &mut FrameBuffers) -> Result<()> {
        self.fetch_and_open(location, location.frame.plain_len, buffers)
    }

    fn fetch_and_open(
        &self,
        location: &Location,
        wanted_len: u32,
        buffers: &mut FrameBuffers,
    ) -> Result<()> {
        let name = location.pack.name();
        buffers.sealed.resize(location.frame.stored_len as usize, 0);
        let backend = self.repository.backend();
        backend.get_range(&name, location.frame.offset, &mut buffers.sealed)?;
        let FrameBuffers {
            decompressor,
            sealed,
            plain,
            ..
        } = buffers;
        self.open(location, wanted_len, sealed, decompressor, plain)
    }

    fn open(
        &self,
        location: &Location,
        wanted_len: u32,
        sealed: &mut [u8],
        decompressor: &mut Decompressor,
        plain: &mut Vec<u8>,
    ) -> Result<()> {
        let (counter, codec) = (location.frame.counter, location.frame.codec);
        let code = FrameCode {
            counter,
            codec,
            plain_len: location.frame.plain_len,
            wanted_len,
        };
        let place = (location.pack.name(), location.frame.offset);
        let (keys, kind) = (self.repository.keys(), location.sealed_kind());
        object::open_frame(
            keys,
            kind,
            &location.origin,
            code,
            place,
            sealed,
            decompressor,
            plain,
        )
    }

    fn loss_at(&self, location: &Location, detail: &str) -> Error {
        Error::new(ErrorKind::Damaged, self.place(location), detail)
    }

    fn place(&self, location: &Location) -> Place {
        let (offset, len) = (location.frame.offset, u64::from(location.frame.stored_len));
        Place::Range {
            name: location.pack.name(),
            offset,
            len,
        }
    }
}

fn place_of((frame, copy): (FrameRef, Location)) -> ChunkPlace {
    ChunkPlace {
        frame,
        offset: copy.offset,
        len: copy.len,
    }
}

fn lost(id: &ChunkId, class: PackClass, cause: Option<Error>) -> Error {
    let what = match class {
        PackClass::Data => "content",
        PackClass::Meta => "page of a manifest",
    };
    match cause {
        Some(cause) => {
            let detail = format!("{what} is damaged");
            Error::new(ErrorKind::Damaged, Place::Chunk(*id), detail).with_source(cause)
        }
        None => {
            let detail = format!("{what} is missing: no pack holds it");
            Error::new(ErrorKind::NotFound, Place::Chunk(*id), detail)
        }
    }
}

impl FrameCache {
    fn get(&mut self, key: FrameKey) -> Option<Arc<Vec<u8>>> {
        self.clock += 1;
        let (plain, used) = self.frames.get_mut(&key)?;
        *used = self.clock;
        Some(Arc::clone(plain))
    }

    fn insert(&mut self, key: FrameKey, plain: Arc<Vec<u8>>) {
        self.bytes += plain.len();
        self.clock += 1;
        if let Some((old, _)) = self.frames.insert(key, (plain, self.clock)) {
            self.bytes -= old.len();
        }
        while self.bytes > self.bytes_max && self.frames.len() > 1 {
            let oldest = self.frames.iter().min_by_key(|(_, (_, used))| *used);
            let Some(key) = oldest.map(|(key, _)| *key) else {
                break;
            };
            if let Some((old, _)) = self.frames.remove(&key) {
                self.bytes -= old.len();
            }
        }
    }
}
