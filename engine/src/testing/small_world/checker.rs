//! What must hold after every run, whatever happened in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::Result;
use crate::format::entry::{Content, ExtentKind, Node, TreePath};
use crate::format::id::SessionId;
use crate::format::name::{ObjectKind, ObjectName};
use crate::format::snapshot::Snapshot;
use crate::operations::check::{CheckOptions, check};
use crate::pipeline::budget::Budget;
use crate::repository::chunks::ChunkReader;
use crate::repository::index::Index;
use crate::repository::manifest::Tree;
use crate::repository::manifest::cursor::{Cursor, Step};
use crate::repository::{Repository, snapshots};
use crate::storage::Backend;
use crate::storage::memory::MemoryBackend;
use crate::testing::small_world::files::{chunk, files_of};
use crate::testing::small_world::writer::expected_of;
use crate::testing::small_world::{open, prune};

/// Frames that are kept while a snapshot is read, bytes.
const CACHE_LEN: usize = 1 << 20;

/// What was acknowledged in a run.
#[derive(Clone, Debug, Default)]
pub struct Acknowledged {
    /// Snapshots that were committed, those the run began with included.
    pub committed: BTreeSet<SessionId>,
    /// Snapshots that somebody tried to forget, with success or without.
    pub may_be_forgotten: BTreeSet<SessionId>,
    /// Snapshots that were forgotten.
    pub forgotten: BTreeSet<SessionId>,
}

/// What is wrong after a run; nothing if all is as it must be.
pub fn verdict(storage: &Arc<MemoryBackend>, acknowledged: &Acknowledged) -> Result<(), String> {
    look(storage, acknowledged).map_err(|wrong| format!("after the run: {wrong}"))?;
    // Twice: the first may have another's plan to finish.
    for _ in 0..2 {
        let pruned = open_again(storage).and_then(|repository| prune::prune(&repository));
        pruned.map_err(|error| format!("a prune with nobody else at work: {error}"))?;
    }
    look(storage, acknowledged).map_err(|wrong| format!("after a prune: {wrong}"))?;
    check_is_sound(storage)
}

/// What a fresh program does not find, or finds wrong.
pub fn look(storage: &Arc<MemoryBackend>, acknowledged: &Acknowledged) -> Result<(), String> {
    let error = |error| format!("{error}");
    let repository = open_again(storage).map_err(error)?;
    let found = snapshots::list(&repository).map_err(error)?;
    if let Some((name, error)) = found.damaged.first() {
        return Err(format!("{name} is damaged: {error}"));
    }
    let index = Index::load(repository.backend(), repository.keys(), None).map_err(error)?;
    let reader = ChunkReader::with_index(&repository, &index, CACHE_LEN);
    for snapshot in found.snapshots.iter().chain(&found.forgotten) {
        let read = read_back(&reader, snapshot);
        read.map_err(|wrong| format!("snapshot {}: {wrong}", snapshot.session))?;
    }
    let there: BTreeSet<_> = found.snapshots.iter().map(|found| found.session).collect();
    let must = acknowledged
        .committed
        .difference(&acknowledged.may_be_forgotten);
    if let Some(missing) = must.into_iter().find(|session| !there.contains(session)) {
        return Err(format!(
            "snapshot {missing} was acknowledged and is not there"
        ));
    }
    match acknowledged.forgotten.intersection(&there).next() {
        Some(shown) => Err(format!("snapshot {shown} was forgotten and is there")),
        None => Ok(()),
    }
}

fn open_again(storage: &Arc<MemoryBackend>) -> Result<Repository> {
    open(Arc::clone(storage) as Arc<dyn Backend>)
}

/// Packs that no index run tells of.
///
/// # Errors
/// As of the repository.
pub fn packs_without_index(storage: &Arc<MemoryBackend>) -> Result<Vec<ObjectName>> {
    let repository = open_again(storage)?;
    let index = Index::load(repository.backend(), repository.keys(), None)?;
    let told: BTreeSet<_> = index.packs().map(|pack| pack.name()).collect();
    let listed = storage.list(ObjectKind::Pack)?;
    let names = listed.into_iter().map(|info| info.name);
    Ok(names.filter(|name| !told.contains(name)).collect())
}

fn check_is_sound(storage: &Arc<MemoryBackend>) -> Result<(), String> {
    let options = CheckOptions {
        read_data: true,
        budget: Budget {
            threads: 1,
            ..Budget::default()
        },
    };
    let report = open_again(storage).and_then(|repository| check(&repository, &options, &()));
    match report {
        Ok(report) if report.is_sound() => Ok(()),
        Ok(report) => Err(format!("check found {:?}", report.findings)),
        Err(error) => Err(format!("check failed: {error}")),
    }
}

/// Reads every chunk, and compares with what the snapshot's tag says of it.
fn read_back(reader: &ChunkReader<'_>, snapshot: &Snapshot) -> Result<(), String> {
    let expected = expected_of(snapshot).ok_or("says nothing of its files")?;
    let expected = files_of(expected).map(|(name, numbers)| {
        let bytes: Vec<_> = numbers.into_iter().flat_map(chunk).collect();
        (name.into_bytes(), bytes)
    });
    let mut found = Vec::new();
    for root in &snapshot.roots {
        let mut cursor: Cursor<'_, Tree> =
            Cursor::new(reader, root.page, root.level, TreePath::default());
        while let Some(step) = cursor.next().map_err(|error| error.to_string())? {
            let item = match step {
                Step::Item(item) => item,
                Step::Lost(page) => return Err(page.error.to_string()),
            };
            if let Node::File(Content::Inline(extents)) = &item.entry.node {
                let chunks = extents.iter().filter_map(|extent| match extent.kind {
                    ExtentKind::Chunk(id) => Some(reader.chunk(&id)),
                    _ => None,
                });
                let chunks: Result<Vec<_>> = chunks.collect();
                let bytes = chunks.map_err(|error| error.to_string())?.concat();
                found.push((item.entry.name.to_vec(), bytes));
            }
        }
    }
    match found == expected.collect::<Vec<_>>() {
        true => Ok(()),
        false => Err("reads back as something else".to_owned()),
    }
}
