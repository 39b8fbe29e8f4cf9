//! What always holds; and what is sometimes seen, lest the rest hold because nothing happens.

use std::sync::atomic::Ordering;

use stateright::Property;

use crate::people::Return;
use crate::protocol::{Protocol, State};
use crate::prune::{At as PruneAt, Collector};
use crate::state::{Steps, Store};
use crate::writer::{At as WriterAt, Writer};

/// A rule of what happens, and not of what is: broken in the moment of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A session never relies on a copy that a plan in its view condemns.
    NoRelianceOnCondemned,
    /// A pack is deleted only when every session that may rely on it is decided.
    DeletesComeAfterDecisions,
    /// An outcome is written once, but for one that comes too late for a seal.
    OutcomesAreFinal,
    /// No name of a pack is used twice.
    NamesAreUsedOnce,
    /// A plan condemns no pack of an open session, nor what a snapshot had stored itself.
    PlansSpareWhatIsNeeded,
}

impl Rule {
    /// Notes that it was broken.
    pub(crate) fn breaks(self, store: &mut Store) {
        store.ghost.broken.add(self as usize);
    }

    fn holds(self, state: &State) -> bool {
        !state.store.ghost.broken.has(self as usize)
    }
}

/// All properties.
pub(crate) fn all() -> Vec<Property<Protocol>> {
    let mut all = always().to_vec();
    all.extend(sometimes());
    all
}

fn always() -> [Property<Protocol>; 7] {
    [
        Property::always(
            "every snapshot has all its chunks, indexed",
            |model, state: &State| model.keeps(0, has_all_chunks(model, state)),
        ),
        Property::always(
            "a snapshot stays until it is forgotten and pruned",
            |model, state: &State| model.keeps(1, has_all_promised(model, state)),
        ),
        Property::always(
            "no session relies on a condemned copy",
            |model, state: &State| model.keeps(2, Rule::NoRelianceOnCondemned.holds(state)),
        ),
        Property::always(
            "no pack is deleted before sessions are decided",
            |model, state: &State| model.keeps(3, Rule::DeletesComeAfterDecisions.holds(state)),
        ),
        Property::always("an outcome is written once", |model, state: &State| {
            model.keeps(4, Rule::OutcomesAreFinal.holds(state))
        }),
        Property::always("a name is used once", |model, state: &State| {
            model.keeps(5, Rule::NamesAreUsedOnce.holds(state))
        }),
        Property::always(
            "plans spare what open sessions stored",
            |model, state: &State| model.keeps(6, Rule::PlansSpareWhatIsNeeded.holds(state)),
        ),
    ]
}

fn has_all_chunks(model: &Protocol, state: &State) -> bool {
    let store = &state.store;
    let there = store.snapshots(&model.see(store));
    store
        .chunks_in(store.indexed())
        .contains_all(store.chunks_of(there))
}

/// One that was brought back just before a plan that lets it go is hidden until that plan is done.
fn has_all_promised(model: &Protocol, state: &State) -> bool {
    let store = &state.store;
    let view = model.see(store);
    let is_in_time = |session: usize| view.is_in_time(session, store.bases[session]);
    let hidden = view.plan.unwrap_or_default().snapshots - store.tombstones;
    let there = store.snapshots(&view) | (hidden & store.commits).only(is_in_time);
    there.contains_all(store.ghost.promised)
}

fn sometimes() -> Vec<Property<Protocol>> {
    vec![
        Property::sometimes("space is reclaimed", |model, state: &State| {
            let store = &state.store;
            model.meets(16, || store.ghost.stored != store.packs)
        }),
        Property::sometimes("a pack is rescued", |model, state: &State| {
            let store = &state.store;
            let rescues = |steps: &Steps| match (steps.plan, steps.seal) {
                (Some(plan), Some(seal)) => plan.packs != seal.packs,
                _ => false,
            };
            model.meets(17, || store.steps.iter().any(&rescues))
        }),
        Property::sometimes(
            "a session is aborted, and the next commits",
            |model, state: &State| {
                let is_second = |writer: &Writer| {
                    let first = writer.session() - usize::from(writer.attempt);
                    writer.at == WriterAt::Stands
                        && writer.attempt == 1
                        && state.store.ghost.aborted.has(first)
                };
                model.meets(18, || state.writers.iter().any(is_second))
            },
        ),
        Property::sometimes("a seal is void", |model, state: &State| {
            let newest = state.store.newest_plan();
            let is_late = |me: &Collector| me.at == PruneAt::ListNewer && me.number < newest;
            model.meets(19, || state.collectors.iter().any(is_late))
        }),
        Property::sometimes(
            "a commit that came too late is noticed",
            |model, state: &State| {
                let view = model.see(&state.store);
                let is_late = |writer: &Writer| {
                    let session = writer.session();
                    writer.at == WriterAt::ListSeals
                        && state.store.ghost.aborted.has(session)
                        && !view.is_in_time(session, writer.base)
                };
                model.meets(20, || state.writers.iter().any(is_late))
            },
        ),
        Property::sometimes(
            "somebody comes too late to bring back",
            |model, state: &State| model.meets(21, || state.brings_back == Return::TooLate),
        ),
        Property::sometimes("somebody brings a snapshot back", |model, state: &State| {
            model.meets(22, || state.brings_back == Return::Back)
        }),
        Property::sometimes(
            "a prune goes on where another stopped",
            |model, state: &State| {
                let both = state
                    .collectors
                    .map(|me| me.at > PruneAt::PutPlan && me.number == 1);
                model.meets(23, || both == [true, true])
            },
        ),
    ]
}

impl Protocol {
    /// What is to hold: false once only, so that the first finding is kept.
    fn keeps(&self, bit: u32, holds: bool) -> bool {
        holds || !self.is_new(bit)
    }

    /// What is to be seen: true once only.
    fn meets(&self, bit: u32, is_met: impl Fn() -> bool) -> bool {
        self.found.load(Ordering::Relaxed) & (1 << bit) == 0 && is_met() && self.is_new(bit)
    }

    fn is_new(&self, bit: u32) -> bool {
        self.found.fetch_or(1 << bit, Ordering::Relaxed) & (1 << bit) == 0
    }
}
