//! What prunes have decided: the newest plan, as long as it is not done, and the newest seal. §14.
//!
//! Who writes asks which packs are condemned; who lists asks which snapshots there are. A plan or
//! seal that cannot be read hides no snapshot: it stops those who would write by it.

use std::collections::{BTreeMap, HashSet};

use crate::error::{Error, ErrorKind, Result};
use crate::format::envelope::SealedKind;
use crate::format::id::SessionId;
use crate::format::name::{ObjectKind, ObjectName, PruneStep};
use crate::format::prune::PruneRecord;
use crate::format::snapshot::Snapshot;
use crate::repository::index::is_missing_or_damaged;
use crate::repository::{Repository, object};
use crate::storage::Backend;

/// How often the steps are listed again because those that were listed had gone.
const READ_ATTEMPTS_MAX: u32 = 16;

/// What prunes have decided, as of one listing.
#[derive(Debug, Default)]
pub struct Prunes {
    /// Number of the newest plan, 0 before the first.
    newest: u32,
    /// True if the newest plan is not done.
    is_unfinished: bool,
    /// The newest plan, unless it is done.
    plan: Option<PruneRecord>,
    /// Number and content of the newest seal.
    seal: Option<(u32, HashSet<SessionId>)>,
    /// Steps that could not be read.
    damaged: Vec<(ObjectName, Error)>,
}

/// Which steps of which prune there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StepsListed {
    pub plan: bool,
    pub seal: bool,
    pub done: bool,
}

impl Prunes {
    /// Lists and reads them.
    pub fn read(repository: &Repository) -> Result<Self> {
        for _ in 1..READ_ATTEMPTS_MAX {
            if let Some(prunes) = Self::read_once(repository)? {
                return Ok(prunes);
            }
        }
        // Something lists objects that it does not have: what is missing is damaged.
        let steps = list_steps(repository.backend())?;
        Ok(Self {
            newest: newest_plan(&steps),
            damaged: vec![(
                ObjectName::Prune(PruneStep::Plan, newest_plan(&steps)),
                Error::damaged(
                    ObjectName::Prune(PruneStep::Plan, newest_plan(&steps)),
                    "is listed and not there",
                ),
            )],
            ..Self::default()
        })
    }

    /// Nothing if a step was tidied away between listing and reading.
    fn read_once(repository: &Repository) -> Result<Option<Self>> {
        let steps = list_steps(repository.backend())?;
        let mut prunes = Self {
            newest: newest_plan(&steps),
            ..Self::default()
        };
        let is_done = steps.get(&prunes.newest).is_some_and(|steps| steps.done);
        prunes.is_unfinished = prunes.newest > 0 && !is_done;
        if prunes.is_unfinished {
            match prunes.step(repository, PruneStep::Plan, prunes.newest)? {
                Found::Record(plan) => prunes.plan = Some(plan),
                Found::Gone => return Ok(None),
                Found::Damaged => {}
            }
        }
        let mut seals = steps.iter().filter(|(_, steps)| steps.seal);
        if let Some((&number, _)) = seals.next_back() {
            match prunes.step(repository, PruneStep::Seal, number)? {
                Found::Record(seal) => {
                    prunes.seal = Some((number, seal.snapshots.into_iter().collect()));
                }
                Found::Gone => return Ok(None),
                Found::Damaged => {}
            }
        }
        // A listing that took as long as a whole prune may have missed the old seal and the new one.
        let is_settled = list_steps(repository.backend())? == steps;
        Ok(is_settled.then_some(prunes))
    }

    fn step(&mut self, repository: &Repository, step: PruneStep, number: u32) -> Result<Found> {
        match read_step(repository, step, number) {
            Ok(record) => Ok(Found::Record(record)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Found::Gone),
            Err(error) if is_missing_or_damaged(&error) => {
                self.damaged.push((ObjectName::Prune(step, number), error));
                Ok(Found::Damaged)
            }
            Err(error) => Err(error),
        }
    }

    /// Number of the newest plan, 0 before the first.
    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// True if the newest plan is not done, whether it can be read or not.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.is_unfinished
    }

    /// The newest plan, unless it is done.
    pub fn plan(&self) -> Option<&PruneRecord> {
        self.plan.as_ref()
    }

    /// Names of the packs that are condemned and may still be there.
    pub fn condemned(&self) -> impl Iterator<Item = ObjectName> {
        let packs = self.plan.iter().flat_map(|plan| &plan.packs);
        packs.map(|pack| pack.name())
    }

    /// True if this COMMIT is a snapshot: none that came too late, or was let go. §14.1
    pub fn allow(&self, snapshot: &Snapshot) -> bool {
        let is_sealed = match &self.seal {
            Some((number, remain)) => {
                snapshot.base >= *number || remain.contains(&snapshot.session)
            }
            None => true,
        };
        is_sealed && !self.lets_go(snapshot.session)
    }

    /// True if the newest plan names the snapshot and no seal has decided yet whether it goes.
    fn lets_go(&self, session: SessionId) -> bool {
        let sealed = self.seal.as_ref().map(|(number, _)| *number);
        let plan = self
            .plan
            .as_ref()
            .filter(|plan| sealed != Some(plan.number));
        plan.is_some_and(|plan| plan.snapshots.binary_search(&session).is_ok())
    }

    /// What was decided before the newest plan.
    pub(crate) fn before_the_plan(mut self) -> Self {
        self.plan = None;
        self
    }

    /// Steps that could not be read.
    pub fn damaged(&self) -> &[(ObjectName, Error)] {
        &self.damaged
    }

    /// # Errors
    /// If a step could not be read: then nobody may write by what prunes have decided.
    pub(crate) fn ensure_known(&self) -> Result<()> {
        match self.damaged.first() {
            None => Ok(()),
            Some((name, error)) => {
                let detail = format!("{error}; run prune, which ends it without deleting anything");
                Err(Error::damaged(*name, detail))
            }
        }
    }
}

enum Found {
    Record(PruneRecord),
    Gone,
    Damaged,
}

/// Reads a plan or a seal.
pub(crate) fn read_step(
    repository: &Repository,
    step: PruneStep,
    number: u32,
) -> Result<PruneRecord> {
    let name = ObjectName::Prune(step, number);
    let (_, payload) = object::read(repository.backend(), repository.keys(), &name)?;
    PruneRecord::decode(&payload, number).map_err(|error| object::damaged(&name, error))
}

/// Puts a plan, a seal or a done; false if there is one already. Durable afterwards.
pub(crate) fn put_step(
    repository: &Repository,
    step: PruneStep,
    record: &PruneRecord,
) -> Result<bool> {
    let (kind, payload) = match step {
        PruneStep::Plan => (SealedKind::PrunePlan, record.encode()),
        PruneStep::Seal => (SealedKind::PruneSeal, record.encode()),
        PruneStep::Done => (SealedKind::PruneDone, Vec::new()),
    };
    let name = ObjectName::Prune(step, record.number);
    put_once(repository, kind, &name, &payload)
}

/// Seals and puts an object; false if there is one of its name already. Durable afterwards.
pub(crate) fn put_once(
    repository: &Repository,
    kind: SealedKind,
    name: &ObjectName,
    payload: &[u8],
) -> Result<bool> {
    let (backend, keys) = (repository.backend(), repository.keys());
    let bytes = object::encode(keys, repository.config(), kind, name, payload)?;
    let is_new = match backend.put(name, &bytes) {
        Ok(()) => true,
        // Our own put may have taken effect before an error made a layer below repeat it.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            backend.get(name).is_ok_and(|found| found == bytes)
        }
        Err(error) => return Err(error),
    };
    backend.sync()?;
    Ok(is_new)
}

/// The steps that there are, by number.
pub(crate) fn list_steps(backend: &dyn Backend) -> Result<BTreeMap<u32, StepsListed>> {
    let mut steps = BTreeMap::<u32, StepsListed>::new();
    for info in backend.list(ObjectKind::Prune)? {
        if let ObjectName::Prune(step, number) = info.name {
            let found = steps.entry(number).or_default();
            match step {
                PruneStep::Plan => found.plan = true,
                PruneStep::Seal => found.seal = true,
                PruneStep::Done => found.done = true,
            }
        }
    }
    Ok(steps)
}

/// Number of the newest plan, 0 if there is none.
pub(crate) fn newest_plan(steps: &BTreeMap<u32, StepsListed>) -> u32 {
    let plans = steps.iter().filter(|(_, steps)| steps.plan);
    plans.map(|(number, _)| *number).next_back().unwrap_or(0)
}
