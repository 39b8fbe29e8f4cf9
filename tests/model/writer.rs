//! A writer: W1 to W7, one call on storage after the other.
//!
//! A writer that is never chosen again is one that was frozen, or whose machine went down: nobody
//! can see the difference. One that crashes and is started again is `Crash`.

use blockstore::format::name::ObjectKind as Kind;
use blockstore::repository::protocol::{Call, Verb, WriterStep as Step};

use crate::mutants::Mutant;
use crate::properties::Rule;
use crate::protocol::{Protocol, State};
use crate::state::{FIRST_OF_WRITERS, Set, Store, View};

/// The call that a writer makes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum At {
    #[default]
    ListPlans,
    PutIntent,
    ListAgain,
    Withdraw,
    ListPacks,
    ListSnapshots,
    ChooseSnapshot,
    PutPack,
    PutRun,
    PutCommit,
    ListSeals,
    DeleteIntent,
    /// It told its user that the snapshot stands, and has ended.
    Stands,
    /// It has no session id left.
    Failed,
}

/// One writer, and what it remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Writer {
    pub(crate) at: At,
    pub(crate) number: usize,
    pub(crate) attempt: u8,
    pub(crate) base: u8,
    pub(crate) view: View,
    /// Chunks that it found, or takes over.
    pub(crate) found: Set,
    /// COMMITs that it listed.
    pub(crate) listed: Set,
    /// What it wants to keep; nothing as long as it has not looked at its source.
    pub(crate) wants: Set,
}

/// What may come of a writer's next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Choice {
    /// The call is made, and answered.
    Go,
    /// The call is made, the source has these chunks.
    Wants(Set),
    /// The call is made; the source is as this snapshot says.
    TakesOver(usize),
    /// The call is made, and its answer is lost.
    AnswerLost,
    /// The process ends, and is started again.
    Crash,
}

impl At {
    /// The step and the call, unless it has ended.
    pub(crate) fn step(self) -> Option<(Step, Call)> {
        Some(match self {
            Self::ListPlans => (Step::Announce, (Verb::List, Kind::Prune)),
            Self::PutIntent => (Step::Announce, (Verb::Put, Kind::Intent)),
            Self::ListAgain => (Step::LookAgain, (Verb::List, Kind::Prune)),
            Self::Withdraw => (Step::LookAgain, (Verb::Delete, Kind::Intent)),
            Self::ListPacks => (Step::Choose, (Verb::List, Kind::Pack)),
            Self::ListSnapshots => (Step::Choose, (Verb::List, Kind::Snapshot)),
            Self::ChooseSnapshot => (Step::Choose, (Verb::List, Kind::Prune)),
            Self::PutPack => (Step::Store, (Verb::Put, Kind::Pack)),
            Self::PutRun => (Step::Store, (Verb::Put, Kind::Index)),
            Self::PutCommit => (Step::Commit, (Verb::Put, Kind::Snapshot)),
            Self::ListSeals => (Step::Verify, (Verb::List, Kind::Prune)),
            Self::DeleteIntent => (Step::End, (Verb::Delete, Kind::Intent)),
            Self::Stands | Self::Failed => return None,
        })
    }
}

impl Writer {
    /// Number of the session that it is in.
    pub(crate) fn session(&self) -> usize {
        FIRST_OF_WRITERS + 2 * self.number + usize::from(self.attempt)
    }

    fn ended(&self, at: At) -> Self {
        let (number, attempt) = (self.number, self.attempt);
        Self {
            at,
            number,
            attempt,
            ..Self::default()
        }
    }

    /// True while it may still commit, and no prune of a number above its base told it otherwise.
    pub(crate) fn may_commit(&self) -> bool {
        self.at >= At::ListPacks && self.at <= At::PutCommit
    }
}

impl Protocol {
    /// What may come of the next call of a writer.
    pub(crate) fn choices_of_writer(&self, state: &State, number: usize) -> Vec<Choice> {
        let (me, store) = (&state.writers[number], &state.store);
        let mut choices = match me.at {
            At::Stands | At::Failed => return Vec::new(),
            At::ListPacks if !me.wants.is_empty() => vec![Choice::Go],
            At::ListPacks => {
                let sources = self.config.sources[number];
                let mut choices: Vec<_> = sources.iter().map(|set| Choice::Wants(*set)).collect();
                choices.extend(self.config.take_over.then_some(Choice::Go));
                choices
            }
            At::ChooseSnapshot => {
                let there = self.snapshots_to_start_from(me, store);
                there.iter().map(Choice::TakesOver).collect()
            }
            At::PutCommit if !store.has_outcome(me.session()) => {
                let lost = self.config.lost_answers.then_some(Choice::AnswerLost);
                std::iter::once(Choice::Go).chain(lost).collect()
            }
            _ => vec![Choice::Go],
        };
        let has_more = usize::from(me.attempt) + 1 < self.config.attempts[number];
        if self.config.crashes && has_more && me.at != At::ListPlans {
            choices.push(Choice::Crash);
        }
        choices
    }

    /// Makes the next call of a writer.
    pub(crate) fn step_writer(&self, state: &mut State, number: usize, choice: Choice) {
        let mut me = state.writers[number];
        let store = &mut state.store;
        let session = me.session();
        match me.at {
            _ if choice == Choice::Crash => self.crash(&mut me),
            At::ListPlans if self.chooses_too_early(&me) => {
                me.listed = store.snapshots(&self.see(store)) - store.tombstones;
            }
            At::ListPlans => {
                me.base = store.newest_plan();
                me.at = At::PutIntent;
            }
            At::PutIntent => {
                store.announce(session, me.base);
                me.at = At::ListAgain;
            }
            At::ListAgain => {
                me.view = self.see(store);
                me.at = match me.view.newest > me.base && !self.has(Mutant::NoSecondLook) {
                    true => At::Withdraw,
                    false => At::ListPacks,
                };
            }
            At::Withdraw => {
                store.intents.remove(session);
                self.begin_again(&mut me);
            }
            At::ListPacks => self.look_for_chunks(&mut me, store, choice),
            At::ListSnapshots => {
                if !self.has(Mutant::StartChosenBeforeIntent) {
                    me.listed = store.commits - store.tombstones;
                }
                me.at = At::ChooseSnapshot;
            }
            At::ChooseSnapshot => {
                if let Choice::TakesOver(start) = choice {
                    // Its chunks are not looked for: that it is there is the reason to rely on it.
                    me.wants = store.names[start];
                    me.found |= me.wants;
                    self.go_and_store(&mut me);
                }
            }
            At::PutPack => {
                self.put_pack(&me, store, session);
                me.at = At::PutRun;
            }
            At::PutRun => {
                store.runs.add(session);
                self.go_and_commit(&mut me);
            }
            At::PutCommit => self.commit(&mut me, store, session, choice),
            At::ListSeals => {
                let stands = self.see(store).is_in_time(session, me.base);
                match stands || self.has(Mutant::NoVerification) {
                    true => {
                        store.ghost.promised |= Set::of(session) - store.ghost.forgotten;
                        me.at = At::DeleteIntent;
                    }
                    false => self.begin_again(&mut me),
                }
            }
            At::DeleteIntent => {
                store.intents.remove(session);
                me = me.ended(At::Stands);
            }
            At::Stands | At::Failed => {}
        }
        state.writers[number] = me;
    }

    fn chooses_too_early(&self, me: &Writer) -> bool {
        self.has(Mutant::StartChosenBeforeIntent) && me.listed.is_empty()
    }

    fn crash(&self, me: &mut Writer) {
        me.wants = Set::EMPTY;
        self.begin_again(me);
    }

    /// A new session, with nothing in mind but what the snapshot is to name.
    fn begin_again(&self, me: &mut Writer) {
        let (attempt, wants) = (me.attempt + 1, me.wants);
        *me = match usize::from(attempt) < self.config.attempts[me.number] {
            true => Writer {
                number: me.number,
                attempt,
                wants,
                ..Writer::default()
            },
            false => me.ended(At::Failed),
        };
    }

    /// W3: copies in packs that are condemned, or not there, do not count.
    fn look_for_chunks(&self, me: &mut Writer, store: &mut Store, choice: Choice) {
        let condemned = me.view.condemned();
        let good = match self.has(Mutant::CondemnedCounts) {
            true => store.indexed(),
            false => store.indexed() - condemned,
        };
        me.found = store.chunks_in(good);
        match choice {
            Choice::Wants(set) => me.wants = set,
            _ if me.wants.is_empty() => {
                (me.found, me.at) = (Set::EMPTY, At::ListSnapshots);
                return;
            }
            _ => {}
        }
        let safe = store.chunks_in(store.indexed() - condemned);
        if !(safe.contains_all(me.found & me.wants)) {
            Rule::NoRelianceOnCondemned.breaks(store);
        }
        self.go_and_store(me);
    }

    /// The snapshots that a writer may take content over from, by what it has listed.
    fn snapshots_to_start_from(&self, me: &Writer, store: &Store) -> Set {
        if self.has(Mutant::StartChosenBeforeIntent) {
            return me.listed;
        }
        let view = match self.has(Mutant::SnapshotsListedAfterPrunes) {
            true => me.view,
            false => self.see(store),
        };
        me.listed
            .only(|session| view.allows(session, store.bases[session]))
    }

    fn go_and_store(&self, me: &mut Writer) {
        me.listed = Set::EMPTY;
        me.found = me.found & me.wants;
        match (me.wants - me.found).is_empty() {
            true => self.go_and_commit(me),
            false => me.at = At::PutPack,
        }
    }

    fn go_and_commit(&self, me: &mut Writer) {
        (me.view, me.found, me.at) = (View::default(), Set::EMPTY, At::PutCommit);
    }

    fn put_pack(&self, me: &Writer, store: &mut Store, session: usize) {
        let holds = me.wants - me.found;
        let mut pack = session;
        if self.has(Mutant::PacksNamedByContent) {
            let alike = store
                .ghost
                .stored
                .iter()
                .find(|pack| store.holds[*pack] == holds);
            pack = alike.unwrap_or(session);
        }
        if pack != session {
            store.runs.add(pack);
        }
        if store.ghost.stored.has(pack) && !store.packs.has(pack) {
            Rule::NamesAreUsedOnce.breaks(store);
        }
        store.packs.add(pack);
        store.ghost.stored.add(pack);
        store.holds[pack] = holds;
    }

    fn commit(&self, me: &mut Writer, store: &mut Store, session: usize, choice: Choice) {
        if store.aborts.has(session) {
            return self.begin_again(me);
        }
        if !store.commits.has(session) {
            self.decide(store, session, true);
            store.names[session] = me.wants;
        }
        if choice == Choice::Go {
            me.at = At::ListSeals;
        }
    }

    /// Puts an outcome where there is none.
    pub(crate) fn decide(&self, store: &mut Store, session: usize, commits: bool) {
        // A second outcome is one that a seal makes void.
        let had_one = (store.ghost.committed | store.ghost.aborted).has(session);
        if had_one && store.view().is_in_time(session, store.bases[session]) {
            Rule::OutcomesAreFinal.breaks(store);
        }
        match commits {
            true => {
                store.commits.add(session);
                store.ghost.committed.add(session);
            }
            false => {
                store.aborts.add(session);
                store.ghost.aborted.add(session);
            }
        }
    }
}
