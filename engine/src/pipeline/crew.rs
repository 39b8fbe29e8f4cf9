//! Threads that come and go, at most so many at a time.
//!
//! For work that arrives from outside, as connections do: nobody knows beforehand how much there
//! will be. A task that finds no thread free is refused, and so is one to which the system gives
//! none; the others go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Scope};

/// Those who work, and who may ask for more.
#[derive(Debug)]
pub(crate) struct Crew<'scope, 'env: 'scope> {
    scope: &'scope Scope<'scope, 'env>,
    free: Arc<AtomicUsize>,
}

/// The place of one thread; free again when it is dropped.
struct Place(Arc<AtomicUsize>);

/// Runs `lead` on this thread. When this returns, every task that was added has ended, so each has
/// to be told when it is time.
pub(crate) fn run<'env, R>(
    most: usize,
    lead: impl for<'scope> FnOnce(&Crew<'scope, 'env>) -> R,
) -> R {
    let free = Arc::new(AtomicUsize::new(most));
    thread::scope(|scope| lead(&Crew { scope, free }))
}

impl<'scope, 'env> Crew<'scope, 'env> {
    /// Runs `task` on a thread of its own, where it may add others. False if there is none for it:
    /// then it is dropped.
    pub(crate) fn add(&self, task: impl FnOnce(&Crew<'scope, 'env>) + Send + 'scope) -> bool {
        let one_less = |free: usize| free.checked_sub(1);
        let taken = self
            .free
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less);
        if taken.is_err() {
            return false;
        }
        let place = Place(Arc::clone(&self.free));
        let crew = Crew {
            scope: self.scope,
            free: Arc::clone(&self.free),
        };
        let work = move || {
            let _place = place;
            task(&crew);
        };
        thread::Builder::new()
            .spawn_scoped(self.scope, work)
            .is_ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn add(sum: &AtomicUsize, number: usize) {
        sum.fetch_add(number, Ordering::Relaxed);
    }

    #[test]
    fn no_more_threads_run_than_there_are_places_and_places_become_free() {
        let (all_there, may_end) = (Barrier::new(3), Barrier::new(3));
        let done = AtomicUsize::new(0);
        run(2, |crew| {
            for _ in 0..2 {
                assert!(crew.add(|_| {
                    all_there.wait();
                    may_end.wait();
                    add(&done, 1);
                }));
            }
            all_there.wait();
            assert!(!crew.add(|_| unreachable!("both places are taken")));
            may_end.wait();
            let add_ten = || crew.add(|_| add(&done, 10));
            while !add_ten() {
                thread::yield_now();
            }
        });
        assert_eq!(done.into_inner(), 12);
    }

    #[test]
    fn a_task_may_add_tasks_and_all_have_ended_at_the_end() {
        let done = AtomicUsize::new(0);
        run(8, |crew| {
            assert!(crew.add(|crew| {
                for _ in 0..5 {
                    assert!(crew.add(|_| add(&done, 1)));
                }
            }));
        });
        assert_eq!(done.into_inner(), 5);
    }
}
