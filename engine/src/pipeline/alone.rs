//! A value that never leaves the thread it was made on, asked by others.
//!
//! For what cannot go from one thread to another, and is worth keeping between two questions. Who
//! asks waits for the answer, so there are never more questions than there are askers. A value that
//! nobody asked for a while ends with its thread.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::error::{Error, ErrorKind, Place, Result};

/// The way to a value on a thread of its own.
pub(crate) struct Alone<T> {
    /// Taken when it ends.
    questions: Option<Sender<Question<T>>>,
    thread: Option<JoinHandle<()>>,
}

type Question<T> = Box<dyn FnOnce(&mut T) + Send>;

impl<T: 'static> Alone<T> {
    /// Makes a value on a thread of its own, and waits until that is done. It ends when nobody has
    /// asked it anything for `idle`.
    ///
    /// # Errors
    /// Of `make`; or if the system gives no thread.
    pub(crate) fn start(
        idle: Duration,
        make: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<Self> {
        // Handed over, never queued: a question that lay in a queue when the value ended would wait
        // for ever.
        let (questions, asked) = bounded(0);
        let (told, made) = bounded(1);
        let live = move || match make() {
            Ok(mut value) => {
                // Who waits for it is there, or nobody will ask anything.
                let _ = told.send(Ok(()));
                answer(&mut value, &asked, idle);
            }
            Err(error) => {
                let _ = told.send(Err(error));
            }
        };
        let started = thread::Builder::new().spawn(live);
        let thread = started
            .map_err(|error| Error::io(Place::Argument("threads"), "cannot be started", error))?;
        let alone = Self {
            questions: Some(questions),
            thread: Some(thread),
        };
        match made.recv() {
            Ok(made) => made.map(|()| alone),
            Err(_) => {
                let place = Place::Argument("threads");
                Err(Error::new(
                    ErrorKind::Damaged,
                    place,
                    "one ended before it was ready",
                ))
            }
        }
    }

    /// The answer to a question; nothing if the value has ended.
    pub(crate) fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Option<R> {
        let (reply, answer) = bounded(1);
        let question = Box::new(move |value: &mut T| {
            let _ = reply.send(question(value));
        });
        self.questions.as_ref()?.send(question).ok()?;
        answer.recv().ok()
    }
}

fn answer<T>(value: &mut T, questions: &Receiver<Question<T>>, idle: Duration) {
    while let Ok(question) = questions.recv_timeout(idle) {
        question(value);
    }
}

impl<T> Drop for Alone<T> {
    /// Waits until the value has ended.
    fn drop(&mut self) {
        self.questions = None;
        if let Some(thread) = self.thread.take() {
            // A question that panicked was told on its thread; who asked it knows.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    /// Counts those that are there, and is for one thread.
    struct Guest(Arc<AtomicUsize>, Rc<u8>);

    impl Drop for Guest {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn guest(idle: Duration) -> (Alone<Guest>, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let make = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(Guest(counted, Rc::new(7)))
        };
        (Alone::start(idle, make).expect("it is made"), count)
    }

    #[test]
    fn several_threads_ask_one_value_and_it_ends_with_who_holds_it() {
        let (alone, count) = guest(LONG);
        thread::scope(|scope| {
            for number in 0..8_u8 {
                let alone = &alone;
                scope.spawn(move || {
                    for _ in 0..100 {
                        let answer = alone.ask(move |guest| *guest.1 + number);
                        assert_eq!(answer, Some(7 + number));
                    }
                });
            }
        });
        assert_eq!(count.load(Ordering::SeqCst), 1);
        drop(alone);
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn what_nobody_asks_ends_and_says_so() {
        let (alone, count) = guest(Duration::from_millis(1));
        while count.load(Ordering::SeqCst) > 0 {
            thread::yield_now();
        }
        assert_eq!(alone.ask(|guest| *guest.1), None);
    }

    #[test]
    fn what_cannot_be_made_tells_why_and_what_panics_ends() {
        let failed = || Err(Error::new(ErrorKind::Damaged, Place::Repository, "broken"));
        let error = Alone::<Guest>::start(LONG, failed).err().expect("it fails");
        assert_eq!(error.kind(), ErrorKind::Damaged);
        let panicked = || -> Result<Guest> { panic!("on purpose") };
        assert!(Alone::start(LONG, panicked).is_err());
        let (alone, _) = guest(LONG);
        assert_eq!(alone.ask(|_| -> u8 { panic!("on purpose") }), None);
        assert_eq!(alone.ask(|guest| *guest.1), None);
    }
}
