//! A point-in-time copy of folders, or of volumes.
//!
//! ```text
//! parents   the earlier snapshots that tell what changed
//! folders   lists folders, some ahead of the walk                           helpers
//! previous  the last snapshot of the same path, walked alongside            caller's thread
//! walk      takes folders in tree order, decides what is unchanged          caller's thread
//! content   opens and reads files, in batches and in segments               workers
//! assemble  takes finished entries in order into the tree and the scan      caller's thread
//! made      trees that are made of something else
//! volumes   disks and images, alone or as the parts of a machine
//! ```
//! Content that changes while it is read is read again, and flagged if it will not hold still.
//! What cannot be read is left out, named, and counted (I10).

mod assemble;
mod content;
mod folders;
pub(crate) mod made;
mod parents;
mod previous;
mod volumes;
mod walk;

pub use volumes::{
    Changes, FolderSpec, OpenSource, PartSpec, VolumeOptions, VolumePlace, VolumeSpec,
};

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::Timestamp;
use crate::format::snapshot::{
    Consistency, Snapshot, SnapshotKind, SnapshotProblem, Totals, Tracking,
};
use crate::limits::{MIB, SNAPSHOT_ATTEMPTS_MAX, SNAPSHOT_PROBLEMS_MAX};
use crate::observe::{Counter, Observer, Problem};
use crate::operations::commit::{self, ended_by_prunes};
use crate::operations::snapshot::parents::Parents;
use crate::operations::snapshot::volumes::{OpenPart, Rest};
use crate::operations::snapshot::walk::{Captured, RootWalk, WalkContext};
use crate::pipeline::budget::Budget;
use crate::pipeline::ingest::{self, Ingest, IngestOptions, IngestTotals};
use crate::pipeline::volume::VolumeRules;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::index::Index;
use crate::repository::manifest::builder::PageStore;
use crate::repository::session::{Announced, Session, SessionOptions, Writer};
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
    let take = Take {
        repository,
        kind: SnapshotKind::Folders,
        options,
        observer,
    };
    take.run(|capture| {
        let mut captured = Vec::new();
        for source in &sources {
            let name = source.path().as_os_str().as_bytes().to_vec();
            captured.push(capture.folder(name, Arc::clone(source))?);
        }
        Ok((captured, Consistency::Files))
    })
}

/// Captures volumes, and folders beside them, and commits one snapshot of all of them: of one
/// volume, or of a machine whose name is `options.writer.host`.
///
/// # Errors
/// As [`snapshot`]; and `Busy` if a volume is in use, or another one when all is read. There is
/// no snapshot of some of the parts.
pub fn snapshot_volumes(
    repository: &Repository,
    kind: SnapshotKind,
    parts: &[PartSpec],
    volumes: &VolumeOptions,
    options: &SnapshotOptions,
    observer: &dyn Observer,
) -> Result<SnapshotReport> {
    volumes::check_labels(parts)?;
    VolumeRules::new(volumes.cutting)?;
    Rest::of(parts, volumes)?; // refuses what cannot be frozen before anything begins
    let take = Take {
        repository,
        kind,
        options,
        observer,
    };
    take.run(|capture| {
        let mut rest = Rest::of(parts, volumes)?;
        rest.freeze()?;
        let open = parts.iter().map(|part| part.open(volumes, options));
        let open: Vec<_> = open.collect::<Result<_>>()?;
        let open_volumes: Vec<_> = open.iter().filter_map(OpenPart::volume).collect();
        let lens = open_volumes.iter().map(|volume| volume.len());
        observer.expect(Counter::Bytes, lens.sum());
        let mut captured = Vec::new();
        for part in &open {
            captured.push(capture.part(part, volumes)?);
        }
        let (consistency, problems) = rest.end(&open_volumes)?;
        problems
            .iter()
            .for_each(|problem| observer.problem(problem));
        if let Some(first) = captured.first_mut() {
            first.problem_count += problems.len() as u64;
            first.problems.extend(problems);
        }
        Ok((captured, consistency))
    })
}

/// A snapshot that is taken.
struct Take<'t> {
    repository: &'t Repository,
    kind: SnapshotKind,
    options: &'t SnapshotOptions,
    observer: &'t dyn Observer,
}

/// What captures one part after the other.
struct Capture<'c, 's> {
    kind: SnapshotKind,
    ingest: &'c Ingest<'s>,
    store: PageStore<'s>,
    context: &'c WalkContext<'c>,
    parents: &'c Parents,
}

impl Take<'_> {
    /// Commits what `capture` captures, or nothing. If a prune condemned part of it before it was
    /// committed, it is captured again: what is still there is not stored again.
    fn run(
        &self,
        mut capture: impl FnMut(&mut Capture<'_, '_>) -> Result<(Vec<Captured>, Consistency)>,
    ) -> Result<SnapshotReport> {
        for _ in 0..SNAPSHOT_ATTEMPTS_MAX {
            if let Some(snapshot) = self.attempt(&mut capture)? {
                return Ok(SnapshotReport { snapshot });
            }
        }
        Err(ended_by_prunes())
    }

    fn attempt(
        &self,
        capture: &mut impl FnMut(&mut Capture<'_, '_>) -> Result<(Vec<Captured>, Consistency)>,
    ) -> Result<Option<Snapshot>> {
        let (repository, options) = (self.repository, self.options);
        let announced = Announced::put(repository, &options.writer)?;
        let (backend, keys) = (repository.backend(), repository.keys());
        let index = Index::load(backend, keys, repository.local_index())?;
        let reader = ChunkReader::with_index(repository, &index, PREVIOUS_CACHE_LEN);
        let mut session = Session::start(repository, &index, announced, options.session)?;
        let parents = match Parents::choose(&session, &options.parent, &options.writer) {
            Ok(parents) => parents,
            Err(error) => {
                session.abandon();
                return Err(error);
            }
        };
        let ingest_options = IngestOptions {
            budget: options.budget,
            level: options.level,
            observer: self.observer,
        };
        let captured = ingest::run(&mut session, &ingest_options, |ingest| {
            let context = WalkContext {
                reader: &reader,
                options,
                observer: self.observer,
            };
            let mut all = Capture {
                kind: self.kind,
                ingest,
                store: ingest.page_store(),
                context: &context,
                parents: &parents,
            };
            let captured = capture(&mut all)?;
            all.store.finish()?;
            Ok(captured)
        });
        let made = captured.and_then(|((captured, consistency), totals)| {
            session.flush()?;
            Ok(Snapshot {
                kind: self.kind,
                consistency,
                ..describe(&session, options, captured, totals, &parents)
            })
        });
        match made {
            Ok(snapshot) => commit::commit(
                repository,
                session,
                snapshot,
                &options.writer,
                options.session,
            ),
            Err(error) => {
                session.abandon();
                Err(error)
            }
        }
    }
}

impl Capture<'_, '_> {
    fn folder(&mut self, name: Vec<u8>, source: Arc<FolderSource>) -> Result<Captured> {
        let previous = self.parents.folder(&name);
        let walk = RootWalk::new(
            self.ingest,
            self.context,
            (name, source),
            previous,
            &mut self.store,
        );
        walk.run()
    }

    fn part(&mut self, part: &OpenPart, options: &VolumeOptions) -> Result<Captured> {
        match part {
            OpenPart::Kept(label) => self.parents.kept(label.as_bytes()),
            OpenPart::Volume(volume) => volumes::capture(
                self.ingest,
                &mut self.store,
                self.context,
                (volume, options),
                (self.parents, self.kind),
            ),
            OpenPart::Folder { label, source } => {
                let origin = source.path().as_os_str().as_bytes().to_vec();
                let name = label.clone().into_bytes();
                let mut captured = self.folder(name, Arc::clone(source))?;
                captured.root.origin = Some(origin);
                Ok(captured)
            }
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

fn describe(
    session: &Session<'_>,
    options: &SnapshotOptions,
    captured: Vec<Captured>,
    ingested: IngestTotals,
    parents: &Parents,
) -> Snapshot {
    let parent = captured.iter().find_map(|part| part.parent);
    let (tracking, tracking_reason) = tracking_of(&captured, parents);
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
        totals.read_bytes += part.read_bytes;
        problem_count += part.problem_count;
        problems.extend(part.problems.iter().map(stored_problem));
        roots.push(part.root);
    }
    problems.truncate(SNAPSHOT_PROBLEMS_MAX);
    let tags: BTreeSet<_> = options.tags.iter().cloned().collect();
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
        tracking_reason,
        consistency: Consistency::Files,
        problems,
        problem_count,
        totals,
        base: session.base(),
        sequence: 0, // the commit knows
    }
}

/// Of volumes: full if any was; else as the first part was.
fn tracking_of(captured: &[Captured], parents: &Parents) -> (Tracking, String) {
    let volumes = || captured.iter().filter_map(|part| part.root.volume.as_ref());
    let full = volumes().find(|volume| volume.tracking == Tracking::Full);
    if let Some(volume) = full.or(volumes().next()) {
        return (volume.tracking, volume.tracking_reason.clone());
    }
    let is_found = captured.iter().any(|part| part.parent.is_some());
    let tracking = match is_found {
        true => Tracking::Metadata,
        false => Tracking::Full,
    };
    (tracking, parents.reason(is_found).to_owned())
}

fn stored_problem(problem: &Problem) -> SnapshotProblem {
    SnapshotProblem {
        kind: problem.kind as u8,
        subject: problem.subject.clone(),
        detail: problem.detail.clone(),
    }
}
