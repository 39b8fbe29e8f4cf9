//! Extents of ext4: a tree whose root is in the inode.

use crate::sources::volume::layout::hints::cuts::FileCuts;
use crate::sources::volume::layout::hints::walk::WalkError;

use super::Walk;
use super::extent_node::{FileExtent, child_of, depth_of, entries};
use super::inode::Inode;

impl Walk<'_> {
    pub(super) fn extent_tree(
        &mut self,
        inode: &Inode,
        file: &mut FileCuts,
    ) -> Result<(), WalkError> {
        let depth = depth_of(&inode.map_bytes).ok_or(WalkError::File)?;
        self.node(&inode.map_bytes, depth, file)
    }

    /// A node, which must lie exactly this far above its leaves: so every descent ends.
    fn node(&mut self, node: &[u8], depth: u16, file: &mut FileCuts) -> Result<(), WalkError> {
        for entry in entries(node, depth).ok_or(WalkError::File)? {
            if depth > 0 {
                let child = self.block_of_file(child_of(entry))?;
                self.node(&child, depth - 1, file)?;
                continue;
            }
            let extent = FileExtent::decode(entry).ok_or(WalkError::File)?;
            if extent.is_written {
                self.extent(file, extent.logical, extent.start, extent.blocks)?;
            }
        }
        Ok(())
    }
}
