//! Extents of ext4: a tree whose root is in the inode.

use crate::sources::volume::layout::fields::{u16_at, u32_at};
use crate::sources::volume::layout::hints::cuts::FileCuts;
use crate::sources::volume::layout::hints::walk::WalkError;

use super::Walk;
use super::inode::Inode;

const MAGIC: u16 = 0xf30a;
/// Header and entries have the same length.
const ENTRY_LEN: usize = 12;
/// No tree of 2^32 blocks is deeper.
const DEPTH_MAX: u16 = 5;
/// Lengths above this are those of extents that were reserved and never written.
const WRITTEN_BLOCKS_MAX: u16 = 32_768;

impl Walk<'_> {
    pub(super) fn extent_tree(
        &mut self,
        inode: &Inode,
        file: &mut FileCuts,
    ) -> Result<(), WalkError> {
        let depth = u16_at(&inode.map_bytes, 6).filter(|depth| *depth <= DEPTH_MAX);
        self.node(&inode.map_bytes, depth.ok_or(WalkError::File)?, file)
    }

    /// A node, which must lie exactly this far above its leaves: so every descent ends.
    fn node(&mut self, node: &[u8], depth: u16, file: &mut FileCuts) -> Result<(), WalkError> {
        for entry in entries(node, depth).ok_or(WalkError::File)? {
            if depth == 0 {
                self.leaf_entry(entry, file)?;
                continue;
            }
            let low = u32_at(entry, 4).ok_or(WalkError::File)?;
            let high = u16_at(entry, 8).ok_or(WalkError::File)?;
            let child = self.block_of_file(u64::from(high) << 32 | u64::from(low))?;
            self.node(&child, depth - 1, file)?;
        }
        Ok(())
    }

    fn leaf_entry(&mut self, entry: &[u8], file: &mut FileCuts) -> Result<(), WalkError> {
        let logical = u32_at(entry, 0).ok_or(WalkError::File)?;
        let blocks = u16_at(entry, 4).ok_or(WalkError::File)?;
        let high = u16_at(entry, 6).ok_or(WalkError::File)?;
        let low = u32_at(entry, 8).ok_or(WalkError::File)?;
        if blocks == 0 {
            return Err(WalkError::File);
        }
        if blocks > WRITTEN_BLOCKS_MAX {
            return Ok(());
        }
        let physical = u64::from(high) << 32 | u64::from(low);
        self.extent(file, u64::from(logical), physical, u64::from(blocks))
    }
}

/// The entries of a node; nothing if it is none, or lies at another depth.
fn entries(node: &[u8], depth: u16) -> Option<impl Iterator<Item = &[u8]>> {
    let count = usize::from(u16_at(node, 2)?);
    let body = node.get(ENTRY_LEN..)?;
    let is_node = u16_at(node, 0)? == MAGIC && u16_at(node, 6)? == depth;
    let fits = count <= body.len() / ENTRY_LEN;
    (is_node && fits).then(|| body.chunks_exact(ENTRY_LEN).take(count))
}
