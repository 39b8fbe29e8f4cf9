//! Reading chunks and pages: locate, fetch the frame, open it, verify the id.
//!
//! Every copy of an id is tried; what no copy gives is an error that names the id and the place.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::id::{ChunkId, PageId};
use crate::format::name::PackClass;
use crate::repository::Repository;
use crate::repository::index::{Index, Location, is_missing_or_damaged};
use crate::repository::object::{self, FrameCode};
use crate::transform::compress::Decompressor;

/// Reads chunks and pages of one repository; shared by threads.
pub struct ChunkReader<'r> {
    repository: &'r Repository,
    index: &'r Index,
    /// What the tables of unindexed packs know; read when the index misses an id.
    uncovered: OnceLock<Index>,
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

/// A frame, by the index that knows it and its number there; ordered as the packs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameRef {
    /// True if only the table of its pack knows it, and no index run.
    uncovered: bool,
    number: u32,
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
            uncovered: OnceLock::new(),
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
        let found: Vec<_> = self.index.locate(id).collect();
        if found.is_empty() {
            self.locate_uncovered(id)
        } else {
            Ok(found)
        }
    }

    /// Every copy of a chunk or page, those in unindexed packs included.
    pub fn locate_all(&self, id: &ChunkId) -> Result<Vec<Location>> {
        let mut found: Vec<_> = self.index.locate(id).collect();
        found.extend(self.locate_uncovered(id)?);
        Ok(found)
    }

    fn locate_uncovered(&self, id: &ChunkId) -> Result<Vec<Location>> {
        if self.uncovered.get().is_none() {
            let (backend, keys) = (self.repository.backend(), self.repository.keys());
            let loaded = self.index.load_uncovered(backend, keys)?;
            let _ = self.uncovered.set(loaded);
        }
        self.index.ensure_whole()?;
        Ok(self
            .uncovered
            .get()
            .into_iter()
            .flat_map(|index| index.locate(id))
            .collect())
    }

    /// A copy of the chunk `id` of `class`, if one is known.
    pub fn find(&self, id: &ChunkId, class: PackClass) -> Result<Option<ChunkPlace>> {
        let place = |uncovered| {
            move |location: Location| ChunkPlace {
                frame: FrameRef {
                    uncovered,
                    number: location.frame_number,
                },
                offset: location.offset,
                len: location.len,
            }
        };
        let of_class = |location: &Location| location.pack.class == class;
        if let Some(found) = self.index.locate(id).find(of_class) {
            return Ok(Some(place(false)(found)));
        }
        let found = self.locate_uncovered(id)?.into_iter().find(of_class);
        Ok(found.map(place(true)))
    }

    /// First byte of a frame in its pack, and the first behind it.
    pub fn frame_range(&self, frame: FrameRef) -> (u64, u64) {
        let frame = self.frame(frame).frame;
        (frame.offset, frame.offset + u64::from(frame.stored_len))
    }

    /// True if two frames lie in one pack.
    pub fn same_pack(&self, one: FrameRef, other: FrameRef) -> bool {
        one.uncovered == other.uncovered && self.frame(one).pack == self.frame(other).pack
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
        self.open(&location, sealed, decompressor, plain)
    }

    /// Reads and opens one frame into `buffers.plain`.
    pub fn read_one_frame(&self, frame: FrameRef, buffers: &mut FrameBuffers) -> Result<()> {
        self.read_frame(&self.frame(frame), buffers)
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
        let index = if frame.uncovered {
            self.uncovered.get()
        } else {
            Some(self.index)
        };
        index
            .and_then(|index| index.frame(frame.number))
            .expect("a frame is named by an index that showed it")
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
        let mut locations = self.locate(id)?;
        let mut last_error = None;
        let mut tried_uncovered = false;
        loop {
            for location in locations
                .iter()
                .filter(|location| location.pack.class == class)
            {
                match self.read_copy(id, location) {
                    Ok(bytes) => return Ok(bytes),
                    Err(error) if is_missing_or_damaged(&error) => last_error = Some(error),
                    Err(error) => return Err(error),
                }
            }
            if tried_uncovered {
                return Err(lost(id, class, last_error));
            }
            tried_uncovered = true;
            locations = self.locate_uncovered(id)?;
        }
    }

    fn read_copy(&self, id: &ChunkId, location: &Location) -> Result<Vec<u8>> {
        let uncovered = !self.index.locate(id).any(|known| known == *location);
        let key = FrameRef {
            uncovered,
            number: location.frame_number,
        };
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
        self.open(location, sealed, decompressor, plain)
    }

    fn open(
        &self,
        location: &Location,
        sealed: &mut [u8],
        decompressor: &mut Decompressor,
        plain: &mut Vec<u8>,
    ) -> Result<()> {
        let (counter, codec) = (location.frame.counter, location.frame.codec);
        let code = FrameCode {
            counter,
            codec,
            plain_len: location.frame.plain_len,
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
