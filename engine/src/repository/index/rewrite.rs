//! Index runs without the packs that are gone (P9), and few instead of many small ones.
//!
//! At any instant some stored run names every pack that is kept: the new ones are durable, and
//! proven to say the same, before the old ones are deleted. Two at the same work disturb each other
//! in nothing: a run that is gone when it is read was replaced by the other.

use std::collections::HashSet;

use crate::error::{Error, ErrorKind, Result};
use crate::format::id::SessionId;
use crate::format::index_run::{IndexRun, IndexedPack};
use crate::format::name::{ObjectKind, ObjectName};
use crate::limits::INDEX_RUN_ENTRIES_MAX;
use crate::repository::index::is_missing_or_damaged;
use crate::repository::index::replace::Replacer;
use crate::repository::index::runs::read_run;
use crate::repository::session::Session;
use crate::repository::snapshots;
use crate::storage::Backend;

/// How often runs are listed again because some were gone when they were read.
const LIST_ATTEMPTS_MAX: u32 = 16;
/// So many small runs may stay as they are.
pub(crate) const SMALL_RUNS_MAX: usize = 8;
/// A run is small below this many entries.
pub(crate) const SMALL_RUN_ENTRIES: usize = INDEX_RUN_ENTRIES_MAX / 4;

/// How runs are rewritten.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RewriteOptions {
    /// Also join small runs of sessions that are over, if there are many.
    pub compact_small: bool,
    /// Store and delete nothing, and count what would be.
    pub is_dry: bool,
}

/// What became of the runs.
#[derive(Debug, Default)]
pub(crate) struct Rewritten {
    /// New ones.
    pub runs_written: u64,
    /// Those that are gone.
    pub runs_removed: u64,
    /// The packs that some run speaks of now.
    pub covered: HashSet<ObjectName>,
    /// Runs that cannot be read, and why. They stay.
    pub damaged: Vec<(ObjectName, Error)>,
}

/// Tells, of the packs of a run that was just read, which are gone.
pub(crate) type AreGone<'g> = dyn FnMut(&[IndexedPack]) -> Result<Vec<bool>> + 'g;

/// Rewrites the runs that name a pack of `deleted`, under names of `session`.
///
/// # Errors
/// Of the medium; `Damaged` if a new run does not say what it should: then the old ones stay.
pub(crate) fn rewrite_without(
    session: &Session<'_>,
    deleted: &HashSet<ObjectName>,
    options: RewriteOptions,
) -> Result<Rewritten> {
    let is_deleted = |pack: &IndexedPack| deleted.contains(&pack.name());
    let mut are_gone = |packs: &[IndexedPack]| Ok(packs.iter().map(is_deleted).collect());
    rewrite(session, &mut are_gone, options)
}

/// Rewrites the runs that name a pack that is gone, under names of `session`.
pub(crate) fn rewrite(
    session: &Session<'_>,
    are_gone: &mut AreGone<'_>,
    options: RewriteOptions,
) -> Result<Rewritten> {
    let mut rewriter = Rewriter {
        session,
        are_gone,
        options,
        seen: HashSet::new(),
        found: Rewritten::default(),
    };
    for _ in 0..LIST_ATTEMPTS_MAX {
        if !rewriter.round()? {
            break;
        }
    }
    Ok(rewriter.found)
}

struct Rewriter<'w, 'r> {
    session: &'w Session<'r>,
    are_gone: &'w mut AreGone<'w>,
    options: RewriteOptions,
    /// Runs that were read.
    seen: HashSet<ObjectName>,
    found: Rewritten,
}

impl Rewriter<'_, '_> {
    /// Looks at every run that was not looked at before; true if one was gone by then.
    fn round(&mut self) -> Result<bool> {
        let repository = self.session.repository();
        let (backend, keys) = (repository.backend(), repository.keys());
        let listed = backend.list(ObjectKind::Index)?;
        let undecided = undecided_sessions(backend)?;
        let mut replacer = Replacer::new(self.session, self.options.is_dry)?;
        let mut small = Vec::new();
        let mut is_any_gone = false;
        for name in listed.into_iter().map(|info| info.name) {
            if session_of(&name) == Some(self.session.id()) || self.seen.contains(&name) {
                continue;
            }
            let Some(run) = self.read(&name)? else {
                is_any_gone |= !self.seen.contains(&name);
                continue;
            };
            let keep = self.kept(&run)?;
            if keep.contains(&false) {
                replacer.add(Some(name), &run, &keep)?;
            } else if run.entries.len() < SMALL_RUN_ENTRIES
                && session_of(&name).is_some_and(|session| !undecided.contains(&session))
            {
                small.push(name);
            }
        }
        if self.options.compact_small && small.len() > SMALL_RUNS_MAX {
            for name in small {
                match read_run(backend, keys, &name) {
                    Ok(run) => replacer.add(Some(name), &run, &vec![true; run.packs.len()])?,
                    Err(error) if error.kind() == ErrorKind::NotFound => is_any_gone = true,
                    Err(error) => return Err(error),
                }
            }
        }
        let replaced = replacer.finish()?;
        self.found.runs_written += replaced.written;
        self.found.runs_removed += replaced.removed;
        is_any_gone |= !replaced.left.is_empty();
        for name in &replaced.left {
            self.seen.remove(name);
        }
        Ok(is_any_gone)
    }

    /// Reads a run. Nothing of one that is gone, which is not seen then, or damaged.
    fn read(&mut self, name: &ObjectName) -> Result<Option<IndexRun>> {
        let repository = self.session.repository();
        match read_run(repository.backend(), repository.keys(), name) {
            Ok(run) => {
                self.seen.insert(*name);
                Ok(Some(run))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if is_missing_or_damaged(&error) => {
                self.seen.insert(*name);
                self.found.damaged.push((*name, error));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Of each pack of a run, whether it is kept.
    fn kept(&mut self, run: &IndexRun) -> Result<Vec<bool>> {
        let gone = (self.are_gone)(&run.packs)?;
        let keep: Vec<_> = gone.into_iter().map(|gone| !gone).collect();
        let kept = run.packs.iter().zip(&keep).filter(|(_, keep)| **keep);
        let kept = kept.map(|(pack, _)| pack.name());
        self.found.covered.extend(kept);
        Ok(keep)
    }
}

/// Sessions that have announced themselves and neither committed nor been aborted.
pub(crate) fn undecided_sessions(backend: &dyn Backend) -> Result<HashSet<SessionId>> {
    let intents = backend.list(ObjectKind::Intent)?;
    let decided = snapshots::decided(backend)?;
    let intents = intents.iter().filter_map(|info| session_of(&info.name));
    Ok(intents
        .filter(|session| !decided.contains(session))
        .collect())
}

/// The session in a name.
pub(crate) fn session_of(name: &ObjectName) -> Option<SessionId> {
    match *name {
        ObjectName::Pack { session, .. }
        | ObjectName::Index { session, .. }
        | ObjectName::Intent(session)
        | ObjectName::Snapshot(session) => Some(session),
        _ => None,
    }
}
