//! From an offset in a file to blocks: trees of extents, and the maps that were before them.
//!
//! Space that was reserved and never written reads as zeros, as holes do.

use crate::error::Result;
use crate::serve::image::ext::inode::Inode;
use crate::serve::image::ext::{Ext, u16_of};
use crate::serve::image::reader::{Stretch, damaged, unsupported};
use crate::sources::volume::layout::fields::{u16_at, u32_at};

const MAGIC: usize = 0xf30a;
/// Header and entries have the same length.
const ENTRY_LEN: usize = 12;
/// No tree of 2^32 blocks is deeper.
const DEPTH_MAX: usize = 5;
/// Lengths above this are those of extents that were reserved and never written.
const WRITTEN_BLOCKS_MAX: u64 = 32_768;
/// Numbers in the inode itself.
const DIRECT: u64 = 12;
const NUMBER_LEN: u64 = 4;

/// Blocks of a file that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Where; nothing for zeros.
    start: Option<u64>,
    /// How many, at least 1.
    blocks: u64,
}

impl Ext {
    /// Fills `out` from `offset` of a content.
    pub(super) fn read_inode(&self, inode: &Inode, offset: u64, out: &mut [u8]) -> Result<()> {
        if let Some(why) = inode.refusal() {
            return Err(unsupported(why));
        }
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > inode.len) {
            return Err(damaged("ends too early"));
        }
        let block_len = self.block_len();
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let (block, within) = (at / block_len, at % block_len);
            let run = self.run(inode, block)?;
            let len = run.blocks.saturating_mul(block_len) - within;
            let len =
                usize::try_from(len).map_or(out.len() - done, |len| len.min(out.len() - done));
            let part = &mut out[done..done + len];
            match run.start {
                Some(start) => self.read_run(start, within, part)?,
                None => part.fill(0),
            }
            done += len;
        }
        Ok(())
    }

    /// Blocks that the journal has lie elsewhere; all others of a run are read at once.
    fn read_run(&self, start: u64, within: u64, out: &mut [u8]) -> Result<()> {
        let block_len = self.block_len();
        let blocks = (within + out.len() as u64).div_ceil(block_len);
        if !self.geometry.has_blocks(start, blocks) {
            return Err(damaged(format!("names block {start}, which lies outside")));
        }
        if !self.replayed.has_any(start..start + blocks) {
            let at = start * block_len + within;
            return self.medium.read(at, out).map_err(super::said);
        }
        let (mut block, mut within, mut rest) = (start, within, out);
        while !rest.is_empty() {
            let len = ((block_len - within) as usize).min(rest.len());
            let (part, behind) = rest.split_at_mut(len);
            self.read_block(block, within, part)?;
            (block, within, rest) = (block + 1, 0, behind);
        }
        Ok(())
    }

    /// What the byte at `offset` of a content lies in; what was reserved and never written is a hole.
    pub(super) fn stretch_of(&self, inode: &Inode, offset: u64) -> Result<Stretch> {
        let block = offset / self.block_len();
        let run = self.run(inode, block)?;
        let end = block.saturating_add(run.blocks);
        Ok(Stretch {
            end: end.saturating_mul(self.block_len()),
            is_hole: run.start.is_none(),
        })
    }

    /// The run that begins with block `logical` of a content.
    fn run(&self, inode: &Inode, logical: u64) -> Result<Run> {
        if inode.has_extents() {
            self.run_of_extents(inode, logical)
        } else {
            self.run_of_map(inode, logical)
        }
    }

    /// A block of a content, for who wants no more than one.
    pub(super) fn place_of(&self, inode: &Inode, logical: u64) -> Result<Option<u64>> {
        Ok(self.run(inode, logical)?.start)
    }

    fn run_of_extents(&self, inode: &Inode, logical: u64) -> Result<Run> {
        let mut node = inode.map.to_vec();
        let mut depth = u16_of(&node, 6)?;
        if depth > DEPTH_MAX {
            return Err(damaged("has a tree of extents that is too deep"));
        }
        // What comes behind this in the tree begins here.
        let mut end = u64::from(u32::MAX) + 1;
        loop {
            let (entry, next) = entry_for(&node, depth, logical)?;
            if let Some(next) = next {
                end = end.min(next);
            }
            let Some(entry) = entry else {
                return Ok(zeros(logical, end));
            };
            if depth == 0 {
                return extent(&entry, logical, end);
            }
            let low = u32_at(&entry, 4).map_or(0, u64::from);
            let high = u16_at(&entry, 8).map_or(0, u64::from);
            node = self.block(high << 32 | low)?;
            depth -= 1;
        }
    }

    fn run_of_map(&self, inode: &Inode, logical: u64) -> Result<Run> {
        let direct =
            |index: u64| u32_at(&inode.map, (index * NUMBER_LEN) as usize).map_or(0, u64::from);
        if logical < DIRECT {
            return Ok(one(direct(logical)));
        }
        let per_block = self.block_len() / NUMBER_LEN;
        let mut rest = logical - DIRECT;
        for level in 1..=3_u32 {
            let span = per_block.pow(level);
            if rest < span {
                let top = direct(DIRECT + u64::from(level) - 1);
                return self.run_below(top, level, rest, per_block);
            }
            rest -= span;
        }
        Err(damaged("is longer than its map of blocks"))
    }

    /// Block `rest` of those that the block `number`, `level` levels above them, leads to.
    fn run_below(&self, mut number: u64, level: u32, mut rest: u64, per_block: u64) -> Result<Run> {
        for level in (0..level).rev() {
            let span = per_block.pow(level);
            if number == 0 {
                // Nothing of what this block would lead to is there.
                let blocks = span * per_block - rest;
                return Ok(Run {
                    start: None,
                    blocks,
                });
            }
            let mut bytes = [0; NUMBER_LEN as usize];
            self.read_block(number, rest / span * NUMBER_LEN, &mut bytes)?;
            number = u64::from(u32::from_le_bytes(bytes));
            rest %= span;
        }
        Ok(one(number))
    }
}

fn one(number: u64) -> Run {
    Run {
        start: Some(number).filter(|number| *number != 0),
        blocks: 1,
    }
}

fn zeros(logical: u64, end: u64) -> Run {
    Run {
        start: None,
        blocks: end.saturating_sub(logical).max(1),
    }
}

/// The last entry of a node that begins at or before `logical`, and where the next one begins.
fn entry_for(
    node: &[u8],
    depth: usize,
    logical: u64,
) -> Result<(Option<[u8; ENTRY_LEN]>, Option<u64>)> {
    let wrong = || damaged("has a tree of extents that makes no sense");
    let count = u16_of(node, 2)?;
    if u16_of(node, 0)? != MAGIC || u16_of(node, 6)? != depth {
        return Err(wrong());
    }
    let entries = node
        .get(ENTRY_LEN..ENTRY_LEN * (count + 1))
        .ok_or_else(wrong)?;
    let mut found = None;
    for entry in entries.as_chunks::<ENTRY_LEN>().0 {
        let begin = u32_at(entry, 0).map_or(0, u64::from);
        if begin > logical {
            return Ok((found, Some(begin)));
        }
        found = Some(*entry);
    }
    Ok((found, None))
}

/// What `logical` is in, or behind of.
fn extent(entry: &[u8; ENTRY_LEN], logical: u64, end: u64) -> Result<Run> {
    let begin = u32_at(entry, 0).map_or(0, u64::from);
    let len = u16_at(entry, 4).map_or(0, u64::from);
    let high = u16_at(entry, 6).map_or(0, u64::from);
    let low = u32_at(entry, 8).map_or(0, u64::from);
    let is_written = len <= WRITTEN_BLOCKS_MAX;
    let len = if is_written {
        len
    } else {
        len - WRITTEN_BLOCKS_MAX
    };
    if len == 0 {
        return Err(damaged("has an extent without blocks"));
    }
    let into = logical - begin;
    if into >= len {
        return Ok(zeros(logical, end));
    }
    // An extent that reaches into the next one makes no sense; it ends where that begins.
    let blocks = (len - into).min(end.saturating_sub(logical)).max(1);
    let start = is_written.then_some((high << 32 | low) + into);
    Ok(Run { start, blocks })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(depth: u16, entries: &[(u32, u16, u32)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [MAGIC as u16, entries.len() as u16, 4, depth, 0, 0] {
            bytes.extend(number.to_le_bytes());
        }
        for (begin, len, start) in entries {
            bytes.extend(begin.to_le_bytes());
            bytes.extend(len.to_le_bytes());
            bytes.extend([0; 2]);
            bytes.extend(start.to_le_bytes());
        }
        bytes
    }

    fn run(entries: &[(u32, u16, u32)], logical: u64) -> Run {
        let (entry, next) = entry_for(&node(0, entries), 0, logical).unwrap();
        let end = next.unwrap_or(1_000);
        match entry {
            Some(entry) => extent(&entry, logical, end).unwrap(),
            None => zeros(logical, end),
        }
    }

    #[test]
    fn what_was_reserved_and_never_written_is_zeros() {
        let entries = [(2, 3, 70), (5, 32_768 + 4, 80), (20, 32_768, 90)];
        let at = |start, blocks| Run { start, blocks };
        for (logical, expected) in [
            (0, at(None, 2)),
            (2, at(Some(70), 3)),
            (4, at(Some(72), 1)),
            (5, at(None, 4)),
            (9, at(None, 11)),
            (20, at(Some(90), 980)),
            (999, at(Some(1_069), 1)),
        ] {
            assert_eq!(run(&entries, logical), expected, "{logical}");
        }
    }

    #[test]
    fn nodes_that_make_no_sense_are_refused() {
        let good = node(0, &[(0, 1, 9)]);
        assert!(entry_for(&good, 1, 0).is_err());
        assert!(entry_for(&good[..20], 0, 0).is_err());
        for bit in 0..16 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(entry_for(&bad, 0, 0).is_err(), "{bit}");
        }
        assert!(extent(&[0; ENTRY_LEN], 0, 1).is_err());
    }
}
