//! Gathers chunks into frames, compresses and seals them, and reads each frame back at once.
//!
//! One writer belongs to one thread. What it seals it opens, decodes and hashes again before the
//! frame counts as stored: a compressor bug or a flipped bit in memory must not become a backup.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::id::ChunkId;
use crate::format::name::PackClass;
use crate::format::table::{Codec, TableChunk};
use crate::limits::{FRAME_CHUNKS_LIMIT, META_FRAME_LEN_TARGET};
use crate::repository::pack::{CodedFrame, SealedFrame};
use crate::repository::session::Session;
use crate::transform::compress::{Compressor, Decompressor};
use crate::transform::hash::IdKey;

/// Fills frames of one class for one session.
pub struct FrameWriter<'s> {
    session: &'s Session<'s>,
    class: PackClass,
    /// A frame is closed once its plaintext reaches this, bytes.
    target: usize,
    /// What [`Self::aim`] may ask for at most.
    target_max: usize,
    plain: Vec<u8>,
    chunks: Vec<TableChunk>,
    compressor: Compressor,
    coded: Vec<u8>,
    verifier: Verifier,
}

/// Opens what was sealed and compares it with the ids that were promised.
struct Verifier {
    decompressor: Decompressor,
    sealed: Vec<u8>,
    plain: Vec<u8>,
}

impl<'s> FrameWriter<'s> {
    /// A writer of frames of `class`, compressing at a zstd `level`.
    pub(crate) fn new(session: &'s Session<'s>, class: PackClass, level: i32) -> Self {
        let verifier = Verifier {
            decompressor: Decompressor::new(),
            sealed: Vec::new(),
            plain: Vec::new(),
        };
        let target = session.options().frame_len_target;
        let target = match class {
            PackClass::Data => target,
            PackClass::Meta => target.min(META_FRAME_LEN_TARGET),
        };
        Self {
            session,
            class,
            target,
            target_max: target,
            plain: Vec::with_capacity(target),
            chunks: Vec::new(),
            compressor: Compressor::new(level),
            coded: Vec::new(),
            verifier,
        }
    }

    /// The key that makes ids of this class.
    pub(crate) fn id_key(&self) -> &'s IdKey {
        self.session.id_key(self.class)
    }

    /// From now on a frame is closed once its plaintext reaches `target`, bytes, or what the session
    /// says, if that is less.
    pub(crate) fn aim(&mut self, target: usize) {
        self.target = target.min(self.target_max);
    }

    /// Stores `bytes` under `id`, unless the repository or this session has them already.
    /// True if they were new.
    pub fn store(&mut self, id: ChunkId, bytes: &[u8]) -> Result<bool> {
        if !self.session.claim(&id)? {
            return Ok(false);
        }
        if !self.plain.is_empty() && self.plain.len() + bytes.len() > self.target {
            self.flush()?;
        }
        self.plain.extend_from_slice(bytes);
        self.chunks.push(TableChunk {
            id,
            len: bytes.len() as u32,
        });
        if self.plain.len() >= self.target || self.chunks.len() >= FRAME_CHUNKS_LIMIT {
            self.flush()?;
        }
        Ok(true)
    }

    /// Seals what was gathered, however little.
    pub fn flush(&mut self) -> Result<()> {
        if self.chunks.is_empty() {
            return Ok(());
        }
        let (codec, coded) = self.compressor.compress(&self.plain, &mut self.coded);
        let chunks = self.chunks.as_slice();
        let frame = CodedFrame {
            coded,
            codec,
            plain_len: self.plain.len(),
            chunks,
        };
        let verifier = &mut self.verifier;
        let id_key = self.session.id_key(self.class);
        self.session.append_frame(self.class, &frame, |sealed| {
            verifier.verify(sealed, codec, self.plain.len(), chunks, id_key)
        })?;
        self.plain.clear();
        self.chunks.clear();
        Ok(())
    }
}

impl Verifier {
    fn verify(
        &mut self,
        frame: &SealedFrame<'_>,
        codec: Codec,
        plain_len: usize,
        chunks: &[TableChunk],
        id_key: &IdKey,
    ) -> Result<()> {
        self.sealed.clear();
        self.sealed.extend_from_slice(frame.sealed);
        let opened = frame.keys.verify.unseal(frame.counter, &mut self.sealed);
        let coded = opened.map_err(|error| refuse(chunks).with_source(error))?;
        let decoded = self
            .decompressor
            .decoded(coded, codec, plain_len, &mut self.plain);
        let mut rest = decoded.map_err(|error| refuse(chunks).with_source(error))?;
        for chunk in chunks {
            let (bytes, behind) = rest.split_at(chunk.len as usize);
            if id_key.id_of(bytes) != chunk.id {
                return Err(refuse(std::slice::from_ref(chunk)));
            }
            rest = behind;
        }
        Ok(())
    }
}

fn refuse(chunks: &[TableChunk]) -> Error {
    let id = chunks.first().map_or(ChunkId([0; 32]), |chunk| chunk.id);
    let detail = "did not read back as it was written; nothing was committed; \
                  test this machine's memory, then run it again";
    Error::new(ErrorKind::Damaged, Place::Chunk(id), detail)
}
