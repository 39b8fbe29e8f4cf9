//! A whole sealed object from its bytes (FORMAT.md section 7), with the payload that its kind promises.

use crate::reference::boot::Boot;
use crate::reference::boot::decode_boot;
use crate::reference::bytes::Reader;
use crate::reference::fault::Fault;
use crate::reference::fault::Result;
use crate::reference::header;
use crate::reference::header::Header;
use crate::reference::header::Layout;
use crate::reference::index::IndexRun;
use crate::reference::index::decode_index_run;
use crate::reference::keys::Keyring;
use crate::reference::name::Id;
use crate::reference::name::ObjectName;
use crate::reference::prune::Step;
use crate::reference::prune::decode_step;
use crate::reference::retention::Protection;
use crate::reference::retention::Tombstone;
use crate::reference::retention::decode_protection;
use crate::reference::retention::decode_tombstone;
use crate::reference::snapshot::Commit;
use crate::reference::snapshot::Intent;
use crate::reference::snapshot::PAYLOAD_MAX;
use crate::reference::snapshot::decode_intent;
use crate::reference::snapshot::decode_snapshot;
use crate::reference::table::Table;
use crate::reference::table::unseal_frame;
use crate::reference::table::unseal_table;

/// Greatest payload of an index run, plan or seal: what an object can hold without compression.
const LIST_MAX: u64 = header::OBJECT_MAX;

/// What the frames of an object hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// Of a data pack, in the order of the table.
    Chunks(Vec<Vec<u8>>),
    /// Of a meta pack, in the order of the table.
    Pages(Vec<Vec<u8>>),
    /// An index run.
    Run(IndexRun),
    /// A snapshot.
    Commit(Box<Commit>),
    /// A session that may not commit.
    Abort,
    /// A writer that announced itself.
    Intent(Intent),
    /// A snapshot is forgotten.
    Tombstone(Tombstone),
    /// What a prune condemns.
    Plan(Step),
    /// What a prune deletes.
    Seal(Step),
    /// A prune is finished.
    Done,
    /// A snapshot must not be forgotten.
    Protection(Protection),
    /// A machine was started from a snapshot.
    Boot(Box<Boot>),
}

/// A sealed object, opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// The first 128 bytes.
    pub header: Header,
    /// Where the parts lie.
    pub layout: Layout,
    /// What is where.
    pub table: Table,
    /// What is in it.
    pub payload: Payload,
}

/// Reads a whole object: structure, every frame, every id.
pub fn decode_object(
    bytes: &[u8],
    name: &ObjectName,
    repository_id: &Id,
    keyring: &Keyring,
) -> Result<Object> {
    let header = header::decode_object_header(bytes, name, repository_id, keyring)?;
    let layout = header::decode_trailer(bytes)?;
    let sealed_table = &bytes[layout.table_offset as usize..layout.hashes_offset as usize];
    let table = unseal_table(sealed_table, &header, &layout, name, keyring)?;
    check_frames(header.kind, &table)?;
    let mut frames = Vec::new();
    for frame in &table.frames {
        let start = frame.offset as usize;
        let stored = &bytes[start..start + frame.stored_len as usize];
        frames.push(unseal_frame(stored, frame, &table, &header, keyring)?);
    }
    let payload = decode_payload(&header, &table, &frames, name, keyring)?;
    Ok(Object {
        header,
        layout,
        table,
        payload,
    })
}

/// What the frames hold, by kind; the header was read, so that the kind is that of the name.
fn decode_payload(
    header: &Header,
    table: &Table,
    frames: &[Vec<u8>],
    name: &ObjectName,
    keyring: &Keyring,
) -> Result<Payload> {
    let whole = || frames.concat();
    Ok(match header.kind {
        1 => Payload::Chunks(cut(frames, table, |chunk| keyring.chunk_id(chunk))?),
        2 => Payload::Pages(cut(frames, table, |page| keyring.page_id(page))?),
        3 => Payload::Run(decode_index_run(&whole(), name)?),
        4 => Payload::Commit(Box::new(decode_snapshot(&whole(), name)?)),
        5 => Payload::Abort,
        6 => Payload::Intent(decode_intent(&whole(), name)?),
        7 => Payload::Tombstone(decode_tombstone(&whole(), name)?),
        8 => Payload::Plan(decode_step(&whole(), name)?),
        9 => Payload::Seal(decode_step(&whole(), name)?),
        10 => Payload::Done,
        11 => Payload::Protection(decode_protection(&whole(), name)?),
        _ => Payload::Boot(Box::new(decode_boot(&whole(), name)?)),
    })
}

/// The chunks or pages of a pack, each verified against its id.
fn cut(
    frames: &[Vec<u8>],
    table: &Table,
    id_of: impl Fn(&[u8]) -> [u8; 32],
) -> Result<Vec<Vec<u8>>> {
    let mut pieces = Vec::new();
    for (plaintext, frame) in frames.iter().zip(&table.frames) {
        let mut reader = Reader::new("frame", plaintext);
        for chunk in &table.chunks[frame.chunks.clone()] {
            let piece = reader.take(chunk.len as usize)?;
            if id_of(piece) != chunk.id {
                return Err(reader.fault(Fault::BadChecksum, "the id does not agree"));
            }
            pieces.push(piece.to_vec());
        }
    }
    Ok(pieces)
}

/// What the kind says about frames, before any of them is opened.
fn check_frames(kind: u8, table: &Table) -> Result<()> {
    let reader = Reader::new("frames", &[]);
    let sum = table
        .frames
        .iter()
        .map(|frame| u64::from(frame.plain_len))
        .sum();
    match kind {
        3 | 8 | 9 => reader.limit(sum, LIST_MAX, "the payload"),
        5 | 10 => reader.require(table.frames.is_empty(), "an ABORT or a done holds a frame"),
        4 | 6 | 7 | 11 | 12 => reader.limit(sum, PAYLOAD_MAX, "the payload"),
        _ => Ok(()),
    }
}
