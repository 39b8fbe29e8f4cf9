//! Reading all that an object holds: every block, frame and id, and the payload.
//!
//! The engine itself reads a pack frame by frame, as chunks are asked for; the vectors of the format speak
//! of whole objects.

use crate::error::{Error, Result};
use crate::format::DecodeError;
use crate::format::boot::Boot;
use crate::format::config::Config;
use crate::format::envelope::{Header, OBJECT_LEN_MIN, SealedKind, Tail, Trailer};
use crate::format::id::{ChunkId, RepositoryId, SessionId};
use crate::format::index_run::IndexRun;
use crate::format::name::ObjectName;
use crate::format::prune::PruneRecord;
use crate::format::retention::{Protection, Tombstone};
use crate::format::snapshot::{Intent, Snapshot};
use crate::format::table::TableName;
use crate::limits::BLOCK_LEN;
use crate::repository::keys::{self, Keys, UnlockSecret};
use crate::repository::object::{self, OpenedObject};
use crate::storage::Backend;

/// Opens the object `name` and reads all of it.
///
/// # Errors
/// The first thing that is wrong; a [`DecodeError`] or key error is its source.
pub fn read_whole_object(keys: &Keys, name: &ObjectName, bytes: &[u8]) -> Result<()> {
    let object = object::open_bytes(keys, name, bytes)?;
    object::verify_blocks(&object, bytes)?;
    let payload = object::payload(keys, &object, bytes)?;
    let decoded = match object.header.kind {
        SealedKind::DataPack => verify_ids(&object, &payload, |chunk| keys.chunk_id().id_of(chunk)),
        SealedKind::MetaPack => verify_ids(&object, &payload, |page| keys.page_id().id_of(page)),
        SealedKind::IndexRun => IndexRun::decode(&payload, TableName::of(name)).map(drop),
        SealedKind::Commit => Snapshot::decode(&payload, session_of(name)).map(drop),
        SealedKind::Intent => Intent::decode(&payload, session_of(name)).map(drop),
        SealedKind::Tombstone => Tombstone::decode(&payload, session_of(name)).map(drop),
        SealedKind::Protection => Protection::decode(&payload, session_of(name)).map(drop),
        SealedKind::Boot => Boot::decode(&payload, session_of(name)).map(drop),
        SealedKind::PrunePlan | SealedKind::PruneSeal => {
            PruneRecord::decode(&payload, TableName::of(name).number).map(drop)
        }
        SealedKind::Abort | SealedKind::PruneDone => Ok(()),
    };
    decoded.map_err(|error| object::damaged(name, error))
}

/// Seals an object as the engine does.
///
/// # Errors
/// If these keys lack the epoch of `config`.
pub fn seal_whole_object(
    keys: &Keys,
    config: &Config,
    kind: SealedKind,
    name: &ObjectName,
    payload: &[u8],
) -> Result<Vec<u8>> {
    object::encode(keys, config, kind, name, payload)
}

/// True if `secret` opens the slot `name` on `backend`.
///
/// # Errors
/// If the slot is no slot.
pub fn opens_slot(
    backend: &dyn Backend,
    name: &ObjectName,
    repository: RepositoryId,
    secret: &UnlockSecret,
) -> Result<bool, Error> {
    keys::try_slot(backend, name, repository, secret).map(|bundle| bundle.is_some())
}

/// Checks what a header says beside its layout: kind, repository and key.
///
/// # Errors
/// If the object `name` cannot have it, or these keys do not open it.
pub fn verify_header(keys: &Keys, name: &ObjectName, header: &Header) -> Result<()> {
    object::table_unsealer(keys, name, header).map(drop)
}

/// Compares trailer and blocks of an object, as a host without any key can.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify_without_keys(bytes: &[u8]) -> Result<(), DecodeError> {
    let object_len = bytes.len() as u64;
    if object_len < OBJECT_LEN_MIN {
        return Err(DecodeError::Truncated);
    }
    let tail = bytes.last_chunk().ok_or(DecodeError::Truncated)?;
    let tail = Tail::decode(tail, object_len)?;
    let (stored, trailer) = bytes.split_at(tail.trailer_offset() as usize);
    let trailer = Trailer::decode(trailer, object_len)?;
    let mut blocks = stored.chunks(BLOCK_LEN).zip(&trailer.block_hashes);
    let agree = blocks.all(|(block, hash)| blake3::hash(block).as_bytes() == hash);
    if agree && stored.starts_with(&trailer.header) {
        Ok(())
    } else {
        Err(DecodeError::BadChecksum)
    }
}

fn session_of(name: &ObjectName) -> SessionId {
    TableName::of(name).session
}

fn verify_ids(
    object: &OpenedObject,
    mut payload: &[u8],
    id_of: impl Fn(&[u8]) -> ChunkId,
) -> Result<(), DecodeError> {
    for chunk in &object.table.chunks {
        let split = payload.split_at_checked(chunk.len as usize);
        let (plain, rest) = split.ok_or(DecodeError::Truncated)?;
        if id_of(plain) != chunk.id {
            return Err(DecodeError::BadChecksum);
        }
        payload = rest;
    }
    Ok(())
}
