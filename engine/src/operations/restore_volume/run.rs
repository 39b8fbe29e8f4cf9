//! A restore under way: window after window, in the order of the volume.

use std::ops::Range;

use crate::error::Result;
use crate::observe::Counter;
use crate::operations::restore_volume::checkpoint::Checkpoints;
use crate::operations::restore_volume::job::Job;
use crate::operations::restore_volume::plan::{Fill, Piece, Window, Zeros};
use crate::operations::restore_volume::write::Writer;
use crate::operations::restore_volume::{RestoreVolumeReport, compare};
use crate::pipeline::ranges::{joined, without};
use crate::targets::volume::VolumeTarget;
use crate::targets::volume::journal::Journal;

/// A restore under way.
pub(super) struct Restore<'r> {
    job: &'r Job<'r>,
    target: &'r VolumeTarget,
    in_place: bool,
    writer: Writer<'r>,
    checkpoints: Checkpoints<'r>,
    report: RestoreVolumeReport,
}

impl<'r> Restore<'r> {
    pub(super) fn new(
        job: &'r Job<'r>,
        target: &'r VolumeTarget,
        in_place: bool,
        journal: Option<Journal>,
        checkpoint_len: u64,
    ) -> Self {
        let report = RestoreVolumeReport {
            len: job.len(),
            target_len: target.len(),
            ..RestoreVolumeReport::default()
        };
        Self {
            job,
            target,
            in_place,
            writer: Writer::new(job, target, in_place),
            checkpoints: Checkpoints::new(target, journal, checkpoint_len),
            report,
        }
    }

    /// Restores what is not `done`.
    pub(super) fn run(&mut self, done: &[Range<u64>]) -> Result<()> {
        let left = without(&self.job.range, done);
        let left_len: u64 = left.iter().map(|range| range.end - range.start).sum();
        self.report.resumed = self.job.len() - left_len;
        let observer = self.job.observer;
        observer.count(Counter::Bytes, self.report.resumed);
        for range in left {
            let mut plan = self.job.plan(range)?;
            while let Some(window) = plan.next()? {
                self.job.check_cancelled()?;
                self.window(window)?;
            }
        }
        self.checkpoints.reach()
    }

    fn window(&mut self, window: Window) -> Result<()> {
        let (range, mut losses) = (window.range, window.losses);
        let is_lost = |fill: &&Fill| fill.zeros == Zeros::Lost;
        let of_pages = window.fills.iter().filter(is_lost);
        let mut lost: Vec<Range<u64>> = of_pages.map(|fill| fill.range.clone()).collect();
        let (mut pieces, mut fills) = (window.pieces, window.fills);
        if self.in_place {
            (pieces, fills) = self.differing(&pieces, &fills)?;
        }
        let of_chunks = self.writer.write(&pieces, &fills)?;
        lost.extend(of_chunks.iter().map(|loss| loss.range.clone()));
        losses.extend(of_chunks);
        self.job.teller.lost(losses, "are lost and read as zeros");
        let lost = joined(lost);
        let work = self.report.read + self.target.written() + self.target.zeroed();
        self.checkpoints.passed(&range, &lost, work)?;
        for range in lost {
            self.report.lost.push(range);
        }
        let len = range.end - range.start;
        self.job.observer.count(Counter::Bytes, len);
        Ok(())
    }

    /// What of a window the target does not hold.
    fn differing(&mut self, pieces: &[Piece], fills: &[Fill]) -> Result<(Vec<Piece>, Vec<Fill>)> {
        let differing = compare::differing(self.job, self.target, pieces, fills)?;
        self.report.read += differing.read;
        self.job.observer.count(Counter::BytesRead, differing.read);
        self.report.equal += known_len(pieces, fills);
        self.report.equal -= known_len(&differing.pieces, &differing.fills);
        Ok((differing.pieces, differing.fills))
    }

    /// The report and the journal.
    pub(super) fn finish(mut self) -> (RestoreVolumeReport, Option<Journal>) {
        self.report.written = self.target.written();
        self.report.zeroed = self.target.zeroed();
        self.report.equal += self.writer.spared();
        (self.report, self.checkpoints.into_journal())
    }
}

/// Bytes of which the manifest says what they are.
fn known_len(pieces: &[Piece], fills: &[Fill]) -> u64 {
    let of_pieces: u64 = pieces.iter().map(|piece| u64::from(piece.len)).sum();
    let known = fills.iter().filter(|fill| fill.zeros != Zeros::Lost);
    let of_fills: u64 = known.map(|fill| fill.range.end - fill.range.start).sum();
    of_pieces + of_fills
}
