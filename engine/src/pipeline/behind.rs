//! Work in parts, where the next part is made while the one before it is done.
//!
//! Two threads: the caller's makes, one behind it does. A part changes hands when the thread behind
//! is free, so there are two at a time at most: one that is made, one that is done.

use std::thread;

use crossbeam_channel::{Sender, bounded};

use crate::error::{Error, ErrorKind, Place, Result};

/// Takes parts for the thread behind.
pub(crate) struct Behind<W>(Sender<W>);

/// Runs `make` on this thread, and `work` on each part that it hands over, in order, on another.
/// When it returns, all of them are done.
///
/// # Errors
/// The first of `work`, or else that of `make`; parts after the first error are dropped.
pub(crate) fn run<W: Send, R>(
    work: impl Fn(W) -> Result<()> + Send,
    make: impl FnOnce(&Behind<W>) -> Result<R>,
) -> Result<R> {
    let (parts, handed_over) = bounded(0);
    thread::scope(|scope| {
        let behind = scope.spawn(move || handed_over.iter().try_for_each(work));
        let made = make(&Behind(parts));
        match behind.join() {
            Ok(done) => done.and(made),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

impl<W> Behind<W> {
    /// Hands a part over once the one before it is done.
    ///
    /// # Errors
    /// If an earlier part failed: its error is what [`run`] returns.
    pub(crate) fn hand_over(&self, part: W) -> Result<()> {
        let stopped = |_| Error::new(ErrorKind::Cancelled, Place::Repository, "its work stopped");
        self.0.send(part).map_err(stopped)
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[test]
    fn parts_are_done_in_order_and_all_before_the_end() {
        let done = Mutex::new(Vec::new());
        let work = |part| {
            done.lock().push(part);
            Ok(())
        };
        let made = run(work, |behind| {
            (0..100).try_for_each(|part| behind.hand_over(part))?;
            Ok("made")
        });
        assert_eq!(made.expect("no part fails"), "made");
        assert_eq!(done.into_inner(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn the_error_of_a_part_ends_the_making_and_is_the_one_that_is_told() {
        let done = Mutex::new(0);
        let work = |part| {
            *done.lock() = part;
            match part {
                3 => Err(Error::new(ErrorKind::NoSpace, Place::Repository, "three")),
                _ => Ok(()),
            }
        };
        let result: Result<()> = run(work, |behind| {
            (0..).try_for_each(|part| behind.hand_over(part))
        });
        assert_eq!(
            result.map_err(|error| error.kind()),
            Err(ErrorKind::NoSpace)
        );
        assert_eq!(*done.lock(), 3);
    }

    #[test]
    fn what_was_handed_over_before_the_making_failed_is_done() {
        let done = Mutex::new(0);
        let work = |part| {
            *done.lock() = part;
            Ok(())
        };
        let result: Result<()> = run(work, |behind| {
            behind.hand_over(1)?;
            Err(Error::new(ErrorKind::Io, Place::Repository, "no more"))
        });
        assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::Io));
        assert_eq!(*done.lock(), 1);
    }
}
