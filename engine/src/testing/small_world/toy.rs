//! A collector that keeps the order of steps of FORMAT §14 and does nothing else: whole packs go, no
//! frame is copied, and index runs stay as they are (packs that are not there count as absent).
//!
//! It shows that the harness and its checker tell a sound order from one with a step left out.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::error::{ErrorKind, Result};
use crate::format::envelope::SealedKind;
use crate::format::id::{ChunkId, PageId, SessionId};
use crate::format::name::{ObjectKind, ObjectName, PruneStep};
use crate::format::prune::{PruneRecord, PrunedPack};
use crate::format::snapshot::{Intent, Snapshot};
use crate::mutants::{self, Mutant};
use crate::operations::closure::{self, LostPage, Visitor};
use crate::repository::chunks::ChunkReader;
use crate::repository::index::Index;
use crate::repository::prunes;
use crate::repository::{Repository, object, snapshots};

/// Frames that are kept while manifests are walked, bytes.
const CACHE_LEN: usize = 1 << 20;

/// One prune, from P0 to P10.
pub(super) fn collect(repository: &Repository) -> Result<()> {
    let steps = prunes::list_steps(repository.backend())?;
    let newest = prunes::newest_plan(&steps);
    if steps.get(&newest).is_some_and(|steps| !steps.done) {
        return carry_out(repository, newest, &BTreeSet::new());
    }
    let (plan, marked) = plan(repository, newest + 1)?;
    if !prunes::put_step(repository, PruneStep::Plan, &plan)? {
        return carry_out(repository, plan.number, &BTreeSet::new());
    }
    let steps = prunes::list_steps(repository.backend())?;
    if prunes::newest_plan(&steps) > plan.number {
        return repository.backend().delete(&step(PruneStep::Plan, plan.number));
    }
    carry_out(repository, plan.number, &marked)
}

/// P1: the plan, and the snapshots that it leaves whole.
fn plan(repository: &Repository, number: u32) -> Result<(PruneRecord, BTreeSet<SessionId>)> {
    let early = mutants::is_on(Mutant::OutcomesListedFirst);
    let early = early.then(|| outcomes(repository)).transpose()?;
    let packs = packs(repository)?;
    let intents = intents(repository)?;
    let outcomes = early.map_or_else(|| outcomes(repository), Ok)?;
    let found = snapshots::list(repository)?;
    let seen = |snapshot: &&Snapshot| outcomes.contains(&snapshot.session);
    let live: Vec<_> = found.snapshots.iter().filter(seen).collect();
    let needed = needed_of(repository, &live)?;
    let undecided = |pack: &PrunedPack| {
        intents.contains_key(&pack.session) && !outcomes.contains(&pack.session)
    };
    let (index, mut kept) = (load(repository)?, BTreeSet::<PrunedPack>::new());
    for id in &needed {
        let copies = index.locate(id).filter_map(|at| PrunedPack::of(&at.pack.name()));
        let copies: Vec<_> = copies.filter(|pack| packs.contains(pack)).collect();
        if copies.len() == 1 || !mutants::is_on(Mutant::BothCopiesDropped) {
            kept.extend(copies.iter().min());
        }
    }
    let dead = packs.iter().filter(|pack| !kept.contains(pack) && !undecided(pack));
    let mut let_go: Vec<_> = found.forgotten.iter().map(|gone| gone.session).collect();
    let_go.sort_unstable();
    let plan = PruneRecord {
        number,
        packs: dead.copied().collect(),
        snapshots: let_go,
    };
    Ok((plan, live.iter().map(|live| live.session).collect()))
}

/// P4 to P10. Snapshots that are marked need nothing that the plan condemns.
fn carry_out(repository: &Repository, number: u32, marked: &BTreeSet<SessionId>) -> Result<()> {
    let Some(plan) = gone_or(prunes::read_step(repository, PruneStep::Plan, number))? else {
        return Ok(()); // finished, and tidied away
    };
    if !mutants::is_on(Mutant::NoAborts) {
        fence(repository, number)?;
    }
    let seal = look_again(repository, &plan, marked)?;
    prunes::put_step(repository, PruneStep::Seal, &seal)?;
    let steps = prunes::list_steps(repository.backend())?;
    // Seals go once a newer one is there: then this one came when its number was tidied away.
    let is_void = steps.range(number + 1..).any(|(_, steps)| steps.seal);
    if is_void && !mutants::is_on(Mutant::SealWithoutVoidCheck) {
        return repository.backend().delete(&step(PruneStep::Seal, number));
    }
    match gone_or(prunes::read_step(repository, PruneStep::Seal, number))? {
        Some(seal) => sweep(repository, &seal),
        None => Ok(()),
    }
}

/// P4.
fn fence(repository: &Repository, number: u32) -> Result<()> {
    let decided = outcomes(repository)?;
    for (session, base) in intents(repository)? {
        if base >= number || decided.contains(&session) {
            continue;
        }
        let name = ObjectName::Snapshot(session);
        if mutants::is_on(Mutant::AbortOverwrites) {
            repository.backend().delete(&name)?;
        }
        prunes::put_once(repository, SealedKind::Abort, &name, &[])?;
    }
    Ok(())
}

/// P5.
fn look_again(
    repository: &Repository,
    plan: &PruneRecord,
    marked: &BTreeSet<SessionId>,
) -> Result<PruneRecord> {
    let found = snapshots::list(repository)?;
    let mut remain: Vec<_> = found.snapshots.iter().chain(&found.forgotten).collect();
    remain.retain(|snapshot| snapshot.base < plan.number);
    let mut packs = plan.packs.clone();
    if !mutants::is_on(Mutant::NoRescue) {
        let (index, there) = (load(repository)?, self::packs(repository)?);
        let unmarked = remain.iter().filter(|found| !marked.contains(&found.session));
        for id in needed_of(repository, &unmarked.copied().collect::<Vec<_>>())? {
            let copies = index.locate(&id).filter_map(|at| PrunedPack::of(&at.pack.name()));
            let copies: Vec<_> = copies.filter(|pack| there.contains(pack)).collect();
            if copies.iter().all(|pack| packs.contains(pack)) {
                packs.retain(|pack| copies.first() != Some(pack));
            }
        }
    }
    let mut remain: Vec<_> = remain.iter().map(|snapshot| snapshot.session).collect();
    remain.sort_unstable();
    Ok(PruneRecord {
        number: plan.number,
        packs,
        snapshots: remain,
    })
}

/// P7, P8 and P10.
fn sweep(repository: &Repository, seal: &PruneRecord) -> Result<()> {
    let backend = repository.backend();
    let intents = intents(repository)?;
    for session in outcomes(repository)? {
        // What has an intent of a younger base is another prune's business.
        let is_younger = intents.get(&session).is_some_and(|base| *base >= seal.number);
        let base = match gone_or(snapshots::read(repository, session))? {
            Some(snapshot) => snapshot.base,
            None => 0,
        };
        let remains = seal.snapshots.binary_search(&session).is_ok();
        if !is_younger && base < seal.number && !remains {
            backend.delete(&ObjectName::Snapshot(session))?;
            backend.delete(&ObjectName::Forgotten(session))?;
        }
    }
    for (session, base) in intents {
        if base < seal.number {
            backend.delete(&ObjectName::Intent(session))?;
        }
    }
    for pack in &seal.packs {
        backend.delete(&pack.name())?;
    }
    let done = PruneRecord {
        number: seal.number,
        ..PruneRecord::default()
    };
    prunes::put_step(repository, PruneStep::Done, &done)?;
    let steps = prunes::list_steps(backend)?;
    for (&number, _) in steps.range(..seal.number) {
        for kind in [PruneStep::Plan, PruneStep::Seal, PruneStep::Done] {
            backend.delete(&step(kind, number))?;
        }
    }
    Ok(())
}

fn step(step: PruneStep, number: u32) -> ObjectName {
    ObjectName::Prune(step, number)
}

fn load(repository: &Repository) -> Result<Index> {
    Index::load(repository.backend(), repository.keys(), None)
}

fn packs(repository: &Repository) -> Result<BTreeSet<PrunedPack>> {
    let listed = repository.backend().list(ObjectKind::Pack)?;
    Ok(listed.iter().filter_map(|info| PrunedPack::of(&info.name)).collect())
}

fn outcomes(repository: &Repository) -> Result<BTreeSet<SessionId>> {
    let listed = repository.backend().list(ObjectKind::Snapshot)?;
    let sessions = listed.iter().filter_map(|info| match info.name {
        ObjectName::Snapshot(session) => Some(session),
        _ => None,
    });
    Ok(sessions.collect())
}

/// The base of each session that has an intent.
fn intents(repository: &Repository) -> Result<BTreeMap<SessionId, u32>> {
    let mut bases = BTreeMap::new();
    for info in repository.backend().list(ObjectKind::Intent)? {
        let ObjectName::Intent(session) = info.name else {
            continue;
        };
        let read = object::read(repository.backend(), repository.keys(), &info.name);
        if let Some((_, payload)) = gone_or(read)? {
            let intent = Intent::decode(&payload, session);
            let intent = intent.map_err(|error| object::damaged(&info.name, error))?;
            bases.insert(session, intent.base);
        }
    }
    Ok(bases)
}

/// Nothing if it is not there any more.
fn gone_or<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// Everything that these snapshots need.
fn needed_of(repository: &Repository, snapshots: &[&Snapshot]) -> Result<BTreeSet<ChunkId>> {
    let index = load(repository)?;
    let reader = ChunkReader::with_index(repository, &index, CACHE_LEN);
    let mut needed = Needed::default();
    for snapshot in snapshots {
        closure::visit(&reader, snapshot, &mut needed)?;
    }
    Ok(needed.all)
}

#[derive(Default)]
struct Needed {
    all: BTreeSet<ChunkId>,
    seen: HashSet<PageId>,
}

impl Visitor for Needed {
    fn page(&mut self, id: &PageId) -> Result<bool> {
        self.all.insert(*id);
        Ok(self.seen.insert(*id))
    }

    fn chunk(&mut self, id: &ChunkId) -> Result<()> {
        self.all.insert(*id);
        Ok(())
    }

    fn lost(&mut self, page: LostPage) -> Result<()> {
        match mutants::is_on(Mutant::UnreadableIsEmpty) {
            true => Ok(()),
            false => Err(page.error),
        }
    }
}
