//! A list of tasks on several threads, where each is on its own.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

use crate::error::{Error, Result};

/// Runs `task` on every item with `threads` threads and gives the results in the order of the
/// items. Each thread has a `state` of its own: its buffers.
///
/// # Errors
/// The first error of a task; tasks that had not begun by then are left out.
pub fn run<T: Sync, S, R: Send>(
    threads: usize,
    items: &[T],
    new_state: impl Fn() -> S + Sync,
    task: impl Fn(&mut S, &T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    let results: Mutex<Vec<Option<R>>> = Mutex::new(items.iter().map(|_| None).collect());
    let work = || {
        let mut state = new_state();
        while !stopped.load(Ordering::Acquire) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else {
                return;
            };
            match task(&mut state, item) {
                Ok(result) => results.lock()[index] = Some(result),
                Err(error) => {
                    failure.lock().get_or_insert(error);
                    stopped.store(true, Ordering::Release);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            scope.spawn(work);
        }
        work();
    });
    match failure.into_inner() {
        Some(error) => Err(error),
        None => Ok(results.into_inner().into_iter().flatten().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, Place};

    #[test]
    fn results_come_in_the_order_of_the_items_for_any_number_of_threads() {
        let items: Vec<usize> = (0..100).collect();
        for threads in [0, 1, 2, 7, 200] {
            let squares = run(threads, &items, || (), |(), item| Ok(item * item));
            let squares = squares.expect("no task fails");
            assert!(
                squares
                    .iter()
                    .enumerate()
                    .all(|(i, square)| *square == i * i)
            );
            assert_eq!(squares.len(), 100);
        }
    }

    #[test]
    fn the_first_error_ends_the_list() {
        let items: Vec<usize> = (0..10_000).collect();
        let begun = AtomicUsize::new(0);
        let until_five = |(): &mut (), item: &usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            match item {
                5 => Err(Error::new(ErrorKind::Io, Place::Repository, "five")),
                _ => Ok(()),
            }
        };
        for threads in [1, 2] {
            let result = run(threads, &items, || (), until_five);
            assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::Io));
            // Another thread may be through its items before the first one has told of its error.
            assert!(threads > 1 || begun.load(Ordering::Relaxed) == 6);
        }
    }
}
