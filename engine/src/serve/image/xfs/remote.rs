//! What is too long for its place: values of attributes and targets of links, in blocks of their own.
//!
//! Version 5 has a header before what lies together, which says how much of the whole it is.

use crate::error::Result;
use crate::serve::image::reader::damaged;
use crate::serve::image::xfs::Xfs;
use crate::serve::image::xfs::block::{Block, Seal};
use crate::serve::image::xfs::inode::Fork;
use crate::sources::volume::layout::fields::{has, u32_high_first};

const HEADER_LEN: usize = 56;

const SEAL: Seal = Seal {
    crc_at: 12,
    uuid_at: 16,
    owner_at: 32,
    place_at: Some(40),
};

/// What lies in blocks of its own.
pub(super) enum Remote {
    /// The value of an attribute: each block has a header.
    Value,
    /// The target of a link: each run of blocks has one.
    Target,
}

impl Xfs {
    /// So many blocks of a fork, from `logical` on, which need not lie together.
    pub(super) fn fork_block(&self, fork: &Fork<'_>, logical: u64, blocks: u64) -> Result<Block> {
        let run = self.run(fork, logical)?;
        let hole = || damaged("has a hole where its metadata should be");
        let start = run.start.ok_or_else(hole)?;
        let first = run.blocks.min(blocks);
        let len = (first * self.geometry.block_len) as usize;
        let mut whole = self.metadata(self.geometry.place_of(start, first)?, len)?;
        for at in first..blocks {
            let run = self.run(fork, logical.saturating_add(at))?;
            let start = run.start.ok_or_else(hole)?;
            let place = self.geometry.place_of(start, 1)?;
            whole.append(self.metadata(place, self.geometry.block_len as usize)?);
        }
        Ok(whole)
    }

    /// `len` bytes, checked by who asks, that begin with block `logical` of a fork.
    pub(super) fn remote(
        &self,
        kind: &Remote,
        fork: &Fork<'_>,
        mut logical: u64,
        len: usize,
    ) -> Result<Vec<u8>> {
        let block_len = self.geometry.block_len;
        let mut found = Vec::new();
        while found.len() < len {
            let rest = (len - found.len()) as u64;
            let blocks = match kind {
                Remote::Value => 1,
                Remote::Target => {
                    let with_header = rest + HEADER_LEN as u64;
                    let run = self.run(fork, logical)?;
                    run.blocks.min(with_header.div_ceil(block_len))
                }
            };
            let block = self.fork_block(fork, logical, blocks)?;
            let content = self.content_of(kind, &block, fork.owner, found.len())?;
            found.extend(&content[..content.len().min(len - found.len())]);
            logical = logical.saturating_add(blocks);
        }
        Ok(found)
    }

    /// What lies behind the header, which says that it begins with byte `at` of the whole.
    fn content_of<'b>(
        &self,
        kind: &Remote,
        block: &'b Block,
        owner: u64,
        at: usize,
    ) -> Result<&'b [u8]> {
        let bytes = &block.bytes;
        if !self.geometry.has_checksums {
            return Ok(bytes);
        }
        let magic = match kind {
            Remote::Value => b"XARM",
            Remote::Target => b"XSLM",
        };
        let len = u32_high_first(bytes, 8).map_or(0, |len| len as usize);
        let content = bytes[HEADER_LEN..].get(..len);
        let is_next = has(bytes, 0, magic) && u32_high_first(bytes, 4) == u32::try_from(at).ok();
        match content.filter(|content| is_next && !content.is_empty()) {
            Some(content) => {
                block.check(&self.geometry, &SEAL, owner)?;
                Ok(content)
            }
            None => Err(damaged("has a long value that makes no sense")),
        }
    }
}
