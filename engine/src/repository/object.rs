//! Whole sealed objects: made in memory, opened from a backend. §7.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::config::Config;
use crate::format::envelope::{
    HEADER_LEN, Header, OBJECT_LEN_MIN, SealedKind, TAG_LEN, TAIL_LEN, Tail, Trailer, padding_for,
};
use crate::format::name::ObjectName;
use crate::format::table::{Codec, Frame, Origin, Table, TableName};
use crate::format::{DecodeError, Decoded};
use crate::limits::{FRAME_LEN_TARGET, OBJECT_LEN_LIMIT, PACK_LEN_TARGET, SNAPSHOT_LEN_LIMIT};
use crate::repository::keys::{KeyError, Keys};
use crate::storage::Backend;
use crate::transform::compress::{Compressor, Decompressor};
use crate::transform::seal::{Sealer, Unsealer};

/// How much of an object's end is read in the hope that it holds table and trailer.
const TAIL_GUESS: usize = 64 * 1024;
/// Compression of small objects: they are few, and read whole.
const LEVEL: i32 = 3;

/// The bytes of an object of `kind` that is to lie under `name` and holds `payload`.
pub(crate) fn encode(
    keys: &Keys,
    config: &Config,
    kind: SealedKind,
    name: &ObjectName,
    payload: &[u8],
) -> Result<Vec<u8>> {
    let object = keys.new_object(kind, config)?;
    let mut compressor = Compressor::new(LEVEL);
    let mut coded = Vec::new();
    let mut out = object.header.to_vec();
    let mut frames = Vec::new();
    for plain in payload.chunks(FRAME_LEN_TARGET) {
        let (codec, coded) = compressor.compress(plain, &mut coded);
        let offset = out.len();
        out.extend_from_slice(coded);
        out.resize(out.len() + TAG_LEN, 0);
        let counter = object
            .frames
            .seal(object.frames.take_turn(), &mut out[offset..]);
        frames.push(Frame {
            offset: offset as u64,
            counter,
            stored_len: (out.len() - offset) as u32,
            plain_len: plain.len() as u32,
            origin: 0,
            chunk_count: 0,
            codec,
        });
    }
    let origins = vec![object.origin];
    let table = Table {
        name: TableName::of(name),
        origins,
        frames,
        chunks: Vec::new(),
    };
    append_table_and_trailer(&object.table, &table, &mut out);
    Ok(out)
}

/// Ends an object whose header and frames are in `out`; `sealer` is that of its table.
pub(crate) fn append_table_and_trailer(sealer: &Sealer, table: &Table, out: &mut Vec<u8>) {
    append_encoded_table(sealer, table.encode(), out);
}

/// The same, for a table that is bytes already; tests seal tables that no [`Table`] encodes to.
pub(crate) fn append_encoded_table(sealer: &Sealer, table: Vec<u8>, out: &mut Vec<u8>) {
    let table_offset = out.len();
    let mut sealed = table;
    let padding = padding_for(table_offset + sealed.len() + TAG_LEN, PACK_LEN_TARGET);
    sealed.resize(sealed.len() + padding + TAG_LEN, 0);
    sealer.seal(sealer.take_turn(), &mut sealed);
    out.extend_from_slice(&sealed);
    let trailer = Trailer::of(out, table_offset);
    trailer.encode_into(out);
}

/// What is known of an object once its end was read and its table opened.
#[derive(Clone, Debug)]
pub struct OpenedObject {
    /// Where it lies.
    pub name: ObjectName,
    /// Its header.
    pub header: Header,
    /// Its trailer.
    pub trailer: Trailer,
    /// Its table.
    pub table: Table,
}

/// Reads header, trailer and table of the object `name` of `object_len` bytes.
pub fn open(
    backend: &dyn Backend,
    keys: &Keys,
    name: &ObjectName,
    object_len: u64,
) -> Result<OpenedObject> {
    if object_len < OBJECT_LEN_MIN {
        return Err(damaged(name, DecodeError::Truncated));
    }
    let guess = (object_len).min(TAIL_GUESS as u64) as usize;
    let mut end = vec![0; guess];
    backend.get_range(name, object_len - guess as u64, &mut end)?;
    let tail_bytes: &[u8; TAIL_LEN] = end.last_chunk().expect("an object is longer than its tail");
    let tail = Tail::decode(tail_bytes, object_len).map_err(|error| damaged(name, error))?;
    let wanted = (object_len - tail.table_offset) as usize;
    if wanted > end.len() {
        end.resize(wanted, 0);
        backend.get_range(name, tail.table_offset, &mut end)?;
    }
    let end = &end[end.len() - wanted..];
    let mut header = [0; HEADER_LEN];
    backend.get_range(name, 0, &mut header)?;
    let object = open_parts(keys, name, &header, end, object_len)?;
    check_commitment(keys, &object).map(|()| object)
}

/// Opens an object that is in memory whole.
pub fn open_bytes(keys: &Keys, name: &ObjectName, bytes: &[u8]) -> Result<OpenedObject> {
    let object = open_table(keys, name, bytes)?;
    check_commitment(keys, &object).map(|()| object)
}

/// The same, for one who opens no frame and needs no key of frames.
pub(crate) fn open_table(keys: &Keys, name: &ObjectName, bytes: &[u8]) -> Result<OpenedObject> {
    let decode = || -> Decoded<(&[u8], Tail)> {
        if (bytes.len() as u64) < OBJECT_LEN_MIN {
            return Err(DecodeError::Truncated);
        }
        let header = bytes.get(..HEADER_LEN).ok_or(DecodeError::Truncated)?;
        let tail = bytes.last_chunk().ok_or(DecodeError::Truncated)?;
        Ok((header, Tail::decode(tail, bytes.len() as u64)?))
    };
    let (header, tail) = decode().map_err(|error| damaged(name, error))?;
    let end = bytes.get(tail.table_offset as usize..);
    let end = end.ok_or_else(|| damaged(name, DecodeError::Truncated))?;
    open_parts(keys, name, header, end, bytes.len() as u64)
}

fn open_parts(
    keys: &Keys,
    name: &ObjectName,
    header_bytes: &[u8],
    end: &[u8],
    object_len: u64,
) -> Result<OpenedObject> {
    let header = Header::decode(header_bytes).map_err(|error| damaged(name, error))?;
    let unsealer = table_unsealer(keys, name, &header)?;
    let tail_bytes = end
        .last_chunk()
        .ok_or_else(|| damaged(name, DecodeError::Truncated))?;
    let tail = Tail::decode(tail_bytes, object_len).map_err(|error| damaged(name, error))?;
    let (table, trailer) = end
        .split_at_checked(tail.table_len as usize)
        .ok_or_else(|| damaged(name, DecodeError::Truncated))?;
    let trailer = Trailer::decode(trailer, object_len).map_err(|error| damaged(name, error))?;
    if trailer.header != header_bytes {
        return Err(damaged(name, DecodeError::BadChecksum));
    }
    let mut table = table.to_vec();
    let plain = unsealer
        .unseal(0, &mut table)
        .map_err(|error| Error::damaged(*name, "table").with_source(error))?;
    let is_pack = header.kind.is_pack();
    let table = Table::decode(plain, TableName::of(name), tail.table_offset, is_pack);
    let table = table.map_err(|error| damaged(name, error))?;
    check_first_origin(name, &header, &table)?;
    Ok(OpenedObject {
        name: *name,
        header,
        trailer,
        table,
    })
}

/// What opens the table of the object `name`, if it can have this header.
pub(crate) fn table_unsealer(keys: &Keys, name: &ObjectName, header: &Header) -> Result<Unsealer> {
    if !header.kind.fits(name) {
        let error = DecodeError::Malformed("object of another kind than its name");
        return Err(damaged(name, error));
    }
    keys.table_unsealer(header)
        .map_err(|error| key_error(name, error))
}

/// Origin 0 is the object itself; it commits to no key only if it seals no frame.
fn check_first_origin(name: &ObjectName, header: &Header, table: &Table) -> Result<()> {
    let own = (header.salt, header.epoch, header.aead);
    let first = table.origins.first();
    let first = first.filter(|origin| (origin.salt, origin.epoch, origin.aead) == own);
    let first = first.ok_or_else(|| {
        damaged(
            name,
            DecodeError::Malformed("first origin is another object"),
        )
    })?;
    match first.commitment == Origin::NO_COMMITMENT && !table.moved_all() {
        true => Err(key_error(name, KeyError::Commitment)),
        false => Ok(()),
    }
}

/// The frame key of an object is the one that its table commits to.
fn check_commitment(keys: &Keys, object: &OpenedObject) -> Result<()> {
    let own = object.table.origins.first();
    let own = own.filter(|origin| origin.commitment != Origin::NO_COMMITMENT);
    own.map_or(Ok(()), |own| {
        let unsealer = keys.frame_unsealer(object.header.kind, own);
        unsealer
            .map(drop)
            .map_err(|error| key_error(&object.name, error))
    })
}

/// Reads a small object whole and gives its kind and payload.
pub(crate) fn read(
    backend: &dyn Backend,
    keys: &Keys,
    name: &ObjectName,
) -> Result<(SealedKind, Vec<u8>)> {
    let bytes = backend.get(name)?;
    let object = open_bytes(keys, name, &bytes)?;
    verify_blocks(&object, &bytes)?;
    payload(keys, &object, &bytes).map(|payload| (object.header.kind, payload))
}

/// Compares every 64 KiB block of `bytes` with the trailer; needs no key.
pub fn verify_blocks(object: &OpenedObject, bytes: &[u8]) -> Result<()> {
    let end = object.trailer.table_offset as usize + object.trailer.table_len as usize;
    let blocks = bytes[..end].chunks(crate::limits::BLOCK_LEN);
    for (index, (block, hash)) in blocks.zip(&object.trailer.block_hashes).enumerate() {
        if blake3::hash(block) != blake3::Hash::from_bytes(*hash) {
            let offset = (index * crate::limits::BLOCK_LEN) as u64;
            let place = Place::Range {
                name: object.name,
                offset,
                len: block.len() as u64,
            };
            return Err(Error::new(
                ErrorKind::Damaged,
                place,
                "block does not match its checksum",
            ));
        }
    }
    Ok(())
}

/// The plaintext of all frames: what an object holds that is not a pack.
pub(crate) fn payload(keys: &Keys, object: &OpenedObject, bytes: &[u8]) -> Result<Vec<u8>> {
    check_payload_len(object).map_err(|error| damaged(&object.name, error))?;
    let mut decompressor = Decompressor::new();
    let (mut payload, mut plain) = (Vec::new(), Vec::new());
    for frame in &object.table.frames {
        let sealed = &bytes[frame.offset as usize..][..frame.stored_len as usize];
        let origin = &object.table.origins[frame.origin as usize];
        let mut sealed = sealed.to_vec();
        let how = FrameCode::of(frame);
        let kind = object.header.kind;
        let range = (object.name, frame.offset);
        open_frame(
            keys,
            kind,
            origin,
            how,
            range,
            &mut sealed,
            &mut decompressor,
            &mut plain,
        )?;
        payload.extend_from_slice(&plain);
    }
    Ok(payload)
}

/// What the frames promise together, before any of them is opened.
fn check_payload_len(object: &OpenedObject) -> Decoded<()> {
    let frames = &object.table.frames;
    let limit = match object.header.kind {
        SealedKind::Commit
        | SealedKind::Intent
        | SealedKind::Tombstone
        | SealedKind::Protection
        | SealedKind::Boot => SNAPSHOT_LEN_LIMIT as u64,
        SealedKind::Abort | SealedKind::PruneDone if !frames.is_empty() => {
            let detail = "object with a frame, which its name alone says all of";
            return Err(DecodeError::Malformed(detail));
        }
        _ => OBJECT_LEN_LIMIT,
    };
    let len: u64 = frames.iter().map(|frame| u64::from(frame.plain_len)).sum();
    if len > limit {
        return Err(DecodeError::LimitExceeded("payload of an object"));
    }
    Ok(())
}

/// How one frame was sealed and coded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameCode {
    /// Its nonce.
    pub counter: u64,
    /// Its codec.
    pub codec: Codec,
    /// Length of its plaintext.
    pub plain_len: u32,
    /// How much of that is wanted, from its start; what lies behind may be left out.
    pub wanted_len: u32,
}

impl FrameCode {
    /// What the table says of `frame`.
    pub(crate) fn of(frame: &Frame) -> Self {
        Self {
            counter: frame.counter,
            codec: frame.codec,
            plain_len: frame.plain_len,
            wanted_len: frame.plain_len,
        }
    }
}

/// Unseals and decodes one frame into `plain`; `place` is its object and offset.
#[expect(
    clippy::too_many_arguments,
    reason = "the buffers are reused, and each part comes from elsewhere"
)]
pub(crate) fn open_frame(
    keys: &Keys,
    kind: SealedKind,
    origin: &Origin,
    code: FrameCode,
    place: (ObjectName, u64),
    sealed: &mut [u8],
    decompressor: &mut Decompressor,
    plain: &mut Vec<u8>,
) -> Result<()> {
    let place = Place::Range {
        name: place.0,
        offset: place.1,
        len: sealed.len() as u64,
    };
    let damaged = |detail: &str| Error::new(ErrorKind::Damaged, place.clone(), detail);
    let unsealer = keys
        .frame_unsealer(kind, origin)
        .map_err(|error| damaged("frame has no key").with_source(error))?;
    let coded = unsealer
        .unseal(code.counter, sealed)
        .map_err(|error| damaged("frame").with_source(error))?;
    let lens = (code.wanted_len as usize, code.plain_len as usize);
    decompressor
        .decompress_start(coded, code.codec, lens, plain)
        .map_err(|error| damaged("frame").with_source(error))
}

/// Damage of an object, with the class that the decoder told.
pub(crate) fn damaged(name: &ObjectName, error: DecodeError) -> Error {
    let kind = match error {
        DecodeError::UnknownVersion(_) | DecodeError::UnknownRequiredFlag(_) => {
            ErrorKind::Unsupported
        }
        _ => ErrorKind::Damaged,
    };
    Error::new(kind, Place::Object(*name), error.to_string()).with_source(error)
}

fn key_error(name: &ObjectName, error: KeyError) -> Error {
    Error::damaged(*name, error.to_string()).with_source(error)
}
