//! The envelope around every sealed object: header in front, trailer behind. §7.
//!
//! ```text
//! object  := header[128] frame* table trailer
//! trailer := block_hash[32]* tail[256]
//! ```
//! What is sealed inside, and under which key, is for `repository::object`; this file knows
//! layout and checksums alone.

use crate::format::cursor::Cursor;
use crate::format::id::RepositoryId;
use crate::format::name::{ObjectName, PackClass, PruneStep};
use crate::format::{DecodeError, Decoded, ensure};
use crate::limits::{BLOCK_LEN, OBJECT_LEN_LIMIT, TABLE_LEN_LIMIT};

/// First bytes of every sealed object.
pub const MAGIC: [u8; 8] = *b"\x8bBKS\r\n\x1a\n";
/// Last bytes of every sealed object.
pub const END_MAGIC: [u8; 8] = *b"\n\x1a\n\rSKB\x8b";
/// Version this code reads and writes.
pub const VERSION: u8 = 1;
/// Length of the header.
pub const HEADER_LEN: usize = 128;
/// Length of the fixed end of the trailer.
pub const TAIL_LEN: usize = 256;
/// Length of one block hash.
pub const HASH_LEN: usize = 32;
/// What the AEAD adds to every frame and table.
pub const TAG_LEN: usize = 16;
/// Shortest object: header, an empty table of one origin with its tag, one block hash, tail.
pub const OBJECT_LEN_MIN: u64 = (HEADER_LEN + TAG_LEN + HASH_LEN + TAIL_LEN) as u64;

const HEADER_HASHED: usize = 112;
const TAIL_HASHED: usize = 216;
/// The optional flag that is reserved for parity; known, and without meaning to a reader.
const _OPTIONAL_PARITY: u32 = 1;

/// What a sealed object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SealedKind {
    /// Frames of chunks.
    DataPack = 1,
    /// Frames of pages.
    MetaPack = 2,
    /// One sorted run of the index.
    IndexRun = 3,
    /// A committed snapshot.
    Commit = 4,
    /// A session that was decided against.
    Abort = 5,
    /// A writer that announced itself.
    Intent = 6,
    /// A snapshot was forgotten.
    Tombstone = 7,
    /// What a prune condemns.
    PrunePlan = 8,
    /// What a prune deletes.
    PruneSeal = 9,
    /// A prune is finished.
    PruneDone = 10,
    /// A snapshot must not be forgotten.
    Protection = 11,
    /// A machine was started from a snapshot.
    Boot = 12,
}

impl SealedKind {
    fn from_byte(byte: u8) -> Decoded<Self> {
        Ok(match byte {
            1 => Self::DataPack,
            2 => Self::MetaPack,
            3 => Self::IndexRun,
            4 => Self::Commit,
            5 => Self::Abort,
            6 => Self::Intent,
            7 => Self::Tombstone,
            8 => Self::PrunePlan,
            9 => Self::PruneSeal,
            10 => Self::PruneDone,
            11 => Self::Protection,
            12 => Self::Boot,
            _ => return Err(DecodeError::Malformed("unknown kind of object")),
        })
    }

    /// True if an object of this kind may lie under `name`.
    pub fn fits(self, name: &ObjectName) -> bool {
        match name {
            ObjectName::Pack {
                class: PackClass::Data,
                ..
            } => self == Self::DataPack,
            ObjectName::Pack {
                class: PackClass::Meta,
                ..
            } => self == Self::MetaPack,
            ObjectName::Index { .. } => self == Self::IndexRun,
            ObjectName::Snapshot(_) => matches!(self, Self::Commit | Self::Abort),
            ObjectName::Intent(_) => self == Self::Intent,
            ObjectName::Forgotten(_) => self == Self::Tombstone,
            ObjectName::Protected { .. } => self == Self::Protection,
            ObjectName::Boot { .. } => self == Self::Boot,
            ObjectName::Prune(PruneStep::Plan, _) => self == Self::PrunePlan,
            ObjectName::Prune(PruneStep::Seal, _) => self == Self::PruneSeal,
            ObjectName::Prune(PruneStep::Done, _) => self == Self::PruneDone,
            ObjectName::Config(_) | ObjectName::Key(_) => false,
        }
    }

    /// True if the frames of this kind hold chunks that the table lists.
    pub fn is_pack(self) -> bool {
        matches!(self, Self::DataPack | Self::MetaPack)
    }
}

/// First 128 bytes of a sealed object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the object is.
    pub kind: SealedKind,
    /// Algorithm of its table and own frames.
    pub aead: u8,
    /// Epoch of the class keys.
    pub epoch: u32,
    /// The repository it belongs to.
    pub repository: RepositoryId,
    /// Random; makes the keys of this object.
    pub salt: [u8; 32],
    /// Binds the table key.
    pub commitment: [u8; 32],
}

impl Header {
    /// Reads a header.
    pub fn decode(bytes: &[u8]) -> Decoded<Self> {
        let (bytes, _) = bytes
            .split_at_checked(HEADER_LEN)
            .ok_or(DecodeError::Truncated)?;
        let mut cursor = Cursor::new(bytes);
        ensure(cursor.array()? == MAGIC, "magic of an object")?;
        let kind = cursor.u8()?;
        let version = cursor.u8()?;
        if version != VERSION {
            return Err(DecodeError::UnknownVersion(version));
        }
        let (hashed, hash) = bytes
            .split_at_checked(HEADER_HASHED)
            .ok_or(DecodeError::Truncated)?;
        if !blake3::hash(hashed).as_bytes().starts_with(hash) {
            return Err(DecodeError::BadChecksum);
        }
        let kind = SealedKind::from_byte(kind)?;
        Self::decode_fields(kind, cursor)
    }

    fn decode_fields(kind: SealedKind, mut cursor: Cursor<'_>) -> Decoded<Self> {
        let aead = cursor.u8()?;
        ensure(matches!(aead, 1 | 2), "unknown AEAD")?;
        ensure(cursor.u8()? == 0, "unknown wrapping of keys")?;
        let required = cursor.u32()?;
        if required != 0 {
            return Err(DecodeError::UnknownRequiredFlag(required));
        }
        let _optional = cursor.u32()?;
        let epoch = cursor.u32()?;
        ensure(cursor.u16()? == 0, "wrapped key where none belongs")?;
        cursor.reserved(6)?;
        let repository = RepositoryId(cursor.array()?);
        let (salt, commitment) = (cursor.array()?, cursor.array()?);
        Ok(Self {
            kind,
            aead,
            epoch,
            repository,
            salt,
            commitment,
        })
    }

    /// The 128 bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[self.kind as u8, VERSION, self.aead, 0]);
        out.extend_from_slice(&[0; 8]); // required and optional flags: none
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&[0; 8]); // no wrapped key; reserved
        out.extend_from_slice(self.repository.as_bytes());
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.commitment);
        let hash = blake3::hash(&out);
        out.extend(hash.as_bytes().iter().take(HEADER_LEN - HEADER_HASHED));
        out.try_into()
            .expect("the fields of a header sum to its length")
    }
}

/// The end of a sealed object: where the table is, and a hash of everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// A copy of the header.
    pub header: [u8; HEADER_LEN],
    /// Length of the whole object, bytes.
    pub object_len: u64,
    /// Where the table begins.
    pub table_offset: u64,
    /// Its stored length, bytes.
    pub table_len: u32,
    /// BLAKE3 of every 64 KiB block before the trailer.
    pub block_hashes: Vec<[u8; HASH_LEN]>,
}

/// The fixed end of a trailer, which tells how long the rest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// A copy of the header.
    pub header: [u8; HEADER_LEN],
    /// Length of the whole object, bytes.
    pub object_len: u64,
    /// Where the table begins.
    pub table_offset: u64,
    /// Its stored length, bytes.
    pub table_len: u32,
    /// How many block hashes lie before the tail.
    pub block_count: u32,
}

impl Tail {
    /// Reads the last 256 bytes of an object of `object_len` bytes; the hash is checked with the
    /// block hashes, by [`Trailer::decode`].
    pub fn decode(bytes: &[u8; TAIL_LEN], object_len: u64) -> Decoded<Self> {
        if object_len > OBJECT_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("object"));
        }
        let mut cursor = Cursor::new(bytes);
        let header = cursor.array()?;
        let stated_len = cursor.u64()?;
        ensure(bytes.ends_with(&END_MAGIC), "magic at the end of an object")?;
        if stated_len != object_len {
            return Err(DecodeError::Truncated);
        }
        let table_offset = cursor.u64()?;
        let table_len = cursor.u32()?;
        if table_len as usize > TABLE_LEN_LIMIT + TAG_LEN {
            return Err(DecodeError::LimitExceeded("table"));
        }
        ensure(cursor.u32()? as usize == BLOCK_LEN, "length of a block")?;
        let block_count = cursor.u32()?;
        ensure(cursor.u8()? == 0, "unknown parity")?;
        cursor.reserved(TAIL_HASHED - 157)?;
        let tail = Self {
            header,
            object_len,
            table_offset,
            table_len,
            block_count,
        };
        tail.validate().map(|()| tail)
    }

    /// Where the first block hash lies.
    pub fn trailer_offset(&self) -> u64 {
        self.table_offset + u64::from(self.table_len)
    }

    /// Length of block hashes and tail together, bytes.
    pub fn trailer_len(&self) -> usize {
        self.block_count as usize * HASH_LEN + TAIL_LEN
    }

    fn validate(&self) -> Decoded<()> {
        ensure(
            self.table_offset >= HEADER_LEN as u64,
            "table begins inside the header",
        )?;
        let end = self.table_offset.checked_add(u64::from(self.table_len));
        let hashed = end.ok_or(DecodeError::Malformed("table ends nowhere"))?;
        let blocks = hashed.div_ceil(BLOCK_LEN as u64);
        ensure(blocks == u64::from(self.block_count), "number of blocks")?;
        let total = hashed.checked_add(self.trailer_len() as u64);
        ensure(
            total == Some(self.object_len),
            "table does not end where the block hashes begin",
        )
    }
}

impl Trailer {
    /// Reads block hashes and tail, `bytes`, of an object of `object_len` bytes.
    pub fn decode(bytes: &[u8], object_len: u64) -> Decoded<Self> {
        let (hashes, tail_bytes) = bytes.split_last_chunk().ok_or(DecodeError::Truncated)?;
        let tail = Tail::decode(tail_bytes, object_len)?;
        if bytes.len() != tail.trailer_len() {
            return Err(DecodeError::Truncated);
        }
        let (hashed, rest) = tail_bytes.split_at(TAIL_HASHED);
        if !rest.starts_with(trailer_hash(hashes, hashed).as_bytes()) {
            return Err(DecodeError::BadChecksum);
        }
        let (hashes, _) = hashes.as_chunks();
        Ok(Self {
            header: tail.header,
            object_len,
            table_offset: tail.table_offset,
            table_len: tail.table_len,
            block_hashes: hashes.to_vec(),
        })
    }

    /// The trailer of an object whose stored bytes so far, header to table, are `stored`.
    pub fn of(stored: &[u8], table_offset: usize) -> Self {
        let (header, _) = stored
            .split_first_chunk()
            .expect("an object begins with its header");
        let blocks = stored.chunks(BLOCK_LEN);
        let block_hashes: Vec<_> = blocks
            .map(|block| *blake3::hash(block).as_bytes())
            .collect();
        let trailer_len = block_hashes.len() * HASH_LEN + TAIL_LEN;
        Self {
            header: *header,
            object_len: (stored.len() + trailer_len) as u64,
            table_offset: table_offset as u64,
            table_len: (stored.len() - table_offset) as u32,
            block_hashes,
        }
    }

    /// Appends the trailer.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let hashes = self.block_hashes.as_flattened();
        let mut tail = Vec::with_capacity(TAIL_LEN);
        tail.extend_from_slice(&self.header);
        tail.extend_from_slice(&self.object_len.to_le_bytes());
        tail.extend_from_slice(&self.table_offset.to_le_bytes());
        tail.extend_from_slice(&self.table_len.to_le_bytes());
        tail.extend_from_slice(&(BLOCK_LEN as u32).to_le_bytes());
        tail.extend_from_slice(&(self.block_hashes.len() as u32).to_le_bytes());
        tail.resize(TAIL_HASHED, 0); // no parity; reserved
        let hash = trailer_hash(hashes, &tail);
        tail.extend_from_slice(hash.as_bytes());
        tail.extend_from_slice(&END_MAGIC);
        out.extend_from_slice(hashes);
        out.extend_from_slice(&tail);
    }
}

fn trailer_hash(hashes: &[u8], tail: &[u8]) -> blake3::Hash {
    blake3::Hasher::new().update(hashes).update(tail).finalize()
}

/// Stored length of an object whose table is padded by `padding` zeros, where `table_end` is the
/// stored length up to the table's end without padding.
fn object_len(table_end: usize, padding: usize) -> usize {
    let hashed = table_end + padding;
    hashed + hashed.div_ceil(BLOCK_LEN) * HASH_LEN + TAIL_LEN
}

/// How many zeros to put behind a table that would end at `table_end`, so that the length of the
/// object tells little: the next Padmé length below `full_len`, a multiple of a block from there.
pub fn padding_for(table_end: usize, full_len: usize) -> usize {
    let bare = object_len(table_end, 0);
    let goal = if bare < full_len {
        padme(bare)
    } else {
        bare.next_multiple_of(BLOCK_LEN)
    };
    let mut padding = goal - bare;
    // The added zeros may begin one more block, whose hash takes 32 of them.
    while padding > 0 && object_len(table_end, padding) > goal {
        padding -= 1;
    }
    padding
}

/// Padmé: keeps about log2(log2 n) significant bits of a length, at most 12 % above it.
fn padme(len: usize) -> usize {
    let exponent = len.max(2).ilog2();
    let kept = exponent.ilog2() + 1;
    len.next_multiple_of(1 << exponent.saturating_sub(kept))
}

const _: () = assert!(HEADER_HASHED + 16 == HEADER_LEN);
const _: () = assert!(TAIL_HASHED + HASH_LEN + END_MAGIC.len() == TAIL_LEN);
const _: () = assert!(8 + 4 + 8 + 4 + 2 + 6 + 16 + 32 + 32 == HEADER_HASHED);

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            kind: SealedKind::MetaPack,
            aead: 1,
            epoch: 1,
            repository: RepositoryId([1; 16]),
            salt: [2; 32],
            commitment: [3; 32],
        }
    }

    fn object() -> (Vec<u8>, Trailer) {
        let mut bytes = header().encode().to_vec();
        bytes.resize(BLOCK_LEN + 500, 7);
        let trailer = Trailer::of(&bytes, BLOCK_LEN + 400);
        trailer.encode_into(&mut bytes);
        (bytes, trailer)
    }

    #[test]
    fn a_header_reads_back_and_every_flipped_bit_is_refused() {
        let bytes = header().encode();
        assert_eq!(Header::decode(&bytes), Ok(header()));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&damaged).is_err(), "bit {bit}");
        }
        assert_eq!(Header::decode(&bytes[..127]), Err(DecodeError::Truncated));
    }

    #[test]
    fn a_trailer_reads_back_and_every_flipped_bit_is_refused() {
        let (bytes, trailer) = object();
        let start = BLOCK_LEN + 500;
        let len = bytes.len() as u64;
        assert_eq!(trailer.block_hashes.len(), 2);
        assert_eq!(Trailer::decode(&bytes[start..], len), Ok(trailer));
        for bit in start * 8..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Trailer::decode(&damaged[start..], len).is_err(),
                "bit {bit}"
            );
        }
        assert_eq!(
            Trailer::decode(&bytes[start..], len - 1),
            Err(DecodeError::Truncated)
        );
    }

    #[test]
    fn padding_brings_every_length_to_its_class_and_costs_little() {
        let full_len = 32 << 20;
        for table_end in (200..200_000)
            .step_by(37)
            .chain((full_len - 70_000..full_len + 70_000).step_by(997))
        {
            let padding = padding_for(table_end, full_len);
            let (bare, padded) = (object_len(table_end, 0), object_len(table_end, padding));
            assert!(
                padded - bare <= bare / 8 + BLOCK_LEN / 32,
                "{bare} became {padded}"
            );
            let goal = if bare < full_len {
                padme(bare)
            } else {
                bare.next_multiple_of(BLOCK_LEN)
            };
            assert!(goal - padded <= HASH_LEN, "{bare}: {padded} for {goal}");
        }
    }
}
