//! Brings a volume, or a range of it, back to a file or a block device.
//!
//! ```text
//! plan        the extents of a range, in windows that fit memory, in the order of the volume
//! spans       the same where the bytes lie in several volumes, as those of a logical volume do
//! compare     in place: what of a window the target holds already
//! write       chunks fetched in pack order and gathered into long runs; zeros by the kernel
//! checkpoint  flush, then a note in the journal: where an interrupted restore goes on
//! verify      everything read back from the medium, and compared
//! ```
//! What the repository has lost is zeroed in the target, told, and listed: the restore goes on. A
//! target that is restored in place loses what it had there, so that nothing old passes for
//! something restored. Deliberately absent: partition tables. A disk restored to a larger device
//! has its second partition table where the smaller one ended.

mod checkpoint;
mod compare;
mod export;
mod job;
mod plan;
mod run;
mod spans;
mod tell;
#[cfg(test)]
mod tests;
mod verify;
mod write;

use std::ops::Range;
use std::path::{Path, PathBuf};

pub use crate::operations::restore_volume::export::{
    ExportFormat, ExportVolumeOptions, export_volume,
};
pub use crate::operations::restore_volume::tell::RangeList;
pub use crate::operations::restore_volume::verify::VerifyVolumeReport;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits::{CHECKPOINT_LEN_DEFAULT, CHECKPOINT_LEN_MIN, CHECKPOINTS_MIN};
use crate::observe::{Counter, Observer};
use crate::operations::restore_volume::job::Job;
use crate::operations::restore_volume::run::Restore;
use crate::operations::volume_bytes::VolumeBytes;
use crate::pipeline::budget::Budget;
use crate::repository::Repository;
use crate::targets::volume::journal::{Journal, JournalHead};
use crate::targets::volume::{Existing, VolumeTarget, VolumeTargetOptions};

/// How a volume is restored.
#[derive(Clone, Debug)]
pub struct RestoreVolumeOptions {
    /// Threads and memory.
    pub budget: Budget,
    /// The bytes of the volume that are wanted, a partition for example; all by default. The first
    /// of them becomes the first of the target.
    pub range: Option<Range<u64>>,
    /// What the target may be, and how it is written. With `resume` the restore goes on after the
    /// last checkpoint of the one that was interrupted.
    pub target: VolumeTargetOptions,
    /// Read everything back from the medium at the end, and compare it.
    pub verify: bool,
    /// Where the journal of the restore lies. Beside a file by default; without it a device has no
    /// journal, and its restore cannot be resumed.
    pub state_folder: Option<PathBuf>,
    /// Most bytes of work between two checkpoints; of a small volume, fewer.
    pub checkpoint_len: u64,
}

impl Default for RestoreVolumeOptions {
    fn default() -> Self {
        Self {
            budget: Budget::default(),
            range: None,
            target: VolumeTargetOptions::default(),
            verify: false,
            state_folder: None,
            checkpoint_len: CHECKPOINT_LEN_DEFAULT,
        }
    }
}

/// What a restore of a volume came to; all numbers in bytes, but for the problems.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreVolumeReport {
    /// Length of what was wanted.
    pub len: u64,
    /// Length of the target: a device may be longer.
    pub target_len: u64,
    /// What an interrupted restore had done already.
    pub resumed: u64,
    /// Read from the target in order to compare.
    pub read: u64,
    /// Found right in the target and not written, in place.
    pub equal: u64,
    /// Written, zeros included.
    pub written: u64,
    /// Zeroed by the kernel without writing.
    pub zeroed: u64,
    /// Ranges of the volume that are lost, and read as zeros now.
    pub lost: RangeList,
    /// What reading back came to, if it was wanted.
    pub verified: Option<VerifyVolumeReport>,
    /// Problems, each told to the observer. With any the restore is incomplete.
    pub problems: u64,
    /// The journal, if something was lost: after a repair, `resume` restores that alone.
    pub journal: Option<PathBuf>,
}

/// How a target is verified.
#[derive(Clone, Debug, Default)]
pub struct VerifyVolumeOptions {
    /// Threads and memory.
    pub budget: Budget,
    /// The bytes of the volume that the target should begin with; all by default.
    pub range: Option<Range<u64>>,
}

/// Restores `volume` to the file or block device `target`.
///
/// # Errors
/// If the request or the target is refused, or the target fails. What is lost in the repository is
/// no error: it is told, listed and counted in the report.
pub fn restore_volume<'v>(
    repository: &Repository,
    volume: impl Into<VolumeBytes<'v>>,
    target: &Path,
    options: &RestoreVolumeOptions,
    observer: &dyn Observer,
) -> Result<RestoreVolumeReport> {
    let (range, budget) = (options.range.as_ref(), options.budget);
    let bytes = volume.into();
    let job = Job::new(repository, &bytes, range, budget, observer)?;
    observer.working_on(target);
    let target = VolumeTarget::open(target, job.len(), &options.target)?;
    let (journal, done) = match open_journal(&job, &target, options) {
        Ok(opened) => opened,
        Err(error) => {
            target.discard();
            return Err(error);
        }
    };
    let passes = if options.verify { 2 } else { 1 };
    observer.expect(Counter::Bytes, job.len().saturating_mul(passes));
    let in_place = options.target.existing == Existing::InPlace;
    let checkpoint_len = checkpoint_len(job.len(), options.checkpoint_len);
    let mut restore = Restore::new(&job, &target, in_place, journal, checkpoint_len);
    restore.run(&done)?;
    let (mut report, journal) = restore.finish();
    if options.verify {
        report.verified = Some(verify::verify(&job, &target, &report.lost.ranges)?);
    }
    match journal {
        // What is lost now may be found after a repair.
        Some(journal) if !report.lost.is_empty() => {
            report.journal = Some(journal.path().to_owned())
        }
        Some(journal) => journal.remove()?,
        None => {}
    }
    report.problems = job.teller.problems();
    Ok(report)
}

/// Compares `volume` with what is in `target`, which is only read.
///
/// # Errors
/// If the request is refused, or there is no such target of that length.
pub fn verify_volume<'v>(
    repository: &Repository,
    volume: impl Into<VolumeBytes<'v>>,
    target: &Path,
    options: &VerifyVolumeOptions,
    observer: &dyn Observer,
) -> Result<VerifyVolumeReport> {
    let (range, budget) = (options.range.as_ref(), options.budget);
    let bytes = volume.into();
    let job = Job::new(repository, &bytes, range, budget, observer)?;
    observer.working_on(target);
    let target = VolumeTarget::open_to_read(target)?;
    let (found, wanted) = (target.len(), job.len());
    if found < wanted || (found > wanted && !target.identity().is_device) {
        let detail = format!("has {found} bytes where the volume has {wanted}; it is another one");
        let place = Place::Path(target.path().to_owned());
        return Err(Error::new(ErrorKind::InvalidInput, place, detail));
    }
    observer.expect(Counter::Bytes, wanted);
    verify::verify(&job, &target, &[])
}

/// Work between two checkpoints of `len` bytes in all.
fn checkpoint_len(len: u64, most: u64) -> u64 {
    most.min((len / CHECKPOINTS_MIN).max(CHECKPOINT_LEN_MIN))
}

/// The journal of this restore, if it has a place, and what it says is done.
fn open_journal(
    job: &Job<'_>,
    target: &VolumeTarget,
    options: &RestoreVolumeOptions,
) -> Result<(Option<Journal>, Vec<Range<u64>>)> {
    let (page, level) = job.bytes.identity();
    let head = JournalHead {
        page,
        level,
        volume_len: job.bytes.len(),
        range: job.range.clone(),
        target: target.identity(),
        in_place: options.target.existing == Existing::InPlace,
    };
    match Journal::place(target, options.state_folder.as_deref()) {
        Some(path) if options.target.resume => {
            let (journal, done) = Journal::resume(&path, &head)?;
            Ok((Some(journal), done))
        }
        Some(path) => Ok((Some(Journal::create(&path, &head)?), Vec::new())),
        None if options.target.resume => {
            let detail = "to resume the restore of a device, name the folder of its journal";
            let place = Place::Argument("state folder");
            Err(Error::new(ErrorKind::InvalidInput, place, detail))
        }
        None => Ok((None, Vec::new())),
    }
}
