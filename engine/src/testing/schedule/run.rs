//! One run: participants on threads of their own, and what became of them.

use std::any::Any;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;

use crate::storage::memory::MemoryBackend;
use crate::testing::schedule::backend::ScheduledBackend;
use crate::testing::schedule::choice::Chooser;
use crate::testing::schedule::gate::{Call, Choice, Gate};
use crate::testing::schedule::script::{Fault, Script};

/// What a participant does.
pub type Body<'b, T> = Box<dyn FnOnce() -> T + Send + 'b>;

/// Where a run takes place: the storage, and one backend for each participant.
///
/// Until the run begins calls pass, so that what leads up to it costs no points.
pub struct Stage {
    gate: Arc<Gate>,
    storage: Arc<MemoryBackend>,
    participants: usize,
    faults: Vec<Fault>,
}

/// What became of a participant.
#[derive(Debug)]
pub enum Ending<T> {
    /// It ended.
    Ended(T),
    /// It crashed, and what it made of that counts for nothing.
    Crashed,
    /// It panicked, with these words.
    Panicked(String),
}

/// What a run came to.
#[derive(Debug)]
pub struct Run<T> {
    /// By participant.
    pub endings: Vec<Ending<T>>,
    /// Every call, in the order in which they took effect.
    pub calls: Vec<Call>,
    /// Every choice there was.
    pub choices: Vec<Choice>,
    /// All that is needed to run it again.
    pub script: Script,
    /// True if it was stopped, because there was no end to its calls.
    pub is_endless: bool,
}

impl Stage {
    /// A stage of `participants` on a storage.
    pub fn new(
        storage: Arc<MemoryBackend>,
        participants: usize,
        chooser: Chooser,
        faults: &[Fault],
    ) -> Self {
        Self {
            gate: Arc::new(Gate::new(participants, chooser, faults)),
            storage,
            participants,
            faults: faults.to_vec(),
        }
    }

    /// The storage of this participant.
    pub fn backend(&self, participant: usize) -> Arc<ScheduledBackend> {
        let (storage, gate) = (Arc::clone(&self.storage), Arc::clone(&self.gate));
        Arc::new(ScheduledBackend::new(participant, storage, gate))
    }

    /// Runs all participants to their ends.
    ///
    /// # Panics
    /// If there is not one body for each participant.
    pub fn run<T: Send>(self, bodies: Vec<Body<'_, T>>) -> Run<T> {
        assert_eq!(bodies.len(), self.participants, "one body each");
        self.gate.close();
        let gate = &*self.gate;
        let endings = thread::scope(|scope| {
            let bodies = bodies.into_iter().enumerate();
            let threads: Vec<_> = bodies
                .map(|(participant, body)| scope.spawn(move || take_part(gate, participant, body)))
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined
                .map(|ending| ending.expect("a participant's panic is caught"))
                .collect()
        });
        let record = self.gate.open();
        Run {
            endings,
            calls: record.calls,
            choices: record.choices,
            script: Script {
                switches: record.switches,
                faults: self.faults,
            },
            is_endless: record.is_endless,
        }
    }
}

fn take_part<T>(gate: &Gate, participant: usize, body: Body<'_, T>) -> Ending<T> {
    gate.begin(participant);
    let outcome = panic::catch_unwind(AssertUnwindSafe(body));
    let is_dead = gate.end(participant);
    match outcome {
        Ok(_) if is_dead => Ending::Crashed,
        Ok(result) => Ending::Ended(result),
        Err(panicked) => Ending::Panicked(words_of(&*panicked)),
    }
}

fn words_of(panicked: &(dyn Any + Send)) -> String {
    let fixed = panicked
        .downcast_ref::<&str>()
        .map(|words| (*words).to_owned());
    let words = fixed.or_else(|| panicked.downcast_ref::<String>().cloned());
    words.unwrap_or_else(|| "without words".to_owned())
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(kind) => write!(f, "{} {:?} {kind:?}", self.participant, self.verb),
            None => write!(f, "{} {:?}", self.participant, self.verb),
        }
    }
}

impl<T> Run<T> {
    /// The calls, a line each: participant, verb, kind of object.
    pub fn trace(&self) -> String {
        let lines = self.calls.iter().enumerate();
        let lines = lines.map(|(number, call)| format!("{number:5} {call}\n"));
        lines.collect()
    }
}
