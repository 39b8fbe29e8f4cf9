//! The log as a ring of sectors.
//!
//! The first word of a sector is the number of the round in which it was written, so where that number
//! falls by one is the end of what is new. Writes reach the disk in any order: shortly before that end
//! whatever is not whole is not there.

use crate::error::Result;
use crate::serve::image::medium::Medium;
use crate::serve::image::reader::{damaged, said};
use crate::serve::image::xfs::log::SECTOR_LEN;
use crate::serve::image::xfs::log::record::{MAGIC, Record};
use crate::serve::image::xfs::superblock::Geometry;
use crate::sources::volume::layout::fields::u32_high_first;

/// Sectors that may be on their way to the disk at once: 8 records of 256 KiB.
const WINDOW: u64 = 8 * 512;
/// Records that may be.
const RECORDS_UNDERWAY: usize = 8;

/// The log of a file system.
pub(super) struct Ring<'m> {
    medium: &'m Medium,
    start: u64,
    sectors: u64,
}

/// Records that are to be replayed: from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub first: u64,
    pub last: u64,
}

impl<'m> Ring<'m> {
    pub(super) fn new(medium: &'m Medium, geometry: &Geometry) -> Result<Self> {
        let start = geometry.place_of(geometry.log_start, geometry.log_blocks)?;
        let sectors = geometry.log_blocks * geometry.block_len / SECTOR_LEN as u64;
        if sectors == 0 {
            return Err(damaged("has an empty log"));
        }
        Ok(Self {
            medium,
            start,
            sectors,
        })
    }

    /// True if there is such a sector.
    pub(super) fn has(&self, sector: u64) -> bool {
        sector < self.sectors
    }

    /// The sector so many behind another one, round the end.
    pub(super) fn behind(&self, sector: u64, by: u64) -> u64 {
        (sector + by) % self.sectors
    }

    /// Sectors from one up to another one, round the end: at least 1.
    fn distance(&self, from: u64, to: u64) -> u64 {
        (to + self.sectors - from - 1) % self.sectors + 1
    }

    /// So many sectors, at most the whole ring, from one on.
    pub(super) fn read(&self, first: u64, count: u64) -> Result<Vec<u8>> {
        if count > self.sectors {
            return Err(damaged("has a log record longer than its log"));
        }
        let mut bytes = vec![0; count as usize * SECTOR_LEN];
        let before_end = (self.sectors - first).min(count) as usize * SECTOR_LEN;
        let (head, tail) = bytes.split_at_mut(before_end);
        let place = self.start + first * SECTOR_LEN as u64;
        self.medium.read(place, head).map_err(said)?;
        if !tail.is_empty() {
            self.medium.read(self.start, tail).map_err(said)?;
        }
        Ok(bytes)
    }

    fn round(&self, sector: u64) -> Result<u32> {
        Ok(round_of(&self.read(sector, 1)?))
    }

    /// What is to be replayed; nothing if the log was closed, or never used.
    pub(super) fn span(&self) -> Result<Option<Span>> {
        if self.round(0)? == 0 {
            return Ok(None);
        }
        let head = self.head()?;
        let last = self.last_record(head)?;
        if last.is_closing() {
            return Ok(None);
        }
        let first = last.tail();
        if !self.has(first) {
            return Err(damaged("has a log that begins outside of it"));
        }
        let last = last.at;
        Ok(Some(Span { first, last }))
    }

    /// The sector behind the newest one.
    fn head(&self) -> Result<u64> {
        let newest = self.round(0)?;
        let (mut from, mut to) = (0, self.sectors);
        // All before `from` are new, all from `to` on are old.
        while from < to {
            let middle = from + (to - from) / 2;
            match self.round(middle)? == newest {
                true => from = middle + 1,
                false => to = middle,
            }
        }
        let window = WINDOW.min(self.sectors);
        let begin = self.behind(from, self.sectors - window);
        let bytes = self.read(begin, window)?;
        let sectors = bytes.as_chunks::<SECTOR_LEN>().0;
        for (index, bytes) in (0..).zip(sectors) {
            let sector = self.behind(begin, index);
            let expected = match sector < from {
                true => newest,
                false => newest - 1,
            };
            if round_of(bytes) != expected {
                return Ok(sector);
            }
        }
        Ok(from % self.sectors)
    }

    /// The newest record before which, as long as writes may be underway, all are whole.
    fn last_record(&self, head: u64) -> Result<Record> {
        let mut found: Vec<u64> = Vec::new();
        let window = (2 * WINDOW).min(self.sectors);
        let begin = self.behind(head, self.sectors - window);
        let bytes = self.read(begin, window)?;
        let sectors = bytes.as_chunks::<SECTOR_LEN>().0;
        for (index, sector) in sectors.iter().enumerate().rev() {
            // A mount puts headers without content before it, over what may be left of an earlier round.
            let is_filler = u32_high_first(sector, 12) == Some(0);
            if u32_high_first(sector, 0) == Some(MAGIC) && !is_filler {
                found.push(self.behind(begin, index as u64));
            }
            // One more than may be torn.
            if found.len() > RECORDS_UNDERWAY {
                break;
            }
        }
        let mut last = None;
        for at in found.into_iter().rev() {
            let record = Record::read(self, at).ok();
            let record = record.filter(|record| record.sectors() <= self.distance(at, head));
            if record.is_none() {
                break;
            }
            last = record;
        }
        last.ok_or_else(|| damaged("has a log without a whole record"))
    }
}

fn round_of(sector: &[u8]) -> u32 {
    let word = |at| u32_high_first(sector, at).unwrap_or(0);
    match word(0) {
        MAGIC => word(4),
        round => round,
    }
}
