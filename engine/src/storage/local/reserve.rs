//! Room that a local folder keeps, so that a full disk never blocks what frees space (I8).
//!
//! ```text
//! reserve   a file of the repository's folder, of bytes that no file system compresses or shares;
//!           written, flushed and renamed as an object is, given up by unlinking it
//! low water a pack is refused that would leave too little: before it is written, because that
//!           would be in vain, and before it is published, because others write as well
//! ```
//! The second look makes the mark hold for any number of writers: what others have written and not
//! yet published counts as used, so of those that meet at the mark at most too many are refused.
//! Each look is one `statvfs` beside the five calls and the flush of a pack. A file system that does
//! not tell how large it is has no mark; its errors come as it makes them.

use std::io;

use super::LocalBackend;
use super::TEMPORARY;
use crate::error::Error;
use crate::error::Place;
use crate::error::Result;
use crate::format::name::ObjectKind;
use crate::format::name::ObjectName;
use crate::limits::LOW_WATER_LEN;
use crate::limits::LOW_WATER_SHARE;
use crate::limits::RESERVE_LEN;
use crate::limits::RESERVE_LEN_MIN;
use crate::limits::RESERVE_SHARE;
use crate::storage::disk::Disk;
use crate::storage::disk::Space;
use crate::storage::outcome::found;
use crate::storage::outcome::is_full;
use crate::storage::refuse;
use crate::storage::room::Room;

/// Its name in the repository's folder: no object's, so no listing shows it.
pub(super) const RESERVE: &str = "reserve";

/// An error that says what cannot be done with the reserve.
pub(super) fn failed(what: &str) -> impl Fn(io::Error) -> Error {
    let detail = format!("the reserve cannot be {what}");
    move |error| Error::io(Place::Repository, &detail, error)
}

/// The low-water mark.
impl<D: Disk> LocalBackend<D> {
    /// Refuses a pack of `len` bytes if fewer bytes than the low-water mark are free once those of
    /// it are written that are `unwritten`.
    pub(super) fn leave_room(&self, name: &ObjectName, len: usize, unwritten: usize) -> Result<()> {
        if name.kind() != ObjectKind::Pack {
            return Ok(());
        }
        match self.known_space() {
            Some(space) if space.free < low_water(space).saturating_add(unwritten as u64) => {
                let free = space.free.saturating_add((len - unwritten) as u64);
                Err(refuse::no_room(name, len, free, low_water(space)))
            }
            _ => Ok(()),
        }
    }

    /// What is free, and what is kept.
    pub(super) fn examine_room(&self) -> io::Result<Option<Room>> {
        let reserve = self.reserve_len()?.unwrap_or(0);
        Ok(self.known_space().map(|space| Room {
            total: space.total,
            free: space.free,
            reserve,
        }))
    }

    /// Nothing if the file system does not tell.
    fn known_space(&self) -> Option<Space> {
        let space = self.disk.space().ok();
        space.filter(|space| space.total > 0)
    }
}

/// What is kept free of packs, bytes.
fn low_water(space: Space) -> u64 {
    LOW_WATER_LEN.min(space.total / LOW_WATER_SHARE)
}

/// The reserve.
impl<D: Disk> LocalBackend<D> {
    /// Its length, if there is one, bytes. Something else of its name is not ours.
    fn reserve_len(&self) -> io::Result<Option<u64>> {
        let stat = found(self.disk.stat(RESERVE))?;
        Ok(stat.filter(|stat| stat.is_file).map(|stat| stat.len))
    }

    /// Unlinks it; false if there is none.
    pub(super) fn unlink_reserve(&self) -> io::Result<bool> {
        if self.reserve_len()?.is_none() {
            return Ok(false);
        }
        let was_there = found(self.disk.unlink(RESERVE))?.is_some();
        self.folders.mark("");
        Ok(was_there)
    }

    /// Writes one where there is none, or only a short one, and enough room; true if it is new.
    pub(super) fn make_reserve(&self) -> io::Result<bool> {
        let kept = match found(self.disk.stat(RESERVE))? {
            Some(stat) if !stat.is_file || stat.len >= RESERVE_LEN => return Ok(false),
            stat => stat.map_or(0, |stat| stat.len),
        };
        let free = self.known_space().map_or(u64::MAX, |space| space.free);
        let len = RESERVE_LEN.min(free / RESERVE_SHARE);
        if len < RESERVE_LEN_MIN || len <= kept {
            return Ok(false);
        }
        match self.write_reserve(len, kept > 0) {
            Err(error) if is_full(&error) || error.kind() == io::ErrorKind::AlreadyExists => {
                Ok(false) // no room after all; or somebody else made it at the same time
            }
            outcome => outcome.map(|()| true),
        }
    }

    fn write_reserve(&self, len: u64, is_there: bool) -> io::Result<()> {
        let temporary = self.write_temporary(&incompressible(self.disk.draw()?, len))?;
        let replace = || {
            if is_there {
                found(self.disk.unlink(RESERVE))?;
            }
            self.disk.rename_noreplace(&temporary, RESERVE)
        };
        let replaced = replace().inspect_err(|_| self.discard(&temporary));
        // Under its old name, too, a crash would bring back what was released.
        self.folders.mark(TEMPORARY);
        self.folders.mark("");
        replaced
    }
}

/// Bytes that hold as many blocks as they are long on file systems that compress or share, too.
fn incompressible(seed: u64, len: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(len).expect("limits fit in memory")];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}
