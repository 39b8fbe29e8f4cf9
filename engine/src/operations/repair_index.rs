//! The index made right again: from its own runs, and from the tables of the packs.
//!
//! Only derived data is written, and it is proven before what it replaces is deleted. Works as a
//! session of its own beside writers and prunes: packs of sessions that are not over are left to
//! them, for their runs may be on the way.

use std::collections::HashSet;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::index_run::IndexedPack;
use crate::format::name::{ObjectKind, ObjectName};
use crate::observe::{Counter, Observer, Problem, ProblemKind};
use crate::operations::walk;
use crate::repository::Repository;
use crate::repository::index::rewrite::{self, RewriteOptions, session_of};
use crate::repository::index::{Index, Replacer, is_missing_or_damaged, read_run, run_of};
use crate::repository::keys::KeyError;
use crate::repository::object;
use crate::repository::session::{Announced, Session, SessionOptions, Writer};
use crate::storage::{Backend, ObjectInfo};

/// How an index is repaired.
#[derive(Clone, Debug, Default)]
pub struct RepairIndexOptions {
    /// Who repairs, for the intent.
    pub writer: Writer,
    /// Believe no run: read the tables of all packs.
    pub rebuild: bool,
    /// Store and delete nothing, and count what would be.
    pub dry_run: bool,
}

/// What a repair came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairIndexReport {
    /// New runs.
    pub runs_written: u64,
    /// Runs that are gone: damaged, or replaced by new ones.
    pub runs_removed: u64,
    /// Packs whose tables were read.
    pub packs_read: u64,
    /// Packs whose tables cannot be read, and runs that this key or this software cannot read. All
    /// of them stay; what runs know of such a pack stays known.
    pub unreadable: Vec<(ObjectName, String)>,
}

/// Makes the index name exactly the packs that there are.
///
/// # Errors
/// The medium failed, the observer asked to stop, or a new run did not read back as it should:
/// then no run was deleted that is still of use.
pub fn repair_index(
    repository: &Repository,
    options: &RepairIndexOptions,
    observer: &dyn Observer,
) -> Result<RepairIndexReport> {
    let index = Index::default(); // nothing is looked up: the index is what is in question
    let announced = Announced::put(repository, &options.writer)?;
    let session_options = SessionOptions::default();
    let session = Session::start(repository, &index, announced, session_options)?;
    let mut repair = Repair {
        repository,
        session: &session,
        options,
        observer,
        report: RepairIndexReport::default(),
    };
    match options.rebuild {
        true => repair.rebuild()?,
        false => repair.amend()?,
    }
    let report = repair.report;
    let intent = session.finish_without_snapshot()?;
    repository.backend().delete(&intent)?;
    Ok(report)
}

struct Repair<'r> {
    repository: &'r Repository,
    session: &'r Session<'r>,
    options: &'r RepairIndexOptions,
    observer: &'r dyn Observer,
    report: RepairIndexReport,
}

impl Repair<'_> {
    /// Drops what runs say of packs that are gone, adds packs that no run names, and removes runs
    /// that are damaged.
    fn amend(&mut self) -> Result<()> {
        let backend = self.repository.backend();
        // Packs first: the runs of a session that is over by then are all there to be read.
        let packs = backend.list(ObjectKind::Pack)?;
        let undecided = rewrite::undecided_sessions(backend)?;
        let mut there = There::new(backend, &packs);
        let rewrite_options = RewriteOptions {
            compact_small: false,
            is_dry: self.options.dry_run,
        };
        let mut are_gone = |packs: &[IndexedPack]| there.are_gone(packs);
        let rewritten = rewrite::rewrite(self.session, &mut are_gone, rewrite_options)?;
        self.report.runs_written += rewritten.runs_written;
        self.report.runs_removed += rewritten.runs_removed;
        let damaged = self.sort_out(rewritten.damaged);
        let is_left_to_its_writer = |pack: &ObjectInfo| {
            let session = session_of(&pack.name);
            damaged.is_empty() && session.is_some_and(|session| undecided.contains(&session))
        };
        let mut replacer = Replacer::new(self.session, self.options.dry_run)?;
        for pack in &packs {
            if !rewritten.covered.contains(&pack.name) && !is_left_to_its_writer(pack) {
                self.add_table(pack, &mut replacer)?;
            }
        }
        self.finish(replacer)?;
        self.remove(&damaged)
    }

    /// Replaces all runs by what the tables of the packs say; of packs without a readable table
    /// what the runs say is kept.
    fn rebuild(&mut self) -> Result<()> {
        let backend = self.repository.backend();
        // Runs first: every pack that one of them names is listed behind, if it is there.
        let runs = backend.list(ObjectKind::Index)?;
        let packs = backend.list(ObjectKind::Pack)?;
        let mut replacer = Replacer::new(self.session, self.options.dry_run)?;
        let mut closed = HashSet::new();
        for pack in &packs {
            if !self.add_table(pack, &mut replacer)? {
                closed.insert(pack.name);
            }
        }
        let (mut replaced, mut failed) = (Vec::new(), Vec::new());
        for ObjectInfo { name, .. } in runs {
            walk::stop_if_cancelled(self.observer)?;
            match read_run(backend, self.repository.keys(), &name) {
                Ok(run) => {
                    let packs = run.packs.iter();
                    let keep: Vec<_> = packs.map(|pack| closed.contains(&pack.name())).collect();
                    if keep.contains(&true) {
                        replacer.add(None, &run, &keep)?;
                    }
                    replaced.push(name);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if is_missing_or_damaged(&error) => failed.push((name, error)),
                Err(error) => return Err(error),
            }
        }
        replaced.extend(self.sort_out(failed));
        self.finish(replacer)?;
        self.remove(&replaced)
    }

    /// Adds what the table of a pack says; false if it cannot be read.
    fn add_table(&mut self, pack: &ObjectInfo, replacer: &mut Replacer<'_, '_>) -> Result<bool> {
        walk::stop_if_cancelled(self.observer)?;
        let (backend, keys) = (self.repository.backend(), self.repository.keys());
        match object::open(backend, keys, &pack.name, pack.len) {
            Ok(opened) => {
                self.report.packs_read += 1;
                self.observer.count(Counter::Objects, 1);
                let run = run_of(&[(opened, pack.len)]);
                replacer.add(None, &run, &[true])?;
                Ok(true)
            }
            // Deleted by a prune since it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) if is_missing_or_damaged(&error) => {
                self.tell(pack.name, &error);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Of the runs that could not be read, those that are damaged for everybody. The others stay.
    fn sort_out(&mut self, failed: Vec<(ObjectName, Error)>) -> Vec<ObjectName> {
        let mut damaged = Vec::new();
        for (name, error) in failed {
            match is_damaged_for_all(&error) {
                true => damaged.push(name),
                false => self.tell(name, &error),
            }
        }
        damaged
    }

    fn finish(&mut self, replacer: Replacer<'_, '_>) -> Result<()> {
        let replaced = replacer.finish()?;
        self.report.runs_written += replaced.written;
        self.report.runs_removed += replaced.removed;
        match replaced.left.first() {
            None => Ok(()),
            Some(run) => {
                let detail = "stays: a prune rewrites the index at the same time; run it again";
                Err(Error::new(ErrorKind::Busy, Place::Object(*run), detail))
            }
        }
    }

    /// Removes runs that nobody needs any more.
    fn remove(&mut self, runs: &[ObjectName]) -> Result<()> {
        self.report.runs_removed += runs.len() as u64;
        if self.options.dry_run || runs.is_empty() {
            return Ok(());
        }
        let backend = self.repository.backend();
        runs.iter().try_for_each(|run| backend.delete(run))?;
        backend.sync()
    }

    fn tell(&mut self, name: ObjectName, error: &Error) {
        let detail = walk::with_causes(error);
        self.observer.problem(&Problem {
            kind: ProblemKind::Damaged,
            subject: name.to_string().into_bytes(),
            detail: detail.clone(),
        });
        self.report.unreadable.push((name, detail));
    }
}

/// False for what newer software, or another key of this repository, may be able to read.
fn is_damaged_for_all(error: &Error) -> bool {
    let cause = std::error::Error::source(error);
    let is_of_keys = cause.is_some_and(|cause| cause.is::<KeyError>());
    error.kind() == ErrorKind::Damaged && !is_of_keys
}

/// Which packs there are; lists again where a run names one that is newer than the last listing.
struct There<'b> {
    backend: &'b dyn Backend,
    listed: HashSet<ObjectName>,
    /// Names are never used twice: what is gone stays gone.
    gone: HashSet<ObjectName>,
}

impl<'b> There<'b> {
    fn new(backend: &'b dyn Backend, packs: &[ObjectInfo]) -> Self {
        Self {
            backend,
            listed: packs.iter().map(|pack| pack.name).collect(),
            gone: HashSet::new(),
        }
    }

    /// Of the packs that a run names which was just read, which are gone.
    fn are_gone(&mut self, packs: &[IndexedPack]) -> Result<Vec<bool>> {
        let is_decided = |pack: &IndexedPack| {
            let name = pack.name();
            self.listed.contains(&name) || self.gone.contains(&name)
        };
        if !packs.iter().all(is_decided) {
            let listed = self.backend.list(ObjectKind::Pack)?;
            self.listed = listed.iter().map(|pack| pack.name).collect();
            let names = packs.iter().map(IndexedPack::name);
            let gone = names.filter(|name| !self.listed.contains(name));
            self.gone.extend(gone);
        }
        let is_gone = |pack: &IndexedPack| self.gone.contains(&pack.name());
        Ok(packs.iter().map(is_gone).collect())
    }
}
