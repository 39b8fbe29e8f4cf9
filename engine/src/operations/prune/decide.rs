//! P3 to P6: the plan stands, older sessions are decided, snapshots are looked at again, the seal
//! says what goes.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::{ErrorKind, Result};
use crate::format::id::SessionId;
use crate::format::name::{ObjectKind, ObjectName, PruneStep};
use crate::format::prune::{PruneRecord, PrunedPack};
use crate::format::snapshot::Snapshot;
use crate::mutants::{self, Mutant};
use crate::operations::prune::Prune;
use crate::operations::prune::choose::{each_needed, load_all};
use crate::operations::prune::mark::{self, Marks};
use crate::operations::prune::survey::{guarded, read_intents, unknown_needs};
use crate::repository::index::is_missing_or_damaged;
use crate::repository::prunes::{self, Prunes};
use crate::repository::{Repository, retention, snapshots};

/// A plan to carry out.
pub(super) enum Decision {
    /// Ours, not put yet, and the snapshots that it was made for.
    Planned {
        plan: PruneRecord,
        marked: HashSet<SessionId>,
    },
    /// One that is there.
    Found { number: u32 },
}

/// A plan that stands.
pub(super) struct Standing {
    pub number: u32,
    /// Nothing if it cannot be read: then it condemns nothing.
    plan: Option<PruneRecord>,
    /// Snapshots that need nothing of what it condemns.
    marked: HashSet<SessionId>,
}

/// What a seal says.
pub(super) enum Seal {
    Stands(PruneRecord),
    /// It cannot be read, so nothing goes by it.
    Unreadable,
    /// Another prune has finished this number.
    Finished,
}

impl Prune<'_> {
    /// Brings a plan to its end, whoever made it.
    pub(super) fn carry_out(&mut self, decision: Decision) -> Result<()> {
        let Some(standing) = self.stand(decision)? else {
            return Ok(());
        };
        self.report.plans.push(standing.number);
        match self.seal(&standing)? {
            Seal::Stands(seal) => self.sweep(&standing, &seal),
            Seal::Unreadable => self.put_done(standing.number),
            Seal::Finished => Ok(()),
        }
    }

    /// P3. Nothing if another prune has finished that number, or a newer one.
    fn stand(&mut self, decision: Decision) -> Result<Option<Standing>> {
        let repository = self.repository;
        let (plan, marked) = match decision {
            Decision::Found { number } => return found(repository, number),
            Decision::Planned { plan, marked } => (plan, marked),
        };
        let number = plan.number;
        if !self.with_room(|| prunes::put_step(repository, PruneStep::Plan, &plan))? {
            return found(repository, number);
        }
        let steps = prunes::list_steps(repository.backend())?;
        let newest = prunes::newest_plan(&steps);
        if newest > number {
            // This number was used and tidied away before: nobody goes by it.
            let void = ObjectName::Prune(PruneStep::Plan, number);
            repository.backend().delete(&void)?;
            return found(repository, newest);
        }
        Ok(Some(Standing {
            number,
            plan: Some(plan),
            marked,
        }))
    }

    fn seal(&mut self, standing: &Standing) -> Result<Seal> {
        let (repository, number) = (self.repository, standing.number);
        let steps = prunes::list_steps(repository.backend())?;
        if is_finished(&steps, number) {
            return Ok(Seal::Finished);
        }
        if steps.get(&number).is_some_and(|steps| steps.seal) {
            return read_seal(repository, number);
        }
        self.fence(number)?;
        let record = match self.look_again(standing) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(Seal::Finished),
            // Another prune may have sealed and deleted while this one looked.
            Err(error) if is_missing_or_damaged(&error) => {
                let steps = prunes::list_steps(repository.backend())?;
                return match steps.get(&number).is_some_and(|steps| steps.seal) {
                    _ if is_finished(&steps, number) => Ok(Seal::Finished),
                    true => read_seal(repository, number),
                    false => Err(error),
                };
            }
            Err(error) => return Err(error),
        };
        let is_ours = self.with_room(|| prunes::put_step(repository, PruneStep::Seal, &record))?;
        if !is_ours {
            return read_seal(repository, number);
        }
        if is_void(&prunes::list_steps(repository.backend())?, number) {
            let void = ObjectName::Prune(PruneStep::Seal, number);
            repository.backend().delete(&void)?;
            return Ok(Seal::Finished);
        }
        Ok(Seal::Stands(record))
    }

    /// P4: afterwards every session that is older than the plan is decided, for ever.
    fn fence(&mut self, number: u32) -> Result<()> {
        let intents = read_intents(self.repository)?;
        let outcomes = snapshots::decided(self.repository.backend())?;
        for (session, intent) in intents {
            let is_older = intent.is_none_or(|intent| intent.base < number);
            if is_older && !outcomes.contains(&session) && self.own != Some(session) {
                self.end_session(session)?;
            }
        }
        Ok(())
    }

    /// P5: what snapshots need that were committed since. Nothing if the plan is finished.
    fn look_again(&mut self, standing: &Standing) -> Result<Option<PruneRecord>> {
        let repository = self.repository;
        let prunes = Prunes::read(repository)?;
        if prunes.newest() != standing.number {
            return Ok(None);
        }
        // One that the plan names and that was brought back before the plan stood stays.
        let mut found = snapshots::list_by(repository, &prunes.before_the_plan())?;
        let forgotten = retention::forgotten(repository)?;
        let guarded = guarded(repository, &found.forgotten)?;
        let condemned = standing.plan.as_ref().map_or(&[][..], |plan| &plan.packs);
        let is_let_go = |session: &SessionId| {
            standing.lets_go(session) && forgotten.contains(session) && !guarded.contains(session)
        };
        let mut remain = Vec::new();
        for (name, error) in found.damaged {
            let ObjectName::Snapshot(session) = name else {
                continue;
            };
            if is_let_go(&session) {
                continue;
            }
            if !condemned.is_empty() {
                return Err(unknown_needs(name, error));
            }
            remain.push(session);
        }
        found.snapshots.append(&mut found.forgotten);
        found
            .snapshots
            .retain(|snapshot| snapshot.base < standing.number && !is_let_go(&snapshot.session));
        remain.extend(found.snapshots.iter().map(|snapshot| snapshot.session));
        remain.sort_unstable();
        let unmarked = |snapshot: &Snapshot| !standing.marked.contains(&snapshot.session);
        found.snapshots.retain(unmarked);
        let packs = self.rescue(condemned, &found.snapshots)?;
        Ok(Some(PruneRecord {
            number: standing.number,
            packs,
            snapshots: remain,
        }))
    }

    /// Gives the condemned packs without those that `snapshots` need.
    fn rescue(
        &mut self,
        condemned: &[PrunedPack],
        snapshots: &[Snapshot],
    ) -> Result<Vec<PrunedPack>> {
        let is_nothing = condemned.is_empty() || snapshots.is_empty();
        if is_nothing || mutants::is_on(Mutant::NoRescue) {
            return Ok(condemned.to_vec());
        }
        let repository = self.repository;
        let listed = repository.backend().list(ObjectKind::Pack)?.into_iter();
        let listed: HashMap<_, _> = listed.map(|info| (info.name, info.len)).collect();
        let going: HashSet<_> = condemned.iter().map(PrunedPack::name).collect();
        let index = load_all(self)?;
        let marks = Marks::make(repository, &index, snapshots.iter(), self.observer)?;
        let (mut rescued, mut lacking) = (HashSet::new(), HashSet::new());
        each_needed(&index, &marks, |id, copies| {
            let there = copies.iter().map(|copy| (copy.pack.name(), copy));
            let there = there
                .filter(|(name, copy)| listed.get(name) == Some(&copy.pack.object_len))
                .map(|(name, _)| name);
            let there: Vec<_> = there.collect();
            let is_safe = |name: &&ObjectName| !going.contains(*name) || rescued.contains(*name);
            if there.iter().any(|name| is_safe(&name)) {
                return;
            }
            match there.iter().min() {
                Some(name) => drop(rescued.insert(*name)),
                None => drop(lacking.insert(*id)),
            }
        });
        index.ensure_whole()?;
        if !lacking.is_empty() {
            return Err(mark::refuse_absent(
                repository, &index, snapshots, &lacking,
            )?);
        }
        let stay = |pack: &&PrunedPack| !rescued.contains(&pack.name());
        let packs = condemned.iter().filter(stay).copied().collect();
        self.report.rescued.extend(rescued);
        Ok(packs)
    }
}

impl Standing {
    /// True if the plan names the snapshot.
    pub(super) fn lets_go(&self, session: &SessionId) -> bool {
        let plan = self.plan.as_ref();
        plan.is_some_and(|plan| plan.snapshots.binary_search(session).is_ok())
    }
}

/// True if the steps of this number are all done, and may be tidied away.
fn is_finished(steps: &BTreeMap<u32, prunes::StepsListed>, number: u32) -> bool {
    let is_done = steps.get(&number).is_some_and(|steps| steps.done);
    is_done || prunes::newest_plan(steps) > number
}

/// True if a seal that was just put, or found when it was to be put, came when its number had been
/// tidied away: seals go only once a newer one is there. That the number is done says nothing:
/// another prune may have done it by this very seal, which must stay then.
fn is_void(steps: &BTreeMap<u32, prunes::StepsListed>, number: u32) -> bool {
    let mut newer = steps.range(number.saturating_add(1)..);
    newer.any(|(_, steps)| steps.seal)
}

fn found(repository: &Repository, number: u32) -> Result<Option<Standing>> {
    let plan = match prunes::read_step(repository, PruneStep::Plan, number) {
        Ok(plan) => Some(plan),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if is_missing_or_damaged(&error) => None,
        Err(error) => return Err(error),
    };
    Ok(Some(Standing {
        number,
        plan,
        marked: HashSet::new(),
    }))
}

/// Reads the seal of another prune, and looks behind it whether that came too late: what was read is
/// not read again.
fn read_seal(repository: &Repository, number: u32) -> Result<Seal> {
    let seal = match prunes::read_step(repository, PruneStep::Seal, number) {
        Ok(seal) => Seal::Stands(seal),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Seal::Finished),
        Err(error) if is_missing_or_damaged(&error) => Seal::Unreadable,
        Err(error) => return Err(error),
    };
    match is_void(&prunes::list_steps(repository.backend())?, number) {
        true => Ok(Seal::Finished),
        false => Ok(seal),
    }
}
