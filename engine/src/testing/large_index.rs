//! An index of any size, made and opened as the engine does it, to see what lookups cost in a
//! repository that would take weeks to fill.
//!
//! The entries are generated; the runs that they come from are never stored, only what a machine
//! keeps of them. Takes twice as much disk as the result while it is made.

use std::path::Path;

use crate::error::Result;
use crate::format::id::ChunkId;
use crate::format::id::SessionId;
use crate::format::index_run::IndexEntry;
use crate::format::index_run::IndexRun;
use crate::format::index_run::IndexedFrame;
use crate::format::index_run::IndexedPack;
use crate::format::name::ObjectName;
use crate::format::name::PackClass;
use crate::format::table::Codec;
use crate::format::table::Origin;
use crate::format::table::TableName;
use crate::limits::INDEX_RUN_ENTRIES_MAX;
use crate::repository::index::Index;
use crate::repository::index::LocalIndex;
use crate::storage::Backend;
use crate::storage::cache::CacheFolder;
use crate::storage::memory::MemoryBackend;
use crate::testing::keys;

const SESSION: SessionId = keys::SESSION;
/// As chunks of 64 KiB lie in frames of 512 KiB, and those in packs of 32 MiB.
const ENTRIES_PER_FRAME: usize = 8;
const FRAMES_PER_PACK: usize = 128;
const ENTRY_LEN: u32 = 64 * 1024;
const FRAME_STORED_LEN: u32 = 256 * 1024;

/// The id of the entry of this number, and of none if there are fewer.
pub fn id_of(number: u64) -> ChunkId {
    ChunkId(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

/// Makes the local copy of an index of so many entries in `folder`.
///
/// # Errors
/// If the folder cannot be used.
pub fn build(folder: &Path, entries: u64) -> Result<()> {
    let local = local_index(folder)?;
    let runs = runs_of(entries);
    for run in &runs {
        local.add(&make_run(*run, entries));
    }
    local.tidy(runs.into_iter());
    Ok(())
}

/// Opens what [`build`] made for the same number of entries, as a repository does.
///
/// # Errors
/// If the folder cannot be used, or what lies there is not whole.
pub fn open(folder: &Path, entries: u64) -> Result<Index> {
    let listed = MemoryBackend::new();
    for TableName { session, number } in runs_of(entries) {
        listed.put(&ObjectName::Index { session, number }, &[])?; // read only if it is not kept
    }
    Index::load(&listed, &keys::keys(), Some(&local_index(folder)?))
}

fn local_index(folder: &Path) -> Result<LocalIndex> {
    let cache = CacheFolder::open(folder)?;
    LocalIndex::open(&cache, keys::keys().local_index().clone(), keys::REPOSITORY)
}

fn runs_of(entries: u64) -> Vec<TableName> {
    let runs = entries.div_ceil(INDEX_RUN_ENTRIES_MAX as u64) as u32;
    let name = |number| TableName {
        session: SESSION,
        number,
    };
    (0..runs).map(name).collect()
}

fn make_run(name: TableName, entries: u64) -> IndexRun {
    let first = u64::from(name.number) * INDEX_RUN_ENTRIES_MAX as u64;
    let count = (entries - first).min(INDEX_RUN_ENTRIES_MAX as u64) as usize;
    let frames = count.div_ceil(ENTRIES_PER_FRAME);
    let packs = frames.div_ceil(FRAMES_PER_PACK);
    let mut made: Vec<_> = (0..count).map(|at| make_entry(first, at)).collect();
    made.sort_unstable();
    IndexRun {
        name,
        packs: (0..packs).map(|at| make_pack(name, at)).collect(),
        origins: (0..packs).map(|at| make_origin(name, at)).collect(),
        frames: (0..frames).map(make_frame).collect(),
        entries: made,
    }
}

fn make_entry(first: u64, at: usize) -> IndexEntry {
    IndexEntry {
        id: id_of(first + at as u64),
        frame: (at / ENTRIES_PER_FRAME) as u32,
        offset: (at % ENTRIES_PER_FRAME) as u32 * ENTRY_LEN,
        len: ENTRY_LEN,
    }
}

fn make_frame(at: usize) -> IndexedFrame {
    let (pack, in_pack) = ((at / FRAMES_PER_PACK) as u32, at % FRAMES_PER_PACK);
    IndexedFrame {
        pack,
        origin: pack,
        offset: 128 + in_pack as u64 * u64::from(FRAME_STORED_LEN),
        counter: in_pack as u64,
        stored_len: FRAME_STORED_LEN,
        plain_len: ENTRIES_PER_FRAME as u32 * ENTRY_LEN,
        codec: Codec::Zstd,
    }
}

fn make_pack(run: TableName, at: usize) -> IndexedPack {
    IndexedPack {
        session: run.session,
        number: run.number << 16 | at as u32,
        class: PackClass::Data,
        object_len: FRAMES_PER_PACK as u64 * u64::from(FRAME_STORED_LEN),
    }
}

fn make_origin(run: TableName, at: usize) -> Origin {
    let salt = blake3::hash(&[run.number.to_le_bytes(), (at as u32).to_le_bytes()].concat());
    Origin {
        salt: *salt.as_bytes(),
        commitment: [0; 32],
        epoch: 1,
        aead: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_index_knows_all_its_entries_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let entries = INDEX_RUN_ENTRIES_MAX as u64 / 4;
        build(folder.path(), entries).unwrap();
        let index = open(folder.path(), entries).unwrap();
        assert_eq!(index.len() as u64, entries);
        for number in (0..entries).step_by(97) {
            let found: Vec<_> = index.locate(&id_of(number)).collect();
            assert_eq!(found.len(), 1, "entry {number}");
            assert_eq!(found[0].len, ENTRY_LEN);
            assert!(!index.contains(&id_of(entries + number)));
        }
        index.ensure_whole().unwrap();
    }
}
