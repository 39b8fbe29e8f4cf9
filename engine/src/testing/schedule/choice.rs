//! Who goes on: the policies that choose among the participants that can.

use std::collections::{BTreeMap, VecDeque};

use crate::format::name::ObjectKind;
use crate::testing::random::Random;
use crate::testing::recording_backend::Verb;
use crate::testing::schedule::gate::{Call, Choice};
use crate::testing::schedule::script::Switch;

/// Chooses at every point of one run. Options come with the participant that goes on by default
/// first: the one that made the last call, if it can, so that choosing another preempts it.
#[derive(Clone, Debug)]
pub enum Chooser {
    /// The first of these options, one after the other, then the default.
    Prefix {
        /// Numbers of options, of the choices that are left.
        options: std::vec::IntoIter<usize>,
    },
    /// Any, each with the same chance.
    Random(Random),
    /// The one of the highest priority.
    Pct(Pct),
    /// These participants at these points, the default elsewhere.
    Told(BTreeMap<u64, usize>),
    /// One leg after the other, then the default.
    Legs(VecDeque<Leg>),
}

/// A part of a schedule that is told by what participants do: one goes on until it is about to
/// make a call, or to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// Who goes on.
    pub participant: usize,
    /// Before which call it stops; nothing if it goes on to its end.
    pub until: Option<Stop>,
}

/// A call that a leg stops before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What it asks.
    pub verb: Verb,
    /// The kind of the object that it asks for.
    pub kind: ObjectKind,
    /// How many of these calls the leg still makes.
    pub after: u32,
}

impl Leg {
    /// To the end of this participant.
    pub fn whole(participant: usize) -> Self {
        Self {
            participant,
            until: None,
        }
    }

    /// Until it is about to make such a call, for the first time in this leg.
    pub fn until(participant: usize, verb: Verb, kind: ObjectKind) -> Self {
        let after = 0;
        let until = Some(Stop { verb, kind, after });
        Self { participant, until }
    }

    /// Until it is about to make the call for one more time than it was said to.
    #[must_use]
    pub fn and_once_more(mut self) -> Self {
        if let Some(stop) = &mut self.until {
            stop.after += 1;
        }
        self
    }
}

/// Probabilistic concurrency testing: the participant of the highest priority goes on, and at a
/// few points, drawn beforehand, the one that would go on loses its priority.
#[derive(Clone, Debug)]
pub struct Pct {
    random: Random,
    /// Points at which the priority of who would go on falls.
    falls: Vec<u64>,
    /// By participant; drawn when it is first seen.
    priorities: BTreeMap<usize, i64>,
    fallen: i64,
}

impl Chooser {
    /// Never preempts.
    pub fn default_order() -> Self {
        Self::prefix(Vec::new())
    }

    /// Begins with these options.
    pub fn prefix(options: Vec<usize>) -> Self {
        let options = options.into_iter();
        Self::Prefix { options }
    }

    /// Any option, by `seed`.
    pub fn random(seed: u64) -> Self {
        Self::Random(Random::new(seed))
    }

    /// By priorities, with `depth - 1` falls among the first `points` points.
    pub fn pct(seed: u64, depth: u32, points: u64) -> Self {
        let mut random = Random::new(seed);
        let falls = (1..depth).map(|_| random.number() % points.max(1));
        let falls = falls.collect();
        Self::Pct(Pct {
            random,
            falls,
            priorities: BTreeMap::new(),
            fallen: 0,
        })
    }

    /// As a run was that is to be repeated.
    pub fn told(switches: &[Switch]) -> Self {
        let told = switches.iter().map(|switch| (switch.point, switch.to));
        Self::Told(told.collect())
    }

    /// As these legs say.
    pub fn legs(legs: &[Leg]) -> Self {
        Self::Legs(legs.iter().copied().collect())
    }

    /// The number of the option that is taken; `waiting` tells what each participant is about to
    /// ask.
    pub(super) fn choose(
        &mut self,
        point: u64,
        options: &[usize],
        waiting: impl Fn(usize) -> Option<Call>,
    ) -> usize {
        let option = match self {
            Self::Legs(legs) => choose_by_legs(legs, options, waiting),
            // A single option is no choice, and does not stand in a prefix.
            _ if options.len() == 1 => 0,
            Self::Prefix { options } => options.next().unwrap_or(0),
            Self::Random(random) => random.below(options.len()),
            Self::Pct(pct) => pct.choose(point, options),
            Self::Told(told) => {
                let to = told.get(&point);
                to.and_then(|to| options.iter().position(|option| option == to))
                    .unwrap_or(0)
            }
        };
        option.min(options.len() - 1)
    }
}

fn choose_by_legs(
    legs: &mut VecDeque<Leg>,
    options: &[usize],
    waiting: impl Fn(usize) -> Option<Call>,
) -> usize {
    while let Some(leg) = legs.front_mut() {
        let option = options.iter().position(|option| *option == leg.participant);
        let is_there = leg.until.is_some_and(|stop| {
            let call = waiting(leg.participant);
            call.is_some_and(|call| (call.verb, call.kind) == (stop.verb, Some(stop.kind)))
        });
        match (option, &mut leg.until) {
            (Some(option), Some(stop)) if is_there && stop.after > 0 => {
                stop.after -= 1;
                return option;
            }
            (Some(option), _) if !is_there => return option,
            // It has come to where the leg ends, or to its own end.
            _ => drop(legs.pop_front()),
        }
    }
    0
}

impl Pct {
    fn choose(&mut self, point: u64, options: &[usize]) -> usize {
        for participant in options {
            let drawn = (self.random.number() >> 2) as i64;
            self.priorities.entry(*participant).or_insert(drawn);
        }
        // A run has points without a choice: a fall waits for the next one.
        while let Some(at) = self.falls.iter().position(|fall| *fall <= point) {
            self.falls.swap_remove(at);
            self.fallen -= 1;
            let highest = self.highest(options);
            self.priorities.insert(options[highest], self.fallen);
        }
        self.highest(options)
    }

    fn highest(&self, options: &[usize]) -> usize {
        let priority = |option: &usize| self.priorities.get(&options[*option]);
        (0..options.len()).max_by_key(priority).unwrap_or(0)
    }
}

/// All schedules of at most so many preemptions, one after the other, each once.
///
/// At the start, and where a participant ends, everyone who may go on is a choice that preempts
/// nobody.
#[derive(Clone, Debug)]
pub struct BoundedSearch {
    preemptions: u32,
    /// How the next run begins; nothing if that was all.
    next: Option<Vec<usize>>,
}

impl BoundedSearch {
    /// A search that begins with the schedule of no preemption.
    pub fn new(preemptions: u32) -> Self {
        let next = Some(Vec::new());
        Self { preemptions, next }
    }

    /// What chooses in the next run; nothing if all have been.
    pub fn chooser(&self) -> Option<Chooser> {
        self.next.clone().map(Chooser::prefix)
    }

    /// Goes on behind the run that made these choices: by the last one that can be made otherwise.
    pub fn learn(&mut self, choices: &[Choice]) {
        let preempting = choices.iter().filter(|choice| choice.preempts());
        let mut spent = preempting.count() as u32;
        for (at, choice) in choices.iter().enumerate().rev() {
            spent -= u32::from(choice.preempts());
            let costs = u32::from(choice.is_preemptible);
            let may = spent + costs <= self.preemptions;
            if may && choice.taken + 1 < choice.options {
                let before = choices[..at].iter().map(|choice| choice.taken);
                self.next = Some(before.chain([choice.taken + 1]).collect());
                return;
            }
        }
        self.next = None;
    }
}
