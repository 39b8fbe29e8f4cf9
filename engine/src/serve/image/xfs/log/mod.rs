//! The log of XFS: which sectors it has newer bytes of.
//!
//! ```text
//! ring       the log as a ring of sectors; where the newest records end
//! record     a part of it with a header: operations of transactions
//! changes    what the transactions that were committed change: pieces of metadata, and inodes
//! fields     inodes as the log has them
//! ```
//! It is replayed in memory, as a mount would write it back. A log that was closed, or that lies beside
//! a file system that was frozen, has next to nothing to replay.
//!
//! Deliberately absent: what is announced and not done yet (a mount would go on with it; most of it
//! is about free space), quotas, logs of machines that write the high byte first.

mod changes;
mod fields;
mod record;
mod ring;

use std::collections::HashMap;
use std::rc::Rc;

use crate::error::{ErrorKind, Result};
use crate::limits::IMAGE_LOG_SECTORS_MAX;
use crate::serve::image::medium::Medium;
use crate::serve::image::reader::{damaged, said, unsupported};
use crate::serve::image::xfs::superblock::Geometry;

use changes::Changes;
use ring::Ring;

const SECTOR_LEN: usize = 512;

const ELSEWHERE: &str = "the log of the file system is on another device and is not replayed: what \
                         changed in its last seconds may be missing or unreadable";
const DAMAGED: &str = "the log of the file system is damaged and is not replayed: what changed in its \
                       last seconds may be missing or unreadable";
const UNKNOWN: &str = "the log of the file system is too long, or of an unknown kind, and is not \
                       replayed: what changed in its last seconds may be missing or unreadable";
const UNFINISHED: &str = "changes that the log of the file system announces are not carried out: of \
                          what changed in its last seconds a part may be missing";

/// What a log says of sectors.
#[derive(Default)]
pub(super) struct Replayed {
    sectors: HashMap<u64, Box<[u8; SECTOR_LEN]>>,
    /// What a mount might show otherwise, as a sentence for the user.
    pub doubt: Option<&'static str>,
}

impl Replayed {
    /// Puts what is newer over bytes that were read from `place`; true if there was any.
    pub(super) fn apply(&self, place: u64, bytes: &mut [u8]) -> bool {
        if self.sectors.is_empty() {
            return false;
        }
        let mut is_changed = false;
        each_part(place, bytes.len(), |sector, within, range| {
            if let Some(newer) = self.sectors.get(&sector) {
                let len = range.len();
                bytes[range].copy_from_slice(&newer[within..within + len]);
                is_changed = true;
            }
            Ok(())
        })
        .is_ok_and(|()| is_changed)
    }

    /// Keeps bytes as the newer ones from `place` on.
    fn put(&mut self, medium: &Medium, place: u64, bytes: &[u8]) -> Result<()> {
        let end = place.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > medium.len()) {
            return Err(damaged("has a log that reaches beyond it"));
        }
        each_part(place, bytes.len(), |sector, within, range| {
            let newer = self.sector(medium, sector)?;
            newer[within..within + range.len()].copy_from_slice(&bytes[range]);
            Ok(())
        })
    }

    fn sector(&mut self, medium: &Medium, sector: u64) -> Result<&mut [u8; SECTOR_LEN]> {
        let is_full = self.sectors.len() >= IMAGE_LOG_SECTORS_MAX;
        match self.sectors.entry(sector) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(_) if is_full => {
                Err(unsupported("has a log that is too long"))
            }
            std::collections::hash_map::Entry::Vacant(entry) => {
                let mut bytes = Box::new([0; SECTOR_LEN]);
                let place = sector * SECTOR_LEN as u64;
                medium.read(place, &mut *bytes).map_err(said)?;
                Ok(entry.insert(bytes))
            }
        }
    }
}

/// Calls with every sector that `len` bytes from `place` on touch, where in it they begin, and which
/// of the bytes lie in it.
fn each_part(
    place: u64,
    len: usize,
    mut each: impl FnMut(u64, usize, std::ops::Range<usize>) -> Result<()>,
) -> Result<()> {
    let mut done = 0;
    while done < len {
        let at = place + done as u64;
        let within = (at % SECTOR_LEN as u64) as usize;
        let part = (SECTOR_LEN - within).min(len - done);
        each(at / SECTOR_LEN as u64, within, done..done + part)?;
        done += part;
    }
    Ok(())
}

/// Reads the log of a file system. One that cannot be replayed costs what is in it, and a sentence.
pub(super) fn replay(medium: &Rc<Medium>, geometry: &Geometry) -> Replayed {
    if geometry.log_start == 0 {
        return doubtful(ELSEWHERE);
    }
    match replayed(medium, geometry) {
        Ok(replayed) => replayed,
        Err(error) if error.kind() == ErrorKind::Unsupported => doubtful(UNKNOWN),
        Err(_) => doubtful(DAMAGED),
    }
}

fn doubtful(sentence: &'static str) -> Replayed {
    Replayed {
        doubt: Some(sentence),
        ..Replayed::default()
    }
}

fn replayed(medium: &Medium, geometry: &Geometry) -> Result<Replayed> {
    let ring = Ring::new(medium, geometry)?;
    let Some(span) = ring.span()? else {
        return Ok(Replayed::default());
    };
    // What is thrown away later must not be put back, so all that is thrown away is looked for first.
    let mut changes = Changes::new(medium, geometry);
    record::each_transaction(&ring, &span, &mut |regions| changes.note_cancelled(regions))?;
    record::each_transaction(&ring, &span, &mut |regions| changes.replay(regions))?;
    let (mut replayed, is_finished) = changes.finish();
    if !is_finished {
        replayed.doubt = Some(UNFINISHED);
    }
    Ok(replayed)
}
