//! A point-in-time copy of folders.
//!
//! ```text
//! walk      lists folders in tree order, decides what is unchanged          caller's thread
//! content   opens and reads files, in batches and in segments               workers
//! previous  the last snapshot of the same path, walked alongside            caller's thread
//! assemble  takes finished entries in order into the tree and the scan      caller's thread
//! ```
//! Content that changes while it is read is read again, and flagged if it will not hold still.
//! What cannot be read is left out, named, and counted (I10).

mod assemble;
mod content;
mod previous;
mod walk;

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::Timestamp;
use crate::format::id::SessionId;
use crate::format::snapshot::{
    Consistency, Root, Snapshot, SnapshotKind, SnapshotProblem, Totals, Tracking,
};
use crate::limits::{MIB, SNAPSHOT_PROBLEMS_MAX};
use crate::observe::{Observer, Problem};
use crate::operations::snapshot::walk::{Captured, RootWalk, WalkContext};
use crate::pipeline::budget::Budget;
use crate::pipeline::ingest::{self, Ingest, IngestOptions, IngestTotals};
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::session::{Session, SessionOptions, Writer};
use crate::repository::snapshots;
use crate::sources::folder::{ChangeTest, FolderOptions, FolderSource};

/// Frames of the previous manifest that are kept: its pages are read in order, once.
const PREVIOUS_CACHE_LEN: usize = 8 * MIB;

/// What is captured, and how.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// Who writes.
    pub writer: Writer,
    /// Words for finding it; sorted and made unique here.
    pub tags: Vec<String>,
    /// Program and version, for the snapshot.
    pub program: String,
    /// What to compare with.
    pub parent: ParentChoice,
    /// What counts as unchanged.
    pub change_test: ChangeTest,
    /// Excludes and mount points.
    pub folder: FolderOptions,
    /// zstd level.
    pub level: i32,
    /// Threads and memory.
    pub budget: Budget,
    /// How packs are filled.
    pub session: SessionOptions,
    /// Device and inode of the folder that is the repository: refused inside a source.
    pub repository_folder: Option<(u64, u64)>,
    /// Tells the time, here and when it is over.
    pub clock: fn() -> Timestamp,
}

/// What a snapshot is compared with to find unchanged files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParentChoice {
    /// The newest snapshot of the same host and path.
    Newest,
    /// This one, as `snapshots::find` takes it.
    Given(String),
    /// None: everything is read.
    None,
}

/// What a snapshot came to.
#[derive(Clone, Debug)]
pub struct SnapshotReport {
    /// The snapshot as it was committed.
    pub snapshot: Snapshot,
}

impl SnapshotOptions {
    /// The usual options, at the time that `clock` tells.
    pub fn new(clock: fn() -> Timestamp) -> Self {
        let budget = Budget::default();
        Self {
            writer: Writer {
                started: clock(),
                ..Writer::default()
            },
            tags: Vec::new(),
            program: concat!("blockstore ", env!("CARGO_PKG_VERSION")).to_owned(),
            parent: ParentChoice::Newest,
            change_test: ChangeTest::default(),
            folder: FolderOptions::default(),
            level: crate::limits::ZSTD_LEVEL_DEFAULT,
            budget,
            session: SessionOptions::default(),
            repository_folder: None,
            clock,
        }
    }
}

/// Captures `paths`, each a root, and commits one snapshot of all of them.
///
/// # Errors
/// If nothing was committed: the source cannot be opened at all, the repository cannot be read or
/// written, or the observer cancelled. What was stored until then is used by the next snapshot.
pub fn snapshot(
    repository: &Repository,
    paths: &[PathBuf],
    options: &SnapshotOptions,
    observer: &dyn Observer,
) -> Result<SnapshotReport> {
    let sources = open_sources(paths, options)?;
    let parents = Parents::choose(repository, &options.parent, &options.writer.host)?;
    let reader = ChunkReader::new(repository, PREVIOUS_CACHE_LEN)?;
    let mut session = Session::begin(repository, &options.writer, options.session)?;
    let ingest_options = IngestOptions {
        budget: options.budget,
        level: options.level,
        observer,
    };
    let captured = ingest::run(&mut session, &ingest_options, |ingest| {
        let context = WalkContext {
            reader: &reader,
            options,
            observer,
        };
        capture_roots(ingest, &context, &sources, &parents)
    });
    let made = captured.and_then(|(captured, totals)| {
        session.flush()?;
        Ok(describe(&session, options, captured, totals, &parents))
    });
    match made {
        Ok(snapshot) => {
            session.commit(&snapshot)?;
            Ok(SnapshotReport { snapshot })
        }
        Err(error) => {
            session.abandon();
            Err(error)
        }
    }
}

fn open_sources(paths: &[PathBuf], options: &SnapshotOptions) -> Result<Vec<Arc<FolderSource>>> {
    let mut seen = BTreeSet::new();
    let mut sources = Vec::new();
    for path in paths {
        let source = FolderSource::open(path, options.folder.clone())?;
        if !seen.insert(source.path().to_owned()) {
            let place = Place::Path(source.path().to_owned());
            return Err(Error::new(ErrorKind::InvalidInput, place, "is given twice"));
        }
        sources.push(Arc::new(source));
    }
    if sources.is_empty() {
        let place = Place::Argument("path");
        return Err(Error::new(
            ErrorKind::InvalidInput,
            place,
            "name at least one folder",
        ));
    }
    Ok(sources)
}

fn capture_roots(
    ingest: &Ingest<'_>,
    context: &WalkContext<'_>,
    sources: &[Arc<FolderSource>],
    parents: &Parents,
) -> Result<Vec<Captured>> {
    let mut store = ingest.page_store();
    let mut captured = Vec::new();
    for source in sources {
        let previous = parents.root(source.path().as_os_str().as_bytes());
        let walk = RootWalk::new(ingest, context, Arc::clone(source), previous, &mut store);
        captured.push(walk.run()?);
    }
    store.finish()?;
    Ok(captured)
}

/// The snapshots that tell what is unchanged.
struct Parents {
    /// Newest first.
    candidates: Vec<Snapshot>,
    reason: &'static str,
}

impl Parents {
    fn choose(repository: &Repository, choice: &ParentChoice, host: &str) -> Result<Self> {
        let (candidates, reason) = match choice {
            ParentChoice::None => (Vec::new(), "everything was asked for"),
            ParentChoice::Given(text) => (
                vec![snapshots::find(repository, text)?],
                "the given parent was compared",
            ),
            ParentChoice::Newest => {
                let mut all = snapshots::list(repository)?.snapshots;
                all.retain(|snapshot| snapshot.host == host);
                all.reverse();
                (
                    all,
                    "the newest snapshot of this host and path was compared",
                )
            }
        };
        Ok(Self { candidates, reason })
    }

    /// The root of this name in the newest candidate that has one.
    fn root(&self, name: &[u8]) -> Option<&Root> {
        self.candidates
            .iter()
            .flat_map(|snapshot| &snapshot.roots)
            .find(|root| root.name == name)
    }

    /// The snapshot that the first root with a parent was compared with.
    fn parent_of(&self, captured: &[Captured]) -> Option<SessionId> {
        let has = |snapshot: &&Snapshot| {
            let named = |root: &Root| captured.iter().any(|own| own.root.name == root.name);
            snapshot.roots.iter().any(named)
        };
        self.candidates
            .iter()
            .find(has)
            .map(|snapshot| snapshot.session)
    }
}

fn describe(
    session: &Session<'_>,
    options: &SnapshotOptions,
    captured: Vec<Captured>,
    ingested: IngestTotals,
    parents: &Parents,
) -> Snapshot {
    let parent = parents.parent_of(&captured);
    let mut totals = Totals {
        read_bytes: ingested.read_bytes,
        new_chunks: ingested.new_chunks,
        new_bytes: ingested.new_bytes,
        stored_bytes: session.stored_bytes(),
        ..Totals::default()
    };
    let (mut roots, mut problems, mut problem_count) = (Vec::new(), Vec::new(), 0);
    for part in captured {
        totals.entries += part.totals.entries;
        totals.files += part.totals.files;
        totals.folders += part.totals.folders;
        totals.bytes += part.totals.bytes;
        totals.unchanged_files += part.totals.unchanged_files;
        problem_count += part.problem_count;
        problems.extend(part.problems.iter().map(stored_problem));
        roots.push(part.root);
    }
    problems.truncate(SNAPSHOT_PROBLEMS_MAX);
    let tags: BTreeSet<_> = options.tags.iter().cloned().collect();
    let (tracking, reason) = match parent {
        Some(_) => (Tracking::Metadata, parents.reason),
        None if options.parent == ParentChoice::None => (Tracking::Full, parents.reason),
        None => (
            Tracking::Full,
            "there is no earlier snapshot of this host and path",
        ),
    };
    Snapshot {
        session: session.id(),
        kind: SnapshotKind::Folders,
        roots,
        begun: options.writer.started,
        ended: (options.clock)(),
        host: options.writer.host.clone(),
        user: options.writer.user.clone(),
        tags: tags.into_iter().collect(),
        program: options.program.clone(),
        parent,
        tracking,
        tracking_reason: reason.to_owned(),
        consistency: Consistency::Files,
        problems,
        problem_count,
        totals,
        base: session.base(),
    }
}

fn stored_problem(problem: &Problem) -> SnapshotProblem {
    SnapshotProblem {
        kind: problem.kind as u8,
        subject: problem.subject.clone(),
        detail: problem.detail.clone(),
    }
}
