//! Reading a target back from the medium and comparing it with the volume.

use std::ops::Range;

use crate::error::Result;
use crate::observe::{Counter, ProblemKind};
use crate::operations::restore_volume::job::Job;
use crate::operations::restore_volume::plan::{Fill, Loss, Window, Zeros};
use crate::operations::restore_volume::{RangeList, compare};
use crate::pipeline::ranges::{joined, without};
use crate::targets::volume::VolumeTarget;

/// What a verification came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyVolumeReport {
    /// Bytes that were to be compared.
    pub len: u64,
    /// Ranges of the volume that the target does not hold.
    pub differing: RangeList,
    /// Ranges of the volume that the repository has lost: nothing can be said of them.
    pub lost: RangeList,
    /// Problems, each told to the observer.
    pub problems: u64,
}

impl VerifyVolumeReport {
    /// True if the target holds all of the volume.
    pub fn is_right(&self) -> bool {
        self.differing.is_empty() && self.lost.is_empty()
    }
}

/// Compares all of the job's range. `lost` was told already: it is not compared.
pub(super) fn verify(
    job: &Job<'_>,
    target: &VolumeTarget,
    lost: &[Range<u64>],
) -> Result<VerifyVolumeReport> {
    target.drop_cache();
    let told = job.teller.problems();
    let mut report = VerifyVolumeReport {
        len: job.range.end - job.range.start,
        ..VerifyVolumeReport::default()
    };
    let mut plan = job.plan(job.range.clone())?;
    while let Some(window) = plan.next()? {
        verify_window(job, target, window, lost, &mut report)?;
    }
    for range in &report.differing.ranges {
        let detail = "cannot be read back as they are in the volume";
        job.teller.problem(ProblemKind::Damaged, range, detail);
    }
    if report.differing.unlisted > 0 {
        let detail = format!("and {} more ranges differ", report.differing.unlisted);
        job.teller
            .problem(ProblemKind::Damaged, &job.range, &detail);
    }
    report.problems = job.teller.problems() - told;
    Ok(report)
}

fn verify_window(
    job: &Job<'_>,
    target: &VolumeTarget,
    window: Window,
    lost: &[Range<u64>],
    report: &mut VerifyVolumeReport,
) -> Result<()> {
    let known: Vec<Fill> = window
        .fills
        .iter()
        .filter(|fill| fill.zeros != Zeros::Lost)
        .cloned()
        .collect();
    let found = compare::differing(job, target, &window.pieces, &known)?;
    job.observer.count(Counter::BytesRead, found.read);
    let is_told = |loss: &Loss| without(&loss.range, lost).is_empty();
    let mut losses = window.losses;
    let mut differing: Vec<Range<u64>> = found.fills.into_iter().map(|fill| fill.range).collect();
    for piece in found.pieces {
        match piece.is_cut().then(|| job.cut_chunk(&piece)).transpose()? {
            Some(Err(error)) => losses.push(Loss {
                range: piece.range(),
                error,
            }),
            _ => differing.push(piece.range()),
        }
    }
    losses.retain(|loss| !is_told(loss));
    let ranges = job.teller.lost(losses, "are lost and cannot be compared");
    ranges.into_iter().for_each(|range| report.lost.push(range));
    for range in joined(differing) {
        let untold = without(&range, lost);
        untold
            .into_iter()
            .for_each(|range| report.differing.push(range));
    }
    let len = window.range.end - window.range.start;
    job.observer.count(Counter::Bytes, len);
    Ok(())
}
