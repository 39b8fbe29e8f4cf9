//! Index runs: read from the repository, and gathered from the tables of packs.

use std::collections::HashMap;

use crate::error::Result;
use crate::format::envelope::SealedKind;
use crate::format::index_run::{IndexEntry, IndexRun, IndexedFrame, IndexedPack};
use crate::format::name::ObjectName;
use crate::format::table::{Origin, Table, TableName};
use crate::repository::keys::Keys;
use crate::repository::object::{self, OpenedObject};
use crate::storage::Backend;

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
    builder.finish(TableName::NONE)
}

/// Gathers the tables of packs into a run.
#[derive(Debug, Default)]
pub(crate) struct RunBuilder {
    packs: Vec<IndexedPack>,
    origins: Vec<Origin>,
    origin_numbers: HashMap<Origin, u32>,
    frames: Vec<IndexedFrame>,
    entries: Vec<IndexEntry>,
}

impl RunBuilder {
    /// Adds all chunks of a pack.
    pub(crate) fn add(&mut self, name: &ObjectName, object_len: u64, table: &Table) {
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

    /// Adds what a run says of those of its packs that `keep`, by their numbers, has true for.
    pub(crate) fn add_run(&mut self, run: &IndexRun, keep: &[bool]) {
        let mut packs = Vec::with_capacity(run.packs.len());
        for (pack, keep) in run.packs.iter().zip(keep) {
            packs.push(keep.then_some(self.packs.len() as u32));
            self.packs.extend(keep.then_some(*pack));
        }
        let mut frames = Vec::with_capacity(run.frames.len());
        for frame in &run.frames {
            let pack = packs.get(frame.pack as usize).copied().flatten();
            frames.push(pack.map(|_| self.frames.len() as u32));
            if let Some(pack) = pack {
                let origin = self.origin_number(&run.origins[frame.origin as usize]);
                self.frames.push(IndexedFrame {
                    pack,
                    origin,
                    ..*frame
                });
            }
        }
        let kept = run.entries.iter().filter_map(|entry| {
            let frame = frames[entry.frame as usize]?;
            Some(IndexEntry { frame, ..*entry })
        });
        self.entries.extend(kept);
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
        *self.origin_numbers.entry(*origin).or_insert_with(|| {
            self.origins.push(*origin);
            self.origins.len() as u32 - 1
        })
    }
}
