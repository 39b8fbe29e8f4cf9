//! ext2, ext3 and ext4: inode tables, group by group.
//!
//! A group descriptor says where the inodes of its group lie and how many at their end were never
//! used; a file's blocks are an extent tree or, as before ext4, a map of block numbers. Inode tables
//! are read in steps of a MiB, everything else a block at a time.
//!
//! Deliberately absent: the journal. What was not yet written back from it is seen as it was.

mod block_map;
pub(crate) mod extent_node;
mod extent_tree;
mod inode;
pub(crate) mod superblock;

use crate::sources::volume::layout::fields::u16_at;
use crate::sources::volume::layout::hints::cuts::{CutSink, FileCuts};
use crate::sources::volume::layout::hints::walk::{Metadata, STEP_LEN, WalkError, count_bad};

use inode::{Inode, Map};
use superblock::{Geometry, INODES_UNUSED, SUPERBLOCK_AT};

const SUPERBLOCK_LEN: usize = 1024;

/// Gives the number of files that make no sense.
pub(super) fn walk(mut metadata: Metadata<'_>, cuts: CutSink<'_>) -> Result<u64, WalkError> {
    let superblock = metadata.bytes(SUPERBLOCK_AT, SUPERBLOCK_LEN)?;
    let geometry = Geometry::decode(&superblock)?;
    if geometry.len() > metadata.window_len() {
        return Err(WalkError::file_system(
            "it is longer than the volume around it",
        ));
    }
    let mut walk = Walk {
        metadata,
        cuts,
        geometry,
        bad_files: 0,
    };
    walk.groups()?;
    Ok(walk.bad_files)
}

struct Walk<'a> {
    metadata: Metadata<'a>,
    cuts: CutSink<'a>,
    geometry: Geometry,
    bad_files: u64,
}

/// Where the inodes of a group lie.
struct InodeTable {
    block: u64,
    /// Those that may be in use are the first ones.
    inodes: u32,
}

impl Walk<'_> {
    fn groups(&mut self) -> Result<(), WalkError> {
        let descriptor_len = self.geometry.descriptor_len;
        let per_block = self.geometry.block_len as usize / descriptor_len;
        for first in (0..self.geometry.groups).step_by(per_block) {
            let block = self.geometry.descriptor_block(first / per_block as u64);
            let descriptors = self.block(block)?;
            let groups = first..self.geometry.groups;
            for (descriptor, group) in descriptors.chunks_exact(descriptor_len).zip(groups) {
                if let Some(table) = self.table(descriptor)? {
                    self.inodes(group, &table)?;
                }
            }
        }
        Ok(())
    }

    fn table(&self, descriptor: &[u8]) -> Result<Option<InodeTable>, WalkError> {
        let table = self.geometry.decode_descriptor(descriptor);
        let table =
            table.ok_or_else(|| WalkError::file_system("a group descriptor is too short"))?;
        if table.inodes == 0 {
            return Ok(None);
        }
        let len = u64::from(table.inodes) * self.geometry.inode_len as u64;
        let blocks = len.div_ceil(self.geometry.block_len);
        if !self.geometry.has_blocks(table.block, blocks) {
            return Err(WalkError::file_system(format!(
                "a table of inodes at block {} lies outside",
                table.block
            )));
        }
        Ok(Some(table))
    }

    fn inodes(&mut self, group: u64, table: &InodeTable) -> Result<(), WalkError> {
        let inode_len = self.geometry.inode_len;
        let step = (STEP_LEN / inode_len) as u32;
        let start = table.block * self.geometry.block_len;
        let mut index = 0;
        while index < table.inodes {
            let count = step.min(table.inodes - index);
            let at = start + u64::from(index) * inode_len as u64;
            let bytes = self.metadata.bytes(at, count as usize * inode_len)?;
            for (bytes, index) in bytes.chunks_exact(inode_len).zip(index..) {
                let per_group = u64::from(self.geometry.inodes_per_group);
                let number = group * per_group + u64::from(index) + 1;
                if !self.geometry.is_reserved(number) {
                    let outcome = self.file(bytes);
                    count_bad(outcome, &mut self.bad_files)?;
                }
            }
            index += count;
        }
        Ok(())
    }

    fn file(&mut self, bytes: &[u8]) -> Result<(), WalkError> {
        let Some(inode) = Inode::decode(bytes) else {
            return Ok(());
        };
        let mut file = FileCuts::new(inode.len, self.geometry.block_len);
        match inode.map {
            Map::Extents => self.extent_tree(&inode, &mut file)?,
            Map::Blocks => self.block_map(&inode, &mut file)?,
        }
        file.finish(&mut self.cuts)
    }

    /// So many blocks of a file.
    fn extent(
        &mut self,
        file: &mut FileCuts,
        logical: u64,
        physical: u64,
        blocks: u64,
    ) -> Result<(), WalkError> {
        if !self.geometry.has_blocks(physical, blocks) {
            return Err(WalkError::File);
        }
        let block_len = self.geometry.block_len;
        let logical = logical.checked_mul(block_len).ok_or(WalkError::File)?;
        let (physical, len) = (physical * block_len, blocks * block_len);
        file.extent(&mut self.cuts, logical, physical, len)
    }

    /// A block that the file system itself names.
    fn block(&mut self, number: u64) -> Result<Vec<u8>, WalkError> {
        if !self.geometry.has_blocks(number, 1) {
            let detail = format!("it names block {number}, which lies outside");
            return Err(WalkError::file_system(detail));
        }
        let block_len = self.geometry.block_len;
        self.metadata.bytes(number * block_len, block_len as usize)
    }

    /// A block that a file names.
    fn block_of_file(&mut self, number: u64) -> Result<Vec<u8>, WalkError> {
        if !self.geometry.has_blocks(number, 1) {
            return Err(WalkError::File);
        }
        self.block(number)
    }
}

impl Geometry {
    fn decode_descriptor(&self, descriptor: &[u8]) -> Option<InodeTable> {
        let mut unused = u32::from(u16_at(descriptor, 0x1c)?);
        if self.descriptor_len >= 64 {
            unused |= u32::from(u16_at(descriptor, 0x32)?) << 16;
        }
        let flags = u16_at(descriptor, 0x12)?;
        let inodes = if !self.descriptors_have_checksums {
            self.inodes_per_group
        } else if flags & INODES_UNUSED != 0 {
            0
        } else {
            self.inodes_per_group.saturating_sub(unused)
        };
        let block = self.inode_table(descriptor)?;
        Some(InodeTable { block, inodes })
    }
}
