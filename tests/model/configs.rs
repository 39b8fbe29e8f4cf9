//! Which writers, prunes and people are explored together.
//!
//! Each has what it needs to show one thing: all at once are more states than a machine can count.

use crate::protocol::Config;
use crate::state::{FIRST_OF_WRITERS, Set};

const FIRST: Set = Set(0b001);
const FIRST_TWO: Set = Set(0b011);
const SECOND: Set = Set(0b010);
/// What is there already, and what is not.
const OLD_AND_NEW: Set = Set(0b101);

/// A writer that may try twice, two prunes, and one snapshot of two that may be forgotten.
pub(crate) const SMALL: Config = Config {
    name: "a writer, two prunes",
    sources: &[&[OLD_AND_NEW]],
    attempts: [2, 0],
    take_over: false,
    collectors: 2,
    prunes: 2,
    copies: 0,
    forgets: 1,
    forgettable: FIRST,
    brings_back: false,
    crashes: false,
    lost_answers: false,
    packs: [FIRST, SECOND],
    snapshots: [FIRST, SECOND],
};

/// A second writer, which stops for ever somewhere.
pub(crate) const FROZEN: Config = Config {
    name: "a writer and a frozen one, two prunes of one number",
    sources: &[&[OLD_AND_NEW], &[FIRST]],
    attempts: [1, 1],
    prunes: 1,
    ..SMALL
};

/// Content is taken over from snapshots, those of another writer too.
pub(crate) const TAKING_OVER: Config = Config {
    name: "a writer, another that takes over",
    sources: &[&[OLD_AND_NEW], &[]],
    attempts: [1, 1],
    take_over: true,
    collectors: 1,
    prunes: 2,
    ..SMALL
};

/// A snapshot is forgotten and brought back.
pub(crate) const BRINGING_BACK: Config = Config {
    name: "a snapshot brought back, a writer, two prunes of one number",
    attempts: [1, 0],
    brings_back: true,
    prunes: 1,
    ..SMALL
};

/// A pack is half needed.
pub(crate) const COPYING: Config = Config {
    name: "a sparse pack, a writer, two prunes of one number",
    sources: &[&[FIRST_TWO]],
    copies: 2,
    prunes: 1,
    packs: [FIRST_TWO, Set::EMPTY],
    snapshots: [FIRST_TWO, SECOND],
    ..SMALL
};

/// Processes are started again; answers are lost.
pub(crate) const CRASHING: Config = Config {
    name: "crashes and lost answers, a writer, two prunes of one number",
    prunes: 1,
    crashes: true,
    lost_answers: true,
    ..SMALL
};

/// The snapshot of the writer may be forgotten while it does not know yet that there is one.
pub(crate) const LOSING_ANSWERS: Config = Config {
    name: "lost answers, a snapshot forgotten at once",
    crashes: false,
    forgettable: Set(1 << FIRST_OF_WRITERS),
    ..CRASHING
};

/// What is explored in every run of the tests.
pub(crate) const DAILY: [Config; 7] = [
    SMALL,
    FROZEN,
    TAKING_OVER,
    BRINGING_BACK,
    COPYING,
    CRASHING,
    LOSING_ANSWERS,
];

/// What takes some minutes and gigabytes.
pub(crate) const LARGE: [Config; 4] = [
    Config {
        name: "a frozen writer, prunes of two numbers",
        prunes: 2,
        ..FROZEN
    },
    Config {
        name: "taking over, two prunes",
        collectors: 2,
        attempts: [2, 1],
        ..TAKING_OVER
    },
    Config {
        name: "bringing back, prunes of two numbers",
        prunes: 2,
        ..BRINGING_BACK
    },
    Config {
        name: "crashes, prunes of two numbers",
        prunes: 2,
        copies: 1,
        ..CRASHING
    },
];
