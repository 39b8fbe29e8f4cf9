//! How a volume is divided before chunks are cut, and where they end. FORMAT §12.1.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits::{
    CHUNK_LEN_LIMIT, VOLUME_ANCHOR_LEN, VOLUME_CUT_CELL_LEN, VOLUME_FIXED_LEN_MIN, VOLUME_GRAIN_LEN,
};
use crate::transform::chunk::Chunker;

/// How a volume is divided. Two manifests share extents only where these are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeRules {
    pub(super) grain: u64,
    pub(super) anchor: u64,
    pub(super) cutting: Cutting,
}

/// Where chunks end between forced cuts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cutting {
    /// Where content says, with the chunker of the repository.
    #[default]
    Content,
    /// At multiples of so many bytes: for what no content can be found in again, as ciphertext.
    Fixed(u32),
}

impl VolumeRules {
    /// The rules of version 1.
    ///
    /// # Errors
    /// When fixed chunks are shorter than 4 KiB, or longer than a repository may have.
    pub fn new(cutting: Cutting) -> Result<Self> {
        if let Cutting::Fixed(len) = cutting
            && !(VOLUME_FIXED_LEN_MIN..=CHUNK_LEN_LIMIT).contains(&len)
        {
            let detail = format!(
                "{len} bytes; from {VOLUME_FIXED_LEN_MIN} to {CHUNK_LEN_LIMIT} are possible"
            );
            let place = Place::Argument("fixed chunks");
            return Err(Error::new(ErrorKind::InvalidInput, place, detail));
        }
        Ok(Self {
            grain: VOLUME_GRAIN_LEN,
            anchor: VOLUME_ANCHOR_LEN,
            cutting,
        })
    }

    /// How chunks end between forced cuts.
    pub fn cutting(&self) -> Cutting {
        self.cutting
    }

    /// Rules of small grains, so that a test has many of them.
    #[cfg(test)]
    pub(super) fn small(grain: u64, anchor: u64, cutting: Cutting) -> Self {
        assert!(anchor.is_multiple_of(grain) && grain.is_multiple_of(4096));
        Self {
            grain,
            anchor,
            cutting,
        }
    }

    /// The start of the grain that holds `offset`.
    pub(super) fn grain_start(&self, offset: u64) -> u64 {
        offset - offset % self.grain
    }

    /// The first start of a grain at or behind `offset`.
    pub(super) fn grain_end(&self, offset: u64) -> u64 {
        offset.next_multiple_of(self.grain)
    }

    /// The start of the piece between two anchors that holds `offset`.
    pub(super) fn block_start(&self, offset: u64) -> u64 {
        offset - offset % self.anchor
    }

    /// The first byte behind that piece, in a volume of `len` bytes.
    pub(super) fn block_end(&self, offset: u64, len: u64) -> u64 {
        (self.block_start(offset) + self.anchor).min(len)
    }
}

/// Cuts chunks by the rules.
#[derive(Clone, Copy)]
pub(super) struct Cutter<'c> {
    pub chunker: &'c Chunker,
    pub cutting: Cutting,
}

impl Cutter<'_> {
    /// The longest chunk.
    pub(super) fn longest(&self) -> u64 {
        match self.cutting {
            Cutting::Content => self.chunker.sizes().max() as u64,
            Cutting::Fixed(len) => len.into(),
        }
    }

    /// Length of the chunk that begins at `offset` with `data`, where its part of a run `ends`
    /// with `data` or goes on; nothing while bytes behind `data` decide it.
    pub(super) fn first_chunk(&self, offset: u64, data: &[u8], ends: bool) -> Option<usize> {
        match self.cutting {
            Cutting::Content => self.chunker.first_chunk(data, ends),
            Cutting::Fixed(len) => {
                let len = u64::from(len);
                let rest = (len - offset % len) as usize;
                if data.len() >= rest {
                    Some(rest)
                } else {
                    ends.then_some(data.len())
                }
            }
        }
    }
}

/// The cuts that ascending `hints` make in a volume of `len` bytes: the least hint of each cell of
/// 64 bytes. Which hint of a cell is a cut hangs on that cell alone, so a hint that comes or goes
/// moves no cut but its own.
///
/// # Errors
/// When hints descend.
pub fn cuts_of_hints(hints: impl IntoIterator<Item = u64>, len: u64) -> Result<Vec<u64>> {
    let mut cuts: Vec<u64> = Vec::new();
    let mut before = 0;
    for hint in hints {
        if hint < before {
            let detail = format!("{hint} comes after {before}: they must ascend");
            let place = Place::Argument("hints");
            return Err(Error::new(ErrorKind::InvalidInput, place, detail));
        }
        before = hint;
        let cell = hint / VOLUME_CUT_CELL_LEN;
        let is_first = cuts
            .last()
            .is_none_or(|cut| cut / VOLUME_CUT_CELL_LEN < cell);
        if hint > 0 && hint < len && is_first {
            cuts.push(hint);
        }
    }
    Ok(cuts)
}

/// A rule of incremental builds that a test leaves out, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IncrementalRule {
    /// A chunk that ends where a change begins may be longer now.
    EntryEndingAtChange,
    /// Where a cut comes or goes, chunks change though bytes do not.
    CutsThatDiffer,
    /// Where the volume ended or ends, the last grain and its chunk change.
    TailOfResize,
}

#[cfg(test)]
thread_local! {
    /// The rule that this thread leaves out.
    pub(super) static LEFT_OUT: std::cell::Cell<Option<IncrementalRule>> =
        const { std::cell::Cell::new(None) };
}

impl IncrementalRule {
    /// True always, but for a test that leaves the rule out.
    pub(super) fn holds(self) -> bool {
        #[cfg(test)]
        let holds = LEFT_OUT.get() != Some(self);
        #[cfg(not(test))]
        let holds = true;
        holds
    }
}
