//! What is kept in memory of one repository: opened frames and decoded pages, and the way to the bytes
//! in them.
//!
//! Each part is bounded in bytes. Deliberately absent: when to read ahead (`content`), and the threads
//! for it (`library`).

use std::ops::Range;
use std::sync::Arc;

use self_cell::self_cell;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::{Content, ExtentKind};
use crate::format::id::ChunkId;
use crate::format::name::PackClass;
use crate::limits::MIB;
use crate::repository::Repository;
use crate::repository::chunks::{ChunkPlace, ChunkReader, FrameRef};
use crate::repository::index::is_missing_or_damaged;
use crate::serve::frames::{Frames, WHOLE};
use crate::serve::losses::Losses;
use crate::serve::pages::{About, Pages};

/// Parts that the memory is divided into: eight for frames, two of which at most are read ahead of
/// one view, one for pages, one for the frames that pages are in; the rest is for who serves.
const SHARES: usize = 16;

/// A view reads no further ahead, bytes: so what was read ahead is still in a processor's cache when
/// it is asked for.
const AHEAD_LEN_MAX: u64 = 8 * MIB as u64;

/// Opened frames and decoded pages of one repository.
pub(super) struct Shelf {
    reader: OwningReader,
    frames: Frames,
    pages: Pages,
    losses: Losses,
    /// How far a view reads ahead, bytes.
    pub(super) ahead_len: u64,
}

/// A frame to be read ahead, and what is wanted of it.
pub(super) struct Ahead {
    frame: FrameRef,
    chunks: Vec<(ChunkId, ChunkPlace)>,
}

self_cell!(
    struct OwningReader {
        owner: Arc<Repository>,
        #[covariant]
        dependent: ChunkReader,
    }
);

impl Shelf {
    pub(super) fn open(repository: Arc<Repository>, memory: usize) -> Result<Self> {
        let share = memory / SHARES;
        let reader = OwningReader::try_new(repository, |owner| ChunkReader::new(owner, share))?;
        Ok(Self {
            reader,
            frames: Frames::new(8 * share),
            pages: Pages::new(share),
            losses: Losses::default(),
            ahead_len: (2 * share as u64).min(AHEAD_LEN_MAX),
        })
    }

    pub(super) fn repository(&self) -> &Repository {
        self.reader.borrow_owner()
    }

    pub(super) fn reader(&self) -> &ChunkReader<'_> {
        self.reader.borrow_dependent()
    }

    /// What there is about the byte at `offset` of `content`.
    pub(super) fn about(&self, content: &Content, offset: u64) -> Result<About> {
        self.pages.about(self.reader(), content, offset)
    }

    /// Fills `out` from the byte `from` of the chunk `id` of `len` bytes.
    ///
    /// # Errors
    /// `Damaged` or `NotFound` if no copy of it can be had.
    pub(super) fn read_chunk(
        &self,
        id: &ChunkId,
        len: u64,
        from: u64,
        out: &mut [u8],
    ) -> Result<()> {
        if let Some(error) = self.losses.find(id) {
            return Err(error);
        }
        let reader = self.reader();
        let range = from as usize..from as usize + out.len();
        let place = reader.find(id, PackClass::Data)?;
        if let Some(place) = place.filter(|place| u64::from(place.len) == len) {
            match self.frames.get(reader, place.frame, place.end()) {
                Ok(frame) => {
                    if let Some(bytes) = frame.part(reader, id, &place, range.clone()) {
                        out.copy_from_slice(bytes);
                        return Ok(());
                    }
                }
                Err(error) if is_missing_or_damaged(&error) => {}
                Err(error) => return Err(error),
            }
        }
        self.read_lost(id, len, range, out)
    }

    /// The same of a chunk whose usual copy is not to be had: tries every other, and those that a prune
    /// made since.
    fn read_lost(&self, id: &ChunkId, len: u64, range: Range<usize>, out: &mut [u8]) -> Result<()> {
        let chunk = self.reader().chunk(id);
        let chunk = chunk.inspect_err(|error| self.losses.note(id, error))?;
        match chunk.get(range).filter(|_| chunk.len() as u64 == len) {
            Some(bytes) => out.copy_from_slice(bytes),
            None => {
                let detail = format!("expected {len} bytes, found {}", chunk.len());
                return Err(Error::new(ErrorKind::Damaged, Place::Chunk(*id), detail));
            }
        }
        Ok(())
    }

    /// The frames about the bytes `range` of `content` that are not kept, in order. What cannot be
    /// found out is left to whoever comes to it.
    pub(super) fn frames_of(&self, content: &Content, range: Range<u64>) -> Vec<Ahead> {
        let mut found: Vec<Ahead> = Vec::new();
        let mut offset = range.start;
        while offset < range.end
            && let Ok(About::Leaf(leaf)) = self.about(content, offset)
        {
            while let Some((begins, extent)) = leaf.at(offset).filter(|_| offset < range.end) {
                if let ExtentKind::Chunk(id) = extent.kind {
                    self.want(&mut found, id);
                }
                offset = begins + extent.len;
            }
        }
        found
    }

    fn want(&self, found: &mut Vec<Ahead>, id: ChunkId) {
        let Ok(Some(place)) = self.reader().find(&id, PackClass::Data) else {
            return;
        };
        match found.last_mut() {
            Some(last) if last.frame == place.frame => last.chunks.push((id, place)),
            _ if self.frames.has(place.frame, place.end()) => {}
            _ => found.push(Ahead {
                frame: place.frame,
                chunks: vec![(id, place)],
            }),
        }
    }

    /// Does what was asked for by [`Self::frames_of`].
    pub(super) fn read_ahead(&self, ahead: &Ahead) {
        // Whoever comes to what is not to be had is told then.
        if let Ok(frame) = self.frames.get(self.reader(), ahead.frame, WHOLE) {
            for (id, place) in &ahead.chunks {
                let _ = frame.part(self.reader(), id, place, 0..0);
            }
        }
    }
}
