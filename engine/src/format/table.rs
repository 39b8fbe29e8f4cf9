//! The sealed table of an object: its frames, and the chunks in them. §7.

use std::collections::HashSet;

use crate::format::cursor::{Cursor, put_u24};
use crate::format::envelope::{HEADER_LEN, TAG_LEN};
use crate::format::id::{ChunkId, SessionId};
use crate::format::name::ObjectName;
use crate::format::{DecodeError, Decoded, ensure};
use crate::limits::{CHUNK_LEN_LIMIT, FRAME_CHUNKS_LIMIT, FRAME_LEN_LIMIT, TABLE_LEN_LIMIT};

/// Stored length of one origin.
pub const ORIGIN_LEN: usize = 72;
/// Stored length of one frame of a table.
pub const FRAME_LEN: usize = 32;
/// Stored length of one chunk of a table.
pub const CHUNK_LEN: usize = 36;
const HEAD_LEN: usize = 32;

/// Where an object says it belongs: its name, as the table repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableName {
    /// The session in the name.
    pub session: SessionId,
    /// The number in the name, 0 where it has none.
    pub number: u32,
}

/// The object in which a frame was sealed: what its key is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Salt of that object.
    pub salt: [u8; 32],
    /// Binds the frame key.
    pub commitment: [u8; 32],
    /// Epoch of the class key.
    pub epoch: u32,
    /// Algorithm.
    pub aead: u8,
}

/// How the plaintext of a frame was coded before it was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// As it is.
    Stored = 0,
    /// One zstd frame.
    Zstd = 1,
}

/// One frame: where it lies and how it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// First byte in the object.
    pub offset: u64,
    /// Nonce under the origin's key.
    pub counter: u64,
    /// Stored length with its tag, bytes.
    pub stored_len: u32,
    /// Plaintext length, bytes.
    pub plain_len: u32,
    /// Index into the origins.
    pub origin: u32,
    /// How many chunks it holds.
    pub chunk_count: u32,
    /// How the plaintext was coded.
    pub codec: Codec,
}

/// One chunk of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableChunk {
    /// Its id.
    pub id: ChunkId,
    /// Its length, bytes.
    pub len: u32,
}

/// The table of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The object's name.
    pub name: TableName,
    /// Origins; the first is the object itself.
    pub origins: Vec<Origin>,
    /// Frames, ascending.
    pub frames: Vec<Frame>,
    /// Chunks of all frames, in order.
    pub chunks: Vec<TableChunk>,
}

impl Codec {
    /// Reads the number of a codec.
    pub fn from_byte(byte: u8) -> Decoded<Self> {
        match byte {
            0 => Ok(Self::Stored),
            1 => Ok(Self::Zstd),
            _ => Err(DecodeError::Malformed("unknown codec")),
        }
    }
}

impl TableName {
    /// Stored length.
    pub const LEN: usize = SessionId::LEN + 4;
    /// Of what is not stored under any name yet.
    pub const NONE: Self = Self {
        session: SessionId([0; SessionId::LEN]),
        number: 0,
    };

    /// Reads one name.
    pub fn decode(cursor: &mut Cursor<'_>) -> Decoded<Self> {
        Ok(Self {
            session: SessionId(cursor.array()?),
            number: cursor.u32()?,
        })
    }

    /// Appends one name.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.session.as_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
    }

    /// What the table of the object `name` repeats.
    pub fn of(name: &ObjectName) -> Self {
        let none = Self::NONE.session;
        let (session, number) = match *name {
            ObjectName::Pack {
                session, number, ..
            }
            | ObjectName::Index { session, number }
            | ObjectName::Protected { session, number }
            | ObjectName::Boot { session, number } => (session, number),
            ObjectName::Intent(session)
            | ObjectName::Snapshot(session)
            | ObjectName::Forgotten(session) => (session, 0),
            ObjectName::Config(number) | ObjectName::Prune(_, number) => (none, number),
            ObjectName::Key(_) => (none, 0),
        };
        Self { session, number }
    }
}

/// Checks that no origin is said twice.
pub(crate) fn validate_origins(origins: &[Origin]) -> Decoded<()> {
    let mut seen = HashSet::with_capacity(origins.len());
    let distinct = origins.iter().all(|origin| seen.insert(origin));
    ensure(distinct, "origin twice")
}

impl Origin {
    /// The commitment of origin 0 where no key was at hand to commit to.
    pub const NO_COMMITMENT: [u8; 32] = [0; 32];

    /// Reads one origin.
    pub fn decode(cursor: &mut Cursor<'_>) -> Decoded<Self> {
        let (salt, commitment, epoch) = (cursor.array()?, cursor.array()?, cursor.u32()?);
        let aead = cursor.u8()?;
        ensure(matches!(aead, 1 | 2), "unknown AEAD")?;
        ensure(cursor.u8()? == 0, "unknown wrapping of keys")?;
        ensure(cursor.u16()? == 0, "wrapped key where none belongs")?;
        Ok(Self {
            salt,
            commitment,
            epoch,
            aead,
        })
    }

    /// Appends one origin.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.commitment);
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&[self.aead, 0, 0, 0]);
    }
}

impl Table {
    /// Reads an unsealed table that lies at `table_offset` in an object of the given name.
    pub fn decode(
        plain: &[u8],
        name: TableName,
        table_offset: u64,
        is_pack: bool,
    ) -> Decoded<Self> {
        if plain.len() > TABLE_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("table"));
        }
        let mut cursor = Cursor::new(plain);
        let found = TableName::decode(&mut cursor)?;
        ensure(
            found == name,
            "object lies under a name that is not its own",
        )?;
        let counts = [cursor.u32()?, cursor.u32()?, cursor.u32()?];
        let [origin_count, frame_count, chunk_count] = counts.map(|count| count as usize);
        let needed = origin_count * ORIGIN_LEN + frame_count * FRAME_LEN + chunk_count * CHUNK_LEN;
        if cursor.rest().len() < needed {
            return Err(DecodeError::Truncated);
        }
        let repeat = |count| 0..count;
        let origins: Vec<_> = repeat(origin_count)
            .map(|_| Origin::decode(&mut cursor))
            .collect::<Decoded<_>>()?;
        let frames: Vec<_> = repeat(frame_count)
            .map(|_| Frame::decode(&mut cursor))
            .collect::<Decoded<_>>()?;
        let chunks: Vec<_> = repeat(chunk_count)
            .map(|_| TableChunk::decode(&mut cursor))
            .collect::<Decoded<_>>()?;
        cursor.reserved(cursor.rest().len())?;
        let table = Self {
            name,
            origins,
            frames,
            chunks,
        };
        table.validate(table_offset, is_pack).map(|()| table)
    }

    fn validate(&self, table_offset: u64, is_pack: bool) -> Decoded<()> {
        ensure(!self.origins.is_empty(), "table without an origin")?;
        validate_origins(&self.origins)?;
        let mut offset = HEADER_LEN as u64;
        let mut own_counter = 0;
        let mut chunks = self.chunks.as_slice();
        for frame in &self.frames {
            ensure(frame.offset == offset, "frames leave a gap or overlap")?;
            offset += u64::from(frame.stored_len);
            ensure(
                (frame.origin as usize) < self.origins.len(),
                "frame of an unknown origin",
            )?;
            if frame.origin == 0 {
                ensure(frame.counter == own_counter, "own counters leave a gap")?;
                own_counter += 1;
            }
            let split = chunks.split_at_checked(frame.chunk_count as usize);
            let (own, rest) = split.ok_or(DecodeError::Malformed(
                "frame has more chunks than there are",
            ))?;
            chunks = rest;
            let sum: u64 = own.iter().map(|chunk| u64::from(chunk.len)).sum();
            let sums = if is_pack {
                !own.is_empty() && sum == u64::from(frame.plain_len)
            } else {
                own.is_empty()
            };
            ensure(sums, "chunks do not sum to their frame")?;
        }
        ensure(chunks.is_empty(), "chunks outside of all frames")?;
        ensure(
            offset == table_offset,
            "frames do not end where the table begins",
        )
    }

    /// True if there are frames and none was sealed in this object: who moved them needed no key
    /// that opens them, and origin 0 may commit to none.
    pub fn moved_all(&self) -> bool {
        !self.frames.is_empty() && self.frames.iter().all(|frame| frame.origin != 0)
    }

    /// The table without padding, to be sealed.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.name.encode_into(&mut out);
        for count in [self.origins.len(), self.frames.len(), self.chunks.len()] {
            out.extend_from_slice(&(count as u32).to_le_bytes());
        }
        self.origins
            .iter()
            .for_each(|origin| origin.encode_into(&mut out));
        self.frames
            .iter()
            .for_each(|frame| frame.encode_into(&mut out));
        self.chunks
            .iter()
            .for_each(|chunk| chunk.encode_into(&mut out));
        out
    }

    /// Length of [`Table::encode`], bytes.
    pub fn encoded_len(&self) -> usize {
        HEAD_LEN
            + self.origins.len() * ORIGIN_LEN
            + self.frames.len() * FRAME_LEN
            + self.chunks.len() * CHUNK_LEN
    }
}

impl Frame {
    fn decode(cursor: &mut Cursor<'_>) -> Decoded<Self> {
        let frame = Self {
            offset: cursor.u64()?,
            counter: cursor.u64()?,
            stored_len: cursor.u32()?,
            plain_len: cursor.u32()?,
            origin: cursor.u32()?,
            chunk_count: cursor.u24()?,
            codec: Codec::from_byte(cursor.u8()?)?,
        };
        validate_frame_lens(frame.stored_len, frame.plain_len, frame.codec)?;
        if frame.chunk_count as usize > FRAME_CHUNKS_LIMIT {
            return Err(DecodeError::LimitExceeded("chunks of a frame"));
        }
        Ok(frame)
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.counter.to_le_bytes());
        out.extend_from_slice(&self.stored_len.to_le_bytes());
        out.extend_from_slice(&self.plain_len.to_le_bytes());
        out.extend_from_slice(&self.origin.to_le_bytes());
        put_u24(out, self.chunk_count);
        out.push(self.codec as u8);
    }
}

/// Checks the lengths of a frame against each other and their limits.
pub fn validate_frame_lens(stored_len: u32, plain_len: u32, codec: Codec) -> Decoded<()> {
    if plain_len as usize > FRAME_LEN_LIMIT {
        return Err(DecodeError::LimitExceeded("plaintext of a frame"));
    }
    let coded_len = (stored_len as usize).checked_sub(TAG_LEN);
    let coded_len = coded_len.ok_or(DecodeError::Malformed("frame is shorter than its tag"))?;
    let stored = codec == Codec::Stored;
    ensure(
        !stored || coded_len == plain_len as usize,
        "stored frame of another length",
    )
}

impl TableChunk {
    fn decode(cursor: &mut Cursor<'_>) -> Decoded<Self> {
        let chunk = Self {
            id: ChunkId(cursor.array()?),
            len: cursor.u32()?,
        };
        if chunk.len > CHUNK_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("chunk"));
        }
        ensure(chunk.len > 0, "empty chunk")?;
        Ok(chunk)
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Table, u64) {
        let origin = Origin {
            salt: [1; 32],
            commitment: [2; 32],
            epoch: 1,
            aead: 1,
        };
        let frame = |offset, counter, stored_len, plain_len, chunk_count, codec| Frame {
            offset,
            counter,
            stored_len,
            plain_len,
            origin: 0,
            chunk_count,
            codec,
        };
        let chunk = |byte, len| TableChunk {
            id: ChunkId([byte; 32]),
            len,
        };
        let table = Table {
            name: TableName {
                session: SessionId([9; 16]),
                number: 4,
            },
            origins: vec![origin],
            frames: vec![
                frame(128, 0, 66, 300, 2, Codec::Zstd),
                frame(194, 1, 116, 100, 1, Codec::Stored),
            ],
            chunks: vec![chunk(1, 200), chunk(2, 100), chunk(3, 100)],
        };
        (table, 310)
    }

    fn decode(plain: &[u8]) -> Decoded<Table> {
        Table::decode(plain, sample().0.name, sample().1, true)
    }

    #[test]
    fn a_table_reads_back_with_any_padding_of_zeros() {
        let (table, _) = sample();
        let mut plain = table.encode();
        assert_eq!(plain.len(), table.encoded_len());
        assert_eq!(decode(&plain).as_ref(), Ok(&table));
        plain.resize(plain.len() + 1000, 0);
        assert_eq!(decode(&plain).as_ref(), Ok(&table));
        plain.push(1);
        assert!(decode(&plain).is_err());
    }

    #[test]
    fn every_rule_of_a_table_is_checked() {
        type Break = fn(&mut Table);
        let breaks: [Break; 13] = [
            |t| t.name.number += 1,
            |t| t.origins.push(t.origins[0]),
            |t| t.frames[0].counter = 1,
            |t| t.frames[1].counter = 2,
            |t| {
                t.frames[0].chunk_count = 0;
                t.frames[0].plain_len = 0;
                t.chunks.drain(..2);
            },
            |t| t.origins.clear(),
            |t| t.frames[1].offset += 1,
            |t| t.frames[0].origin = 1,
            |t| t.frames[0].chunk_count = 3,
            |t| t.chunks[0].len += 1,
            |t| t.frames[1].stored_len -= 1,
            |t| t.frames[0].plain_len = u32::MAX,
            |t| {
                t.chunks.push(TableChunk {
                    id: ChunkId([4; 32]),
                    len: 1,
                })
            },
        ];
        for (index, damage) in breaks.into_iter().enumerate() {
            let (mut table, _) = sample();
            damage(&mut table);
            assert!(decode(&table.encode()).is_err(), "rule {index}");
        }
        let plain = sample().0.encode();
        for len in 0..plain.len() {
            assert!(decode(&plain[..len]).is_err(), "length {len}");
        }
    }

    #[test]
    fn frames_were_all_moved_if_there_are_some_and_none_is_of_origin_0() {
        let (mut table, _) = sample();
        assert!(!table.moved_all());
        table.frames[0].origin = 1;
        assert!(!table.moved_all(), "one was sealed here");
        table.frames[1].origin = 1;
        assert!(table.moved_all());
        table.frames.clear();
        assert!(!table.moved_all(), "there is none");
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused_before_anything_is_allocated() {
        let mut plain = sample().0.encode();
        plain[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(decode(&plain), Err(DecodeError::Truncated));
    }
}
