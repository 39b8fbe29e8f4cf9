//! What a prune decides: what to condemn, whom to abort, what to rescue, what is settled.

use crate::mutants::Mutant;
use crate::properties::Rule;
use crate::protocol::Protocol;
use crate::prune::{At, Collector};
use crate::state::{Record, Set, Store};
use crate::writer::Writer;

impl Protocol {
    /// P0.
    pub(crate) fn number_of_next(&self, store: &Store) -> u8 {
        let newest = store.newest_plan();
        let is_done = newest == 0 || store.steps[usize::from(newest)].done;
        newest + u8::from(is_done || self.has(Mutant::PlansOverlap))
    }

    pub(crate) fn take_up(&self, me: &mut Collector, store: &Store) {
        me.number = self.number_of_next(store);
        me.view = self.see(store);
        match store.steps[usize::from(me.number)].plan {
            Some(plan) => (me.plan, me.at) = (plan, At::ListOpen),
            None => me.at = At::ListPacks,
        }
        if self.has(Mutant::OutcomesListedFirst) {
            me.intents = store.commits | store.aborts;
        }
    }

    /// P1, once everything is listed.
    pub(crate) fn mark(&self, me: &mut Collector, store: &Store) {
        let outcomes = match self.has(Mutant::OutcomesListedFirst) {
            true => me.intents,
            false => store.commits | store.aborts,
        };
        let there = store.snapshots(&me.view) & outcomes;
        let forgotten = there & store.tombstones;
        let needed = store.chunks_of(there - forgotten);
        let keepers = self.keepers(me.packs, needed, store);
        let open = me.sessions - outcomes;
        let candidates = match self.has(Mutant::OpenSessionsAreCandidates) {
            true => me.packs,
            false => me.packs - open,
        };
        let is_sparse = |pack: usize| !needed.contains_all(store.holds[pack]);
        let can_copy = self.config.copies > store.ghost.copies;
        let sparse = (candidates & keepers).only(|pack| can_copy && is_sparse(pack));
        let kept = store.chunks_in(keepers - sparse);
        *me = Collector {
            at: if sparse.is_empty() {
                At::PutPlan
            } else {
                At::PutCopyIntent
            },
            number: me.number,
            view: me.view,
            copies: (store.chunks_in(sparse) & needed) - kept,
            plan: Record {
                packs: (candidates - keepers) | sparse,
                snapshots: forgotten,
            },
            ..Collector::default()
        };
    }

    /// One copy of each chunk that is needed.
    fn keepers(&self, packs: Set, needed: Set, store: &Store) -> Set {
        let mut keepers = Set::EMPTY;
        for chunk in needed.iter() {
            let copies = packs.only(|pack| store.holds[pack].has(chunk));
            keepers |= copies.first().map_or(Set::EMPTY, Set::of);
        }
        keepers
    }

    /// P2: what can no longer be read ends the prune.
    pub(crate) fn copy(&self, me: &mut Collector, store: &mut Store) {
        if !store.chunks_in(store.packs).contains_all(me.copies) {
            *me = Collector::default();
            return;
        }
        for pack in me.packs.iter() {
            store.holds[pack] = me.copies;
        }
        store.packs |= me.packs;
        store.ghost.stored |= me.packs;
        (me.copies, me.at) = (Set::EMPTY, At::PutCopyRun);
    }

    /// P3. Whether a newer plan is there need not be asked: it could be put right afterwards.
    pub(crate) fn put_plan(&self, me: &mut Collector, store: &mut Store) {
        let is_newest = me.number > store.newest_plan();
        let plan = &mut store.steps[usize::from(me.number)].plan;
        me.plan = *plan.get_or_insert(me.plan);
        me.at = At::ListOpen;
        if is_newest && !self.spares_what_was_stored_for(me.plan, store) {
            Rule::PlansSpareWhatIsNeeded.breaks(store);
        }
    }

    /// True if a plan condemns no pack of a session that is open, nor the last copy of what a
    /// snapshot that stays had stored itself.
    fn spares_what_was_stored_for(&self, plan: Record, store: &Store) -> bool {
        let open = store.intents.only(|session| !store.has_outcome(session));
        let stays = store.snapshots(&self.see(store));
        let stored = stays
            .iter()
            .map(|session| store.holds[session] & store.names[session]);
        let stored = stored.fold(Set::EMPTY, |all, chunks| all | chunks);
        let left = store.chunks_in(store.packs - plan.packs);
        (plan.packs & open).is_empty() && left.contains_all(stored)
    }

    /// P4.
    pub(crate) fn abort_one(&self, me: &mut Collector, store: &mut Store) {
        let Some(session) = me.sessions.first() else {
            return;
        };
        me.sessions.remove(session);
        if self.has(Mutant::AbortOverwrites) {
            store.commits.remove(session);
        }
        if !store.has_outcome(session) {
            self.decide(store, session, false);
        }
    }

    /// P5. A snapshot that the plan lets go and that was brought back in time stays.
    pub(crate) fn mark_again(&self, me: &mut Collector, store: &Store) {
        let let_go = match self.has(Mutant::LetGoForGood) {
            true => me.plan.snapshots,
            false => me.plan.snapshots & store.tombstones,
        };
        let is_older = |session: usize| {
            let base = store.bases[session];
            base < me.number && me.view.is_in_time(session, base)
        };
        let stay = (store.commits - let_go).only(is_older);
        let lacking = store.chunks_of(stay) - store.chunks_in(store.indexed() - me.plan.packs);
        let is_lacked = |pack: usize| !(store.holds[pack] & lacking).is_empty();
        let rescued = match self.has(Mutant::NoRescue) {
            true => Set::EMPTY,
            false => me.plan.packs.only(is_lacked),
        };
        *me = Collector {
            at: At::PutSeal,
            number: me.number,
            seal: Record {
                packs: me.plan.packs - rescued,
                snapshots: stay,
            },
            ..Collector::default()
        };
    }

    /// P6. What another prune sealed is read in the same call.
    pub(crate) fn put_seal(&self, me: &mut Collector, store: &mut Store) {
        let seal = *store.steps[usize::from(me.number)]
            .seal
            .get_or_insert(me.seal);
        if !self.has(Mutant::OwnSealCounts) {
            me.seal = seal;
        }
        me.at = At::ListNewer;
    }

    /// P6: a seal beside a newer plan is void, and so is one of what is done. It stays where it is:
    /// this prune cannot know whether it was the first that put it.
    pub(crate) fn look_whether_void(&self, me: &mut Collector, store: &mut Store) {
        let steps = &mut store.steps[usize::from(me.number)];
        let is_done = steps.done;
        if self.has(Mutant::DoneBeforeDeletes) {
            steps.done = true;
        }
        let is_void = store.newest_plan() > me.number || is_done;
        if !is_void || self.has(Mutant::VoidSealsCount) {
            me.at = At::ListSettled;
        } else if self.has(Mutant::VoidSealsAreDeleted) {
            me.at = At::DeleteSeal;
        } else {
            *me = Collector::default();
        }
    }

    /// P7. An ABORT does not say its base: one without an intent is of a session that has ended.
    pub(crate) fn list_settled(&self, me: &mut Collector, store: &Store) {
        let is_older = |session: usize| store.bases[session] < me.number;
        me.intents = store.intents.only(is_older);
        let of_older = store.commits.only(is_older);
        let aborted = store.aborts - (store.intents - me.intents);
        me.sessions = (of_older | aborted) - me.seal.snapshots;
        me.at = At::DeleteOutcome;
    }

    /// P8.
    pub(crate) fn delete_one_pack(
        &self,
        me: &mut Collector,
        writers: &[Writer],
        store: &mut Store,
    ) {
        for writer in writers {
            let session = writer.session();
            let is_decided = (store.ghost.committed | store.ghost.aborted).has(session);
            if writer.may_commit() && writer.base < me.number && !is_decided {
                Rule::DeletesComeAfterDecisions.breaks(store);
            }
        }
        if let Some(pack) = (me.seal.packs & store.packs).first() {
            store.packs.remove(pack);
            store.runs.remove(pack);
        }
    }
}
