//! New chunks become frames: gathered, compressed, sealed, opened and hashed again, and written.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use blockstore::format::table::Codec;
use blockstore::limits::{FRAME_LEN_TARGET, PACK_LEN_TARGET, ZSTD_LEVEL_DEFAULT};
use blockstore::transform::compress::Compressor;
use ring::aead::{Aad, LessSafeKey};
use zstd::zstd_safe::DCtx;

use super::{Floor, KEY, nonce_of};

/// A frame that was written.
pub(super) struct FrameRecord {
    pub pack: Arc<File>,
    pub offset: u64,
    pub stored_len: usize,
    pub plain_len: usize,
    pub nonce: u64,
    pub codec: Codec,
    pub chunks: Vec<([u8; 32], u32)>,
}

/// Makes the frames of one thread.
pub(super) struct FrameMaker<'f> {
    floor: &'f Floor,
    plain: Vec<u8>,
    chunks: Vec<([u8; 32], u32)>,
    compressor: Compressor,
    coded: Vec<u8>,
    opener: Opener,
    sealed: Vec<u8>,
    pack: Option<(Arc<File>, u64)>,
    frames: Vec<FrameRecord>,
}

/// Opens and decodes frames.
pub(super) struct Opener {
    context: DCtx<'static>,
    plain: Vec<u8>,
}

impl<'f> FrameMaker<'f> {
    pub(super) fn new(floor: &'f Floor) -> Self {
        Self {
            floor,
            plain: Vec::with_capacity(FRAME_LEN_TARGET),
            chunks: Vec::new(),
            compressor: Compressor::new(ZSTD_LEVEL_DEFAULT),
            coded: Vec::new(),
            opener: Opener::new(),
            sealed: Vec::new(),
            pack: None,
            frames: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, id: [u8; 32], bytes: &[u8]) -> io::Result<()> {
        if !self.plain.is_empty() && self.plain.len() + bytes.len() > FRAME_LEN_TARGET {
            self.end_frame()?;
        }
        self.plain.extend_from_slice(bytes);
        self.chunks.push((id, bytes.len() as u32));
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Vec<FrameRecord>> {
        if !self.chunks.is_empty() {
            self.end_frame()?;
        }
        self.end_pack()?;
        Ok(self.frames)
    }

    fn end_frame(&mut self) -> io::Result<()> {
        let plain_len = self.plain.len();
        let codec = self.compressor.compress(&self.plain, &mut self.coded).0;
        let slot = match codec {
            Codec::Stored => &mut self.plain,
            Codec::Zstd => &mut self.coded,
        };
        let nonce = self.floor.nonces.fetch_add(1, Ordering::Relaxed);
        let sealing = &self.floor.sealing;
        let sealed = sealing.seal_in_place_append_tag(nonce_of(nonce), Aad::empty(), slot);
        sealed.map_err(|_| io::Error::other("not sealed"))?;
        self.sealed.clear();
        self.sealed.extend_from_slice(slot);
        let sealed = &mut self.sealed;
        let mut read_back = self.opener.open(sealing, nonce, codec, plain_len, sealed)?;
        for (id, len) in &self.chunks {
            read_back = verified(read_back, id, *len)?;
        }
        let (pack, offset) = match self.pack.take() {
            Some(pack) => pack,
            None => (Arc::new(self.new_pack(nonce)?), 0),
        };
        let slot = match codec {
            Codec::Stored => &self.plain,
            Codec::Zstd => &self.coded,
        };
        (&*pack).write_all(slot)?;
        let stored_len = slot.len();
        self.pack = Some((Arc::clone(&pack), offset + stored_len as u64));
        self.frames.push(FrameRecord {
            pack,
            offset,
            stored_len,
            plain_len,
            nonce,
            codec,
            chunks: std::mem::take(&mut self.chunks),
        });
        self.plain.clear();
        if offset + stored_len as u64 >= PACK_LEN_TARGET as u64 {
            self.end_pack()?;
        }
        Ok(())
    }

    /// Named after its first frame.
    fn new_pack(&self, nonce: u64) -> io::Result<File> {
        let path = self.floor.packs.join(nonce.to_string());
        let mut options = File::options();
        options.read(true).write(true).create_new(true).open(path)
    }

    fn end_pack(&mut self) -> io::Result<()> {
        self.pack
            .take()
            .map_or(Ok(()), |(pack, _)| pack.sync_data())
    }
}

impl Opener {
    pub(super) fn new() -> Self {
        let (context, plain) = (DCtx::create(), Vec::new());
        Self { context, plain }
    }

    /// The plaintext of a frame, which is opened in its place.
    pub(super) fn open<'a>(
        &'a mut self,
        sealing: &LessSafeKey,
        nonce: u64,
        codec: Codec,
        plain_len: usize,
        sealed: &'a mut [u8],
    ) -> io::Result<&'a [u8]> {
        let opened = sealing.open_in_place(nonce_of(nonce), Aad::empty(), sealed);
        let coded = opened.map_err(|_| io::Error::other("does not open"))?;
        if codec == Codec::Stored {
            return Ok(coded);
        }
        self.plain.clear();
        self.plain.reserve(plain_len);
        let decoded = self.context.decompress(&mut self.plain, coded);
        decoded.map_err(|_| io::Error::other("does not decode"))?;
        Ok(&self.plain)
    }
}

/// Checks the chunk that `plain` begins with; gives what is behind it.
pub(super) fn verified<'p>(plain: &'p [u8], id: &[u8; 32], len: u32) -> io::Result<&'p [u8]> {
    let (bytes, rest) = plain.split_at(len as usize);
    if blake3::keyed_hash(&KEY, bytes).as_bytes() == id {
        Ok(rest)
    } else {
        Err(io::Error::other("another content"))
    }
}
