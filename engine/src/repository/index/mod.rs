//! Where chunks and pages lie: the union of all index runs, in a few sorted segments.
//!
//! ```text
//! beyond    what is there that a reader does not know of yet
//! runs      index runs of the repository: read, and gathered from tables of packs
//! segment   one sorted part, and how an id is found in it
//! line      the ids of a bucket in one cache line
//! build     makes segments: from runs, from other segments
//! bytes     a segment's bytes: in memory, or in a mapped file that is checked as it is read
//! local     the segments that this machine keeps
//! written   those of a session that is at work
//! notes     what else it keeps about the repository
//! rewrite   runs without the packs that are gone, and few instead of many
//! replace   new runs proven to say what the old ones said, before those are deleted
//! whole     the manifests whose chunks are known to be indexed
//! damaged   the copies that a check has found damaged
//! ```
//! Derived data: what the runs do not cover is found in the tables of the packs themselves.
//!
//! A lookup asks every segment, so there are few: one that is not small beside those behind it
//! stays, the others are merged, as in a log-structured merge tree.

mod beyond;
mod build;
mod bytes;
mod damaged;
mod line;
mod local;
#[cfg(test)]
mod local_tests;
mod notes;
mod replace;
pub(crate) mod rewrite;
#[cfg(test)]
mod rewrite_tests;
mod runs;
mod segment;
mod whole;
mod written;

use std::collections::HashSet;

pub(crate) use self::beyond::Known;
pub(crate) use self::local::LocalIndex;
pub(crate) use self::replace::Replacer;
pub(crate) use self::runs::{RunBuilder, read_run, run_of};
pub(crate) use self::written::Written;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::envelope::SealedKind;
use crate::format::id::ChunkId;
use crate::format::index_run::{IndexEntry, IndexRun, IndexedFrame, IndexedPack};
use crate::format::name::{ObjectKind, ObjectName};
use crate::format::table::{Origin, TableName};
use crate::repository::index::segment::Segment;
use crate::repository::keys::Keys;
use crate::repository::pack::sealed_kind;
use crate::storage::{Backend, ObjectInfo};

/// A segment stays as it is while those behind it are smaller by this factor, all together.
const GROWTH: u64 = 4;
/// How often runs are listed again because some were gone when they were read.
const LOAD_ATTEMPTS_MAX: u32 = 16;
/// Entries that are gathered in memory before they become a segment: about 50 MB.
const GATHERED_ENTRIES_MAX: usize = 1 << 20;

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
    /// Largest first.
    segments: Vec<Placed>,
    /// Runs that could not be read, and why.
    damaged_runs: Vec<(ObjectName, Error)>,
}

#[derive(Debug)]
struct Placed {
    segment: Segment,
    /// Number of its first frame among the frames of all segments.
    frame_base: u32,
    /// Number of its first pack.
    pack_base: u32,
    /// Number of its first entry.
    entry_base: u64,
}

impl Index {
    /// Reads every run that is not kept locally, and keeps it. One that is damaged is passed over
    /// and remembered: it costs new copies or reading tables, not data.
    pub(crate) fn load(
        backend: &dyn Backend,
        keys: &Keys,
        local: Option<&LocalIndex>,
    ) -> Result<Self> {
        let mut listed = backend.list(ObjectKind::Index)?;
        let names = listed.iter().map(|info| TableName::of(&info.name));
        let segments = local.map(|local| local.segments(&names.collect()));
        let mut gathered = Gathered::new(segments.unwrap_or_default(), local);
        let mut seen = gathered.covered();
        let mut damaged_runs = Vec::new();
        for attempt in 1.. {
            let mut gone = Vec::new();
            for ObjectInfo { name, .. } in listed {
                if seen.contains(&TableName::of(&name)) {
                    continue;
                }
                match read_run(backend, keys, &name) {
                    Ok(run) => gathered.add(run),
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        gone.push((name, error));
                        continue;
                    }
                    Err(error) if is_missing_or_damaged(&error) => damaged_runs.push((name, error)),
                    Err(error) => return Err(error),
                }
                seen.insert(TableName::of(&name));
            }
            // What was listed and is gone says the same in another run now.
            if gone.is_empty() || attempt == LOAD_ATTEMPTS_MAX {
                damaged_runs.extend(gone);
                break;
            }
            listed = backend.list(ObjectKind::Index)?;
        }
        Ok(Self {
            damaged_runs,
            ..Self::of(gathered.finish())
        })
    }

    fn of(segments: Vec<Segment>) -> Self {
        let mut index = Self::default();
        index.append(segments);
        index
    }

    /// Adds segments behind those that are there, so that no number changes.
    fn append(&mut self, segments: Vec<Segment>) {
        let (mut frame_base, mut pack_base, mut entry_base) = match self.segments.last() {
            Some(last) => {
                let shape = last.segment.shape();
                (
                    last.frame_base + shape.frames,
                    last.pack_base + shape.packs,
                    last.entry_base + u64::from(shape.entries),
                )
            }
            None => (0, 0, 0),
        };
        for segment in segments {
            let shape = segment.shape();
            self.segments.push(Placed {
                segment,
                frame_base,
                pack_base,
                entry_base,
            });
            frame_base += shape.frames;
            pack_base += shape.packs;
            entry_base += u64::from(shape.entries);
        }
    }

    /// The same index, and what the tables of all packs say that no run speaks of: all that there
    /// is, as far as it can be read.
    pub(crate) fn with_uncovered(mut self, backend: &dyn Backend, keys: &Keys) -> Result<Self> {
        let (beyond, _) = Self::load_beyond(&mut Known::of(&self), backend, keys)?;
        let segments = beyond.segments.into_iter();
        self.append(segments.map(|placed| placed.segment).collect());
        Ok(self)
    }

    /// The numbers of the entries of `id`, below [`Self::len`]; the first is always the same.
    pub(crate) fn numbers(&self, id: &ChunkId) -> impl Iterator<Item = u64> {
        self.segments.iter().flat_map(|placed| {
            let found = placed.segment.find(id);
            found.map(|number| placed.entry_base + u64::from(number))
        })
    }

    /// True if there is a copy of `id`.
    pub fn contains(&self, id: &ChunkId) -> bool {
        self.segments
            .iter()
            .any(|placed| !placed.segment.find(id).is_empty())
    }

    /// Every copy of `id`.
    pub fn locate(&self, id: &ChunkId) -> impl Iterator<Item = Location> {
        self.segments.iter().flat_map(|placed| {
            let found = placed.segment.find(id);
            found.filter_map(|number| placed.location(&placed.segment.entry(number)?))
        })
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        let counts = self.segments.iter().map(|placed| placed.entry_count());
        counts.map(|count| count as usize).sum()
    }

    /// True if nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The runs that were read.
    pub(crate) fn runs(&self) -> impl Iterator<Item = TableName> {
        let segments = self.segments.iter();
        segments.flat_map(|placed| placed.segment.runs().iter().copied())
    }

    /// The packs that some run speaks of.
    pub fn packs(&self) -> impl Iterator<Item = &IndexedPack> {
        let segments = self.segments.iter();
        segments.flat_map(|placed| placed.segment.packs())
    }

    /// Every copy of every chunk and page, ascending by id. Ask [`Self::ensure_whole`] afterwards.
    pub fn locations(&self) -> impl Iterator<Item = (ChunkId, Location)> {
        self.numbered_locations().map(|(id, _, copy)| (id, copy))
    }

    /// The same with the number of the entry; copies of one id in the order of [`Self::numbers`].
    pub(crate) fn numbered_locations(&self) -> impl Iterator<Item = (ChunkId, u64, Location)> {
        let mut streams: Vec<_> = self
            .segments
            .iter()
            .map(|placed| placed.locations().peekable())
            .collect();
        std::iter::from_fn(move || {
            let heads = streams.iter_mut().enumerate();
            let heads = heads.filter_map(|(at, stream)| Some((stream.peek()?.0, at)));
            let (_, first) = heads.min()?;
            streams[first].next()
        })
    }

    /// Every frame of every pack; one that several runs speak of comes several times.
    pub(crate) fn frames(&self) -> impl Iterator<Item = IndexedFrame> {
        self.segments.iter().flat_map(|placed| {
            let numbers = 0..placed.segment.shape().frames;
            numbers.filter_map(|number| {
                let (frame, _, _) = placed.segment.frame(number)?;
                Some(IndexedFrame {
                    pack: frame.pack + placed.pack_base,
                    ..frame
                })
            })
        })
    }

    /// The frame of this number, as the location of all of it.
    pub(crate) fn frame(&self, number: u32) -> Option<Location> {
        let at = self
            .segments
            .partition_point(|placed| placed.frame_base <= number);
        let placed = self.segments.get(at.checked_sub(1)?)?;
        let mut whole = IndexEntry {
            id: ChunkId([0; ChunkId::LEN]),
            frame: number - placed.frame_base,
            offset: 0,
            len: 0,
        };
        whole.len = placed.location(&whole)?.frame.plain_len;
        placed.location(&whole)
    }

    /// Runs that could not be read.
    pub fn damaged_runs(&self) -> &[(ObjectName, Error)] {
        &self.damaged_runs
    }

    /// Fails if a local copy of the index turned out to be damaged, so that what was not found
    /// may be there all the same.
    pub fn ensure_whole(&self) -> Result<()> {
        if !self
            .segments
            .iter()
            .any(|placed| placed.segment.is_damaged())
        {
            return Ok(());
        }
        let detail = "the copy of its index in the cache of this machine was damaged, and is \
                      removed now; run the command again";
        Err(Error::new(ErrorKind::Io, Place::Repository, detail))
    }
}

impl Placed {
    fn entry_count(&self) -> u32 {
        self.segment.shape().entries
    }

    fn locations(&self) -> impl Iterator<Item = (ChunkId, u64, Location)> {
        (0..self.entry_count()).filter_map(|number| {
            let entry = self.segment.entry(number)?;
            let global = self.entry_base + u64::from(number);
            Some((entry.id, global, self.location(&entry)?))
        })
    }

    fn location(&self, entry: &IndexEntry) -> Option<Location> {
        let (frame, pack, origin) = self.segment.frame(entry.frame)?;
        Some(Location {
            pack: *pack,
            frame: IndexedFrame {
                pack: frame.pack + self.pack_base,
                ..frame
            },
            origin: *origin,
            frame_number: entry.frame + self.frame_base,
            offset: entry.offset,
            len: entry.len,
        })
    }
}

/// Segments on their way to an index.
struct Gathered<'l> {
    segments: Vec<Segment>,
    /// Small ones that are not merged yet.
    fresh: Vec<Segment>,
    fresh_entries: usize,
    local: Option<&'l LocalIndex>,
}

impl<'l> Gathered<'l> {
    fn new(segments: Vec<Segment>, local: Option<&'l LocalIndex>) -> Self {
        Self {
            segments,
            fresh: Vec::new(),
            fresh_entries: 0,
            local,
        }
    }

    /// The runs that are known.
    fn covered(&self) -> HashSet<TableName> {
        let runs = self.segments.iter().flat_map(Segment::runs);
        runs.copied().collect()
    }

    fn add(&mut self, run: IndexRun) {
        self.fresh_entries += run.entries.len();
        self.fresh.push(build::from_run(&run));
        if self.fresh_entries >= GATHERED_ENTRIES_MAX {
            self.settle();
        }
    }

    fn settle(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        self.fresh_entries = 0;
        if fresh.is_empty() {
            return;
        }
        let kept = self.local.and_then(|local| local.keep(&fresh));
        self.segments
            .push(kept.unwrap_or_else(|| build::merged(&fresh)));
    }

    fn finish(mut self) -> Vec<Segment> {
        self.settle();
        compact(self.segments, self.local)
    }
}

/// Merges the segments that are small beside each other; gives the largest first.
fn compact(mut segments: Vec<Segment>, local: Option<&LocalIndex>) -> Vec<Segment> {
    segments.sort_by_key(|segment| std::cmp::Reverse(segment.shape().entries));
    let first = first_to_merge(&segments);
    let small = segments.split_off(first);
    if small.len() < 2 {
        segments.extend(small);
        return segments;
    }
    let merged = match local {
        Some(local) => local.keep(&small),
        None => Some(build::merged(&small)),
    };
    match merged {
        Some(merged) => {
            if let Some(local) = local {
                small.iter().for_each(|segment| local.forget(segment));
            }
            segments.push(merged);
        }
        None => segments.extend(small),
    }
    segments
}

/// The first segment, in descending order, that is not large beside all behind it.
fn first_to_merge(segments: &[Segment]) -> usize {
    let mut first = segments.len();
    let mut behind = 0;
    for (number, segment) in segments.iter().enumerate().rev() {
        let entries = u64::from(segment.shape().entries);
        if entries < GROWTH * behind {
            first = number;
        }
        behind += entries;
    }
    first
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

impl Location {
    /// The kind of object that the frame was sealed for.
    pub(crate) fn sealed_kind(&self) -> SealedKind {
        sealed_kind(self.pack.class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::id::SessionId;
    use crate::format::name::PackClass;
    use crate::format::table::Codec;

    fn index_of<const N: usize>(runs: [IndexRun; N]) -> Index {
        let mut gathered = Gathered::new(Vec::new(), None);
        runs.into_iter().for_each(|run| gathered.add(run));
        Index::of(gathered.finish())
    }

    fn run(number: u32, ids: &[[u8; 32]]) -> IndexRun {
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
            name: TableName { session, number },
            packs: vec![IndexedPack {
                session,
                number,
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
        let index = index_of([
            run(0, &(0..1000).map(id).collect::<Vec<_>>()),
            run(
                1,
                &(900..1100)
                    .map(id)
                    .chain([[0; 32], [0xff; 32]])
                    .collect::<Vec<_>>(),
            ),
        ]);
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
        for index in [Index::default(), index_of([]), index_of([run(0, &[])])] {
            assert!(index.is_empty() && !index.contains(&ChunkId([7; 32])));
            assert_eq!(index.locations().count(), 0);
        }
    }
}
