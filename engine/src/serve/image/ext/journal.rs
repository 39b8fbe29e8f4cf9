//! The journal of ext: which blocks it has newer copies of.
//!
//! Transactions are replayed in memory, up to the last one that was committed, as a mount would
//! write them back. Nothing else is taken from it. Its numbers have the high byte first.

use std::collections::HashMap;
use std::ops::Range;

use crate::error::Result;
use crate::limits::IMAGE_JOURNAL_BLOCKS_MAX;
use crate::serve::image::ext::Ext;
use crate::serve::image::ext::inode::Inode;
use crate::serve::image::reader::{damaged, unsupported};
use crate::sources::volume::layout::fields::u32_high_first;

const MAGIC: u32 = 0xc03b_3998;
const MAGIC_BYTES: [u8; 4] = [0xc0, 0x3b, 0x39, 0x98];
const DESCRIPTOR: u32 = 1;
const COMMIT: u32 = 2;
const REVOKE: u32 = 5;
const HEADER_LEN: usize = 12;

const FEATURE_64_BIT: u32 = 0x2;
const FEATURE_CHECKSUMS_2: u32 = 0x8;
const FEATURE_CHECKSUMS_3: u32 = 0x10;
const FEATURE_FAST_COMMIT: u32 = 0x20;
/// REVOKE, 64BIT, ASYNC_COMMIT, CSUM_V2, CSUM_V3, FAST_COMMIT.
const FEATURES_KNOWN: u32 = 0x3f;
/// Blocks of fast commits, if the journal does not say.
const FAST_COMMIT_BLOCKS: u64 = 256;

const TAG_ESCAPED: u32 = 1;
const TAG_SAME_UUID: u32 = 2;
const TAG_LAST: u32 = 8;
const UUID_LEN: usize = 16;

/// What a journal says of blocks.
#[derive(Default)]
pub(super) struct Replayed {
    /// Where the newest copy of a block lies, and whether its beginning was changed for that.
    copies: HashMap<u64, (u64, bool)>,
    pub has_fast_commits: bool,
}

impl Replayed {
    /// Where a block is to be read, and whether it has to be unescaped.
    pub(super) fn place_of(&self, block: u64) -> (u64, bool) {
        self.copies.get(&block).copied().unwrap_or((block, false))
    }

    /// True if any of these blocks has a newer copy.
    pub(super) fn has_any(&self, mut blocks: Range<u64>) -> bool {
        !self.copies.is_empty() && blocks.any(|block| self.copies.contains_key(&block))
    }
}

/// Gives a block back the beginning that would have made it look like one of the journal's own.
pub(super) fn unescape(offset: u64, out: &mut [u8]) {
    let begin = offset.min(MAGIC_BYTES.len() as u64) as usize;
    for (byte, magic) in out.iter_mut().zip(&MAGIC_BYTES[begin..]) {
        *byte = *magic;
    }
}

/// Reads the journal that the inode `number` holds.
pub(super) fn replay(ext: &Ext, number: u64) -> Result<Replayed> {
    let inode = ext.inode(number)?;
    let Some(log) = Log::open(ext, &inode)? else {
        return Ok(Replayed::default());
    };
    let mut replay = Replay::default();
    let mut at = log.first;
    let mut sequence = log.sequence;
    // Every block is looked at once at most: a log that goes round has no end.
    for _ in log.blocks.clone() {
        let block = log.block(at)?;
        if number_at(&block, 0)? != MAGIC || number_at(&block, 8)? != sequence {
            break;
        }
        at = log.next(at, 1);
        match number_at(&block, 4)? {
            DESCRIPTOR => at = replay.descriptor(&log, &block, at)?,
            REVOKE => replay.revoke(&log, &block, sequence)?,
            COMMIT => {
                replay.commit(sequence);
                sequence = sequence.wrapping_add(1);
            }
            _ => break,
        }
    }
    Ok(replay.finish(log.features & FEATURE_FAST_COMMIT != 0))
}

/// The journal as a ring of blocks.
struct Log<'e> {
    ext: &'e Ext,
    inode: &'e Inode,
    blocks: Range<u64>,
    first: u64,
    sequence: u32,
    features: u32,
}

impl<'e> Log<'e> {
    /// Nothing if there is nothing to replay.
    fn open(ext: &'e Ext, inode: &'e Inode) -> Result<Option<Self>> {
        let mut log = Self {
            ext,
            inode,
            blocks: 0..1,
            first: 0,
            sequence: 0,
            features: 0,
        };
        let head = log.block(0)?;
        let kind = number_at(&head, 4)?;
        if number_at(&head, 0)? != MAGIC || !matches!(kind, 3 | 4) {
            return Err(damaged("has a journal that makes no sense"));
        }
        let field = |at| number_at(&head, at).map(u64::from);
        log.features = if kind == 4 { number_at(&head, 40)? } else { 0 };
        if log.features & !FEATURES_KNOWN != 0 {
            let detail = format!("has a journal with unknown features {:#x}", log.features);
            return Err(unsupported(detail));
        }
        let mut end = field(16)?;
        if log.features & FEATURE_FAST_COMMIT != 0 {
            let fast = Some(field(84)?).filter(|fast| *fast != 0);
            end = end.saturating_sub(fast.unwrap_or(FAST_COMMIT_BLOCKS));
        }
        (log.blocks, log.first) = (field(20)?..end, field(28)?);
        log.sequence = number_at(&head, 24)?;
        if log.first == 0 {
            return Ok(None);
        }
        let is_sound = field(12)? == ext.geometry.block_len
            && log.blocks.start > 0
            && log.blocks.contains(&log.first)
            && end <= IMAGE_JOURNAL_BLOCKS_MAX;
        if !is_sound {
            return Err(damaged("has a journal that makes no sense"));
        }
        Ok(Some(log))
    }

    /// A block of the journal; zeros, which end it, where it has a hole.
    fn block(&self, at: u64) -> Result<Vec<u8>> {
        match self.ext.place_of(self.inode, at)? {
            Some(place) => self.ext.block(place),
            None => Ok(vec![0; self.ext.geometry.block_len as usize]),
        }
    }

    /// The place `by` blocks further, round the end.
    fn next(&self, at: u64, by: u64) -> u64 {
        let len = self.blocks.end - self.blocks.start;
        self.blocks.start + (at - self.blocks.start + by) % len
    }

    fn has(&self, feature: u32) -> bool {
        self.features & feature != 0
    }

    fn tag_len(&self) -> usize {
        if self.has(FEATURE_CHECKSUMS_3) {
            return 16;
        }
        let high = if self.has(FEATURE_64_BIT) { 4 } else { 0 };
        let checksum = if self.has(FEATURE_CHECKSUMS_2) { 2 } else { 0 };
        8 + high + checksum
    }
}

/// A copy of a block in the journal.
struct Copy {
    sequence: Option<u32>,
    block: u64,
    place: Option<u64>,
    is_escaped: bool,
}

#[derive(Default)]
struct Replay {
    /// In the order in which they were written.
    copies: Vec<Copy>,
    /// Blocks that are not to be replayed from this transaction or an earlier one.
    revoked: HashMap<u64, u32>,
    /// The same, of the transaction that is not committed yet.
    revoked_now: Vec<(u64, u32)>,
    /// Copies of transactions that were committed.
    committed: usize,
}

impl Replay {
    /// Notes the copies that follow a descriptor; gives what lies behind them.
    fn descriptor(&mut self, log: &Log<'_>, block: &[u8], mut at: u64) -> Result<u64> {
        let (tag_len, mut tag_at) = (log.tag_len(), HEADER_LEN);
        while tag_at + tag_len <= block.len() {
            let tag = &block[tag_at..tag_at + tag_len];
            let flags = match log.has(FEATURE_CHECKSUMS_3) {
                true => number_at(tag, 4)?,
                false => number_at(tag, 4)? & 0xffff,
            };
            let high = match log.has(FEATURE_64_BIT) {
                true => u64::from(number_at(tag, 8)?),
                false => 0,
            };
            self.copies.push(Copy {
                sequence: None,
                block: high << 32 | u64::from(number_at(tag, 0)?),
                place: log.ext.place_of(log.inode, at)?,
                is_escaped: flags & TAG_ESCAPED != 0,
            });
            if self.copies.len() as u64 > IMAGE_JOURNAL_BLOCKS_MAX {
                return Err(damaged("has a journal that makes no sense"));
            }
            at = log.next(at, 1);
            tag_at += tag_len;
            if flags & TAG_SAME_UUID == 0 {
                tag_at += UUID_LEN;
            }
            if flags & TAG_LAST != 0 {
                break;
            }
        }
        Ok(at)
    }

    fn revoke(&mut self, log: &Log<'_>, block: &[u8], sequence: u32) -> Result<()> {
        let end = number_at(block, HEADER_LEN)? as usize;
        let wide = log.has(FEATURE_64_BIT);
        let records = block.get(HEADER_LEN + 4..end);
        let records = records.ok_or_else(|| damaged("has a journal that makes no sense"))?;
        for record in records.chunks_exact(if wide { 8 } else { 4 }) {
            let first = u64::from(number_at(record, 0)?);
            let block = match wide {
                true => first << 32 | u64::from(number_at(record, 4)?),
                false => first,
            };
            self.revoked_now.push((block, sequence));
        }
        Ok(())
    }

    fn commit(&mut self, sequence: u32) {
        for copy in &mut self.copies[self.committed..] {
            copy.sequence = Some(sequence);
        }
        self.committed = self.copies.len();
        self.revoked.extend(self.revoked_now.drain(..));
    }

    fn finish(self, has_fast_commits: bool) -> Replayed {
        let mut copies = HashMap::new();
        for copy in self.copies {
            let (Some(sequence), Some(place)) = (copy.sequence, copy.place) else {
                continue;
            };
            let revoked = self.revoked.get(&copy.block);
            // Sequences go round: what is at most half of them behind is earlier.
            let is_revoked = revoked.is_some_and(|by| by.wrapping_sub(sequence).cast_signed() >= 0);
            if !is_revoked {
                copies.insert(copy.block, (place, copy.is_escaped));
            }
        }
        Replayed {
            copies,
            has_fast_commits,
        }
    }
}

fn number_at(bytes: &[u8], at: usize) -> Result<u32> {
    u32_high_first(bytes, at).ok_or_else(|| damaged("has a journal that ends too early"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(block: u64, place: u64) -> Copy {
        Copy {
            sequence: None,
            block,
            place: Some(place),
            is_escaped: false,
        }
    }

    #[test]
    fn a_copy_counts_once_it_is_committed_and_unless_it_is_revoked_later() {
        let mut replay = Replay::default();
        replay
            .copies
            .extend([copy(1, 101), copy(2, 102), copy(3, 103)]);
        replay.commit(u32::MAX);
        replay.copies.extend([copy(2, 202), copy(3, 203)]);
        replay.revoked_now.push((1, 0));
        replay.revoked_now.push((3, 0));
        replay.commit(0);
        replay.copies.extend([copy(3, 303), copy(4, 304)]);
        replay.revoked_now.push((4, 1));
        replay.commit(1);
        replay.copies.push(copy(2, 402));
        replay.revoked_now.push((2, 2));
        let replayed = replay.finish(false);
        let places: Vec<_> = (1..=4).map(|block| replayed.place_of(block).0).collect();
        assert_eq!(places, [1, 202, 303, 4]);
        assert!(replayed.has_any(0..3) && !replayed.has_any(4..9));
    }

    #[test]
    fn an_escaped_block_gets_its_beginning_back() {
        let mut whole = [0; 6];
        unescape(0, &mut whole);
        assert_eq!(whole, [0xc0, 0x3b, 0x39, 0x98, 0, 0]);
        let mut part = [0; 3];
        unescape(2, &mut part);
        assert_eq!(part, [0x39, 0x98, 0]);
        let mut behind = [0; 3];
        unescape(4, &mut behind);
        assert_eq!(behind, [0; 3]);
    }
}
