//! What runs side by side on the small repository, and how a run is judged.

use std::sync::Arc;

use blockstore::error::{Error, ErrorKind, Result};
use blockstore::format::id::SessionId;
use blockstore::operations::undelete::undelete;
use blockstore::repository::Repository;
use blockstore::repository::seeded::seed_this_thread;
use blockstore::storage::Backend;
use blockstore::testing::schedule::{
    Body, BoundedSearch, Chooser, Ending, Fault, FaultKind, Run, Stage,
};
use blockstore::testing::small_world::checker::{Acknowledged, verdict};
use blockstore::testing::small_world::{SmallWorld, open, prune, writer};

/// One thing that a participant does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Captures these files.
    Write(String),
    /// Makes a snapshot of the two newest.
    Merge,
    /// Forgets the n-th of the snapshots that the world began with.
    Forget(usize),
    /// Brings that one back.
    Undelete(usize),
    /// Deletes what nothing needs.
    Prune,
}

/// Participants, what becomes of them, and what was done before they began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    /// Done one after the other, before the run.
    pub(crate) before: Vec<Act>,
    /// What each participant does, one thing after the other.
    pub(crate) parts: Vec<Vec<Act>>,
    pub(crate) faults: Vec<Fault>,
    /// Ids and salts are drawn by it.
    pub(crate) seed: u64,
}

/// What a participant was told.
#[derive(Debug)]
pub(crate) enum Said {
    Committed(SessionId),
    Forgot(SessionId),
    BroughtBack(SessionId),
    Nothing,
    /// What it wanted was not there, or prunes were faster again and again.
    Refused,
    Failed(Act, Error),
}

/// A run and what is wrong with it.
pub(crate) struct Played {
    pub(crate) run: Run<Vec<Said>>,
    pub(crate) verdict: Result<(), String>,
}

impl Scene {
    pub(crate) fn new(parts: &[&[Act]]) -> Self {
        Self {
            parts: parts.iter().map(|acts| acts.to_vec()).collect(),
            ..Self::default()
        }
    }

    /// The older snapshot of the world was forgotten before.
    pub(crate) fn forgotten(self) -> Self {
        let before = vec![Act::Forget(0)];
        Self { before, ..self }
    }

    /// Runs it once.
    pub(crate) fn play(&self, chooser: Chooser) -> Played {
        let world = SmallWorld::new();
        let mut acknowledged = Acknowledged {
            committed: world.begun_with.iter().copied().collect(),
            ..Acknowledged::default()
        };
        seed_this_thread(Some(seed_of(self.seed, 0)));
        let direct = || Arc::clone(&world.storage) as Arc<dyn Backend>;
        for act in &self.before {
            let repository = open(direct()).expect("nothing is at work yet");
            let said = perform(&repository, act, &world.begun_with);
            note(&mut acknowledged, &said);
        }
        let storage = Arc::clone(&world.storage);
        let stage = Stage::new(storage, self.parts.len(), chooser, &self.faults);
        let bodies = self.parts.iter().enumerate().map(|(participant, acts)| {
            let repository = open(stage.backend(participant)).expect("calls pass until it begins");
            let (seed, begun_with) = (self.seed, &world.begun_with);
            let body: Body<'_, Vec<Said>> = Box::new(move || {
                seed_this_thread(Some(seed_of(seed, participant + 1)));
                let said = acts.iter().map(|act| perform(&repository, act, begun_with));
                said.collect()
            });
            body
        });
        let bodies = bodies.collect();
        let run = stage.run(bodies);
        let forgets = self.parts.iter().flatten().filter_map(|act| match act {
            Act::Forget(number) => Some(world.begun_with[*number]),
            _ => None,
        });
        acknowledged.may_be_forgotten.extend(forgets);
        let verdict = self.judge(&run, &mut acknowledged);
        let verdict = verdict.and_then(|()| verdict_of(&world, &acknowledged));
        Played { run, verdict }
    }

    /// Whoever met no fault must have succeeded.
    fn judge(&self, run: &Run<Vec<Said>>, acknowledged: &mut Acknowledged) -> Result<(), String> {
        if run.is_endless {
            return Err("a run without an end".to_owned());
        }
        for (participant, ending) in run.endings.iter().enumerate() {
            match ending {
                Ending::Ended(said) => said.iter().for_each(|said| note(acknowledged, said)),
                Ending::Crashed => {}
                Ending::Panicked(words) => return Err(format!("{participant} panicked: {words}")),
            }
            if let Ending::Ended(said) = ending
                && !self.met_an_error(participant)
                && let Some(Said::Failed(act, error)) = said.iter().find(|said| said.is_failed())
            {
                return Err(format!(
                    "{participant} failed without a fault, {act:?}: {error}"
                ));
            }
        }
        Ok(())
    }

    fn met_an_error(&self, participant: usize) -> bool {
        let of_it = |fault: &&Fault| fault.participant == participant;
        let mut faults = self.faults.iter().filter(of_it);
        faults.any(|fault| matches!(fault.kind, FaultKind::AmbiguousPut | FaultKind::Crash))
    }

    /// All schedules of at most so many preemptions, `most` of them at most; how many there were,
    /// and the first that went wrong.
    pub(crate) fn search(&self, preemptions: u32, most: u64) -> (u64, Option<Played>) {
        let mut search = BoundedSearch::new(preemptions);
        let mut schedules = 0;
        while let Some(chooser) = search.chooser() {
            if schedules == most {
                break;
            }
            schedules += 1;
            let played = self.play(chooser);
            if played.verdict.is_err() {
                return (schedules, Some(played));
            }
            search.learn(&played.run.choices);
        }
        (schedules, None)
    }
}

impl Said {
    fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(..))
    }
}

/// No two threads of a run, nor the world that it begins with, draw the same ids.
fn seed_of(scene: u64, thread: usize) -> u64 {
    (scene << 16) + 0x100 + thread as u64
}

fn perform(repository: &Repository, act: &Act, begun_with: &[SessionId]) -> Said {
    let committed = |session| Said::Committed(session);
    let outcome = match act {
        Act::Write(files) => writer::write(repository, files).map(|made| committed(made.session)),
        Act::Merge => writer::merge_newest(repository)
            .map(|made| made.map_or(Said::Refused, |made| committed(made.session))),
        Act::Forget(number) => {
            let session = begun_with[*number];
            writer::forget(repository, session).map(|()| Said::Forgot(session))
        }
        Act::Undelete(number) => {
            let session = begun_with[*number];
            undelete(repository, &[session.to_string()]).map(|report| {
                let is_back = report.back.contains(&session);
                if is_back {
                    Said::BroughtBack(session)
                } else {
                    Said::Refused
                }
            })
        }
        Act::Prune => prune::prune(repository).map(|()| Said::Nothing),
    };
    outcome.unwrap_or_else(|error| match (act, error.kind()) {
        (Act::Write(_), ErrorKind::Busy) => Said::Refused,
        // Inputs may be forgotten and gone while they are merged.
        (Act::Merge | Act::Undelete(_), _) => Said::Refused,
        _ => Said::Failed(act.clone(), error),
    })
}

fn note(acknowledged: &mut Acknowledged, said: &Said) {
    match said {
        Said::Committed(session) => drop(acknowledged.committed.insert(*session)),
        Said::Forgot(session) => {
            acknowledged.may_be_forgotten.insert(*session);
            acknowledged.forgotten.insert(*session);
        }
        Said::BroughtBack(session) => {
            acknowledged.may_be_forgotten.remove(session);
            acknowledged.forgotten.remove(session);
        }
        Said::Nothing | Said::Refused | Said::Failed(..) => {}
    }
}

fn verdict_of(world: &SmallWorld, acknowledged: &Acknowledged) -> Result<(), String> {
    verdict(&world.storage, acknowledged)
}
