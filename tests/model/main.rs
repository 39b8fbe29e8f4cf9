//! Every interleaving of writers, prunes and people, by FORMAT 14.

#![allow(clippy::print_stderr, reason = "tests print what they counted")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod decide;
mod mutants;
mod people;
mod properties;
mod protocol;
mod prune;
mod state;
mod writer;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::mutants::Mutant;
use crate::protocol::{Config, Protocol};
use crate::state::Set;

const SMALL: Config = Config {
    name: "small",
    sources: &[&[Set(0b101)]],
    attempts: 2,
    take_over: false,
    collectors: 2,
    prunes: 2,
    copies: 0,
    forgets: 1,
    forgettable: Set(1),
    brings_back: false,
    crashes: false,
    lost_answers: false,
    packs: [Set(0b001), Set(0b010)],
    snapshots: [Set(0b001), Set(0b010)],
};

#[test]
fn explore() {
    let config = Config {
        take_over: std::env::var("TAKE").is_ok(),
        crashes: std::env::var("CRASH").is_ok(),
        lost_answers: std::env::var("LOST").is_ok(),
        brings_back: std::env::var("BACK").is_ok(),
        prunes: std::env::var("PRUNES").map_or(2, |n| n.parse().unwrap()),
        sources: match std::env::var("WRITERS").as_deref() { Ok("2") => &[&[Set(0b101)], &[Set(0b101)]], _ => &[&[Set(0b101)]] },
        ..SMALL
    };
    let mutant = std::env::var("MUTANT").ok().map(|m| Mutant::ALL.into_iter().find(|x| format!("{x:?}") == m).unwrap());
    let begun = Instant::now();
    let checker = Protocol::new(config, mutant)
        .checker()
        .threads(std::env::var("THREADS").map_or(1, |n| n.parse().unwrap()))
        .timeout(std::time::Duration::from_secs(60))
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    eprintln!("{}: {} unique, {} generated, depth {}, {:?}", SMALL.name, checker.unique_state_count(), checker.state_count(), checker.max_depth(), begun.elapsed());
    for (name, path) in checker.discoveries() {
        let len = path.clone().into_actions().len();
        eprintln!("  {name}: {len}");
        if checker.model().property(name).expectation == stateright::Expectation::Always {
            for a in path.into_actions() { eprintln!("     {a:?}"); }
        }
    }
}
