//! Packs of frames that were sealed elsewhere: copied as they are stored, still sealed. §7.
//!
//! A frame keeps the salt, epoch, algorithm and counter of the object in which it was sealed, its
//! origin. So who moves frames needs the keys of tables and none of contents: nothing is opened
//! here. What is damaged is never moved: a source is compared with its block checksums, and what
//! was copied with the source, before the new pack is stored.
//!
//! Below: `object`, `keys`. Above: `operations::prune`.

use std::collections::HashMap;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::DecodeError;
use crate::format::name::{ObjectName, PackClass};
use crate::format::table::{Frame, Origin, Table, TableChunk, TableName};
use crate::repository::Repository;
use crate::repository::keys::TableKeys;
use crate::repository::object::{self, OpenedObject};
use crate::repository::pack::{EncodedPack, PACK_CHUNKS_MAX, sealed_kind};
use crate::repository::session::Session;

/// A pack in memory, whole and undamaged, of which frames are taken.
pub(crate) struct SourcePack {
    object: OpenedObject,
    class: PackClass,
    bytes: Vec<u8>,
    /// The number of the first chunk of each frame.
    first_chunks: Vec<usize>,
}

/// Moves frames into packs of one session.
pub(crate) struct PackMover<'s, 'r> {
    session: &'s Session<'r>,
    data: Option<MovedPack>,
    meta: Option<MovedPack>,
}

/// A growing pack of moved frames.
struct MovedPack {
    name: ObjectName,
    keys: TableKeys,
    bytes: Vec<u8>,
    origins: Vec<Origin>,
    origin_numbers: HashMap<Origin, u32>,
    frames: Vec<Frame>,
    /// Of the stored bytes of each frame, as they lay in its source.
    hashes: Vec<blake3::Hash>,
    chunks: Vec<TableChunk>,
}

impl SourcePack {
    /// Reads a pack and compares every block of it with its checksum.
    ///
    /// # Errors
    /// `NotFound` if it is gone, `Damaged` if anything in it is not as it was stored.
    pub(crate) fn read(repository: &Repository, name: &ObjectName) -> Result<Self> {
        let ObjectName::Pack { class, .. } = *name else {
            let error = DecodeError::Malformed("object of another kind than a pack");
            return Err(object::damaged(name, error));
        };
        let bytes = repository.backend().get(name)?;
        let object = object::open_table(repository.keys(), name, &bytes)?;
        object::verify_blocks(&object, &bytes)?;
        let mut chunks = 0;
        let first_chunks = object.table.frames.iter().map(|frame| {
            chunks += frame.chunk_count as usize;
            chunks - frame.chunk_count as usize
        });
        Ok(Self {
            first_chunks: first_chunks.collect(),
            object,
            class,
            bytes,
        })
    }

    /// What is in it.
    pub(crate) fn table(&self) -> &Table {
        &self.object.table
    }

    /// The chunks of the frame of this number in the table.
    pub(crate) fn chunks(&self, frame_number: usize) -> &[TableChunk] {
        let table = self.table();
        let frame = table.frames.get(frame_number);
        let first = self.first_chunks.get(frame_number);
        let chunks = frame.zip(first).and_then(|(frame, first)| {
            let end = first + frame.chunk_count as usize;
            table.chunks.get(*first..end)
        });
        chunks.unwrap_or_default()
    }

    /// The frame of this number, and its bytes as they are stored.
    fn frame(&self, number: usize) -> Option<(&Frame, &[u8])> {
        let frame = self.table().frames.get(number)?;
        let start = frame.offset as usize;
        let sealed = self.bytes.get(start..start + frame.stored_len as usize)?;
        Some((frame, sealed))
    }
}

impl<'s, 'r> PackMover<'s, 'r> {
    /// A mover that names its packs after `session`, and stores them through it.
    pub(crate) fn new(session: &'s Session<'r>) -> Self {
        Self {
            session,
            data: None,
            meta: None,
        }
    }

    /// Copies a frame, by its number in the table of its pack, into the growing pack of the same
    /// class; stores that pack if it is full by it.
    pub(crate) fn take(&mut self, source: &SourcePack, frame_number: usize) -> Result<()> {
        let (frame, sealed) = source.frame(frame_number).ok_or_else(|| {
            let detail = format!("has no frame of number {frame_number}");
            Error::new(
                ErrorKind::InvalidInput,
                Place::Object(source.object.name),
                detail,
            )
        })?;
        let origin = source.table().origins[frame.origin as usize];
        let growing = match source.class {
            PackClass::Data => &mut self.data,
            PackClass::Meta => &mut self.meta,
        };
        let pack = match growing {
            Some(pack) => pack,
            None => growing.insert(MovedPack::new(self.session, source.class)?),
        };
        pack.add(frame, origin, sealed, source.chunks(frame_number));
        let len_target = self.session.options().pack_len_target;
        if pack.bytes.len() >= len_target || pack.chunks.len() >= PACK_CHUNKS_MAX {
            self.store(source.class)?;
        }
        Ok(())
    }

    /// Stores what is not stored yet. Durable once the session was flushed.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.store(PackClass::Data)?;
        self.store(PackClass::Meta)
    }

    fn store(&mut self, class: PackClass) -> Result<()> {
        let growing = match class {
            PackClass::Data => self.data.take(),
            PackClass::Meta => self.meta.take(),
        };
        let Some(growing) = growing else {
            return Ok(());
        };
        let pack = growing.encode(self.session.repository())?;
        self.session.store_encoded(&pack).map(drop)
    }
}

impl MovedPack {
    fn new(session: &Session<'_>, class: PackClass) -> Result<Self> {
        let repository = session.repository();
        let keys = repository
            .keys()
            .new_table(sealed_kind(class), repository.config())?;
        Ok(Self {
            name: session.new_pack_name(class)?,
            bytes: keys.header.to_vec(),
            origins: vec![keys.origin],
            keys,
            origin_numbers: HashMap::new(),
            frames: Vec::new(),
            hashes: Vec::new(),
            chunks: Vec::new(),
        })
    }

    fn add(&mut self, frame: &Frame, origin: Origin, sealed: &[u8], chunks: &[TableChunk]) {
        let origin = *self.origin_numbers.entry(origin).or_insert_with(|| {
            self.origins.push(origin);
            self.origins.len() as u32 - 1
        });
        self.frames.push(Frame {
            offset: self.bytes.len() as u64,
            origin,
            ..*frame
        });
        self.hashes.push(blake3::hash(sealed));
        self.bytes.extend_from_slice(sealed);
        self.chunks.extend_from_slice(chunks);
    }

    fn encode(mut self, repository: &Repository) -> Result<EncodedPack> {
        let table = Table {
            name: TableName::of(&self.name),
            origins: self.origins,
            frames: self.frames,
            chunks: self.chunks,
        };
        object::append_table_and_trailer(&self.keys.table, &table, &mut self.bytes);
        let pack = EncodedPack {
            name: self.name,
            bytes: self.bytes,
            table,
        };
        verify(repository, &pack, &self.hashes).map(|()| pack)
    }
}

/// Reads a new pack back: its table opens, its blocks agree, its frames are those of the sources.
fn verify(repository: &Repository, pack: &EncodedPack, hashes: &[blake3::Hash]) -> Result<()> {
    let opened = object::open_table(repository.keys(), &pack.name, &pack.bytes)?;
    object::verify_blocks(&opened, &pack.bytes)?;
    let is_same = |(frame, hash): (&Frame, &blake3::Hash)| {
        let start = frame.offset as usize;
        let sealed = pack.bytes.get(start..start + frame.stored_len as usize);
        sealed.is_some_and(|sealed| blake3::hash(sealed) == *hash)
    };
    if opened.table == pack.table && opened.table.frames.iter().zip(hashes).all(is_same) {
        return Ok(());
    }
    let detail = "did not read back as it was written; nothing was deleted; test this machine's \
                  memory, then run it again";
    Err(Error::damaged(pack.name, detail))
}
