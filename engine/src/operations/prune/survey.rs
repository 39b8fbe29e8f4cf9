//! What there is: packs, then sessions, then snapshots. In this order, a session that commits and
//! takes its intent away in between is seen to have committed.

use std::collections::{BTreeMap, HashSet};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::envelope::SealedKind;
use crate::format::id::SessionId;
use crate::format::name::{ObjectKind, ObjectName};
use crate::format::snapshot::{Intent, Snapshot};
use crate::mutants::{self, Mutant};
use crate::operations::prune::{Prune, PruneOptions};
use crate::repository::index::is_missing_or_damaged;
use crate::repository::prunes::{self, Prunes};
use crate::repository::retention::{self, Protections, Until};
use crate::repository::snapshots;
use crate::repository::{Repository, object};
use crate::system::process;

/// More index runs than this are reason enough for a prune.
pub(super) const INDEX_RUNS_MAX: usize = 64;

/// What there is.
pub(super) struct Survey {
    pub prunes: Prunes,
    /// Packs, and their length, bytes.
    pub packs: BTreeMap<ObjectName, u64>,
    /// Sessions whose packs must be left alone.
    at_work: HashSet<SessionId>,
    /// Snapshots that must remain whole.
    pub live: Vec<Snapshot>,
    /// Snapshots that the plan lets go, ascending.
    pub let_go: Vec<SessionId>,
    /// True if there is something to tidy up beside packs and snapshots.
    pub has_leftovers: bool,
}

impl Survey {
    pub(super) fn make(repository: &Repository, options: &PruneOptions) -> Result<Self> {
        let backend = repository.backend();
        let packs = backend.list(ObjectKind::Pack)?.into_iter();
        let packs = packs.map(|info| (info.name, info.len)).collect();
        let intents = read_intents(repository)?;
        let outcomes = snapshots::decided(backend)?;
        let (found, prunes) = snapshots::list_judged(repository)?;
        let guarded = guarded(repository, &found.forgotten)?;
        let mut live = found.snapshots;
        let mut let_go = Vec::new();
        for snapshot in found.forgotten {
            match guarded.contains(&snapshot.session) {
                true => live.push(snapshot),
                false => let_go.push(snapshot.session),
            }
        }
        let forgotten = retention::forgotten(repository)?;
        for (name, error) in found.damaged {
            match name {
                ObjectName::Snapshot(session) if forgotten.contains(&session) => {
                    let_go.push(session);
                }
                _ => return Err(unknown_needs(name, error)),
            }
        }
        let_go.sort_unstable();
        let runs = backend.list(ObjectKind::Index)?.len();
        let mut writers = intents.values();
        let has_leftovers =
            runs > INDEX_RUNS_MAX || writers.any(|intent| is_gone(intent.as_ref(), options));
        let at_work = intents
            .into_iter()
            .filter(|(session, intent)| {
                !outcomes.contains(session) || !is_gone(intent.as_ref(), options)
            })
            .map(|(session, _)| session)
            .collect();
        Ok(Self {
            prunes,
            packs,
            at_work,
            live,
            let_go,
            has_leftovers,
        })
    }

    /// True if the pack may be condemned: it was there before sessions were asked for, its session is
    /// decided, and its writer will not look for it any more.
    pub(super) fn may_go(&self, pack: &ObjectName) -> bool {
        match pack {
            ObjectName::Pack { session, .. } => {
                self.packs.contains_key(pack) && !self.at_work.contains(session)
            }
            _ => false,
        }
    }

    pub(super) fn live_sessions(&self) -> HashSet<SessionId> {
        self.live.iter().map(|snapshot| snapshot.session).collect()
    }
}

/// The forgotten snapshots whose protection had not ended when they were forgotten (who forgot one
/// stopped before it saw the protection), and those whose tombstone cannot be read.
pub(super) fn guarded(
    repository: &Repository,
    forgotten: &[Snapshot],
) -> Result<HashSet<SessionId>> {
    let sessions: HashSet<_> = forgotten.iter().map(|snapshot| snapshot.session).collect();
    let protections = Protections::read_of(repository, |session| sessions.contains(session))?;
    let mut guarded = HashSet::new();
    for session in sessions {
        let is_guarded = match retention::read_tombstone(repository, session) {
            Ok(tombstone) => match protections.until(session) {
                None => false,
                Some(Until::Forever) => true,
                Some(Until::Time(until)) => tombstone.forgotten < until,
            },
            Err(error) if is_missing_or_damaged(&error) => true,
            Err(error) => return Err(error),
        };
        if is_guarded {
            guarded.insert(session);
        }
    }
    Ok(guarded)
}

impl Prune<'_> {
    /// Sessions of writers that are gone get ABORT right away, so that this prune may already take
    /// their packs. Ending a session is safe at any time: one that is alive after all commits by
    /// another.
    pub(super) fn end_writers_that_are_gone(&mut self) -> Result<()> {
        let intents = read_intents(self.repository)?;
        let outcomes = snapshots::decided(self.repository.backend())?;
        for (session, intent) in intents {
            if !outcomes.contains(&session) && is_gone(intent.as_ref(), self.options) {
                self.end_session(session)?;
            }
        }
        Ok(())
    }

    /// Puts ABORT, unless the session has an outcome.
    pub(super) fn end_session(&mut self, session: SessionId) -> Result<()> {
        let name = ObjectName::Snapshot(session);
        let repository = self.repository;
        if mutants::is_on(Mutant::NoAborts) {
            return Ok(());
        }
        if mutants::is_on(Mutant::AbortOverwrites) {
            repository.backend().delete(&name)?;
        }
        let put = || prunes::put_once(repository, SealedKind::Abort, &name, &[]);
        if self.with_room(put)? {
            self.report.ended.push(session);
        }
        Ok(())
    }
}

/// Every intent; nothing beside the session of one that cannot be read.
pub(super) fn read_intents(repository: &Repository) -> Result<BTreeMap<SessionId, Option<Intent>>> {
    let mut intents = BTreeMap::new();
    for info in repository.backend().list(ObjectKind::Intent)? {
        let ObjectName::Intent(session) = info.name else {
            continue;
        };
        match read_intent(repository, session) {
            Ok(intent) => drop(intents.insert(session, Some(intent))),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // It ended just now; until its outcome is seen, its packs are its own.
                intents.insert(session, None);
            }
            Err(error) if is_missing_or_damaged(&error) => {
                intents.insert(session, None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(intents)
}

fn read_intent(repository: &Repository, session: SessionId) -> Result<Intent> {
    let name = ObjectName::Intent(session);
    let (_, payload) = object::read(repository.backend(), repository.keys(), &name)?;
    Intent::decode(&payload, session).map_err(|error| object::damaged(&name, error))
}

/// True if the writer of an intent is surely, or probably, not at work any more. A guess, which
/// costs time if it is wrong, never data.
pub(super) fn is_gone(intent: Option<&Intent>, options: &PruneOptions) -> bool {
    let Some(intent) = intent else {
        return true; // nobody can be asked; an intent that cannot be read says nothing
    };
    let here = &options.writer;
    if intent.host == here.host && !here.host.is_empty() && intent.process != 0 {
        return !process::is_alive(intent.process);
    }
    let age = here.started.seconds.saturating_sub(intent.started.seconds);
    u64::try_from(age).is_ok_and(|age| age > options.grace_seconds)
}

pub(super) fn unknown_needs(name: ObjectName, error: Error) -> Error {
    let detail = format!(
        "cannot be read, so what it needs is not known, and nothing was condemned; bring it back \
         from a copy, or forget it: {}",
        error.detail()
    );
    Error::new(error.kind(), Place::Object(name), detail).with_source(error)
}
