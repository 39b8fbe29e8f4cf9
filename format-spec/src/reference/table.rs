//! The table of a sealed object (FORMAT.md section 7): which frames there are, and what they hold.

use crate::reference::bytes::Reader;
use crate::reference::codec;
use crate::reference::fault::Fault;
use crate::reference::fault::Rejection;
use crate::reference::fault::Result;
use crate::reference::header::HEADER_LEN;
use crate::reference::header::Header;
use crate::reference::header::Layout;
use crate::reference::header::TABLE_MAX;
use crate::reference::keys;
use crate::reference::keys::Keyring;
use crate::reference::name::Id;
use crate::reference::name::ObjectName;
use std::collections::BTreeSet;
use std::ops::Range;

/// Greatest plaintext of a frame.
pub const FRAME_PLAIN_MAX: u64 = 17_301_504;
/// Most chunks of a frame.
const FRAME_CHUNKS_MAX: u64 = 65_536;
/// Greatest chunk.
pub const CHUNK_MAX: u64 = 16 << 20;
/// Length of the tag of both AEADs.
pub const TAG_LEN: u64 = 16;

/// The object in which a frame was sealed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Of that object.
    pub salt: [u8; 32],
    /// Of its frame key.
    pub commitment: [u8; 32],
    /// Of its class keys.
    pub epoch: u32,
    /// Of its frames.
    pub aead: u8,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it begins in the object.
    pub offset: u64,
    /// Of its nonce, in its origin.
    pub counter: u64,
    /// With its tag.
    pub stored_len: u32,
    /// Decompressed.
    pub plain_len: u32,
    /// Index into the origins.
    pub origin: u32,
    /// How the plaintext is stored.
    pub codec: u8,
    /// Its chunks in the list of chunks.
    pub chunks: Range<usize>,
}

/// A chunk, or a page in a meta pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its id.
    pub id: [u8; 32],
    /// Its length in plaintext.
    pub len: u32,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Of the object's name.
    pub session: Id,
    /// Of the object's name, 0 where it has none.
    pub number: u32,
    /// The first is the object itself.
    pub origins: Vec<Origin>,
    /// In the order of the object.
    pub frames: Vec<Frame>,
    /// In the order of the frames.
    pub chunks: Vec<Chunk>,
}

/// Reads the plaintext of the table of the object `name`, whose table begins at `table_offset`.
pub fn decode_table(plaintext: &[u8], name: &ObjectName, table_offset: u64) -> Result<Table> {
    let mut reader = Reader::new("table", plaintext);
    reader.limit(plaintext.len() as u64, TABLE_MAX, "its length")?;
    let session: Id = reader.array()?;
    let number = reader.u32()?;
    reader.require(
        name.session() == Some((session, number)),
        "of an object of another name",
    )?;
    let [origin_count, frame_count, chunk_count] = [reader.u32()?, reader.u32()?, reader.u32()?];
    let origins = decode_origins(&mut reader, origin_count)?;
    let mut frames = Vec::new();
    for _ in 0..frame_count {
        frames.push(decode_frame(&mut reader, &frames, origin_count)?);
    }
    let mut chunks = Vec::new();
    for _ in 0..chunk_count {
        chunks.push(decode_chunk(&mut reader)?);
    }
    let padding = reader.left();
    reader.reserved(padding)?;
    let table = Table {
        session,
        number,
        origins,
        frames,
        chunks,
    };
    check_places(&reader, &table, table_offset)?;
    check_chunks(
        &reader,
        &table,
        matches!(name, ObjectName::DataPack(..) | ObjectName::MetaPack(..)),
    )?;
    Ok(table)
}

/// Reads a list of origins, which are distinct.
pub fn decode_origins(reader: &mut Reader<'_>, count: u32) -> Result<Vec<Origin>> {
    let mut origins = Vec::new();
    let mut seen = BTreeSet::new();
    for _ in 0..count {
        let [salt, commitment] = [reader.array()?, reader.array()?];
        let epoch = reader.u32()?;
        let aead = reader.u8()?;
        reader.require(
            keys::aead_is_known(u64::from(aead)),
            "an unknown AEAD of an origin",
        )?;
        reader.reserved(3)?; // wrap and wrapped_len
        let origin = Origin {
            salt,
            commitment,
            epoch,
            aead,
        };
        reader.require(seen.insert(origin.clone()), "an origin is repeated")?;
        origins.push(origin);
    }
    Ok(origins)
}

fn decode_frame(reader: &mut Reader<'_>, before: &[Frame], origin_count: u32) -> Result<Frame> {
    let [offset, counter] = [reader.u64()?, reader.u64()?];
    let [stored_len, plain_len, origin] = [reader.u32()?, reader.u32()?, reader.u32()?];
    let chunk_count = reader.u24()?;
    let codec = reader.u8()?;
    check_frame_lens(reader, stored_len, plain_len, codec)?;
    reader.limit(
        u64::from(chunk_count),
        FRAME_CHUNKS_MAX,
        "the chunks of a frame",
    )?;
    reader.require(
        origin < origin_count,
        "a frame names an origin that is not there",
    )?;
    let first = before.last().map_or(0, |frame| frame.chunks.end);
    let chunks = first..first + chunk_count as usize;
    Ok(Frame {
        offset,
        counter,
        stored_len,
        plain_len,
        origin,
        codec,
        chunks,
    })
}

/// What holds of the lengths of a frame, wherever it is listed.
pub fn check_frame_lens(reader: &Reader<'_>, stored: u32, plain: u32, codec: u8) -> Result<()> {
    reader.require(codec::is_known(codec), "an unknown codec")?;
    reader.limit(u64::from(plain), FRAME_PLAIN_MAX, "plain_len")?;
    let coded = u64::from(stored).checked_sub(TAG_LEN);
    reader.require(coded.is_some(), "a frame is shorter than its tag")?;
    let fits = codec != 0 || coded == Some(u64::from(plain));
    reader.require(fits, "a frame that is stored as it is has another length")
}

fn decode_chunk(reader: &mut Reader<'_>) -> Result<Chunk> {
    let id = reader.array()?;
    let len = reader.u32()?;
    reader.require(len > 0, "a chunk is empty")?;
    reader.limit(u64::from(len), CHUNK_MAX, "the length of a chunk")?;
    Ok(Chunk { id, len })
}

/// Frames lie back to back from the header to the table; those sealed here count from 0.
fn check_places(reader: &Reader<'_>, table: &Table, table_offset: u64) -> Result<()> {
    let mut end = HEADER_LEN as u64;
    let mut counter = 0;
    for frame in &table.frames {
        reader.require(frame.offset == end, "frames leave a gap or overlap")?;
        end += u64::from(frame.stored_len);
        if frame.origin == 0 {
            reader.require(frame.counter == counter, "counters do not grow by 1 from 0")?;
            counter += 1;
        }
    }
    reader.require(
        end == table_offset,
        "the last frame does not end at the table",
    )?;
    reader.require(!table.origins.is_empty(), "origin 0 is absent")
}

fn check_chunks(reader: &Reader<'_>, table: &Table, is_pack: bool) -> Result<()> {
    let used = table.frames.last().map_or(0, |frame| frame.chunks.end);
    reader.require(
        used == table.chunks.len(),
        "frames use another number of chunks",
    )?;
    if !is_pack {
        return reader.require(used == 0, "an object that is not a pack has chunks");
    }
    for frame in &table.frames {
        reader.require(!frame.chunks.is_empty(), "a frame of a pack has no chunks")?;
        let chunks = &table.chunks[frame.chunks.clone()];
        let sum: u64 = chunks.iter().map(|chunk| u64::from(chunk.len)).sum();
        reader.require(
            sum == u64::from(frame.plain_len),
            "chunks do not sum to plain_len",
        )?;
    }
    Ok(())
}

/// Unseals the table of an object, and compares its origin 0 with the header.
pub fn unseal_table(
    sealed: &[u8],
    header: &Header,
    layout: &Layout,
    name: &ObjectName,
    keyring: &Keyring,
) -> Result<Table> {
    let key = keyring.table_key(header.epoch, &header.salt)?;
    let aad = header.aad(1, &header.salt, 0);
    let sealed = keys::Sealed {
        aead: header.aead,
        counter: 0,
        aad: &aad,
        bytes: sealed,
    };
    let plaintext = sealed
        .open(&key)
        .map_err(|rejection| rejection.within("table"))?;
    let table = decode_table(&plaintext, name, layout.table_offset)?;
    let origin = &table.origins[0];
    let is_header =
        (origin.salt, origin.epoch, origin.aead) == (header.salt, header.epoch, header.aead);
    if !is_header {
        let sentence = "origin 0 is not the object itself";
        return Err(Rejection::new(Fault::Malformed, "table", sentence));
    }
    let frame_key = keyring.frame_key(header.frame_class(), origin.epoch, &origin.salt)?;
    let is_left_out = origin.commitment == [0; 32] && moved_all(&table);
    if !is_left_out && keys::commitment(&frame_key) != origin.commitment {
        let sentence = "origin 0 commits to another frame key";
        return Err(Rejection::new(Fault::WrongKey, "table", sentence));
    }
    Ok(table)
}

/// Whether there are frames and none was sealed here: who moved them needed no key that opens them.
fn moved_all(table: &Table) -> bool {
    !table.frames.is_empty() && table.frames.iter().all(|frame| frame.origin != 0)
}

/// Unseals and decompresses one frame of an object.
pub fn unseal_frame(
    stored: &[u8],
    frame: &Frame,
    table: &Table,
    header: &Header,
    keyring: &Keyring,
) -> Result<Vec<u8>> {
    let place = format!("frame at {}", frame.offset);
    let within = |rejection: Rejection| rejection.within(&place);
    let origin = &table.origins[frame.origin as usize];
    let key = keyring
        .frame_key(header.frame_class(), origin.epoch, &origin.salt)
        .map_err(within)?;
    if keys::commitment(&key) != origin.commitment {
        let sentence = "the commitment of the origin does not agree";
        return Err(Rejection::new(Fault::WrongKey, place, sentence));
    }
    let aad = header.aad(0, &origin.salt, frame.counter);
    let sealed = keys::Sealed {
        aead: origin.aead,
        counter: frame.counter,
        aad: &aad,
        bytes: stored,
    };
    let compressed = sealed.open(&key).map_err(within)?;
    codec::decompress(frame.codec, &compressed, frame.plain_len as usize).map_err(within)
}
