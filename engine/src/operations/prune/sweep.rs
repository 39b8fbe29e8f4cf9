//! P7 to P10: what the seal says goes. Each step can be done again, and by several prunes at once.

use std::collections::{BTreeMap, HashSet};

use crate::error::{ErrorKind, Result};
use crate::format::id::SessionId;
use crate::format::name::{ObjectKind, ObjectName, PruneStep};
use crate::format::prune::PruneRecord;
use crate::format::snapshot::Intent;
use crate::operations::prune::Prune;
use crate::operations::prune::decide::Standing;
use crate::operations::prune::survey::{INDEX_RUNS_MAX, is_gone, read_intents};
use crate::repository::index::rewrite::{RewriteOptions, rewrite_without};
use crate::repository::index::{Index, is_missing_or_damaged};
use crate::repository::prunes::{self, StepsListed};
use crate::repository::session::{Announced, Session};
use crate::repository::{Repository, snapshots};

impl Prune<'_> {
    pub(super) fn sweep(&mut self, standing: &Standing, seal: &PruneRecord) -> Result<()> {
        self.delete_snapshots(standing, seal)?;
        self.delete_packs(seal)?;
        self.rewrite_index(seal)?;
        self.put_done(seal.number)
    }

    /// P7: COMMITs that are let go or came too late, ABORTs, what belonged to them.
    fn delete_snapshots(&mut self, standing: &Standing, seal: &PruneRecord) -> Result<()> {
        let backend = self.repository.backend();
        let remain: HashSet<_> = seal.snapshots.iter().collect();
        let graves = backend.list(ObjectKind::Forgotten)?;
        let guards = backend.list(ObjectKind::Protected)?;
        let boots = backend.list(ObjectKind::Boot)?;
        let mut there = HashSet::new();
        let outcomes = backend.list(ObjectKind::Snapshot)?;
        // Behind the outcomes: an ABORT of a newer prune has an intent that is no older than ours.
        let intents = read_intents(self.repository)?;
        for info in outcomes {
            let ObjectName::Snapshot(session) = info.name else {
                continue;
            };
            if !remain.contains(&session) && self.goes(session, standing, &intents)? {
                backend.delete(&info.name)?;
                if standing.lets_go(&session) {
                    self.report.let_go.push(session);
                }
            } else {
                there.insert(session);
            }
        }
        backend.sync()?;
        for info in graves.into_iter().chain(guards).chain(boots) {
            let (ObjectName::Forgotten(session)
            | ObjectName::Protected { session, .. }
            | ObjectName::Boot { session, .. }) = info.name
            else {
                continue;
            };
            if !there.contains(&session) {
                backend.delete(&info.name)?;
            }
        }
        self.delete_intents(seal.number)
    }

    /// True for the outcome of a session that is older than the plan.
    fn goes(
        &self,
        session: SessionId,
        standing: &Standing,
        intents: &BTreeMap<SessionId, Option<Intent>>,
    ) -> Result<bool> {
        match snapshots::read_outcome(self.repository, session) {
            Ok(None) => Ok(match intents.get(&session) {
                None => true,
                Some(intent) => {
                    let base = intent.as_ref().map(|intent| intent.base);
                    base.is_some_and(|base| base < standing.number)
                }
            }),
            Ok(Some(snapshot)) => Ok(snapshot.base < standing.number),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            // Unless the plan lets it go it is in the seal: this one came since.
            Err(error) if is_missing_or_damaged(&error) => Ok(standing.lets_go(&session)),
            Err(error) => Err(error),
        }
    }

    /// Writers that may be at work keep theirs, and so their packs.
    fn delete_intents(&self, number: u32) -> Result<()> {
        for (session, intent) in read_intents(self.repository)? {
            let is_older = intent.as_ref().is_none_or(|intent| intent.base < number);
            if is_older && is_gone(intent.as_ref(), self.options) {
                self.repository
                    .backend()
                    .delete(&ObjectName::Intent(session))?;
            }
        }
        Ok(())
    }

    /// P8. Nobody believes the index of a pack that is condemned or not listed, so packs may go
    /// before it: on a full medium that is the room for the new runs.
    fn delete_packs(&mut self, seal: &PruneRecord) -> Result<()> {
        if seal.packs.is_empty() {
            return Ok(());
        }
        let backend = self.repository.backend();
        let listed = backend.list(ObjectKind::Pack)?;
        let going: HashSet<_> = seal.packs.iter().map(|pack| pack.name()).collect();
        for info in listed.iter().filter(|info| going.contains(&info.name)) {
            backend.delete(&info.name)?;
            self.report.deleted.add(info.len);
        }
        backend.sync()
    }

    /// P9.
    fn rewrite_index(&mut self, seal: &PruneRecord) -> Result<()> {
        let (repository, options) = (self.repository, self.options);
        let deleted: HashSet<_> = seal.packs.iter().map(|pack| pack.name()).collect();
        let runs = repository.backend().list(ObjectKind::Index)?.len();
        if deleted.is_empty() && runs <= INDEX_RUNS_MAX {
            return Ok(());
        }
        let announced = self.with_room(|| Announced::put(repository, &options.writer))?;
        let index = Index::default(); // runs are written, nothing is looked up
        let session = Session::start(repository, &index, announced, options.session)?;
        let how = RewriteOptions {
            compact_small: true,
            ..RewriteOptions::default()
        };
        let rewritten = self.with_room(|| rewrite_without(&session, &deleted, how));
        let intent = ObjectName::Intent(session.id());
        drop(session);
        let deleted = repository.backend().delete(&intent);
        let rewritten = rewritten?;
        deleted?;
        self.report.runs_written += rewritten.runs_written;
        self.report.runs_removed += rewritten.runs_removed;
        Ok(())
    }

    /// P10.
    pub(super) fn put_done(&mut self, number: u32) -> Result<()> {
        let repository = self.repository;
        let backend = repository.backend();
        let done = PruneRecord {
            number,
            ..PruneRecord::default()
        };
        self.with_room(|| prunes::put_step(repository, PruneStep::Done, &done))?;
        let steps = prunes::list_steps(backend)?;
        for (&older, listed) in steps.range(..number) {
            delete_steps(repository, older, *listed)?;
        }
        backend.sync()
    }
}

fn delete_steps(repository: &Repository, number: u32, listed: StepsListed) -> Result<()> {
    let steps = [
        (listed.plan, PruneStep::Plan),
        (listed.seal, PruneStep::Seal),
        (listed.done, PruneStep::Done),
    ];
    for (_, step) in steps.into_iter().filter(|(is_there, _)| *is_there) {
        let name = ObjectName::Prune(step, number);
        repository.backend().delete(&name)?;
    }
    Ok(())
}
