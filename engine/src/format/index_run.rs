//! One sorted run of the index: where chunks and pages lie. §9.

use crate::format::cursor::Cursor;
use crate::format::id::{ChunkId, SessionId};
use crate::format::name::{ObjectName, PackClass};
use crate::format::table::{
    Codec, ORIGIN_LEN, Origin, TableName, validate_frame_lens, validate_origins,
};
use crate::format::{DecodeError, Decoded, ensure};
use crate::limits::INDEX_RUN_ENTRIES_MAX;

/// Stored length of one pack.
pub(crate) const PACK_LEN: usize = 32;
/// Stored length of one frame.
pub(crate) const FRAME_LEN: usize = 40;
/// Stored length of one entry.
pub(crate) const ENTRY_LEN: usize = 44;
const REPLACED_LEN: usize = 20;

/// One run, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRun {
    /// The run's name.
    pub name: TableName,
    /// Packs that the frames lie in.
    pub packs: Vec<IndexedPack>,
    /// Origins of the frames.
    pub origins: Vec<Origin>,
    /// Frames that the entries lie in.
    pub frames: Vec<IndexedFrame>,
    /// Chunks and pages, ascending by id, frame and offset.
    pub entries: Vec<IndexEntry>,
}

/// A pack that an index run speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedPack {
    /// Session in its name.
    pub session: SessionId,
    /// Number in its name.
    pub number: u32,
    /// What it holds.
    pub class: PackClass,
    /// Stored length, bytes.
    pub object_len: u64,
}

/// A frame that an index run speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedFrame {
    /// Index into the run's packs.
    pub pack: u32,
    /// Index into the run's origins.
    pub origin: u32,
    /// First byte in the pack.
    pub offset: u64,
    /// Nonce under the origin's key.
    pub counter: u64,
    /// Stored length with its tag, bytes.
    pub stored_len: u32,
    /// Plaintext length, bytes.
    pub plain_len: u32,
    /// How the plaintext was coded.
    pub codec: Codec,
}

/// One chunk or page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexEntry {
    /// Its id.
    pub id: ChunkId,
    /// Index into the run's frames.
    pub frame: u32,
    /// First byte in the frame's plaintext.
    pub offset: u32,
    /// Length, bytes.
    pub len: u32,
}

impl IndexedPack {
    /// Name of the pack.
    pub fn name(&self) -> ObjectName {
        ObjectName::Pack {
            session: self.session,
            number: self.number,
            class: self.class,
        }
    }

    pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Decoded<Self> {
        let (session, number) = (SessionId(cursor.array()?), cursor.u32()?);
        let class = PackClass::from_byte(cursor.u8()?)?;
        cursor.reserved(3)?;
        Ok(Self {
            session,
            number,
            class,
            object_len: cursor.u64()?,
        })
    }

    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.session.as_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&[self.class.byte(), 0, 0, 0]);
        out.extend_from_slice(&self.object_len.to_le_bytes());
    }
}

impl IndexedFrame {
    pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Decoded<Self> {
        let frame = Self {
            pack: cursor.u32()?,
            origin: cursor.u32()?,
            offset: cursor.u64()?,
            counter: cursor.u64()?,
            stored_len: cursor.u32()?,
            plain_len: cursor.u32()?,
            codec: Codec::from_byte(cursor.u8()?)?,
        };
        cursor.reserved(7)?;
        validate_frame_lens(frame.stored_len, frame.plain_len, frame.codec).map(|()| frame)
    }

    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.pack.to_le_bytes());
        out.extend_from_slice(&self.origin.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.counter.to_le_bytes());
        out.extend_from_slice(&self.stored_len.to_le_bytes());
        out.extend_from_slice(&self.plain_len.to_le_bytes());
        out.extend_from_slice(&[self.codec as u8, 0, 0, 0, 0, 0, 0, 0]);
    }
}

impl IndexEntry {
    /// What entries ascend by; no two are alike in it.
    pub(crate) fn place(&self) -> (ChunkId, u32, u32) {
        (self.id, self.frame, self.offset)
    }

    pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Decoded<Self> {
        let id = ChunkId(cursor.array()?);
        Ok(Self {
            id,
            frame: cursor.u32()?,
            offset: cursor.u32()?,
            len: cursor.u32()?,
        })
    }

    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&self.frame.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
    }
}

impl IndexRun {
    /// Reads the payload of the run `name`.
    pub fn decode(bytes: &[u8], name: TableName) -> Decoded<Self> {
        let mut cursor = Cursor::new(bytes);
        let found = TableName::decode(&mut cursor)?;
        ensure(
            found == name,
            "index run lies under a name that is not its own",
        )?;
        let [packs, origins, frames, entries, replaced] = [
            cursor.u32()?,
            cursor.u32()?,
            cursor.u32()?,
            cursor.u32()?,
            cursor.u32()?,
        ]
        .map(|count| count as usize);
        cursor.reserved(8)?;
        if entries > INDEX_RUN_ENTRIES_MAX {
            return Err(DecodeError::LimitExceeded("entries of an index run"));
        }
        let needed = packs * PACK_LEN + origins * ORIGIN_LEN + frames * FRAME_LEN;
        if cursor.rest().len() < needed + entries * ENTRY_LEN + replaced * REPLACED_LEN {
            return Err(DecodeError::Truncated);
        }
        let run = Self {
            name,
            packs: (0..packs)
                .map(|_| IndexedPack::decode(&mut cursor))
                .collect::<Decoded<_>>()?,
            origins: (0..origins)
                .map(|_| Origin::decode(&mut cursor))
                .collect::<Decoded<_>>()?,
            frames: (0..frames)
                .map(|_| IndexedFrame::decode(&mut cursor))
                .collect::<Decoded<_>>()?,
            entries: (0..entries)
                .map(|_| IndexEntry::decode(&mut cursor))
                .collect::<Decoded<_>>()?,
        };
        cursor.take(replaced * REPLACED_LEN)?; // what a compaction replaced changes no answer
        cursor.finish("index run is longer than its parts")?;
        run.validate().map(|()| run)
    }

    fn validate(&self) -> Decoded<()> {
        validate_origins(&self.origins)?;
        for frame in &self.frames {
            ensure(
                (frame.pack as usize) < self.packs.len(),
                "frame of an unknown pack",
            )?;
            ensure(
                (frame.origin as usize) < self.origins.len(),
                "frame of an unknown origin",
            )?;
        }
        for entry in &self.entries {
            let frame = self.frames.get(entry.frame as usize);
            let frame = frame.ok_or(DecodeError::Malformed("entry of an unknown frame"))?;
            let end = u64::from(entry.offset) + u64::from(entry.len);
            ensure(
                entry.len > 0 && end <= u64::from(frame.plain_len),
                "entry outside of its frame",
            )?;
        }
        ensure(
            self.entries.is_sorted_by(|a, b| a.place() < b.place()),
            "entries do not ascend",
        )
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + self.entries.len() * (ENTRY_LEN + FRAME_LEN / 4));
        self.name.encode_into(&mut out);
        let (packs, origins) = (self.packs.len(), self.origins.len());
        for count in [packs, origins, self.frames.len(), self.entries.len(), 0] {
            out.extend_from_slice(&(count as u32).to_le_bytes());
        }
        out.extend_from_slice(&[0; 8]);
        self.packs
            .iter()
            .for_each(|pack| pack.encode_into(&mut out));
        self.origins
            .iter()
            .for_each(|origin| origin.encode_into(&mut out));
        self.frames
            .iter()
            .for_each(|frame| frame.encode_into(&mut out));
        self.entries
            .iter()
            .for_each(|entry| entry.encode_into(&mut out));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> IndexRun {
        let session = SessionId([9; 16]);
        let entry = |byte, frame, offset, len| IndexEntry {
            id: ChunkId([byte; 32]),
            frame,
            offset,
            len,
        };
        IndexRun {
            name: TableName { session, number: 0 },
            packs: vec![IndexedPack {
                session,
                number: 3,
                class: PackClass::Data,
                object_len: 900,
            }],
            origins: vec![Origin {
                salt: [1; 32],
                commitment: [2; 32],
                epoch: 1,
                aead: 1,
            }],
            frames: vec![IndexedFrame {
                pack: 0,
                origin: 0,
                offset: 128,
                counter: 0,
                stored_len: 66,
                plain_len: 300,
                codec: Codec::Zstd,
            }],
            entries: vec![entry(0, 0, 200, 100), entry(0xff, 0, 0, 200)],
        }
    }

    #[test]
    fn a_run_reads_back() {
        assert_eq!(
            IndexRun::decode(&sample().encode(), sample().name),
            Ok(sample())
        );
    }

    #[test]
    fn every_rule_of_a_run_is_checked() {
        type Break = fn(&mut IndexRun);
        let breaks: [Break; 6] = [
            |run| run.name.number = 7,
            |run| run.frames[0].pack = 1,
            |run| run.frames[0].origin = 1,
            |run| run.entries[0].frame = 1,
            |run| run.entries[1].len = 301,
            |run| run.entries.swap(0, 1),
        ];
        for (index, damage) in breaks.into_iter().enumerate() {
            let mut run = sample();
            damage(&mut run);
            assert!(
                IndexRun::decode(&run.encode(), sample().name).is_err(),
                "rule {index}"
            );
        }
        let bytes = sample().encode();
        for len in 0..bytes.len() {
            assert!(
                IndexRun::decode(&bytes[..len], sample().name).is_err(),
                "length {len}"
            );
        }
    }
}
