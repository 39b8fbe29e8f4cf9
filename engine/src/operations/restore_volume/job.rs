//! What is wanted of a volume, from where, and with what means.

use std::ops::Range;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::observe::Observer;
use crate::operations::restore_volume::plan::Piece;
use crate::operations::restore_volume::spans::Plan;
use crate::operations::restore_volume::tell::Teller;
use crate::operations::volume_bytes::VolumeBytes;
use crate::operations::walk::stop_if_cancelled;
use crate::pipeline::budget::Budget;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::index::is_missing_or_damaged;

/// What is wanted, from where, with what means.
pub(super) struct Job<'j> {
    pub reader: ChunkReader<'j>,
    pub bytes: &'j VolumeBytes<'j>,
    pub range: Range<u64>,
    pub budget: Budget,
    pub observer: &'j dyn Observer,
    pub teller: Teller<'j>,
}

impl<'j> Job<'j> {
    pub(super) fn new(
        repository: &'j Repository,
        bytes: &'j VolumeBytes<'j>,
        range: Option<&Range<u64>>,
        budget: Budget,
        observer: &'j dyn Observer,
    ) -> Result<Self> {
        let refused = |kind, place, detail| Err(Error::new(kind, Place::Argument(place), detail));
        if bytes.has_folder() {
            let detail = "is a folder, not a volume; restore it to a folder".to_owned();
            return refused(ErrorKind::InvalidInput, "volume", detail);
        }
        let range = range.cloned().unwrap_or(0..bytes.len());
        if range.start > range.end || range.end > bytes.len() {
            let (Range { start, end }, len) = (range, bytes.len());
            let detail = format!("{start} to {end} does not lie in a volume of {len} bytes");
            return refused(ErrorKind::InvalidInput, "range", detail);
        }
        Ok(Self {
            reader: ChunkReader::new(repository, budget.cache_len)?,
            bytes,
            range,
            budget,
            observer,
            teller: Teller::new(observer, bytes.name()),
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Where a range of the volume lies in the target.
    pub(super) fn in_target(&self, range: &Range<u64>) -> Range<u64> {
        range.start - self.range.start..range.end - self.range.start
    }

    /// Where a range of the target lies in the volume.
    pub(super) fn in_volume(&self, range: &Range<u64>) -> Range<u64> {
        range.start + self.range.start..range.end + self.range.start
    }

    /// The windows of `range`, which lies in that of the job.
    pub(super) fn plan(&self, range: Range<u64>) -> Result<Plan<'_>> {
        Plan::new(&self.reader, self.bytes, &range, self.budget)
    }

    pub(super) fn check_cancelled(&self) -> Result<()> {
        stop_if_cancelled(self.observer)
    }

    /// The whole chunk of a piece at an end of the range, or why it is lost.
    pub(super) fn cut_chunk(&self, piece: &Piece) -> Result<std::result::Result<Vec<u8>, Error>> {
        let damaged = |detail| Error::new(ErrorKind::Damaged, Place::Chunk(piece.id), detail);
        match self.reader.chunk(&piece.id) {
            Ok(chunk) if chunk.len() == piece.chunk_len as usize => Ok(Ok(chunk)),
            Ok(_) => Ok(Err(damaged("content does not have the length it should"))),
            Err(error) if is_missing_or_damaged(&error) => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }
}
