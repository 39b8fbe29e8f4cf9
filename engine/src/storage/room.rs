//! Room on a medium that can be full, so that what frees space always finds some (I8).
//!
//! ```text
//! reserve      a file that holds room and nothing else; given up by who frees space on a full disk
//! low water    packs stop before the disk is full; what is small may use the rest
//! ```
//! Here is what a caller sees of it; `local` keeps both. Deliberately absent: any promise that room
//! which was free a moment ago still is.

use crate::error::{ErrorKind, Result};
use crate::storage::Backend;

/// How often somebody else may take the room that was made before the caller gives up.
const RELEASES_MAX: u32 = 4;

/// What is left on a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Its size, bytes.
    pub total: u64,
    /// Bytes that may still be written.
    pub free: u64,
    /// Bytes kept in reserve, and not free.
    pub reserve: u64,
}

/// Runs what frees space, and once more in the room of the reserve if the disk is full. Afterwards
/// there is a reserve again, as far as there is room for one.
///
/// `action` may have done a part of its work when it runs again.
///
/// # Errors
/// Of `action`; `NoSpace` only if the room of the reserve was too little for it, or there was none.
pub fn with_room<T>(backend: &dyn Backend, mut action: impl FnMut() -> Result<T>) -> Result<T> {
    let mut outcome = action();
    let mut releases = 0;
    // More than once only if a process beside this one has put the reserve back in between.
    while releases < RELEASES_MAX && is_full(&outcome) && backend.release_reserve()? {
        releases += 1;
        outcome = action();
    }
    if releases > 0 {
        // What was done is done; who checks the repository is told if there is no reserve.
        let _ = backend.renew_reserve();
    }
    outcome
}

fn is_full<T>(outcome: &Result<T>) -> bool {
    let error = outcome.as_ref().err();
    error.is_some_and(|error| error.kind() == ErrorKind::NoSpace)
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::error::{Error, Place};
    use crate::format::name::{ObjectKind, ObjectName};
    use crate::storage::ObjectInfo;

    /// How many releases find a reserve, and what was called.
    #[derive(Debug)]
    struct Reserves(u32, Mutex<Vec<&'static str>>);

    impl Backend for Reserves {
        fn put(&self, _: &ObjectName, _: &[u8]) -> Result<()> {
            Ok(())
        }

        fn get(&self, _: &ObjectName) -> Result<Vec<u8>> {
            Ok(Vec::new())
        }

        fn get_range(&self, _: &ObjectName, _: u64, _: &mut [u8]) -> Result<()> {
            Ok(())
        }

        fn list(&self, _: ObjectKind) -> Result<Vec<ObjectInfo>> {
            Ok(Vec::new())
        }

        fn delete(&self, _: &ObjectName) -> Result<()> {
            Ok(())
        }

        fn sync(&self) -> Result<()> {
            Ok(())
        }

        fn release_reserve(&self) -> Result<bool> {
            let mut calls = self.1.lock();
            let earlier = calls.iter().filter(|call| **call == "release").count();
            calls.push("release");
            Ok(earlier < self.0 as usize)
        }

        fn renew_reserve(&self) -> Result<()> {
            self.1.lock().push("renew");
            Ok(())
        }
    }

    /// Runs an action that fails so many times before it succeeds; gives what was called.
    fn calls(reserves: u32, kind: ErrorKind, mut failures: u32) -> (bool, String) {
        let backend = Reserves(reserves, Mutex::default());
        let outcome = with_room(&backend, || {
            backend.1.lock().push("act");
            if failures == 0 {
                return Ok(());
            }
            failures -= 1;
            Err(Error::new(kind, Place::Repository, "x"))
        });
        (outcome.is_ok(), backend.1.into_inner().join(" "))
    }

    #[test]
    fn the_reserve_is_touched_on_a_full_disk_only() {
        let ok = |calls: &str| (true, calls.to_owned());
        let failed = |calls: &str| (false, calls.to_owned());
        assert_eq!(calls(1, ErrorKind::NoSpace, 0), ok("act"));
        assert_eq!(calls(1, ErrorKind::Io, 1), failed("act"));
        let once = "act release act renew";
        assert_eq!(calls(1, ErrorKind::NoSpace, 1), ok(once));
        let without = "act release";
        assert_eq!(calls(0, ErrorKind::NoSpace, 1), failed(without));
        let too_little = "act release act release renew";
        assert_eq!(calls(1, ErrorKind::NoSpace, 9), failed(too_little));
    }

    #[test]
    fn room_that_somebody_took_is_made_again_but_not_for_ever() {
        let (is_done, made) = calls(9, ErrorKind::NoSpace, 2);
        assert!(is_done, "{made}");
        let (is_done, made) = calls(9, ErrorKind::NoSpace, 99);
        assert!(!is_done);
        assert_eq!(made.matches("release").count(), RELEASES_MAX as usize);
    }
}
