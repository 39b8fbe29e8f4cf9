//! People: they forget snapshots, and bring them back.

use crate::mutants::Mutant;
use crate::protocol::{Protocol, State};
use crate::state::Store;

/// Somebody who brings a snapshot back: looks, deletes the tombstone, looks again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Return {
    /// Nobody has tried.
    #[default]
    NotBegun,
    /// It was there, and forgotten.
    Seen(usize),
    /// Its tombstone is deleted.
    Deleted(usize),
    /// It was told that the snapshot is back.
    Back,
    /// It was told that this was too late.
    TooLate,
}

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Deed {
    /// A tombstone is put on a snapshot.
    Forget(usize),
    /// Looks whether a snapshot that is forgotten can be brought back.
    Look(usize),
    /// Deletes the tombstone.
    DeleteTombstone,
    /// Looks again, and says what came of it.
    LookAgain,
}

impl Protocol {
    /// What people may do next.
    pub(crate) fn deeds(&self, state: &State) -> Vec<Deed> {
        let store = &state.store;
        let there = store.snapshots(&self.see(store));
        let mut deeds = Vec::new();
        if state.forgets < self.config.forgets {
            let can_go = (there - store.tombstones) & self.config.forgettable;
            deeds.extend(can_go.iter().map(Deed::Forget));
        }
        match state.brings_back {
            Return::NotBegun if self.config.brings_back => {
                deeds.extend((there & store.tombstones).iter().map(Deed::Look));
            }
            Return::Seen(_) => deeds.push(Deed::DeleteTombstone),
            Return::Deleted(_) => deeds.push(Deed::LookAgain),
            _ => {}
        }
        deeds
    }

    /// Does it.
    pub(crate) fn step_people(&self, state: &mut State, deed: Deed) {
        let store = &mut state.store;
        match (deed, state.brings_back) {
            (Deed::Forget(session), _) => {
                state.forgets += 1;
                store.ghost.promised.remove(session);
                store.ghost.forgotten.add(session);
                match self.has(Mutant::ForgetDeletesOutcome) {
                    true => store.commits.remove(session),
                    false => store.tombstones.add(session),
                }
            }
            (Deed::Look(session), _) => state.brings_back = Return::Seen(session),
            (Deed::DeleteTombstone, Return::Seen(session)) => {
                store.tombstones.remove(session);
                state.brings_back = Return::Deleted(session);
            }
            (Deed::LookAgain, Return::Deleted(session)) => {
                state.brings_back = match self.is_back(store, session) {
                    true => Return::Back,
                    false => Return::TooLate,
                };
                if state.brings_back == Return::Back && !store.tombstones.has(session) {
                    store.ghost.promised.add(session);
                }
            }
            _ => {}
        }
    }

    fn is_back(&self, store: &Store, session: usize) -> bool {
        let is_there = store.snapshots(&self.see(store)).has(session);
        is_there || self.has(Mutant::BroughtBackUnseen)
    }
}
