//! A volume as an image file of another format.
//!
//! A fixed VHD is written here: the raw bytes and a footer. The other formats are written by
//! `qemu-img`, from a temporary raw file beside the output: that needs room for the volume's data
//! a second time while it lasts, on a file system that knows holes, or else for all of its length.
//! Every file grows under a temporary name and is removed if the export fails.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::observe::{Counter, Observer};
use crate::operations::restore_volume::job::Job;
use crate::operations::restore_volume::run::Restore;
use crate::operations::restore_volume::{RestoreVolumeReport, verify};
use crate::operations::volume_bytes::VolumeBytes;
use crate::pipeline::budget::Budget;
use crate::repository::{self, Repository};
use crate::targets::volume::convert::{Converter, ImageFormat};
use crate::targets::volume::output::Output;
use crate::targets::volume::{VolumeTarget, VolumeTargetOptions, vhd};

/// Unit of the length of every image: a shorter end is filled with zeros.
const SECTOR_LEN: u64 = 512;

/// A format of image files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// The bytes alone, holes as holes.
    Raw,
    /// The bytes and a footer; written here.
    VhdFixed,
    /// Written by `qemu-img`.
    Image(ImageFormat),
}

/// How a volume is exported.
#[derive(Clone, Debug)]
pub struct ExportVolumeOptions {
    /// Threads and memory.
    pub budget: Budget,
    /// The bytes of the volume that are wanted; all by default.
    pub range: Option<Range<u64>>,
    /// Replace a file that exists, once the new one is complete.
    pub overwrite: bool,
    /// Read everything back, and have `qemu-img` compare what it wrote.
    pub verify: bool,
    /// Folders that must survive; see `VolumeTargetOptions`.
    pub spare: Vec<PathBuf>,
    /// The program that writes the other formats.
    pub qemu_img: PathBuf,
    /// When the image is made, seconds since 1970: a VHD says it.
    pub created: u64,
    /// Bytes of work between two flushes.
    pub checkpoint_len: u64,
}

impl ExportVolumeOptions {
    /// Default options for an image made at `created` seconds since 1970.
    pub fn new(created: u64) -> Self {
        Self {
            budget: Budget::default(),
            range: None,
            overwrite: false,
            verify: false,
            spare: Vec::new(),
            qemu_img: PathBuf::from("qemu-img"),
            created,
            checkpoint_len: crate::limits::CHECKPOINT_LEN_DEFAULT,
        }
    }
}

/// Writes `volume` as an image to `output`.
///
/// # Errors
/// If the request is refused, `qemu-img` is needed and not there, or writing fails; nothing is left
/// then. What is lost in the repository is no error, as in a restore.
pub fn export_volume<'v>(
    repository: &Repository,
    volume: impl Into<VolumeBytes<'v>>,
    output: &Path,
    format: ExportFormat,
    options: &ExportVolumeOptions,
    observer: &dyn Observer,
) -> Result<RestoreVolumeReport> {
    let (range, budget) = (options.range.as_ref(), options.budget);
    let bytes = volume.into();
    let job = Job::new(repository, &bytes, range, budget, observer)?;
    let is_cancelled = || observer.is_cancelled();
    let converter = Converter {
        program: &options.qemu_img,
        is_cancelled: &is_cancelled,
    };
    check(&job, output, format)?;
    if matches!(format, ExportFormat::Image(_)) {
        converter.probe()?;
    }
    let image = Output::new(output, options.overwrite)?;
    observer.working_on(output);
    match format {
        ExportFormat::Raw => {
            let (report, _) = write_raw(&job, image.temporary(), options)?;
            image.publish().map(|()| report)
        }
        ExportFormat::VhdFixed => {
            let (report, mut target) = write_raw(&job, image.temporary(), options)?;
            let padding = vec![0; (image_len(&job) - job.len()) as usize];
            target.append(&padding)?;
            let id = repository::random()?;
            target.append(&vhd::footer(image_len(&job), options.created, id))?;
            image.publish().map(|()| report)
        }
        ExportFormat::Image(format) => {
            let raw = Output::new(output, true)?;
            let (report, mut target) = write_raw(&job, raw.temporary(), options)?;
            let padding = vec![0; (image_len(&job) - job.len()) as usize];
            target.append(&padding)?;
            converter.convert(raw.temporary(), image.temporary(), format)?;
            if options.verify {
                converter.compare(raw.temporary(), image.temporary(), format)?;
            }
            image.publish().map(|()| report)
        }
    }
}

/// Length of the image: whole sectors.
fn image_len(job: &Job<'_>) -> u64 {
    job.len().next_multiple_of(SECTOR_LEN)
}

fn check(job: &Job<'_>, output: &Path, format: ExportFormat) -> Result<()> {
    let is_vhd = matches!(
        format,
        ExportFormat::VhdFixed | ExportFormat::Image(ImageFormat::VhdDynamic)
    );
    if is_vhd && image_len(job) > vhd::LEN_MAX {
        let (len, most) = (job.len(), vhd::LEN_MAX);
        let detail = format!("{len} bytes are too many for a VHD, which ends at {most}; take VHDX");
        let place = Place::Path(output.to_owned());
        return Err(Error::new(ErrorKind::LimitExceeded, place, detail));
    }
    Ok(())
}

/// Restores to a new file at `path`, and verifies it if that is wanted.
fn write_raw(
    job: &Job<'_>,
    path: &Path,
    options: &ExportVolumeOptions,
) -> Result<(RestoreVolumeReport, VolumeTarget)> {
    let target_options = VolumeTargetOptions {
        spare: options.spare.clone(),
        ..VolumeTargetOptions::default()
    };
    let target = VolumeTarget::open(path, job.len(), &target_options)?;
    let passes = if options.verify { 2 } else { 1 };
    let expected = job.len().saturating_mul(passes);
    job.observer.expect(Counter::Bytes, expected);
    let mut restore = Restore::new(job, &target, false, None, options.checkpoint_len);
    restore.run(&[])?;
    let (mut report, _) = restore.finish();
    if options.verify {
        report.verified = Some(verify::verify(job, &target, &report.lost.ranges)?);
    }
    report.problems = job.teller.problems();
    Ok((report, target))
}
