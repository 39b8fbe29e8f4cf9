//! Threads that work on what is offered to them for as long as the pool lives.
//!
//! For work that nobody waits for, as reading ahead: what finds the queue full is not done.

use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::error::{Error, Place, Result};

/// A number of threads with one queue.
pub(crate) struct Pool<T> {
    /// Taken when the pool ends.
    tasks: Option<Sender<T>>,
    threads: Vec<JoinHandle<()>>,
}

impl<T: Send + 'static> Pool<T> {
    /// Starts `threads` threads, each of which does `work` on the tasks that it takes.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(
        threads: usize,
        queue_len: usize,
        work: impl Fn(T) + Clone + Send + 'static,
    ) -> Result<Self> {
        let (tasks, taken) = bounded(queue_len);
        let mut pool = Self {
            tasks: Some(tasks),
            threads: Vec::new(),
        };
        for _ in 0..threads {
            let (taken, work): (Receiver<T>, _) = (taken.clone(), work.clone());
            let started = thread::Builder::new().spawn(move || taken.iter().for_each(work));
            let thread = started.map_err(|error| {
                Error::io(Place::Argument("threads"), "cannot be started", error)
            })?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Queues a task; false if the queue is full, and the task is dropped.
    pub(crate) fn offer(&self, task: T) -> bool {
        match &self.tasks {
            Some(tasks) => tasks.try_send(task).is_ok(),
            None => false,
        }
    }
}

impl<T> Drop for Pool<T> {
    /// Waits for what was taken; what is still queued is done, too.
    fn drop(&mut self) {
        self.tasks = None;
        for thread in self.threads.drain(..) {
            // A task that panicked was told on its thread; nobody waits for its result.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn what_was_queued_is_done_when_the_pool_ends() {
        let sum = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sum);
        let work = move |number: usize| {
            counted.fetch_add(number, Ordering::Relaxed);
        };
        let pool = Pool::start(3, 100, work).expect("three threads");
        assert!((0..100).all(|number| pool.offer(number)));
        drop(pool);
        assert_eq!(sum.load(Ordering::Relaxed), 4_950);
    }

    #[test]
    fn a_full_queue_takes_nothing_more_and_nobody_waits() {
        let (release, held) = bounded::<()>(0);
        let work = move |_: usize| {
            let _ = held.recv();
        };
        let pool = Pool::start(1, 2, work).expect("one thread");
        let taken = (0..100).filter(|&number| pool.offer(number)).count();
        assert!((2..=3).contains(&taken), "{taken}");
        drop(release);
    }
}
