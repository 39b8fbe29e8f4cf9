//! Named, write-once objects on a medium, and what the medium promises.
//!
//! Six verbs are the whole seam, and three more about the room on a medium, which a backend without
//! an end need not know. A backend knows names and bytes; it does not know what an object means.
//! Each numbered sentence of the contract is a test of `testing::conformance`, which every backend
//! passes.
//!
//! Below: `format::name`. Above: `repository`. Deliberately absent: retries of a failed flush,
//! overwriting, renaming, appending.

pub mod cache;
pub mod disk;
pub mod dry_run;
pub mod local;
pub mod memory;
pub mod os_disk;
pub mod room;
pub mod scratch;

mod folders;
mod outcome;
mod refuse;

use std::fmt::Debug;
use std::sync::Arc;

use crate::error::Result;
use crate::format::name::{ObjectKind, ObjectName};
use crate::storage::room::Room;

/// A medium that holds named, write-once objects.
///
/// 1. All methods may be called from several threads at once.
/// 2. `put` is all or nothing: an object is visible whole, or not at all.
/// 3. `put` never overwrites: of several puts of one name, at any time and from any process,
///    exactly one succeeds and the others fail with `AlreadyExists`.
/// 4. After `put` returned, `get`, `get_range` and `list` of any process see the object.
/// 5. After `sync` returned, every put that had returned before survives a crash. Until then any
///    of them may be missing, torn or reordered after a crash.
/// 6. A put that failed left nothing visible, unless it failed with `AlreadyExists`.
/// 7. A failed flush is never retried on the same file and believed.
/// 8. `get` gives exactly the bytes that were put; of a missing object, `NotFound`.
/// 9. `get_range` fills the whole buffer, or fails: a range beyond the end is an error, never a
///    short read.
/// 10. `list` gives every object of the kind whose put returned before the call, once, sorted by
///     name, with its length; foreign files are passed over.
/// 11. `delete` of a missing object succeeds; after it returned no reader sees the object, and after
///     the next `sync` not even a crash brings it back.
/// 12. Errors name the object.
/// 13. `release_reserve` gives up the room that the medium keeps for work that frees space, and
///     tells whether there was any; `room` shows none then, and a crash brings none back.
/// 14. `renew_reserve` keeps such room again, as far as the medium can and has it; where it cannot
///     or has none, it succeeds and does nothing. Neither of them touches an object.
pub trait Backend: Debug + Send + Sync {
    /// Stores `data` under `name`, unless the name is taken.
    fn put(&self, name: &ObjectName, data: &[u8]) -> Result<()>;
    /// The whole object.
    fn get(&self, name: &ObjectName) -> Result<Vec<u8>>;
    /// Exactly `out.len()` bytes from `offset`, in bytes.
    fn get_range(&self, name: &ObjectName, offset: u64, out: &mut [u8]) -> Result<()>;
    /// The objects of one kind.
    fn list(&self, kind: ObjectKind) -> Result<Vec<ObjectInfo>>;
    /// Removes an object.
    fn delete(&self, name: &ObjectName) -> Result<()>;
    /// Waits until every put that returned before survives a crash.
    fn sync(&self) -> Result<()>;

    /// Gives up the room that is kept for work that frees space; false if there is none.
    fn release_reserve(&self) -> Result<bool> {
        Ok(false)
    }

    /// Keeps room again, if there is some.
    fn renew_reserve(&self) -> Result<()> {
        Ok(())
    }

    /// How much room there is, if the medium has an end and tells it.
    fn room(&self) -> Result<Option<Room>> {
        Ok(None)
    }
}

/// One line of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectInfo {
    /// Its name.
    pub name: ObjectName,
    /// Stored length, bytes.
    pub len: u64,
}

/// A shared backend is a backend: a caller may keep a handle of what it gives to a repository.
impl<B: Backend + ?Sized> Backend for Arc<B> {
    fn put(&self, name: &ObjectName, data: &[u8]) -> Result<()> {
        (**self).put(name, data)
    }

    fn get(&self, name: &ObjectName) -> Result<Vec<u8>> {
        (**self).get(name)
    }

    fn get_range(&self, name: &ObjectName, offset: u64, out: &mut [u8]) -> Result<()> {
        (**self).get_range(name, offset, out)
    }

    fn list(&self, kind: ObjectKind) -> Result<Vec<ObjectInfo>> {
        (**self).list(kind)
    }

    fn delete(&self, name: &ObjectName) -> Result<()> {
        (**self).delete(name)
    }

    fn sync(&self) -> Result<()> {
        (**self).sync()
    }

    fn release_reserve(&self) -> Result<bool> {
        (**self).release_reserve()
    }

    fn renew_reserve(&self) -> Result<()> {
        (**self).renew_reserve()
    }

    fn room(&self) -> Result<Option<Room>> {
        (**self).room()
    }
}
