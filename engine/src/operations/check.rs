//! Is everything there, and whole?
//!
//! ```text
//! objects     config, keys, intents, index runs, snapshots: decoded and authenticated
//! packs       opened and compared with the index; read whole if asked
//! missing     of the packs that are not there: which are a loss
//! references  every page of every snapshot, once; every chunk has a good copy
//! losses      what is lost is mapped back to paths and ranges, only if something is
//! volumes     their cuts, and what could not be read when they were captured
//! ```
//! Reads only. Nothing here stops at the first finding.

mod findings;
mod losses;
mod missing;
mod objects;
mod packs;
mod references;
#[cfg(test)]
mod tests;
mod volumes;

use std::ops::Range;

use crate::error::Result;
use crate::format::id::ChunkId;
use crate::format::snapshot::Snapshot;
use crate::observe::Observer;
use crate::operations::check::findings::{Findings, Progress};
use crate::operations::check::references::References;
use crate::pipeline::budget::Budget;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::index::Index;
use crate::repository::snapshots::{self, SnapshotList};

/// How thorough a check is.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckOptions {
    /// Read every byte: block checksums, seals, and the id of every chunk.
    pub read_data: bool,
    /// Threads and memory.
    pub budget: Budget,
}

/// One thing that a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it means.
    pub kind: FindingKind,
    /// The object or chunk.
    pub subject: String,
    /// One sentence with expected and found.
    pub detail: String,
    /// Paths that cannot be restored because of it, raw bytes, with their snapshot's id before a
    /// colon; the first of them.
    pub lost_paths: Vec<Vec<u8>>,
    /// What of the volumes among those paths is lost; the first of it.
    pub lost_ranges: Vec<LostRange>,
}

/// Bytes of a volume that cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRange {
    /// The volume, as it stands in the lost paths.
    pub path: Vec<u8>,
    /// The bytes, counted from its first.
    pub range: Range<u64>,
    /// The number of the partition that holds all of them, if that is known.
    pub partition: Option<u32>,
}

/// What a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// Bytes disagree with their checksum, seal or id.
    Damaged,
    /// Referenced and not there.
    Missing,
    /// There and not referenced: no error, space that a prune can free.
    Unreferenced,
    /// Derived data is damaged or absent; it can be rebuilt and nothing is lost.
    Rebuildable,
    /// Could not be read when it was captured, and is stored as such: nothing was lost since.
    Unreadable,
}

/// What a check came to.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// Everything found; the repository is sound if none is damaged or missing.
    pub findings: Vec<Finding>,
    /// Objects that were looked at.
    pub objects: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Snapshots whose manifests were walked.
    pub snapshots: u64,
    /// Snapshots of which something cannot be restored.
    pub damaged_snapshots: u64,
}

impl CheckReport {
    /// True if everything can be restored.
    pub fn is_sound(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.kind.is_harmless())
    }
}

impl FindingKind {
    /// True if nothing that can be restored is lost by it.
    pub(crate) fn is_harmless(self) -> bool {
        matches!(
            self,
            Self::Unreferenced | Self::Rebuildable | Self::Unreadable
        )
    }
}

/// What the snapshots need, and of it what is lost. Those that a prune lets go meanwhile need
/// nothing any more.
fn collect(
    reader: &ChunkReader<'_>,
    packs: &packs::Packs,
    list: &mut SnapshotList,
    progress: &Progress<'_>,
) -> Result<References> {
    loop {
        let references = References::collect(reader, packs, &list.snapshots, progress)?;
        if references.lost.is_empty() {
            return Ok(references);
        }
        let now = snapshots::list(reader.repository())?;
        let before = list.snapshots.len();
        let is_there = |snapshot: &Snapshot| {
            let mut all = now.snapshots.iter().chain(&now.forgotten);
            all.any(|other| other.session == snapshot.session)
        };
        list.snapshots.retain(is_there);
        if list.snapshots.len() == before {
            return Ok(references);
        }
    }
}

/// Checks every object, every page of every snapshot, and that every chunk has a place.
///
/// Findings are no errors. What one damaged object cost is told by the paths that need it.
///
/// # Errors
/// The medium failed, or the observer asked to stop.
pub fn check(
    repository: &Repository,
    options: &CheckOptions,
    observer: &dyn Observer,
) -> Result<CheckReport> {
    let index = Index::load(repository.backend(), repository.keys(), None)?;
    let reader = ChunkReader::with_index(repository, &index, options.budget.cache_len);
    let (mut findings, progress) = (Findings::default(), Progress::new(observer));
    progress.expect(repository)?;
    objects::check(repository, &index, &progress, &mut findings)?;
    let packs = packs::survey(&reader, &index, options, &progress, &mut findings)?;
    if let (Some(local), true) = (repository.local_index(), options.read_data) {
        local.state_damaged(packs.bad_copies());
    }
    let mut list = objects::snapshots(repository, &progress, &mut findings)?;
    // One that is forgotten can be brought back, as long as it is there.
    list.snapshots.append(&mut list.forgotten);
    let references = collect(&reader, &packs, &mut list, &progress)?;
    let mut damaged_snapshots = list.damaged.len() as u64;
    // A snapshot that cannot be read may need anything.
    let needs = |id: &ChunkId| !list.damaged.is_empty() || references.need(id);
    packs.tell_missing(&reader, &index, needs, &mut findings)?;
    if references.lost.is_empty() {
        if list.damaged.is_empty() {
            packs.tell_unreferenced(&reader, &references, &mut findings)?;
        }
    } else {
        let blamed = losses::blame(&reader, &packs, &references, &mut findings)?;
        damaged_snapshots +=
            losses::map(&reader, blamed, &list.snapshots, &progress, &mut findings)?;
    }
    references.tell_helpers(&mut findings);
    volumes::tell_unreadable(&reader, &list.snapshots, &mut findings)?;
    Ok(CheckReport {
        findings: findings.finish(),
        objects: progress.objects(),
        bytes: progress.bytes(),
        snapshots: list.snapshots.len() as u64,
        damaged_snapshots,
    })
}
