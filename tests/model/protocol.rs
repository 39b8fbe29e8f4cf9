//! The whole: who takes part, what may happen next, and where it begins.

use std::fmt;
use std::sync::atomic::AtomicU32;

use stateright::{Model, Property};

use crate::mutants::Mutant;
use crate::people::{Deed, Return};
use crate::prune::{self, Collector};
use crate::state::{SESSIONS, Set, Store, View};
use crate::writer::{Choice, Writer};

/// How many take part, and what may go wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) name: &'static str,
    /// What the source of each writer may hold; as many writers as there are sources.
    pub(crate) sources: &'static [&'static [Set]],
    /// Session ids that each writer may use, 1 or 2.
    pub(crate) attempts: [usize; 2],
    /// Writers may take content over from a snapshot, without looking for its chunks.
    pub(crate) take_over: bool,
    /// Processes that prune.
    pub(crate) collectors: usize,
    /// The greatest number of a plan.
    pub(crate) prunes: u8,
    /// How often prunes may copy out of sparse packs.
    pub(crate) copies: u8,
    /// How many tombstones are put.
    pub(crate) forgets: u8,
    /// On which snapshots.
    pub(crate) forgettable: Set,
    /// Somebody brings a snapshot back.
    pub(crate) brings_back: bool,
    /// Writers and prunes crash and are started again, besides being stopped for ever.
    pub(crate) crashes: bool,
    /// A COMMIT may be put, and the answer lost.
    pub(crate) lost_answers: bool,
    /// The chunks of the first packs, and of their snapshots.
    pub(crate) packs: [Set; 2],
    pub(crate) snapshots: [Set; 2],
}

/// The protocol of FORMAT 14, or one rule short of it.
#[derive(Debug)]
pub(crate) struct Protocol {
    pub(crate) config: Config,
    pub(crate) mutant: Option<Mutant>,
    /// Properties that something was found for; the first find is the one that is kept.
    pub(crate) found: AtomicU32,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) writers: [Writer; 2],
    pub(crate) collectors: [Collector; 2],
    pub(crate) forgets: u8,
    pub(crate) brings_back: Return,
}

/// What happens next: one call on storage, or one process ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Write(usize, crate::writer::At, Choice),
    Collect(usize, prune::At),
    CollectorCrash(usize, prune::At),
    Person(Deed),
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(number, at, choice) => match at.step() {
                Some((step, (verb, kind))) => {
                    let folder = kind.folder();
                    write!(f, "writer {number}: {step}: {verb:?} {folder}, {choice:?}")
                }
                None => write!(f, "writer {number}: has ended"),
            },
            Self::Collect(number, at) => {
                let (step, (verb, kind)) = at.step();
                write!(f, "prune {number}: {step}: {verb:?} {}", kind.folder())
            }
            Self::CollectorCrash(number, at) => {
                write!(f, "prune {number}: crash before {}", at.step().0)
            }
            Self::Person(deed) => write!(f, "somebody: {deed:?}"),
        }
    }
}

impl Protocol {
    pub(crate) fn new(config: Config, mutant: Option<Mutant>) -> Self {
        Self {
            config,
            mutant,
            found: AtomicU32::new(0),
        }
    }

    pub(crate) fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Lists `prune/`.
    pub(crate) fn see(&self, store: &Store) -> View {
        let view = store.view();
        match self.has(Mutant::SealsAreNoRegistry) {
            true => View { seal: None, ..view },
            false => view,
        }
    }

    fn beginning(&self) -> State {
        let mut store = Store::default();
        for session in [0, 1] {
            let (holds, names) = (self.config.packs[session], self.config.snapshots[session]);
            store.holds[session] = holds;
            store.names[session] = names;
            if !holds.is_empty() {
                store.packs.add(session);
            }
            if !names.is_empty() {
                store.commits.add(session);
            }
        }
        store.shared_run = store.packs;
        store.ghost.stored = store.packs;
        store.ghost.promised = store.commits;
        store.ghost.committed = store.commits;
        let mut state = State {
            store,
            ..State::default()
        };
        state.writers[1].number = 1;
        state
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.beginning()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for number in 0..self.config.sources.len() {
            let at = state.writers[number].at;
            let choices = self.choices_of_writer(state, number);
            actions.extend(
                choices
                    .into_iter()
                    .map(|choice| Action::Write(number, at, choice)),
            );
        }
        for number in 0..self.config.collectors {
            let at = state.collectors[number].at;
            if self.can_collect(state, number) {
                actions.push(Action::Collect(number, at));
            }
            if self.config.crashes && at != prune::At::ListPlans {
                actions.push(Action::CollectorCrash(number, at));
            }
        }
        actions.extend(self.deeds(state).into_iter().map(Action::Person));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Write(number, _, choice) => self.step_writer(&mut state, number, choice),
            Action::Collect(number, _) => self.step_collector(&mut state, number),
            Action::CollectorCrash(number, _) => state.collectors[number] = Collector::default(),
            Action::Person(deed) => self.step_people(&mut state, deed),
        }
        // Which of two processes that prune is which, nobody can tell.
        state.collectors[..self.config.collectors].sort();
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        crate::properties::all()
    }
}

const _: () = assert!(SESSIONS <= u8::BITS as usize);
