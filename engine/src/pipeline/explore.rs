//! A tree of tasks that shows itself only as it is worked on: folders in folders.
//!
//! ```text
//! the caller takes  | done | done | worked on | waits | done | waits ...      in tree order
//!                     `------------ weight ahead, bounded ----------'
//! ```
//! Helpers take the first task in tree order that waits, and so do what the caller needs next. The
//! caller gets each result before those of the tasks that came of it, and does a task itself where
//! that is sooner than to wait: what it needs is never held up by the bound.

use std::thread;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::error::{Error, ErrorKind, Place, Result};

/// What a task came to.
#[derive(Debug)]
pub struct Explored<T, R> {
    /// For the caller.
    pub result: R,
    /// Tasks that came of it, in order.
    pub subtasks: Vec<T>,
    /// How much of the bound it takes until the caller has it; at least 1 is counted.
    pub weight: usize,
}

/// Works on `root` and all that comes of it with `threads` threads, the caller's among them, and
/// gives the results to `take` on the caller's thread, in tree order: a task before its subtasks,
/// these in order, each with all that came of it.
///
/// No task is begun ahead of the caller while results of `weight_max` or more wait for it.
///
/// # Errors
/// The first that `take` returns: helpers end what they are at, and nothing is begun any more.
pub fn run<T: Send, R: Send>(
    threads: usize,
    weight_max: usize,
    root: T,
    explore: impl Fn(T) -> Explored<T, R> + Sync,
    mut take: impl FnMut(R) -> Result<()>,
) -> Result<()> {
    let shared = Shared::new(root, weight_max);
    thread::scope(|scope| {
        // Also when `take` or a task panics: the scope waits for the helpers.
        let over = OnDrop(|| shared.end());
        let helpers: Vec<_> = (1..threads)
            .map(|_| scope.spawn(|| help(&shared, &explore)))
            .collect();
        let mut result = Ok(());
        while let Some(next) = shared.next(&explore) {
            result = next.and_then(&mut take);
            if result.is_err() {
                break;
            }
        }
        drop(over);
        let ends: Vec<_> = helpers.into_iter().map(|helper| helper.join()).collect();
        let panicked = ends.iter().any(|end| end.is_err());
        if panicked { Err(stopped()) } else { result }
    })
}

fn help<T, R>(shared: &Shared<T, R>, explore: &impl Fn(T) -> Explored<T, R>) {
    let panicked = OnDrop(|| shared.end());
    while let Some((id, task)) = shared.wait_for_task() {
        // Of what comes of it the helper takes one itself.
        shared.finish(id, explore(task), 1);
    }
    drop(panicked);
}

fn stopped() -> Error {
    let place = Place::Repository;
    Error::new(ErrorKind::Cancelled, place, "a helper stopped early")
}

/// Does it when it goes, in a panic as well.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

struct Shared<T, R> {
    state: Mutex<State<T, R>>,
    /// Tasks wait and there is room, or it is over.
    work: Condvar,
    /// What the caller needs is done, or it is over.
    done: Condvar,
}

type TaskId = usize;

struct State<T, R> {
    tasks: Vec<Task<T, R>>,
    /// Places in `tasks` that are free.
    free: Vec<TaskId>,
    /// Those that wait or are worked on, the first in tree order at the end.
    open: Vec<TaskId>,
    /// What the caller is to have, as far as it is known to it, the next at the end.
    line: Vec<TaskId>,
    /// What the caller waits for.
    needed: Option<TaskId>,
    weight_ahead: usize,
    weight_max: usize,
    /// True from when the bound is reached until half of it is free: threads that woke each other
    /// for every single task would do little else.
    is_full: bool,
    is_over: bool,
}

enum Task<T, R> {
    Free,
    Waiting(T),
    InWork,
    Done(Done<R>),
}

struct Done<R> {
    result: R,
    subtasks: Vec<TaskId>,
    weight: usize,
}

impl<T, R> Shared<T, R> {
    fn new(root: T, weight_max: usize) -> Self {
        let state = State {
            tasks: vec![Task::Waiting(root)],
            free: Vec::new(),
            open: vec![0],
            line: vec![0],
            needed: None,
            weight_ahead: 0,
            weight_max,
            is_full: false,
            is_over: false,
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            done: Condvar::new(),
        }
    }

    /// The result that comes next; nothing behind the last.
    fn next(&self, explore: &impl Fn(T) -> Explored<T, R>) -> Option<Result<R>> {
        let mut state = self.state.lock();
        let needed = *state.line.last()?;
        loop {
            if state.is_over {
                return Some(Err(stopped()));
            }
            if let Task::Done(_) = state.tasks[needed] {
                return Some(Ok(self.hand_over(&mut state)));
            }
            let is_begun = matches!(state.tasks[needed], Task::InWork);
            let task = match is_begun {
                true if state.is_full => None,
                _ => state.begin_first(),
            };
            match task {
                Some((id, task)) => {
                    drop(state);
                    self.finish(id, explore(task), 0);
                    state = self.state.lock();
                }
                None => {
                    state.needed = Some(needed);
                    self.done.wait(&mut state);
                }
            }
        }
    }

    /// Gives the caller the task at the end of the line, and puts what came of it in its place.
    fn hand_over(&self, state: &mut MutexGuard<'_, State<T, R>>) -> R {
        state.needed = None;
        let id = state.line.pop().expect("something is in the line");
        let done = match std::mem::replace(&mut state.tasks[id], Task::Free) {
            Task::Done(done) => done,
            _ => unreachable!("it was done"),
        };
        state.free.push(id);
        state.line.extend(done.subtasks.iter().rev());
        state.weight_ahead -= done.weight;
        if state.is_full && state.weight_ahead <= state.weight_max / 2 {
            state.is_full = false;
            self.work.notify_all();
        }
        done.result
    }

    /// The first task that waits, once there is room for it; nothing once it is over.
    fn wait_for_task(&self) -> Option<(TaskId, T)> {
        let mut state = self.state.lock();
        loop {
            if state.is_over {
                return None;
            }
            if !state.is_full
                && let Some(begun) = state.begin_first()
            {
                return Some(begun);
            }
            self.work.wait(&mut state);
        }
    }

    /// Takes what a task came to, and wakes helpers unless there are only `own` new tasks.
    fn finish(&self, id: TaskId, explored: Explored<T, R>, own: usize) {
        let new = explored.subtasks.len();
        let mut state = self.state.lock();
        state.finish(id, explored);
        let (is_needed, has_room) = (state.needed == Some(id), !state.is_full);
        drop(state);
        if is_needed {
            self.done.notify_one();
        }
        if has_room && new > own {
            self.work.notify_all();
        }
    }

    fn end(&self) {
        self.state.lock().is_over = true;
        self.work.notify_all();
        self.done.notify_all();
    }
}

impl<T, R> State<T, R> {
    /// Begins the first task that waits. Before it in `open` are only those in work, few.
    fn begin_first(&mut self) -> Option<(TaskId, T)> {
        let is_waiting = |id: &&TaskId| matches!(self.tasks[**id], Task::Waiting(_));
        let id = *self.open.iter().rev().find(is_waiting)?;
        match std::mem::replace(&mut self.tasks[id], Task::InWork) {
            Task::Waiting(task) => Some((id, task)),
            _ => unreachable!("it was waiting"),
        }
    }

    /// Puts what came of a task in its place.
    fn finish(&mut self, id: TaskId, explored: Explored<T, R>) {
        let Explored {
            result,
            subtasks,
            weight,
        } = explored;
        let subtasks: Vec<_> = subtasks.into_iter().map(|task| self.add(task)).collect();
        // Begun from the end, so it is near the end, unless a task before it came to many.
        let at = self.open.iter().rposition(|open| *open == id);
        let at = at.expect("what is in work is open");
        self.open.splice(at..=at, subtasks.iter().rev().copied());
        let weight = weight.max(1);
        self.weight_ahead += weight;
        self.is_full |= self.weight_ahead >= self.weight_max;
        self.tasks[id] = Task::Done(Done {
            result,
            subtasks,
            weight,
        });
    }

    fn add(&mut self, task: T) -> TaskId {
        let id = self.free.pop().unwrap_or(self.tasks.len());
        match self.tasks.get_mut(id) {
            Some(place) => *place = Task::Waiting(task),
            None => self.tasks.push(Task::Waiting(task)),
        }
        id
    }
}

#[cfg(test)]
mod tests;
