//! Where chunks and pages lie: the union of all index runs, in memory, sorted.
//!
//! Derived data: what the runs do not cover is found in the tables of the packs themselves.

use std::collections::BTreeSet;
use std::collections::HashMap;

use crate::error::{Error, ErrorKind, Result};
use crate::format::envelope::SealedKind;
use crate::format::id::ChunkId;
use crate::format::index_run::{IndexEntry, IndexRun, IndexedFrame, IndexedPack};
use crate::format::name::{ObjectKind, ObjectName, PackClass};
use crate::format::table::{Origin, TableName};
use crate::repository::keys::Keys;
use crate::repository::object::{self, OpenedObject};
use crate::storage::{Backend, ObjectInfo};

/// About four entries a bucket: two cache lines a lookup, found or not.
const ENTRIES_PER_BUCKET: usize = 4;

/// One copy of a chunk or page: all that is needed to fetch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The pack.
    pub pack: IndexedPack,
    /// The frame in it, and how it is opened.
    pub frame: IndexedFrame,
    /// What its key is made from.
    pub origin: Origin,
    /// Names the frame among all frames of this index.
    pub frame_number: u32,
    /// First byte in the frame's plaintext.
    pub offset: u32,
    /// Length, bytes.
    pub len: u32,
}

/// All runs of a repository.
#[derive(Debug, Default)]
pub struct Index {
    packs: Vec<IndexedPack>,
    origins: Vec<Origin>,
    frames: Vec<IndexedFrame>,
    /// Ascending by id; several copies of one id are neighbours.
    entries: Vec<IndexEntry>,
    /// First entry of each bucket of ids by their first bits, and one past the last.
    buckets: Vec<u32>,
    bucket_shift: u32,
    /// Runs that could not be read, and why.
    damaged_runs: Vec<(ObjectName, Error)>,
}

impl Index {
    /// Reads every run. One that is damaged is passed over and remembered: it costs new copies or
    /// reading tables, not data.
    pub(crate) fn load(backend: &dyn Backend, keys: &Keys) -> Result<Self> {
        let mut index = Self::default();
        for ObjectInfo { name, .. } in backend.list(ObjectKind::Index)? {
            match read_run(backend, keys, &name) {
                Ok(run) => index.append(run),
                Err(error) if is_missing_or_damaged(&error) => {
                    index.damaged_runs.push((name, error))
                }
                Err(error) => return Err(error),
            }
        }
        index.sort();
        Ok(index)
    }

    /// Reads the tables of all packs that no run speaks of. Packs that are damaged are passed
    /// over.
    pub(crate) fn load_uncovered(&self, backend: &dyn Backend, keys: &Keys) -> Result<Self> {
        let covered: BTreeSet<_> = self.packs.iter().map(IndexedPack::name).collect();
        let mut index = Self::default();
        for info in backend.list(ObjectKind::Pack)? {
            if covered.contains(&info.name) {
                continue;
            }
            match object::open(backend, keys, &info.name, info.len) {
                Ok(pack) => index.append(run_of(&[(pack, info.len)])),
                Err(error) if is_missing_or_damaged(&error) => {}
                Err(error) => return Err(error),
            }
        }
        index.sort();
        Ok(index)
    }

    /// True if there is a copy of `id`.
    pub fn contains(&self, id: &ChunkId) -> bool {
        !self.copies(id).is_empty()
    }

    /// Every copy of `id`.
    pub fn locate(&self, id: &ChunkId) -> impl Iterator<Item = Location> {
        self.copies(id).iter().map(|entry| self.location(entry))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The packs that some run speaks of.
    pub fn packs(&self) -> &[IndexedPack] {
        &self.packs
    }

    /// Every copy of every chunk and page, ascending by id.
    pub fn locations(&self) -> impl Iterator<Item = (ChunkId, Location)> {
        self.entries
            .iter()
            .map(|entry| (entry.id, self.location(entry)))
    }

    /// The frame of this number, as the location of all of it.
    pub(crate) fn frame(&self, number: u32) -> Location {
        let len = self.frames[number as usize].plain_len;
        let id = ChunkId([0; ChunkId::LEN]);
        self.location(&IndexEntry {
            id,
            frame: number,
            offset: 0,
            len,
        })
    }

    /// Runs that could not be read.
    pub fn damaged_runs(&self) -> &[(ObjectName, Error)] {
        &self.damaged_runs
    }

    fn append(&mut self, run: IndexRun) {
        let (pack_base, origin_base) = (self.packs.len() as u32, self.origins.len() as u32);
        let frame_base = self.frames.len() as u32;
        self.packs.extend(run.packs);
        self.origins.extend(run.origins);
        self.frames
            .extend(run.frames.into_iter().map(|frame| IndexedFrame {
                pack: frame.pack + pack_base,
                origin: frame.origin + origin_base,
                ..frame
            }));
        let moved = |entry: IndexEntry| IndexEntry {
            frame: entry.frame + frame_base,
            ..entry
        };
        self.entries.extend(run.entries.into_iter().map(moved));
    }

    /// Spreads the entries over buckets by the first bits of their ids, then sorts each bucket of
    /// a few: ids are uniform, so this compares far less than sorting the whole would.
    fn sort(&mut self) {
        let bits = (self.entries.len() / ENTRIES_PER_BUCKET)
            .max(1)
            .ilog2()
            .min(30);
        self.bucket_shift = 32 - bits;
        let mut ends = vec![0; (1 << bits) + 1];
        for entry in &self.entries {
            ends[bucket_of(&entry.id, self.bucket_shift) + 1] += 1;
        }
        for bucket in 1..ends.len() {
            ends[bucket] += ends[bucket - 1];
        }
        self.buckets = ends;
        let mut next = self.buckets.clone();
        let mut sorted = self.entries.clone();
        for entry in &self.entries {
            let place = &mut next[bucket_of(&entry.id, self.bucket_shift)];
            sorted[*place as usize] = *entry;
            *place += 1;
        }
        for bucket in self.buckets.windows(2) {
            sorted[bucket[0] as usize..bucket[1] as usize].sort_unstable();
        }
        self.entries = sorted;
    }

    fn copies(&self, id: &ChunkId) -> &[IndexEntry] {
        if self.entries.is_empty() {
            return &[];
        }
        let bucket = bucket_of(id, self.bucket_shift);
        let range = self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize;
        let bucket = &self.entries[range];
        let first = bucket.partition_point(|entry| entry.id < *id);
        let count = bucket[first..]
            .iter()
            .take_while(|entry| entry.id == *id)
            .count();
        &bucket[first..first + count]
    }

    fn location(&self, entry: &IndexEntry) -> Location {
        let frame = self.frames[entry.frame as usize];
        Location {
            pack: self.packs[frame.pack as usize],
            frame,
            origin: self.origins[frame.origin as usize],
            frame_number: entry.frame,
            offset: entry.offset,
            len: entry.len,
        }
    }
}

/// Ids are uniform: their first bits spread entries evenly.
fn bucket_of(id: &ChunkId, shift: u32) -> usize {
    let [a, b, c, d, ..] = id.0;
    let prefix = u32::from_le_bytes([d, c, b, a]); // most significant first, as ids compare
    (u64::from(prefix) >> shift) as usize
}

/// True for an error that one object caused, and that others need not share.
pub(crate) fn is_missing_or_damaged(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Damaged
            | ErrorKind::NotFound
            | ErrorKind::Unsupported
            | ErrorKind::LimitExceeded
    )
}

/// Reads one run.
pub(crate) fn read_run(backend: &dyn Backend, keys: &Keys, name: &ObjectName) -> Result<IndexRun> {
    let (kind, payload) = object::read(backend, keys, name)?;
    debug_assert_eq!(kind, SealedKind::IndexRun, "the envelope checked the kind");
    IndexRun::decode(&payload, TableName::of(name)).map_err(|error| object::damaged(name, error))
}

/// The run that speaks of these packs; its name is empty until it is stored.
pub(crate) fn run_of(packs: &[(OpenedObject, u64)]) -> IndexRun {
    let mut builder = RunBuilder::default();
    for (pack, object_len) in packs {
        builder.add(&pack.name, *object_len, &pack.table);
    }
    builder.finish(TableName::of(&ObjectName::Config(0)))
}

/// Gathers the tables of packs into a run.
#[derive(Debug, Default)]
pub(crate) struct RunBuilder {
    packs: Vec<IndexedPack>,
    origins: Vec<Origin>,
    origin_numbers: HashMap<[u8; 32], u32>,
    frames: Vec<IndexedFrame>,
    entries: Vec<IndexEntry>,
}

impl RunBuilder {
    /// Adds all chunks of a pack.
    pub(crate) fn add(
        &mut self,
        name: &ObjectName,
        object_len: u64,
        table: &crate::format::table::Table,
    ) {
        let ObjectName::Pack {
            session,
            number,
            class,
        } = *name
        else {
            return;
        };
        let pack = self.packs.len() as u32;
        self.packs.push(IndexedPack {
            session,
            number,
            class,
            object_len,
        });
        let mut chunks = table.chunks.iter();
        for frame in &table.frames {
            let origin = self.origin_number(&table.origins[frame.origin as usize]);
            let number = self.frames.len() as u32;
            self.frames.push(IndexedFrame {
                pack,
                origin,
                offset: frame.offset,
                counter: frame.counter,
                stored_len: frame.stored_len,
                plain_len: frame.plain_len,
                codec: frame.codec,
            });
            let mut offset = 0;
            for chunk in chunks.by_ref().take(frame.chunk_count as usize) {
                self.entries.push(IndexEntry {
                    id: chunk.id,
                    frame: number,
                    offset,
                    len: chunk.len,
                });
                offset += chunk.len;
            }
        }
    }

    /// Number of entries so far.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Number of packs so far.
    pub(crate) fn pack_count(&self) -> usize {
        self.packs.len()
    }

    /// The run under its name.
    pub(crate) fn finish(mut self, name: TableName) -> IndexRun {
        self.entries.sort_unstable();
        let (packs, origins) = (self.packs, self.origins);
        IndexRun {
            name,
            packs,
            origins,
            frames: self.frames,
            entries: self.entries,
        }
    }

    fn origin_number(&mut self, origin: &Origin) -> u32 {
        *self.origin_numbers.entry(origin.salt).or_insert_with(|| {
            self.origins.push(*origin);
            self.origins.len() as u32 - 1
        })
    }
}

impl Location {
    /// The kind of object that the frame was sealed for.
    pub(crate) fn sealed_kind(&self) -> SealedKind {
        match self.pack.class {
            PackClass::Data => SealedKind::DataPack,
            PackClass::Meta => SealedKind::MetaPack,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::id::SessionId;
    use crate::format::table::Codec;

    fn run(ids: &[[u8; 32]]) -> IndexRun {
        let session = SessionId([1; 16]);
        let entry = |(i, id): (usize, &[u8; 32])| IndexEntry {
            id: ChunkId(*id),
            frame: 0,
            offset: i as u32,
            len: 1,
        };
        let mut entries: Vec<_> = ids.iter().enumerate().map(entry).collect();
        entries.sort_unstable();
        IndexRun {
            name: TableName { session, number: 0 },
            packs: vec![IndexedPack {
                session,
                number: 0,
                class: PackClass::Data,
                object_len: 1,
            }],
            origins: vec![Origin {
                salt: [0; 32],
                commitment: [0; 32],
                epoch: 1,
                aead: 1,
            }],
            frames: vec![IndexedFrame {
                pack: 0,
                origin: 0,
                offset: 0,
                counter: 0,
                stored_len: 100,
                plain_len: 84,
                codec: Codec::Stored,
            }],
            entries,
        }
    }

    #[test]
    fn every_id_is_found_with_all_its_copies_and_no_other() {
        let id = |i: u64| *blake3::hash(&i.to_le_bytes()).as_bytes();
        let mut index = Index::default();
        index.append(run(&(0..1000).map(id).collect::<Vec<_>>()));
        index.append(run(&(900..1100)
            .map(id)
            .chain([[0; 32], [0xff; 32]])
            .collect::<Vec<_>>()));
        index.sort();
        for i in 0..1200 {
            let copies = index.locate(&ChunkId(id(i))).count();
            let expected = usize::from(i < 1000) + usize::from((900..1100).contains(&i));
            assert_eq!(copies, expected, "id {i}");
        }
        assert!(index.contains(&ChunkId([0; 32])) && index.contains(&ChunkId([0xff; 32])));
        assert_eq!(
            index
                .locate(&ChunkId([0xff; 32]))
                .next()
                .map(|found| found.frame.pack),
            Some(1)
        );
    }

    #[test]
    fn an_empty_index_contains_nothing() {
        let mut index = Index::default();
        assert!(!index.contains(&ChunkId([0; 32])));
        index.sort();
        assert!(index.is_empty() && !index.contains(&ChunkId([7; 32])));
    }
}
