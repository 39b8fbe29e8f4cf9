//! A prune: P0 to P10, one call on storage after the other.
//!
//! Calls whose order makes no difference are one: tombstones are listed, and deleted, with the
//! outcomes beside them, and the steps of lower numbers go together.

use blockstore::format::name::ObjectKind as Kind;
use blockstore::repository::protocol::{Call, CollectorStep as Step, Verb};

use crate::mutants::Mutant;
use crate::protocol::{Protocol, State};
use crate::state::{FIRST_OF_COPIES, Record, Set, Steps, Store, View};

/// The call that a prune makes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum At {
    /// No prune runs in this process; the next begins with a listing.
    #[default]
    ListPlans,
    ListPacks,
    ListIntents,
    ListSnapshots,
    PutCopyIntent,
    PutCopyPack,
    PutCopyRun,
    PutPlan,
    ListOpen,
    PutAbort,
    ListCommits,
    PutSeal,
    ListNewer,
    /// What no prune does, but a mutant.
    DeleteSeal,
    ListSettled,
    DeleteOutcome,
    DeleteIntent,
    DeletePack,
    PutFold,
    DeleteRun,
    PutDone,
    DeleteSteps,
}

/// One process that prunes, and what it remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Collector {
    pub(crate) at: At,
    pub(crate) number: u8,
    pub(crate) view: View,
    /// Packs that it listed.
    pub(crate) packs: Set,
    /// Sessions that it listed: as undecided, as to be aborted, as settled.
    pub(crate) sessions: Set,
    /// Intents that are settled.
    pub(crate) intents: Set,
    pub(crate) plan: Record,
    pub(crate) seal: Record,
    /// Chunks to be copied; later, packs whose place in an index run is to be.
    pub(crate) copies: Set,
}

impl At {
    /// The step and the call.
    pub(crate) fn step(self) -> (Step, Call) {
        match self {
            Self::ListPlans => (Step::Number, (Verb::List, Kind::Prune)),
            Self::ListPacks => (Step::Mark, (Verb::List, Kind::Pack)),
            Self::ListIntents => (Step::Mark, (Verb::List, Kind::Intent)),
            Self::ListSnapshots => (Step::Mark, (Verb::List, Kind::Snapshot)),
            Self::PutCopyIntent => (Step::Copy, (Verb::Put, Kind::Intent)),
            Self::PutCopyPack => (Step::Copy, (Verb::Put, Kind::Pack)),
            Self::PutCopyRun => (Step::Copy, (Verb::Put, Kind::Index)),
            Self::PutPlan => (Step::Plan, (Verb::Put, Kind::Prune)),
            Self::ListOpen => (Step::Fence, (Verb::List, Kind::Intent)),
            Self::PutAbort => (Step::Fence, (Verb::Put, Kind::Snapshot)),
            Self::ListCommits => (Step::MarkAgain, (Verb::List, Kind::Snapshot)),
            Self::PutSeal => (Step::Seal, (Verb::Put, Kind::Prune)),
            Self::ListNewer => (Step::Seal, (Verb::List, Kind::Prune)),
            Self::DeleteSeal => (Step::Seal, (Verb::Delete, Kind::Prune)),
            Self::ListSettled => (Step::Tidy, (Verb::List, Kind::Snapshot)),
            Self::DeleteOutcome => (Step::Tidy, (Verb::Delete, Kind::Snapshot)),
            Self::DeleteIntent => (Step::Tidy, (Verb::Delete, Kind::Intent)),
            Self::DeletePack => (Step::Sweep, (Verb::Delete, Kind::Pack)),
            Self::PutFold => (Step::Fold, (Verb::Put, Kind::Index)),
            Self::DeleteRun => (Step::Fold, (Verb::Delete, Kind::Index)),
            Self::PutDone => (Step::Finish, (Verb::Put, Kind::Prune)),
            Self::DeleteSteps => (Step::Finish, (Verb::Delete, Kind::Prune)),
        }
    }
}

impl Protocol {
    /// True if a collector has a call to make, and not only one that finds nothing to do.
    pub(crate) fn can_collect(&self, state: &State, number: usize) -> bool {
        let me = &state.collectors[number];
        me.at != At::ListPlans || self.number_of_next(&state.store) <= self.config.prunes
    }

    /// Makes the next call of a collector.
    pub(crate) fn step_collector(&self, state: &mut State, number: usize) {
        let mut me = state.collectors[number];
        let store = &mut state.store;
        match me.at {
            At::ListPlans => self.take_up(&mut me, store),
            At::ListPacks => (me.packs, me.at) = (store.packs, At::ListIntents),
            At::ListIntents => (me.sessions, me.at) = (store.intents, At::ListSnapshots),
            At::ListSnapshots => self.mark(&mut me, store),
            At::PutCopyIntent => {
                let session = FIRST_OF_COPIES + usize::from(store.ghost.copies);
                store.ghost.copies += 1;
                store.announce(session, me.number - 1);
                (me.packs, me.at) = (Set::of(session), At::PutCopyPack);
            }
            At::PutCopyPack => self.copy(&mut me, store),
            At::PutCopyRun => {
                store.runs |= me.packs;
                (me.packs, me.at) = (Set::EMPTY, At::PutPlan);
            }
            At::PutPlan => self.put_plan(&mut me, store),
            At::ListOpen => {
                let is_older = |session: usize| store.bases[session] < me.number;
                let is_mutant = self.has(Mutant::NoFence);
                me.sessions = store
                    .intents
                    .only(|session| is_older(session) && !is_mutant);
                me.at = At::PutAbort;
            }
            At::PutAbort => self.abort_one(&mut me, store),
            At::ListCommits => self.mark_again(&mut me, store),
            At::PutSeal => self.put_seal(&mut me, store),
            At::ListNewer => self.look_whether_void(&mut me, store),
            At::DeleteSeal => {
                store.steps[usize::from(me.number)].seal = None;
                me = Collector::default();
            }
            At::ListSettled => self.list_settled(&mut me, store),
            At::DeleteOutcome => {
                let outcome = me.sessions.first().map_or(Set::EMPTY, Set::of);
                store.commits = store.commits - outcome;
                store.aborts = store.aborts - outcome;
                store.tombstones = store.tombstones - outcome;
                me.sessions = me.sessions - outcome;
            }
            At::DeleteIntent => {
                let intent = me.intents.first().map_or(Set::EMPTY, Set::of);
                store.intents = store.intents - intent;
                me.intents = me.intents - intent;
            }
            At::DeletePack => {
                self.delete_one_pack(&mut me, &state.writers, store);
            }
            At::PutFold => {
                store.folded_run |= me.copies;
                me.copies = Set::EMPTY;
                me.at = At::DeleteRun;
                if self.has(Mutant::RunDeletedFirst) {
                    me.at = At::PutDone;
                }
            }
            At::DeleteRun => {
                store.shared_run = Set::EMPTY;
                me.at = match me.copies.is_empty() {
                    true => At::PutDone,
                    false => At::PutFold,
                };
            }
            At::PutDone => {
                store.steps[usize::from(me.number)].done = true;
                me = Collector {
                    at: At::DeleteSteps,
                    number: me.number,
                    ..Collector::default()
                };
            }
            At::DeleteSteps => {
                store.steps[..usize::from(me.number)].fill(Steps::default());
                me = Collector::default();
            }
        }
        self.pass_over_nothing(&mut me, &state.store);
        state.collectors[number] = me;
    }

    /// Goes on where there is nothing to do: a step without calls cannot be seen.
    fn pass_over_nothing(&self, me: &mut Collector, store: &Store) {
        if me.at == At::PutAbort && me.sessions.is_empty() {
            me.at = At::ListCommits;
        }
        if me.at == At::DeleteOutcome {
            me.sessions = me.sessions & (store.commits | store.aborts);
            if me.sessions.is_empty() {
                me.at = At::DeleteIntent;
            }
        }
        if me.at == At::DeleteIntent {
            me.intents = me.intents & store.intents;
            if me.intents.is_empty() {
                me.at = At::DeletePack;
            }
        }
        if me.at == At::DeletePack && (me.seal.packs & store.packs).is_empty() {
            // The run of several packs, if it names one that is deleted.
            let has_deleted = !(store.shared_run & me.seal.packs).is_empty();
            me.copies = match has_deleted {
                true => store.shared_run - me.seal.packs,
                false => Set::EMPTY,
            };
            me.at = match (has_deleted, me.copies.is_empty()) {
                (false, _) => At::PutDone,
                (true, true) => At::DeleteRun,
                (true, false) if self.has(Mutant::RunDeletedFirst) => At::DeleteRun,
                (true, false) => At::PutFold,
            };
            me.seal = Record::default();
        }
    }
}
