//! A snapshot of a tree that is made of something else than folders of this machine.

use crate::error::Result;
use crate::format::snapshot::{Consistency, Root, SnapshotKind};
use crate::observe::{Observer, Problem};
use crate::operations::snapshot::walk::{Captured, RootTotals};
use crate::operations::snapshot::{SnapshotOptions, SnapshotReport, Take};
use crate::pipeline::ingest::Ingest;
use crate::repository::Repository;
use crate::repository::manifest::builder::PageStore;

/// A tree that was made.
pub(crate) struct MadeTree {
    /// Its root, without a scan: nothing can be skipped by it.
    pub root: Root,
    /// Regular files, hard links apart.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// What was left out, the first of it.
    pub problems: Vec<Problem>,
    /// All of it.
    pub problem_count: u64,
}

/// Commits a snapshot of the tree that `make` makes, which is asked again if a prune condemned part of
/// it meanwhile. What it is compared with is its own affair: `options.parent` should be none.
///
/// # Errors
/// If nothing was committed: that of `make`, or of the repository.
pub(crate) fn snapshot_made(
    repository: &Repository,
    consistency: Consistency,
    options: &SnapshotOptions,
    observer: &dyn Observer,
    mut make: impl FnMut(&Ingest<'_>, &mut PageStore<'_>) -> Result<MadeTree>,
) -> Result<SnapshotReport> {
    let take = Take {
        repository,
        kind: SnapshotKind::Folders,
        options,
        observer,
    };
    take.run(|capture| {
        let made = make(capture.ingest, &mut capture.store)?;
        let totals = RootTotals {
            entries: made.root.entries,
            files: made.files,
            folders: made.folders,
            bytes: made.root.bytes,
            unchanged_files: 0,
        };
        let captured = Captured {
            root: made.root,
            parent: None,
            totals,
            read_bytes: 0,
            problems: made.problems,
            problem_count: made.problem_count,
        };
        Ok((vec![captured], consistency))
    })
}
