//! Blocks of a file that lie together, as file systems have them that keep extents.

use crate::error::Result;
use crate::serve::image::reader::{Stretch, damaged};

/// Blocks of a file that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Where; nothing for zeros.
    pub start: Option<u64>,
    /// How many, at least 1.
    pub blocks: u64,
}

impl Run {
    /// Zeros from block `logical` of a content up to `end`, with which something else begins.
    pub(super) fn zeros(logical: u64, end: u64) -> Self {
        Self {
            start: None,
            blocks: end.saturating_sub(logical).max(1),
        }
    }

    /// What is left from block `logical` on of a run that begins with block `begin`, at or before it;
    /// zeros where it has ended. Something else begins with `end`.
    pub(super) fn rest(self, begin: u64, logical: u64, end: u64) -> Self {
        let into = logical.saturating_sub(begin);
        if into >= self.blocks {
            return Self::zeros(logical, end);
        }
        // A run that reaches into the next one makes no sense; it ends where that begins.
        let blocks = self.blocks - into;
        Self {
            start: self.start.map(|start| start + into),
            blocks: blocks.min(end.saturating_sub(logical)).max(1),
        }
    }
}

/// What lies in the blocks of a file system.
pub(super) trait Blocks {
    /// Bytes of a block.
    fn block_len(&self) -> u64;

    /// Fills `out` from the byte `within` of the block `start` on, as far as blocks lie together.
    fn read_run(&self, start: u64, within: u64, out: &mut [u8]) -> Result<()>;
}

/// Fills `out` from `offset` of a content of `len` bytes, whose run from a block on `run` gives.
pub(super) fn read(
    blocks: &impl Blocks,
    len: u64,
    offset: u64,
    out: &mut [u8],
    run: impl Fn(u64) -> Result<Run>,
) -> Result<()> {
    let end = offset.checked_add(out.len() as u64);
    if end.is_none_or(|end| end > len) {
        return Err(damaged("ends too early"));
    }
    let block_len = blocks.block_len();
    let mut done = 0;
    while done < out.len() {
        let at = offset + done as u64;
        let (block, within) = (at / block_len, at % block_len);
        let run = run(block)?;
        let rest = out.len() - done;
        let len = run.blocks.saturating_mul(block_len) - within;
        let len = usize::try_from(len).map_or(rest, |len| len.min(rest));
        let part = &mut out[done..done + len];
        match run.start {
            Some(start) => blocks.read_run(start, within, part)?,
            None => part.fill(0),
        }
        done += len;
    }
    Ok(())
}

/// What the byte at `offset` of a content lies in; what was reserved and never written is a hole.
pub(super) fn stretch(
    block_len: u64,
    offset: u64,
    run: impl Fn(u64) -> Result<Run>,
) -> Result<Stretch> {
    let block = offset / block_len;
    let run = run(block)?;
    let end = block.saturating_add(run.blocks);
    Ok(Stretch {
        end: end.saturating_mul(block_len),
        is_hole: run.start.is_none(),
    })
}
