//! Blocks of ext2 and ext3: twelve numbers in the inode, then blocks full of numbers, up to three
//! levels of them.

use crate::sources::volume::layout::fields::u32_at;
use crate::sources::volume::layout::hints::cuts::FileCuts;
use crate::sources::volume::layout::hints::walk::WalkError;

use super::Walk;
use super::inode::Inode;

const NUMBER_LEN: usize = 4;
const DIRECT_LEN: usize = 12 * NUMBER_LEN;

impl Walk<'_> {
    pub(super) fn block_map(
        &mut self,
        inode: &Inode,
        file: &mut FileCuts,
    ) -> Result<(), WalkError> {
        let end = inode.len.div_ceil(self.geometry.block_len);
        let (direct, indirect) = inode.map_bytes.split_at(DIRECT_LEN);
        let mut next = self.numbers(direct, 0, 0, end, file)?;
        for (number, level) in indirect.chunks_exact(NUMBER_LEN).zip(1..) {
            next = self.numbers(number, level, next, end, file)?;
        }
        Ok(())
    }

    /// Follows numbers that are `level` levels above those of the file's blocks, the first of them
    /// at block `logical` of the file; gives the block of the file behind the last one.
    fn numbers(
        &mut self,
        numbers: &[u8],
        level: u32,
        mut logical: u64,
        end: u64,
        file: &mut FileCuts,
    ) -> Result<u64, WalkError> {
        let span = (self.geometry.block_len / NUMBER_LEN as u64).pow(level);
        for number in numbers.chunks_exact(NUMBER_LEN) {
            if logical >= end {
                break;
            }
            match u32_at(number, 0).map_or(0, u64::from) {
                0 => {} // a hole
                number if level == 0 => self.extent(file, logical, number, 1)?,
                number => {
                    let numbers = self.block_of_file(number)?;
                    self.numbers(&numbers, level - 1, logical, end, file)?;
                }
            }
            logical += span;
        }
        Ok(logical)
    }
}
