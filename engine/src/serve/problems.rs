//! What could not be read, of all that is shown. Who asks for a file hears an error number only; the
//! words are kept for the thread that waits for the mount to end, which tells them, each once.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind};
use crate::observe::{Observer, Problem, ProblemKind};
use crate::operations::walk;

/// Most problems that are told; of a disk that fails everything is lost.
const TOLD_MAX: usize = 10_000;

/// Problems that are to be told.
#[derive(Default)]
pub struct Problems(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<Problem>,
    /// Hashes of those that were told.
    told: HashSet<u64>,
}

impl Problems {
    /// Tells an error of what people know by `subject`, unless that was done; `number` tells it from
    /// others that are called the same.
    pub fn tell(&self, number: u64, subject: &[u8], error: &Error) {
        let detail = walk::with_causes(error);
        let mut hasher = DefaultHasher::new();
        (number, &detail).hash(&mut hasher);
        let mut state = self.0.lock();
        if state.told.len() >= TOLD_MAX || !state.told.insert(hasher.finish()) {
            return;
        }
        let detail = match state.told.len() {
            TOLD_MAX => format!("{detail}; of further problems nothing is told"),
            _ => detail,
        };
        let kind = match error.kind() {
            ErrorKind::Damaged => ProblemKind::Damaged,
            ErrorKind::NotFound => ProblemKind::Missing,
            _ => ProblemKind::Unreadable,
        };
        let subject = subject.to_vec();
        state.waiting.push(Problem {
            kind,
            subject,
            detail,
        });
    }

    /// Tells all that wait; gives how many they were.
    pub fn pass_on(&self, observer: &dyn Observer) -> u64 {
        let waiting = std::mem::take(&mut self.0.lock().waiting);
        waiting.iter().for_each(|problem| observer.problem(problem));
        waiting.len() as u64
    }
}
