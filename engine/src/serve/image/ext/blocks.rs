//! From an offset in a file to blocks: trees of extents, and the maps that were before them.
//!
//! Space that was reserved and never written reads as zeros, as holes do.

use crate::error::Result;
use crate::serve::image::ext::Ext;
use crate::serve::image::ext::inode::Inode;
use crate::serve::image::reader::{Stretch, damaged, unsupported};
use crate::serve::image::runs::{self, Blocks, Run};
use crate::sources::volume::layout::fields::u32_at;
use crate::sources::volume::layout::hints::ext::extent_node::{
    ExtentEntry, FileExtent, child_of, depth_of, entries, logical_of,
};

/// Numbers in the inode itself.
const DIRECT: u64 = 12;
const NUMBER_LEN: u64 = 4;

impl Ext {
    /// Fills `out` from `offset` of a content.
    pub(super) fn read_inode(&self, inode: &Inode, offset: u64, out: &mut [u8]) -> Result<()> {
        if let Some(why) = inode.refusal() {
            return Err(unsupported(why));
        }
        runs::read(self, inode.len, offset, out, |block| self.run(inode, block))
    }

    /// What the byte at `offset` of a content lies in; what was reserved and never written is a hole.
    pub(super) fn stretch_of(&self, inode: &Inode, offset: u64) -> Result<Stretch> {
        let block_len = self.geometry.block_len;
        runs::stretch(block_len, offset, |block| self.run(inode, block))
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
        let depth = depth_of(&node);
        let mut depth = depth.ok_or_else(|| damaged("has a tree of extents that is too deep"))?;
        // What comes behind this in the tree begins here.
        let mut end = u64::from(u32::MAX) + 1;
        loop {
            let (entry, next) = entry_for(&node, depth, logical)?;
            if let Some(next) = next {
                end = end.min(next);
            }
            let Some(entry) = entry else {
                return Ok(Run::zeros(logical, end));
            };
            if depth == 0 {
                return extent(&entry, logical, end);
            }
            node = self.block(child_of(&entry))?;
            depth -= 1;
        }
    }

    fn run_of_map(&self, inode: &Inode, logical: u64) -> Result<Run> {
        let direct =
            |index: u64| u32_at(&inode.map, (index * NUMBER_LEN) as usize).map_or(0, u64::from);
        if logical < DIRECT {
            return Ok(one(direct(logical)));
        }
        let per_block = self.geometry.block_len / NUMBER_LEN;
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

impl Blocks for Ext {
    fn block_len(&self) -> u64 {
        self.geometry.block_len
    }

    /// Blocks that the journal has lie elsewhere; all others of a run are read at once.
    fn read_run(&self, start: u64, within: u64, out: &mut [u8]) -> Result<()> {
        let block_len = self.geometry.block_len;
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
}

fn one(number: u64) -> Run {
    Run {
        start: Some(number).filter(|number| *number != 0),
        blocks: 1,
    }
}

/// The last entry of a node that begins at or before `logical`, and where the next one begins.
fn entry_for(node: &[u8], depth: u16, logical: u64) -> Result<(Option<ExtentEntry>, Option<u64>)> {
    let entries = entries(node, depth);
    let entries = entries.ok_or_else(|| damaged("has a tree of extents that makes no sense"))?;
    let mut found = None;
    for entry in entries {
        let begin = logical_of(entry);
        if begin > logical {
            return Ok((found, Some(begin)));
        }
        found = Some(*entry);
    }
    Ok((found, None))
}

/// What `logical` is in, or behind of.
fn extent(entry: &ExtentEntry, logical: u64, end: u64) -> Result<Run> {
    let extent = FileExtent::decode(entry);
    let extent = extent.ok_or_else(|| damaged("has an extent without blocks"))?;
    let run = Run {
        start: extent.is_written.then_some(extent.start),
        blocks: extent.blocks,
    };
    Ok(run.rest(extent.logical, logical, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(depth: u16, entries: &[(u32, u16, u32)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [0xf30a, entries.len() as u16, 4, depth, 0, 0] {
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
            None => Run::zeros(logical, end),
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
        assert!(extent(&[0; 12], 0, 1).is_err());
    }
}
