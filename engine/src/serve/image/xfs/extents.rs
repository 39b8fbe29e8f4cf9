//! From an offset in a fork to blocks: lists of extents, and trees of them.
//!
//! Space that was reserved and never written reads as zeros, as holes do.

use crate::error::Result;
use crate::serve::image::reader::{Stretch, damaged, said, unsupported};
use crate::serve::image::runs::{self, Blocks, Run};
use crate::serve::image::xfs::Xfs;
use crate::serve::image::xfs::block::Seal;
use crate::serve::image::xfs::inode::{Fork, Form, Inode};
use crate::sources::volume::layout::fields::{has, u16_high_first, u64_high_first};

const EXTENT_LEN: usize = 16;
/// Key and pointer of a node; they lie apart, as if all places were taken.
const CHILD_LEN: usize = 16;
const NUMBER_LEN: usize = 8;
/// What lies before the keys of a root.
pub(super) const ROOT_HEADER_LEN: usize = 4;
/// Deepest tree: 2^32 extents in the smallest blocks need fewer levels.
const DEPTH_MAX: u16 = 12;
/// No block of a file is numbered beyond this.
const BLOCKS_END: u64 = 1 << 54;

const SEAL: Seal = Seal {
    crc_at: 64,
    uuid_at: 40,
    owner_at: 56,
    place_at: Some(24),
};

struct Extent {
    logical: u64,
    start: u64,
    blocks: u64,
    is_written: bool,
}

impl Extent {
    fn decode(bytes: &[u8; EXTENT_LEN]) -> Self {
        let bits = u128::from_be_bytes(*bytes);
        let field = |shift: u32, width: u32| (bits >> shift) as u64 & ((1 << width) - 1);
        Self {
            logical: field(73, 54),
            start: field(21, 52),
            blocks: field(0, 21),
            is_written: field(127, 1) == 0,
        }
    }
}

impl Xfs {
    /// Fills `out` from `offset` of the content of a file.
    pub(super) fn read_content(&self, inode: &Inode, offset: u64, out: &mut [u8]) -> Result<()> {
        if inode.is_realtime() {
            return Err(unsupported("has its content on the realtime device"));
        }
        let fork = inode.content();
        runs::read(self, inode.len, offset, out, |block| self.run(&fork, block))
    }

    /// What the byte at `offset` of a content lies in; what was reserved and never written is a hole.
    pub(super) fn stretch_of(&self, inode: &Inode, offset: u64) -> Result<Stretch> {
        let (fork, block_len) = (inode.content(), self.geometry.block_len);
        runs::stretch(block_len, offset, |block| self.run(&fork, block))
    }

    /// The run that begins with block `logical` of a fork.
    pub(super) fn run(&self, fork: &Fork<'_>, logical: u64) -> Result<Run> {
        match fork.form {
            Form::Extents => {
                let extents = usize::try_from(fork.extents).ok();
                run_in(
                    fork.bytes,
                    extents.unwrap_or(usize::MAX),
                    logical,
                    BLOCKS_END,
                )
            }
            Form::Tree => self.run_of_tree(fork, logical),
            Form::Local | Form::Other => Err(damaged("has no extents where it should")),
        }
    }

    fn run_of_tree(&self, fork: &Fork<'_>, logical: u64) -> Result<Run> {
        let number = |at| u16_high_first(fork.bytes, at).ok_or_else(broken);
        let (mut level, count) = (number(0)?, number(2)?);
        if !(1..=DEPTH_MAX).contains(&level) {
            return Err(damaged("has a tree of extents that is too deep"));
        }
        // What comes behind this in the tree begins here.
        let mut end = BLOCKS_END;
        let root = fork.bytes.get(ROOT_HEADER_LEN..).ok_or_else(broken)?;
        let mut child = child_for(root, count.into(), logical, &mut end)?;
        while let Some(block) = child {
            level -= 1;
            let node = self.tree_node(block, level, fork.owner)?;
            let count = u16_high_first(&node, 6).ok_or_else(broken)?.into();
            let entries = &node[self.tree_header_len()..];
            if level == 0 {
                return run_in(entries, count, logical, end);
            }
            child = child_for(entries, count, logical, &mut end)?;
        }
        Ok(Run::zeros(logical, end))
    }

    fn tree_node(&self, block: u64, level: u16, owner: u64) -> Result<Vec<u8>> {
        let place = self.geometry.place_of(block, 1)?;
        let node = self.metadata(place, self.geometry.block_len as usize)?;
        let magic = match self.geometry.has_checksums {
            true => b"BMA3",
            false => b"BMAP",
        };
        if !has(&node.bytes, 0, magic) || u16_high_first(&node.bytes, 4) != Some(level) {
            return Err(broken());
        }
        node.check(&self.geometry, &SEAL, owner)?;
        Ok(node.bytes)
    }

    fn tree_header_len(&self) -> usize {
        tree_header_len(self.geometry.has_checksums)
    }
}

impl Blocks for Xfs {
    fn block_len(&self) -> u64 {
        self.geometry.block_len
    }

    fn read_run(&self, start: u64, within: u64, out: &mut [u8]) -> Result<()> {
        let blocks = (within + out.len() as u64).div_ceil(self.geometry.block_len);
        let place = self.geometry.place_of(start, blocks)?;
        self.medium.read(place + within, out).map_err(said)
    }
}

/// What lies before the keys of a node of a tree.
pub(super) fn tree_header_len(has_checksums: bool) -> usize {
    if has_checksums { 72 } else { 24 }
}

/// Children that there is room for in so many bytes.
pub(super) fn children_max(len: usize) -> usize {
    len / CHILD_LEN
}

/// The last child of a node that begins at or before `logical`; `end` becomes what the next one begins
/// with.
fn child_for(entries: &[u8], count: usize, logical: u64, end: &mut u64) -> Result<Option<u64>> {
    let room = children_max(entries.len());
    if count > room {
        return Err(broken());
    }
    let (keys, pointers) = entries.split_at(room * NUMBER_LEN);
    let keys = &keys.as_chunks::<NUMBER_LEN>().0[..count];
    let behind = keys.partition_point(|key| u64::from_be_bytes(*key) <= logical);
    if let Some(next) = keys.get(behind) {
        *end = u64::from_be_bytes(*next).min(*end);
    }
    let index = behind.checked_sub(1);
    Ok(index.and_then(|index| u64_high_first(pointers, index * NUMBER_LEN)))
}

/// The run that begins with `logical`, in a list of extents behind which `end` begins something else.
fn run_in(list: &[u8], count: usize, logical: u64, end: u64) -> Result<Run> {
    let extents = list.as_chunks::<EXTENT_LEN>().0;
    let extents = extents.get(..count).ok_or_else(broken)?;
    let behind = extents.partition_point(|one| Extent::decode(one).logical <= logical);
    let next = extents.get(behind).map(|next| Extent::decode(next).logical);
    let end = next.unwrap_or(end).min(end);
    let Some(extent) = behind.checked_sub(1).map(|index| &extents[index]) else {
        return Ok(Run::zeros(logical, end));
    };
    let extent = Extent::decode(extent);
    let run = Run {
        start: extent.is_written.then_some(extent.start),
        blocks: extent.blocks,
    };
    Ok(run.rest(extent.logical, logical, end))
}

fn broken() -> crate::error::Error {
    damaged("has extents that make no sense")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(extents: &[(bool, u64, u64, u64)]) -> Vec<u8> {
        let extent = |(is_written, logical, start, blocks): &(bool, u64, u64, u64)| {
            let flag = u128::from(!is_written);
            let bits = flag << 127 | u128::from(*logical) << 73 | u128::from(*start) << 21;
            (bits | u128::from(*blocks)).to_be_bytes()
        };
        extents.iter().flat_map(extent).collect()
    }

    #[test]
    fn what_was_reserved_and_never_written_is_zeros() {
        let list = list(&[
            (true, 2, 70, 3),
            (false, 5, 80, 4),
            (true, 20, (1 << 52) - 9, 9),
        ]);
        let at = |start, blocks| Run { start, blocks };
        for (logical, expected) in [
            (0, at(None, 2)),
            (2, at(Some(70), 3)),
            (4, at(Some(72), 1)),
            (5, at(None, 4)),
            (9, at(None, 11)),
            (20, at(Some((1 << 52) - 9), 9)),
            (29, at(None, 71)),
        ] {
            assert_eq!(
                run_in(&list, 3, logical, 100).unwrap(),
                expected,
                "{logical}"
            );
        }
    }

    #[test]
    fn extents_that_overlap_end_where_the_next_one_begins() {
        let list = list(&[(true, 2, 70, 30), (true, 5, 80, 4)]);
        let run = run_in(&list, 2, 3, 100).unwrap();
        let (start, blocks) = (Some(71), 2);
        assert_eq!(run, Run { start, blocks });
    }

    #[test]
    fn a_child_is_the_last_one_that_begins_before() {
        let mut entries = vec![0; 5 * CHILD_LEN];
        for (index, (key, pointer)) in [(3_u64, 100_u64), (9, 200)].into_iter().enumerate() {
            let (at, to) = (index * NUMBER_LEN, (5 + index) * NUMBER_LEN);
            entries[at..at + NUMBER_LEN].copy_from_slice(&key.to_be_bytes());
            entries[to..to + NUMBER_LEN].copy_from_slice(&pointer.to_be_bytes());
        }
        for (logical, child, behind) in [
            (0, None, 3),
            (3, Some(100), 9),
            (8, Some(100), 9),
            (9, Some(200), 50),
        ] {
            let mut end = 50;
            assert_eq!(child_for(&entries, 2, logical, &mut end).unwrap(), child);
            assert_eq!(end, behind);
        }
    }

    #[test]
    fn lists_and_nodes_that_reach_beyond_their_place_are_refused() {
        assert!(run_in(&list(&[(true, 0, 1, 1)]), 2, 0, 9).is_err());
        assert!(run_in(&[], usize::MAX, 0, 9).is_err());
        assert!(child_for(&[0; 5 * CHILD_LEN], 6, 0, &mut 9).is_err());
    }
}
