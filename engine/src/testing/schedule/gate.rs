//! Lets exactly one participant go, and decides at every call which.
//!
//! Whoever comes to a call decides itself who goes on, so a participant that goes on by default
//! does so without a thread having to wake up.

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::name::ObjectKind;
use crate::testing::recording_backend::Verb;
use crate::testing::schedule::backend;
use crate::testing::schedule::choice::Chooser;
use crate::testing::schedule::script::{Fault, FaultKind, Switch};

/// How long a frozen participant stands still, years.
const FREEZE_YEARS: i32 = 10;
/// A run of more calls is taken for one that does not end.
const POINTS_MAX: u64 = 100_000;

/// One call of one participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who calls.
    pub participant: usize,
    /// What it asks.
    pub verb: Verb,
    /// The kind of the object that it asks for; nothing for `sync`.
    pub kind: Option<ObjectKind>,
}

/// One point at which several participants could have gone on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// How many could.
    pub options: usize,
    /// The one that did: 0 is the default.
    pub taken: usize,
    /// True if the default is the one that made the last call.
    pub is_preemptible: bool,
}

impl Choice {
    /// True if somebody who could have gone on did not.
    pub fn preempts(&self) -> bool {
        self.is_preemptible && self.taken > 0
    }
}

/// What a call is told when its participant is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Do it.
    Go,
    /// Do it, and say that it failed.
    GoAndFail,
}

pub(super) struct Gate {
    state: Mutex<State>,
    /// One for each participant.
    turns: Vec<Condvar>,
    /// Held for a call, so that the threads of one participant take turns.
    calls: Vec<Mutex<()>>,
}

/// What a run left behind.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) calls: Vec<Call>,
    pub(super) choices: Vec<Choice>,
    pub(super) switches: Vec<Switch>,
    pub(super) is_endless: bool,
}

struct State {
    chooser: Chooser,
    lanes: Vec<Lane>,
    /// False until the run begins, and when it has ended: calls pass.
    is_closed: bool,
    /// Participants come to their first calls, one after the other.
    is_starting: bool,
    turn: usize,
    /// Points so far.
    point: u64,
    record: Record,
}

#[derive(Default)]
struct Lane {
    calls: u32,
    faults: Vec<Fault>,
    has_ended: bool,
    is_dead: bool,
    is_frozen: bool,
    puts_to_fail: u32,
    /// What it is about to ask.
    waiting: Option<Call>,
}

impl Gate {
    pub(super) fn new(participants: usize, chooser: Chooser, faults: &[Fault]) -> Self {
        let lanes = (0..participants).map(|participant| Lane {
            faults: faults
                .iter()
                .filter(|fault| fault.participant == participant)
                .copied()
                .collect(),
            ..Lane::default()
        });
        let state = State {
            chooser,
            lanes: lanes.collect(),
            is_closed: false,
            is_starting: true,
            turn: 0,
            point: 0,
            record: Record::default(),
        };
        Self {
            state: Mutex::new(state),
            turns: (0..participants).map(|_| Condvar::new()).collect(),
            calls: (0..participants).map(|_| Mutex::new(())).collect(),
        }
    }

    /// From now on calls wait.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
    }

    /// All have ended: calls pass again. Gives what was recorded.
    pub(super) fn open(&self) -> Record {
        let state = &mut *self.state.lock();
        state.is_closed = false;
        std::mem::take(&mut state.record)
    }

    /// Waits until the participant may begin.
    pub(super) fn begin(&self, participant: usize) {
        let mut state = self.state.lock();
        while state.turn != participant {
            self.turns[participant].wait(&mut state);
        }
    }

    /// The participant has ended; true if it had crashed before.
    pub(super) fn end(&self, participant: usize) -> bool {
        let state = &mut *self.state.lock();
        state.lanes[participant].has_ended = true;
        if let Some(next) = state.pass_on(participant) {
            self.turns[next].notify_one();
        }
        state.lanes[participant].is_dead
    }

    /// Makes a call when the participant's turn comes.
    pub(super) fn call<T>(
        &self,
        call: Call,
        place: impl Fn() -> Place,
        inner: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let _alone = self.calls[call.participant].lock();
        match self.wait(call) {
            Some(Leave::Go) => inner(),
            Some(Leave::GoAndFail) => {
                inner()?;
                let detail = "a simulated fault, behind the effect";
                Err(Error::new(ErrorKind::Io, place(), detail))
            }
            None => {
                let detail = "a simulated crash";
                Err(Error::new(ErrorKind::Cancelled, place(), detail))
            }
        }
    }

    /// Nothing if the participant is dead.
    fn wait(&self, call: Call) -> Option<Leave> {
        let participant = call.participant;
        let mut state = self.state.lock();
        if !state.is_closed {
            return Some(Leave::Go);
        }
        if !state.arrive(call) {
            return None;
        }
        if let Some(next) = state.pass_on(participant)
            && next != participant
        {
            self.turns[next].notify_one();
            while state.turn != participant {
                self.turns[participant].wait(&mut state);
            }
        }
        state.leave(call)
    }
}

impl State {
    /// Counts the call and lets happen what is due; false if the participant is dead.
    fn arrive(&mut self, call: Call) -> bool {
        let lane = &mut self.lanes[call.participant];
        lane.waiting = Some(call);
        let number = lane.calls;
        lane.calls += 1;
        for fault in lane.faults.iter().filter(|fault| fault.call == number) {
            match fault.kind {
                FaultKind::Crash => lane.is_dead = true,
                FaultKind::Freeze => lane.is_frozen = true,
                FaultKind::AmbiguousPut => lane.puts_to_fail += 1,
                FaultKind::Clock(years) => backend::jump(years),
            }
        }
        !lane.is_dead
    }

    /// The turn is another's now, or its own again. Nothing if nobody is left.
    fn pass_on(&mut self, participant: usize) -> Option<usize> {
        if self.is_starting && participant + 1 < self.lanes.len() {
            self.turn = participant + 1;
            return Some(self.turn);
        }
        let last = (!std::mem::take(&mut self.is_starting)).then_some(participant);
        let next = self.choose(last)?;
        self.turn = next;
        Some(next)
    }

    /// Who goes on behind `last`, the one that made the last call.
    fn choose(&mut self, last: Option<usize>) -> Option<usize> {
        let living = |lane: &Lane| !lane.has_ended;
        let all_frozen = !self
            .lanes
            .iter()
            .any(|lane| living(lane) && !lane.is_frozen);
        let can = |lane: &Lane| living(lane) && (!lane.is_frozen || all_frozen);
        let last = last.filter(|last| can(&self.lanes[*last]));
        let others = (0..self.lanes.len()).filter(|other| Some(*other) != last);
        let others = others.filter(|other| can(&self.lanes[*other]));
        let options: Vec<_> = last.into_iter().chain(others).collect();
        let point = self.point;
        self.point += 1;
        if options.is_empty() {
            return None;
        }
        let lanes = &self.lanes;
        let waiting = |participant: usize| lanes[participant].waiting;
        let taken = self.chooser.choose(point, &options, waiting);
        if options.len() > 1 {
            self.record.choices.push(Choice {
                options: options.len(),
                taken,
                is_preemptible: last.is_some(),
            });
        }
        if taken > 0 {
            let to = options[taken];
            self.record.switches.push(Switch { point, to });
        }
        Some(options[taken])
    }

    /// The participant's turn has come.
    fn leave(&mut self, call: Call) -> Option<Leave> {
        if self.point > POINTS_MAX {
            self.record.is_endless = true;
            self.lanes.iter_mut().for_each(|lane| lane.is_dead = true);
        }
        let lane = &mut self.lanes[call.participant];
        lane.waiting = None;
        if std::mem::take(&mut lane.is_frozen) {
            backend::jump(FREEZE_YEARS);
        }
        if lane.is_dead {
            return None;
        }
        self.record.calls.push(call);
        if call.verb == Verb::Put && lane.puts_to_fail > 0 {
            lane.puts_to_fail -= 1;
            return Some(Leave::GoAndFail);
        }
        Some(Leave::Go)
    }
}
