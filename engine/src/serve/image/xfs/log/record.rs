//! Records of the log: parts of transactions, cut into operations.
//!
//! The first word of every sector is kept in the header, because the number of the round stands there
//! instead. Headers have the high byte first; what is in operations, the low one.

use std::collections::HashMap;

use crate::error::Result;
use crate::limits::IMAGE_LOG_PENDING_LEN_MAX;
use crate::serve::image::reader::{damaged, unsupported};
use crate::serve::image::xfs::log::SECTOR_LEN;
use crate::serve::image::xfs::log::ring::{Ring, Span};
use crate::sources::volume::layout::crc32c;
use crate::sources::volume::layout::fields::{u8_at, u32_at, u32_high_first, u64_high_first};

pub(super) const MAGIC: u32 = 0xfeed_babe;
const CRC_AT: usize = 32;
const WORDS_AT: usize = 44;
const FORMAT_AT: usize = 300;
const FORMAT_LOW_FIRST: u32 = 1;
const SIZE_AT: usize = 320;
/// Bytes of a header that count for its checksum; on some machines a few less.
const HEADER_LENS: [usize; 2] = [328, 324];
/// First words that one header has, and where they begin in those that follow it.
const WORDS: usize = 64;
const WORDS_AT_FURTHER: usize = 4;
const FURTHER_LEN: usize = WORDS_AT_FURTHER + 4 * WORDS;
/// Longest record.
const RECORD_LEN_MAX: u64 = 256 << 10;

const OPERATION_HEAD_LEN: usize = 12;
const START: u8 = 0x01;
const COMMIT: u8 = 0x02;
/// The rest of a region that the record before had no room for.
const CONTINUED: u8 = 0x08;
const UNMOUNT: u8 = 0x20;

/// A region is an operation's bytes; with what it takes to keep them.
const REGION_COST: usize = 64;

/// A record, its first words back in their places.
pub(super) struct Record {
    /// Its first sector.
    pub at: u64,
    header_sectors: u64,
    tail: u64,
    operations: u32,
    content: Vec<u8>,
    is_low_first: bool,
}

impl Record {
    /// Reads the record at a sector, and looks whether all of it is there.
    pub(super) fn read(ring: &Ring<'_>, at: u64) -> Result<Self> {
        let header = ring.read(at, 1)?;
        let word = |at| u32_high_first(&header, at).unwrap_or(0);
        let long = |at| u64_high_first(&header, at).unwrap_or(0);
        let len = u64::from(word(12));
        // Only the second version has longer headers than a sector.
        let header_sectors = match word(8) {
            1 => 1,
            2 => u64::from(word(SIZE_AT))
                .div_ceil((WORDS * SECTOR_LEN) as u64)
                .max(1),
            _ => return Err(unsupported("has a log of an unknown version")),
        };
        let is_sound = word(0) == MAGIC
            && long(16) & u64::from(u32::MAX) == at
            && (1..=RECORD_LEN_MAX).contains(&len)
            && header_sectors <= RECORD_LEN_MAX / (WORDS * SECTOR_LEN) as u64;
        if !is_sound {
            return Err(broken());
        }
        let whole = ring.read(at, header_sectors + len.div_ceil(SECTOR_LEN as u64))?;
        let (headers, stored) = whole.split_at(header_sectors as usize * SECTOR_LEN);
        let mut content = stored.to_vec();
        content.truncate(len as usize);
        check_sum(headers, &content)?;
        restore_words(headers, &mut content)?;
        Ok(Self {
            at,
            header_sectors,
            tail: long(24) & u64::from(u32::MAX),
            operations: word(40),
            content,
            is_low_first: word(FORMAT_AT) == FORMAT_LOW_FIRST,
        })
    }

    /// Sectors that it takes.
    pub(super) fn sectors(&self) -> u64 {
        self.header_sectors + (self.content.len() as u64).div_ceil(SECTOR_LEN as u64)
    }

    /// Where the first record is that was not all written back when this one was written.
    pub(super) fn tail(&self) -> u64 {
        self.tail
    }

    /// True if it says that the file system was unmounted, and all before it written back.
    pub(super) fn is_closing(&self) -> bool {
        let flags = u8_at(&self.content, 9).unwrap_or(0);
        self.operations == 1 && flags & UNMOUNT != 0
    }
}

/// A record without a checksum was written by who made the file system.
fn check_sum(headers: &[u8], content: &[u8]) -> Result<()> {
    let expected = u32_at(headers, CRC_AT).unwrap_or(0);
    if expected == 0 {
        return Ok(());
    }
    let further = headers[SECTOR_LEN..].chunks(SECTOR_LEN);
    // Only those that this record needs.
    let further = further.take(content.len().div_ceil(WORDS * SECTOR_LEN).saturating_sub(1));
    let is_whole = HEADER_LENS.into_iter().any(|len| {
        let mut pieces = vec![&headers[..CRC_AT], &[0; 4], &headers[CRC_AT + 4..len]];
        pieces.extend(further.clone().map(|header| &header[..FURTHER_LEN]));
        pieces.push(content);
        crc32c(&pieces) == expected
    });
    is_whole.then_some(()).ok_or_else(broken)
}

fn restore_words(headers: &[u8], content: &mut [u8]) -> Result<()> {
    for (index, sector) in content.chunks_mut(SECTOR_LEN).enumerate() {
        let (header, word) = (index / WORDS, index % WORDS);
        let at = match header {
            0 => WORDS_AT,
            header => header * SECTOR_LEN + WORDS_AT_FURTHER,
        } + word * 4;
        let kept = headers.get(at..at + 4).ok_or_else(broken)?;
        let len = sector.len().min(4);
        sector[..len].copy_from_slice(&kept[..len]);
    }
    Ok(())
}

/// Bytes of operations, in their order; the first ones say what transaction it is.
pub(super) type Regions = Vec<Vec<u8>>;

/// Gives every transaction that was committed within a span, in the order of commits.
pub(super) fn each_transaction(
    ring: &Ring<'_>,
    span: &Span,
    each: &mut dyn FnMut(&Regions) -> Result<()>,
) -> Result<()> {
    let mut open = Open::default();
    let (mut at, mut passed) = (span.first, 0);
    loop {
        let record = Record::read(ring, at)?;
        if !record.is_low_first {
            return Err(unsupported("has a log of a machine of another kind"));
        }
        open.operations(&record, each)?;
        if at == span.last {
            return Ok(());
        }
        passed += record.sectors();
        at = ring.behind(at, record.sectors());
        // Every sector is looked at once at most: a log that goes round has no end.
        if !ring.has(passed) {
            return Err(broken());
        }
    }
}

/// Transactions that are not committed yet, by their numbers.
#[derive(Default)]
struct Open {
    transactions: HashMap<u32, Regions>,
    pending_len: usize,
}

impl Open {
    fn operations(
        &mut self,
        record: &Record,
        each: &mut dyn FnMut(&Regions) -> Result<()>,
    ) -> Result<()> {
        let mut rest = record.content.as_slice();
        for _ in 0..record.operations {
            let (head, behind) = rest
                .split_at_checked(OPERATION_HEAD_LEN)
                .ok_or_else(broken)?;
            let word = |at| u32_high_first(head, at).unwrap_or(0);
            let (number, len, flags) = (word(0), word(4) as usize, head[9]);
            let (bytes, behind) = behind.split_at_checked(len).ok_or_else(broken)?;
            rest = behind;
            if flags & START != 0 {
                self.forget(number);
                self.transactions.insert(number, Regions::new());
            } else if flags & (COMMIT | UNMOUNT) != 0 {
                let regions = self.forget(number);
                if let Some(regions) = regions.filter(|_| flags & COMMIT != 0) {
                    each(&regions)?;
                }
            } else {
                self.add(number, bytes, flags & CONTINUED != 0)?;
            }
        }
        Ok(())
    }

    /// Adds bytes to a transaction; one that began before the log does is written back.
    fn add(&mut self, number: u32, bytes: &[u8], is_continued: bool) -> Result<()> {
        let Some(regions) = self.transactions.get_mut(&number) else {
            return Ok(());
        };
        self.pending_len += bytes.len() + REGION_COST;
        if self.pending_len > IMAGE_LOG_PENDING_LEN_MAX {
            return Err(unsupported("has a log with a transaction that is too long"));
        }
        match regions.last_mut() {
            Some(last) if is_continued => last.extend(bytes),
            _ if bytes.is_empty() => (),
            _ => regions.push(bytes.to_vec()),
        }
        Ok(())
    }

    fn forget(&mut self, number: u32) -> Option<Regions> {
        let regions = self.transactions.remove(&number)?;
        let len: usize = regions.iter().map(|one| one.len() + REGION_COST).sum();
        self.pending_len = self.pending_len.saturating_sub(len);
        Some(regions)
    }
}

fn broken() -> crate::error::Error {
    damaged("has a log that makes no sense")
}
