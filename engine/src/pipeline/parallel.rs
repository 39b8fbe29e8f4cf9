//! A list of tasks on several threads, each with a state of its own.

use std::thread;

use crossbeam_channel::unbounded;
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Place, Result};

/// Runs `work` on every task, on at most `threads` threads; `init` makes what each thread keeps
/// from task to task.
///
/// # Errors
/// The first error of a task; tasks that were not begun by then are dropped.
pub fn run<T: Send, S>(
    threads: usize,
    tasks: impl IntoIterator<Item = T>,
    init: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, T) -> Result<()> + Sync,
) -> Result<()> {
    let (queue, waiting) = unbounded();
    let mut count = 0;
    for task in tasks {
        count += 1;
        let _ = queue.send(task);
    }
    drop(queue);
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    let panicked = thread::scope(|scope| {
        let worker = || {
            let mut state = init();
            while let Ok(task) = waiting.recv() {
                if failure.lock().is_some() {
                    return;
                }
                if let Err(error) = work(&mut state, task) {
                    failure.lock().get_or_insert(error);
                    return;
                }
            }
        };
        let threads: Vec<_> = (0..threads.min(count))
            .map(|_| scope.spawn(worker))
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.filter(|end| end.is_err()).count() > 0
    });
    if panicked {
        return Err(Error::new(
            ErrorKind::Cancelled,
            Place::Repository,
            "a worker stopped early",
        ));
    }
    failure.into_inner().map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn every_task_is_run_once() {
        let sum = AtomicU64::new(0);
        let work = |(): &mut (), task| {
            sum.fetch_add(task, Ordering::Relaxed);
            Ok(())
        };
        run(3, 0..1000, || (), work).unwrap();
        assert_eq!(sum.into_inner(), 999 * 1000 / 2);
        run(3, [], || (), |(), (): ()| Ok(())).unwrap();
    }

    #[test]
    fn the_first_error_ends_the_rest() {
        let done = AtomicU64::new(0);
        let work = |(): &mut (), task: u64| {
            done.fetch_add(1, Ordering::Relaxed);
            let refuse = || Error::new(ErrorKind::Io, Place::Repository, "no");
            if task == 5 { Err(refuse()) } else { Ok(()) }
        };
        assert!(run(1, 0..1000, || (), work).is_err());
        assert_eq!(done.into_inner(), 6);
    }
}
