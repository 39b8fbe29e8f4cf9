//! Every interleaving of writers, prunes and people, by the protocol of FORMAT 14, in a model.
//!
//! The model is explored whole, so what holds here holds for every order of steps, of any length
//! between them. What it leaves out: bytes, damage, and a listing that is not of one moment.

#![allow(clippy::print_stderr, reason = "tests print what they counted")]

mod configs;
mod decide;
mod mutants;
mod people;
mod properties;
mod protocol;
mod prune;
mod state;
mod writer;

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use blockstore::repository::protocol::{CollectorStep, WriterStep};

use crate::configs::{BRINGING_BACK, DAILY, LARGE};
use crate::mutants::Mutant;
use crate::protocol::{Action, Config, Protocol};

/// What an exploration found: the properties, each with the calls that lead there.
type Findings = Vec<(&'static str, Expectation, Vec<Action>)>;

const THREADS: usize = 2;

/// Explores; several threads are faster, one finds the shortest way to each finding.
fn explore(config: Config, mutant: Option<Mutant>, threads: usize) -> Findings {
    let begun = Instant::now();
    let checker = Protocol::new(config, mutant)
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let (unique, all) = (checker.unique_state_count(), checker.state_count());
    let (name, depth, took) = (config.name, checker.max_depth(), begun.elapsed());
    eprintln!("{name}: {unique} states of {all} made, depth {depth}, {took:.1?}");
    let found = checker.discoveries().into_iter();
    let mut found: Findings = found
        .map(|(name, path)| {
            let expectation = checker.model().property(name).expectation;
            (name, expectation, path.into_actions())
        })
        .collect();
    found.sort_by_key(|(_, _, path)| path.len());
    found
}

/// Names of what was seen; panics if a promise was broken.
#[track_caller]
fn assert_keeps_promises(config: Config) -> BTreeSet<&'static str> {
    let found = explore(config, None, THREADS);
    for (name, expectation, path) in &found {
        let is_seen = *expectation == Expectation::Sometimes;
        assert!(is_seen, "{}: not true that {name}: {path:#?}", config.name);
    }
    found.into_iter().map(|(name, ..)| name).collect()
}

#[test]
fn every_interleaving_of_a_few_keeps_all_promises() {
    let mut seen = BTreeSet::new();
    for config in DAILY {
        seen.extend(assert_keeps_promises(config));
    }
    let properties = Protocol::new(DAILY[0], None).properties();
    let expected = properties
        .iter()
        .filter(|one| one.expectation == Expectation::Sometimes);
    let never: Vec<_> = expected.filter(|one| !seen.contains(one.name)).collect();
    let never: Vec<_> = never.iter().map(|one| one.name).collect();
    assert!(never.is_empty(), "never seen: {never:?}");
}

#[test]
#[ignore = "takes minutes and gigabytes"]
fn every_interleaving_of_more_keeps_all_promises() {
    for config in LARGE {
        assert_keeps_promises(config);
    }
}

#[test]
fn every_rule_is_needed() {
    let mut useless = Vec::new();
    for mutant in Mutant::ALL {
        let found = explore(mutant.config(), Some(mutant), 1);
        let broken = found
            .iter()
            .find(|(_, kind, _)| *kind == Expectation::Always);
        match broken {
            Some((name, _, path)) => {
                eprintln!(
                    "  {mutant:?}: {} calls until it is not true that {name}",
                    path.len()
                );
            }
            None => useless.push(mutant),
        }
    }
    assert!(useless.is_empty(), "break nothing: {useless:?}");
}

#[test]
fn every_step_is_taken_and_makes_no_call_that_it_does_not_have() {
    let model = Protocol::new(BRINGING_BACK, None);
    let mut pending = model.init_states();
    let mut seen: HashSet<_> = pending.iter().cloned().collect();
    let (mut writer, mut collector) = (BTreeSet::new(), BTreeSet::new());
    let mut actions = Vec::new();
    while let Some(state) = pending.pop() {
        model.actions(&state, &mut actions);
        for action in actions.drain(..) {
            match action {
                Action::Write(_, at, _) => writer.extend(at.step()),
                Action::Collect(_, at) => collector.extend([at.step()]),
                Action::CollectorCrash(..) | Action::Person(_) => {}
            }
            let next = model.next_state(&state, action);
            pending.extend(next.filter(|next| seen.insert(next.clone())));
        }
    }
    for (step, call) in &writer {
        assert!(step.calls().contains(call), "{step}: {call:?}");
    }
    for (step, call) in &collector {
        assert!(step.calls().contains(call), "{step}: {call:?}");
    }
    let of_writers: Vec<_> = writer.into_iter().map(|(step, _)| step).collect();
    let of_prunes: Vec<_> = collector.into_iter().map(|(step, _)| step).collect();
    assert!(
        WriterStep::ALL.iter().all(|step| of_writers.contains(step)),
        "{of_writers:?}"
    );
    let mut without_copies = CollectorStep::ALL
        .iter()
        .filter(|step| **step != CollectorStep::Copy);
    assert!(
        without_copies.all(|step| of_prunes.contains(step)),
        "{of_prunes:?}"
    );
}
