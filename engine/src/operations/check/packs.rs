//! Packs: are they there, do they open, does the index say what their tables say, and, if asked,
//! is every byte right.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::error::{Error, ErrorKind, Result};
use crate::format::envelope::HEADER_LEN;
use crate::format::id::{ChunkId, SessionId};
use crate::format::name::{ObjectKind, ObjectName, PackClass};
use crate::format::table::Table;
use crate::limits::OBJECT_LEN_LIMIT;
use crate::operations::check::findings::{Findings, Progress};
use crate::operations::check::references::References;
use crate::operations::check::{CheckOptions, FindingKind};
use crate::operations::walk;
use crate::pipeline::parallel;
use crate::repository::chunks::{ChunkReader, FrameBuffers};
use crate::repository::index::{Index, Location, is_missing_or_damaged};
use crate::repository::keys::Keys;
use crate::repository::object::{self, FrameCode, OpenedObject};
use crate::repository::prunes::Prunes;
use crate::storage::Backend;
use crate::storage::ObjectInfo;
use crate::transform::compress::Decompressor;

/// What the packs came to.
pub(super) struct Packs {
    listed: Vec<ObjectInfo>,
    /// Named by the index and not there.
    pub(super) missing: HashSet<ObjectName>,
    /// Condemned by a prune that is not done: nothing needs them, and they may go at any time.
    pub(super) condemned: HashSet<ObjectName>,
    /// Copies of chunks and pages that cannot be read.
    bad_copies: HashSet<(ObjectName, ChunkId)>,
    /// Sessions that were committed.
    committed: BTreeSet<SessionId>,
}

/// What one pack came to.
#[derive(Default)]
struct Surveyed {
    /// Why it is not as it should be.
    damage: Option<Error>,
    /// It went since it was listed.
    gone: bool,
    /// Its header, trailer or table cannot be read.
    closed: bool,
    /// Chunks and pages in it that cannot be read.
    bad: Vec<ChunkId>,
    /// The index says something else than its table.
    index_differs: bool,
}

/// Buffers of one thread.
#[derive(Default)]
struct Buffers {
    bytes: Vec<u8>,
    plain: Vec<u8>,
    decompressor: Decompressor,
}

struct Surveyor<'s> {
    reader: &'s ChunkReader<'s>,
    index: &'s Index,
    /// Length and number of entries that the index knows of each pack, for each run that names it.
    indexed: HashMap<ObjectName, Vec<(u64, u64)>>,
    read_data: bool,
    progress: &'s Progress<'s>,
}

/// Looks at every pack.
pub(super) fn survey(
    reader: &ChunkReader<'_>,
    index: &Index,
    options: &CheckOptions,
    progress: &Progress<'_>,
    findings: &mut Findings,
) -> Result<Packs> {
    let backend = reader.repository().backend();
    let listed = backend.list(ObjectKind::Pack)?;
    let snapshots = backend.list(ObjectKind::Snapshot)?;
    let committed = snapshots.iter().filter_map(|info| session_of(&info.name));
    let surveyor = Surveyor {
        reader,
        index,
        indexed: indexed_packs(index),
        read_data: options.read_data,
        progress,
    };
    let surveyed = parallel::run(
        options.budget.threads,
        &listed,
        Buffers::default,
        |b, info| surveyor.pack(b, info),
    )?;
    let both = listed.iter().zip(&surveyed);
    let there = both.filter(|(_, surveyed)| !surveyed.gone);
    let there: HashSet<_> = there.map(|(info, _)| info.name).collect();
    let named = index.packs().map(|pack| pack.name());
    let mut packs = Packs {
        missing: named.filter(|name| !there.contains(name)).collect(),
        condemned: Prunes::read(reader.repository())?.condemned().collect(),
        committed: committed.collect(),
        bad_copies: HashSet::new(),
        listed,
    };
    // A prune may have moved what they held.
    reader.look_for(&packs.missing.iter().copied().collect::<Vec<_>>())?;
    let mut closed = HashSet::new();
    for (info, surveyed) in packs.listed.clone().iter().zip(surveyed) {
        if surveyed.closed {
            closed.insert(info.name);
        }
        if surveyed.gone {
            continue;
        }
        let indexed = surveyor.indexed.contains_key(&info.name);
        packs.tell(info, surveyed, indexed, findings);
    }
    packs.try_closed(reader, index, &closed)?;
    packs.tell_unindexed(&surveyor.indexed, index, findings);
    Ok(packs)
}

fn indexed_packs(index: &Index) -> HashMap<ObjectName, Vec<(u64, u64)>> {
    let mut entries = vec![0_u64; index.packs().count()];
    for (_, location) in index.locations() {
        entries[location.frame.pack as usize] += 1;
    }
    let mut indexed: HashMap<_, Vec<_>> = HashMap::new();
    for (pack, entries) in index.packs().zip(entries) {
        let known = indexed.entry(pack.name()).or_default();
        known.push((pack.object_len, entries));
    }
    indexed
}

impl Surveyor<'_> {
    fn pack(&self, buffers: &mut Buffers, info: &ObjectInfo) -> Result<Surveyed> {
        let looked = if self.read_data {
            self.read_whole(buffers, info)
        } else {
            self.open(info)
        };
        let surveyed = match looked {
            Ok(surveyed) => surveyed,
            Err(error) if error.kind() == ErrorKind::NotFound => Surveyed {
                gone: true,
                ..Surveyed::default()
            },
            Err(error) if is_missing_or_damaged(&error) => Surveyed {
                damage: Some(self.with_lengths(info, error)),
                closed: true,
                ..Surveyed::default()
            },
            Err(error) => return Err(error),
        };
        Ok(surveyed)
    }

    fn open(&self, info: &ObjectInfo) -> Result<Surveyed> {
        let (backend, keys) = self.backend_and_keys();
        let opened = object::open(backend, keys, &info.name, info.len);
        let read = opened.as_ref().map_or(0, |pack| {
            info.len - pack.trailer.table_offset + HEADER_LEN as u64
        });
        self.progress.object(read)?;
        let pack = opened?;
        Ok(Surveyed {
            index_differs: self.differs(info, &pack.table),
            ..Surveyed::default()
        })
    }

    fn read_whole(&self, buffers: &mut Buffers, info: &ObjectInfo) -> Result<Surveyed> {
        let (backend, keys) = self.backend_and_keys();
        if info.len > OBJECT_LEN_LIMIT {
            self.progress.object(0)?;
            return Err(Error::damaged(
                info.name,
                "is longer than any object may be",
            ));
        }
        buffers.bytes.resize(info.len as usize, 0);
        let read = backend.get_range(&info.name, 0, &mut buffers.bytes);
        self.progress.object(info.len)?;
        read?;
        let pack = object::open_bytes(keys, &info.name, &buffers.bytes)?;
        let mut damage = object::verify_blocks(&pack, &buffers.bytes).err();
        let mut bad = Vec::new();
        self.verify_frames(&pack, buffers, &mut damage, &mut bad);
        Ok(Surveyed {
            damage,
            bad,
            index_differs: self.differs(info, &pack.table),
            ..Surveyed::default()
        })
    }

    /// Opens every frame and computes every id again; the first damage is kept.
    fn verify_frames(
        &self,
        pack: &OpenedObject,
        buffers: &mut Buffers,
        damage: &mut Option<Error>,
        bad: &mut Vec<ChunkId>,
    ) {
        let (_, keys) = self.backend_and_keys();
        let id_key = match pack.name {
            ObjectName::Pack {
                class: PackClass::Data,
                ..
            } => keys.chunk_id(),
            _ => keys.page_id(),
        };
        let mut chunks = pack.table.chunks.as_slice();
        for frame in &pack.table.frames {
            let (own, rest) = chunks.split_at(frame.chunk_count as usize);
            chunks = rest;
            let sealed = &mut buffers.bytes[frame.offset as usize..][..frame.stored_len as usize];
            let opened = object::open_frame(
                keys,
                pack.header.kind,
                &pack.table.origins[frame.origin as usize],
                FrameCode::of(frame),
                (pack.name, frame.offset),
                sealed,
                &mut buffers.decompressor,
                &mut buffers.plain,
            );
            if let Err(error) = opened {
                damage.get_or_insert(error);
                bad.extend(own.iter().map(|chunk| chunk.id));
                continue;
            }
            let mut plain = buffers.plain.as_slice();
            for chunk in own {
                let (bytes, behind) = plain.split_at(chunk.len as usize);
                plain = behind;
                if id_key.id_of(bytes) != chunk.id {
                    let detail = format!("{} bytes do not have the id {}", chunk.len, chunk.id);
                    damage.get_or_insert_with(|| Error::damaged(pack.name, detail));
                    bad.push(chunk.id);
                }
            }
        }
    }

    /// True if an index run names the pack and does not say what its table says.
    fn differs(&self, info: &ObjectInfo, table: &Table) -> bool {
        let Some(known) = self.indexed.get(&info.name) else {
            return false;
        };
        let expected = (info.len, table.chunks.len() as u64);
        if known.iter().any(|known| *known != expected) {
            return true;
        }
        let mut chunks = table.chunks.iter();
        table.frames.iter().any(|frame| {
            let mut offset = 0;
            chunks
                .by_ref()
                .take(frame.chunk_count as usize)
                .any(|chunk| {
                    let here = offset;
                    offset += chunk.len;
                    let same = |copy: Location| {
                        let place = (copy.frame.offset, copy.frame.counter, copy.offset, copy.len);
                        copy.pack.name() == info.name
                            && place == (frame.offset, frame.counter, here, chunk.len)
                            && copy.frame.stored_len == frame.stored_len
                            && copy.frame.plain_len == frame.plain_len
                            && copy.frame.codec == frame.codec
                            && copy.origin == table.origins[frame.origin as usize]
                    };
                    !self.index.locate(&chunk.id).any(same)
                })
        })
    }

    fn with_lengths(&self, info: &ObjectInfo, error: Error) -> Error {
        let known = self.indexed.get(&info.name).and_then(|known| known.first());
        match known {
            Some((len, _)) if *len != info.len => {
                let detail = format!("expected {len} bytes, found {}", info.len);
                Error::damaged(info.name, detail).with_source(error)
            }
            _ => error,
        }
    }

    fn backend_and_keys(&self) -> (&dyn Backend, &Keys) {
        let repository = self.reader.repository();
        (repository.backend(), repository.keys())
    }
}

impl Packs {
    /// Copies of chunks and pages that cannot be read.
    pub(super) fn bad_copies(&self) -> impl Iterator<Item = &(ObjectName, ChunkId)> {
        self.bad_copies.iter()
    }

    /// True if this copy of a chunk or page can be read, as far as packs were read.
    pub(super) fn is_good(&self, id: &ChunkId, copy: &Location) -> bool {
        let name = copy.pack.name();
        !self.missing.contains(&name) && !self.bad_copies.contains(&(name, *id))
    }

    /// True if the index names the pack and it is not there.
    pub(super) fn is_missing(&self, name: &ObjectName) -> bool {
        self.missing.contains(name)
    }

    /// Names the packs that hold nothing that a snapshot needs, by session.
    pub(super) fn tell_unreferenced(
        &self,
        reader: &ChunkReader<'_>,
        references: &References,
        findings: &mut Findings,
    ) -> Result<()> {
        let (backend, keys) = (reader.repository().backend(), reader.repository().keys());
        let mut sums: BTreeMap<SessionId, (u64, u64)> = BTreeMap::new();
        for info in &self.listed {
            let Some(session) = session_of(&info.name) else {
                continue;
            };
            if self.committed.contains(&session) {
                continue;
            }
            match object::open(backend, keys, &info.name, info.len) {
                Ok(pack) if references.need_any(&pack.table) => continue,
                Ok(_) => {}
                Err(error) if is_missing_or_damaged(&error) => continue, // told already
                Err(error) => return Err(error),
            }
            let (count, bytes) = sums.entry(session).or_default();
            *count += 1;
            *bytes += info.len;
        }
        for (session, (count, bytes)) in sums {
            let detail = format!(
                "{count} packs of {bytes} bytes belong to no snapshot: their session still runs, \
                 or was interrupted"
            );
            let subject = format!("packs/{session}");
            findings.add(FindingKind::Unreferenced, subject, detail);
        }
        Ok(())
    }

    fn tell(
        &mut self,
        info: &ObjectInfo,
        surveyed: Surveyed,
        indexed: bool,
        findings: &mut Findings,
    ) {
        let committed = session_of(&info.name).is_some_and(|id| self.committed.contains(&id));
        if let Some(error) = &surveyed.damage {
            // What an interrupted session left behind may be torn: nobody was promised anything.
            // What a prune condemned is not needed; if it is, its loss is found and told.
            let condemned = self.condemned.contains(&info.name);
            let kind = match (committed || indexed) && !condemned {
                true => FindingKind::Damaged,
                false => FindingKind::Unreferenced,
            };
            findings.add(kind, info.name, walk::with_causes(error));
        } else if surveyed.index_differs {
            let detail = "the index says something else than the table of this pack; run repair index \
                 --rebuild";
            findings.add(FindingKind::Rebuildable, info.name, detail);
        }
        let bad = surveyed.bad.into_iter().map(|id| (info.name, id));
        self.bad_copies.extend(bad);
    }

    /// Packs that do not open may still hold what the index knows of them: frames need no table.
    fn try_closed(
        &mut self,
        reader: &ChunkReader<'_>,
        index: &Index,
        closed: &HashSet<ObjectName>,
    ) -> Result<()> {
        if closed.is_empty() {
            return Ok(());
        }
        let mut buffers = FrameBuffers::default();
        for (id, copy) in index.locations() {
            let name = copy.pack.name();
            if !closed.contains(&name) {
                continue;
            }
            let read = reader.read_frame(&copy, &mut buffers);
            let found = read.and_then(|()| reader.slice(&id, &copy, &buffers.plain).map(drop));
            match found {
                Ok(()) => {}
                Err(error) if is_missing_or_damaged(&error) => {
                    self.bad_copies.insert((name, id));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Packs of committed sessions that no run names: reading them works, and is slow.
    fn tell_unindexed(
        &self,
        indexed: &HashMap<ObjectName, Vec<(u64, u64)>>,
        index: &Index,
        findings: &mut Findings,
    ) {
        let damaged = index.damaged_runs().iter();
        let told: BTreeSet<_> = damaged.filter_map(|(name, _)| session_of(name)).collect();
        let mut counts: BTreeMap<SessionId, u64> = BTreeMap::new();
        for info in &self.listed {
            if let Some(session) = session_of(&info.name)
                && !indexed.contains_key(&info.name)
                && self.committed.contains(&session)
                && !told.contains(&session)
            {
                *counts.entry(session).or_default() += 1;
            }
        }
        for (session, count) in counts {
            let detail =
                format!("{count} packs of this session are in no index run; run repair index");
            findings.add(FindingKind::Rebuildable, format!("index/{session}"), detail);
        }
    }
}

fn session_of(name: &ObjectName) -> Option<SessionId> {
    match *name {
        ObjectName::Pack { session, .. }
        | ObjectName::Index { session, .. }
        | ObjectName::Snapshot(session) => Some(session),
        _ => None,
    }
}
