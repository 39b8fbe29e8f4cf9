//! How far a restore is: what was written is flushed, and then noted.

use std::ops::Range;

use crate::error::Result;
use crate::pipeline::ranges::{joined, without};
use crate::targets::volume::VolumeTarget;
use crate::targets::volume::journal::Journal;

/// Flushes and notes after every so much work.
pub(super) struct Checkpoints<'t> {
    target: &'t VolumeTarget,
    journal: Option<Journal>,
    /// Written or found right since the last checkpoint.
    waiting: Vec<Range<u64>>,
    /// Bytes of work at which the next checkpoint is due.
    due: u64,
    every: u64,
}

impl<'t> Checkpoints<'t> {
    pub(super) fn new(target: &'t VolumeTarget, journal: Option<Journal>, every: u64) -> Self {
        let (waiting, due) = (Vec::new(), every);
        Self {
            target,
            journal,
            waiting,
            due,
            every,
        }
    }

    /// Takes in that `range` is done, but for what of it is `lost`. `work` is the sum of all
    /// bytes that were read and written so far.
    pub(super) fn passed(
        &mut self,
        range: &Range<u64>,
        lost: &[Range<u64>],
        work: u64,
    ) -> Result<()> {
        self.waiting.extend(without(range, lost));
        if work < self.due {
            return Ok(());
        }
        self.due = work.saturating_add(self.every);
        self.reach()
    }

    /// Flushes, then notes.
    pub(super) fn reach(&mut self) -> Result<()> {
        self.target.flush()?;
        // What was flushed is not needed in memory again.
        self.target.drop_cache();
        let spans = joined(std::mem::take(&mut self.waiting));
        match &mut self.journal {
            Some(journal) => journal.append(&spans),
            None => Ok(()),
        }
    }

    /// The journal, at the end.
    pub(super) fn into_journal(self) -> Option<Journal> {
        self.journal
    }
}
