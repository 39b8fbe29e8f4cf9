//! A new snapshot made of existing ones, from their manifests alone.
//!
//! ```text
//! plan      which roots the result has, and what of which input lies in each
//! layers    single entries of roots that lie above each other; groups of hard links
//! overlay   all layers of a root side by side, in tree order
//! stored    is everything there that the result will name?
//! build     roots taken over, roots built anew
//! problems  what the inputs lack, as far as the result lacks it too
//! ```
//! **Architecture Invariant:** no chunk is read here, and no pack of data is opened: pages and the
//! index say all that is needed, so that no key to file contents is (I5).
//!
//! Pages are content-defined: the roots that are built are those of a full snapshot of the same
//! content, whatever they were merged from (I4).

mod build;
mod layers;
mod overlay;
mod plan;
mod problems;
mod refuse;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::error::Result;
use crate::format::entry::Timestamp;
use crate::format::id::SessionId;
use crate::format::name::PackClass;
use crate::format::snapshot::{
    Consistency, Snapshot, SnapshotKind, SnapshotProblem, Totals, Tracking,
};
use crate::observe::{Observer, Problem, ProblemKind};
use crate::operations::commit::{self, ended_by_prunes};
use crate::operations::merge::build::{MadeRoot, RootMaker};
use crate::operations::merge::layers::{Composition, Lookup};
use crate::operations::merge::problems::Carried;
use crate::operations::merge::stored::Stored;
use crate::pipeline::budget::Budget;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::frame_writer::FrameWriter;
use crate::repository::index::Index;
use crate::repository::manifest::builder::PageStore;
use crate::repository::session::{Announced, Session, SessionOptions, Writer};

/// How a snapshot is merged from others.
#[derive(Clone, Debug)]
pub struct MergeOptions {
    /// Who writes.
    pub writer: Writer,
    /// Name of the machine that the result is of; nothing is that of the newest input.
    pub host: Option<String>,
    /// Words for finding it; sorted and made unique here.
    pub tags: Vec<String>,
    /// Program and version, for the snapshot.
    pub program: String,
    /// What becomes of entries that a newer input does not have.
    pub mode: MergeMode,
    /// zstd level of pages.
    pub level: i32,
    /// Memory for pages that are read.
    pub budget: Budget,
    /// How packs are filled.
    pub session: SessionOptions,
    /// Tells the time when it is over.
    pub clock: fn() -> Timestamp,
}

/// What becomes of entries that a newer input covers, and does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MergeMode {
    /// They are absent: what a root of a newer input covers is taken from it entirely.
    #[default]
    Replace,
    /// They stay, unless the newer input has something else than a folder above them. Of what both
    /// have the newer input's is taken. Volumes are taken entirely all the same.
    KeepDeleted,
}

/// What a merge came to.
#[derive(Clone, Debug)]
pub struct MergeReport {
    /// The snapshot as it was committed.
    pub snapshot: Snapshot,
    /// The inputs, in the order in which they were given.
    pub merged: Vec<SessionId>,
    /// Roots of inputs that were taken over as they are.
    pub roots_taken_over: u64,
    /// Roots that were made of several.
    pub roots_built: u64,
}

/// Snapshots that can be merged with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// Folders and files: roots may lie in each other.
    Folders,
    /// Volumes and machines: roots are told apart by their names.
    Volumes,
}

impl MergeOptions {
    /// The usual options, at the time that `clock` tells.
    pub fn new(clock: fn() -> Timestamp) -> Self {
        Self {
            writer: Writer {
                started: clock(),
                ..Writer::default()
            },
            host: None,
            tags: Vec::new(),
            program: concat!("blockstore ", env!("CARGO_PKG_VERSION")).to_owned(),
            mode: MergeMode::default(),
            level: crate::limits::ZSTD_LEVEL_DEFAULT,
            budget: Budget::default(),
            session: SessionOptions::default(),
            clock,
        }
    }
}

/// Makes and commits a snapshot of `inputs`, of which a later one wins; they stay as they are, and
/// the result needs none of them. What a root of a newer input covers is taken from it, and other
/// roots stay. A newer root inside an older one takes its place there; one that lies in a folder
/// that the older one does not have, or has as something else, becomes a root of its own.
///
/// Problems of inputs that the result still has are told to the observer, and are in the snapshot.
///
/// # Errors
/// If nothing was committed: there are fewer than two inputs, one is given twice, or folders are
/// mixed with volumes; a page cannot be read, or a page or chunk that the result would name is not
/// known to the index or in a pack that is not there; the repository cannot be read or written; or
/// the observer cancelled.
pub fn merge(
    repository: &Repository,
    inputs: &[Snapshot],
    options: &MergeOptions,
    observer: &dyn Observer,
) -> Result<MergeReport> {
    let family = family_of(inputs)?;
    let announced = Announced::put(repository, &options.writer)?;
    // The index as it is now: an input may be younger than the one that the repository holds.
    let (backend, keys) = (repository.backend(), repository.keys());
    let index = Index::load(backend, keys, repository.local_index())?;
    let reader = ChunkReader::with_index(repository, &index, options.budget.cache_len);
    let session = Session::start(repository, &index, announced, options.session)?;
    let lookup = Lookup {
        reader: &reader,
        inputs,
        mode: options.mode,
    };
    let are_there = refuse::if_forgotten(&session, inputs);
    match are_there.and_then(|()| make(&session, lookup, family, options, observer)) {
        Ok(report) => {
            let (writer, snapshot) = (&options.writer, report.snapshot);
            match commit::commit(repository, session, snapshot, writer, options.session)? {
                Some(snapshot) => Ok(MergeReport { snapshot, ..report }),
                None => Err(ended_by_prunes()),
            }
        }
        Err(error) => {
            session.abandon();
            Err(error)
        }
    }
}

fn family_of(inputs: &[Snapshot]) -> Result<Family> {
    let [first, _, ..] = inputs else {
        return Err(refuse::inputs("name at least two"));
    };
    let mut given = BTreeSet::new();
    if let Some(twice) = inputs.iter().find(|input| !given.insert(input.session)) {
        return Err(refuse::inputs(format!("{} is given twice", twice.session)));
    }
    let family = |input: &Snapshot| match input.kind {
        SnapshotKind::Folders => Family::Folders,
        SnapshotKind::Volume | SnapshotKind::Machine => Family::Volumes,
    };
    match inputs.iter().find(|input| family(input) != family(first)) {
        None => Ok(family(first)),
        Some(other) => {
            let words = |input: &Snapshot| match family(input) {
                Family::Folders => "folders",
                Family::Volumes => "volumes",
            };
            Err(refuse::inputs(format!(
                "{} is of {}, {} of {}: these cannot be merged",
                first.session,
                words(first),
                other.session,
                words(other)
            )))
        }
    }
}

fn make(
    session: &Session<'_>,
    lookup: Lookup<'_>,
    family: Family,
    options: &MergeOptions,
    observer: &dyn Observer,
) -> Result<MergeReport> {
    let compositions = plan::compose(lookup, family)?;
    let carried = problems::carry_over(lookup, &compositions)?;
    let mut maker = RootMaker {
        lookup,
        stored: Stored::new(session, lookup.reader, observer),
    };
    let frames = FrameWriter::new(session, PackClass::Meta, options.level);
    let mut store = PageStore::new(frames, session.repository().keys());
    let made = compositions.iter();
    let made = made.map(|composition| maker.make(composition, &mut store));
    let made = made.collect::<Result<Vec<_>>>()?;
    store.finish()?;
    session.flush()?;
    carried
        .listed
        .iter()
        .for_each(|problem| observer.problem(&told(problem)));
    Ok(describe(
        session,
        lookup.inputs,
        options,
        (&compositions, made),
        carried,
    ))
}

fn describe(
    session: &Session<'_>,
    inputs: &[Snapshot],
    options: &MergeOptions,
    (compositions, made): (&[Composition], Vec<MadeRoot>),
    carried: Carried,
) -> MergeReport {
    let newest = inputs.last();
    let taken_over = made.iter().filter(|root| root.is_taken_over).count() as u64;
    let roots_built = made.len() as u64 - taken_over;
    let mut totals = Totals {
        stored_bytes: session.stored_bytes(),
        ..Totals::default()
    };
    for part in &made {
        totals.entries += part.totals.entries;
        totals.files += part.totals.files;
        totals.folders += part.totals.folders;
        totals.bytes = totals.bytes.saturating_add(part.totals.bytes);
    }
    totals.unchanged_files = totals.files;
    let (tracking, tracking_reason) = tracking_of(inputs);
    let (host, tags): (_, BTreeSet<_>) = (options.host.as_ref(), options.tags.iter().collect());
    let snapshot = Snapshot {
        session: session.id(),
        kind: kind_of(inputs, made.len()),
        roots: made.into_iter().map(|part| part.root).collect(),
        begun: options.writer.started,
        ended: (options.clock)(),
        host: host
            .or(newest.map(|newest| &newest.host))
            .cloned()
            .unwrap_or_default(),
        user: options.writer.user.clone(),
        tags: tags.into_iter().cloned().collect(),
        program: options.program.clone(),
        parent: newest.map(|newest| newest.session),
        tracking,
        tracking_reason,
        consistency: consistency_of(inputs, compositions),
        problems: carried.listed,
        problem_count: carried.count,
        totals,
        base: session.base(),
        sequence: 0, // the commit knows
    };
    MergeReport {
        snapshot,
        merged: inputs.iter().map(|input| input.session).collect(),
        roots_taken_over: taken_over,
        roots_built,
    }
}

/// How the snapshot says that it was merged, and from what.
fn tracking_of(inputs: &[Snapshot]) -> (Tracking, String) {
    let names: Vec<_> = inputs
        .iter()
        .map(|input| input.session.to_string())
        .collect();
    (Tracking::Merged, format!("merged of {}", names.join(", ")))
}

fn kind_of(inputs: &[Snapshot], roots: usize) -> SnapshotKind {
    let has = |kind| inputs.iter().any(|input| input.kind == kind);
    match (has(SnapshotKind::Folders), has(SnapshotKind::Machine)) {
        (true, _) => SnapshotKind::Folders,
        (false, false) if roots == 1 => SnapshotKind::Volume,
        _ => SnapshotKind::Machine,
    }
}

/// That of the input that gave all roots. Of several, nothing says that they fit each other in
/// time; and what was smeared stays so.
fn consistency_of(inputs: &[Snapshot], compositions: &[Composition]) -> Consistency {
    let ages: BTreeSet<_> = compositions
        .iter()
        .flat_map(|composition| composition.layers.iter().map(|layer| layer.age))
        .collect();
    let given = ages.iter().filter_map(|&age| inputs.get(age));
    let mut given = given.map(|input| input.consistency);
    match (
        ages.len(),
        given.clone().any(|level| level == Consistency::Smeared),
    ) {
        (_, true) => Consistency::Smeared,
        (1, false) => given.next().unwrap_or(Consistency::Files),
        _ => Consistency::Files,
    }
}

/// A problem of an input, as it is told again. Snapshots hold the first three kinds.
fn told(problem: &SnapshotProblem) -> Problem {
    let kind = match problem.kind {
        2 => ProblemKind::Vanished,
        3 => ProblemKind::ChangedWhileRead,
        _ => ProblemKind::Unreadable,
    };
    Problem {
        kind,
        subject: problem.subject.clone(),
        detail: problem.detail.clone(),
    }
}
