//! `restore` of a volume or a partition, to a file or a device.

use std::time::Instant;

use blockstore::format::snapshot::{Root, Snapshot};
use blockstore::operations::restore_volume::{
    RestoreVolumeOptions, VerifyVolumeOptions, restore_volume, verify_volume,
};
use blockstore::operations::select_volume::SelectedVolume;
use blockstore::pipeline::budget::Budget;
use blockstore::targets::volume::{Existing, VolumeTargetOptions};

use crate::args::{ConflictChoice, RestoreArgs};
use crate::commands::{Context, Opened, volumes};
use crate::exit::{Failure, Outcome};
use crate::render::human;
use crate::render::json::{RestoreVolumeSummary, VerifyVolumeSummary};

pub(super) fn run(
    context: &Context<'_>,
    args: &RestoreArgs,
    opened: &Opened,
    snapshot: &Snapshot,
    part: &SelectedVolume<'_>,
) -> Result<Outcome, Failure> {
    check(args)?;
    if args.volume.verify_only {
        return verify(context, args, opened, snapshot, part);
    }
    let began = Instant::now();
    let options = options(context, args, part)?;
    let progress = context.progress()?;
    let (root, target) = (part.root, &args.target);
    let report = restore_volume(&opened.repository, root, target, &options, &progress)?;
    let problems = progress.finish();
    let (problem_count, took) = (report.problems.max(problems.count), began.elapsed());
    if context.output.is_json() {
        let summary = RestoreVolumeSummary::of(snapshot, &report, &problems, took);
        context.output.object(&summary)?;
    } else {
        let text = human::restored_volume(&report, problem_count, took);
        context.output.line(&text)?;
    }
    Ok(Outcome::of_problems(problem_count))
}

/// Refuses what means nothing for a volume.
fn check(args: &RestoreArgs) -> Result<(), Failure> {
    let refused = match args.on_conflict {
        ConflictChoice::Fail | ConflictChoice::Overwrite => None,
        ConflictChoice::Skip => Some("--on-conflict skip"),
        ConflictChoice::Newer => Some("--on-conflict newer"),
        ConflictChoice::Copy => Some("--on-conflict copy"),
    };
    let dry_run = args.dry_run.then_some("--dry-run");
    match refused.or(dry_run) {
        None => Ok(()),
        Some(option) => Err(Failure::Usage(format!(
            "{option} is for folders; of a volume take --on-conflict overwrite, --in-place or \
             --verify-only"
        ))),
    }
}

fn options(
    context: &Context<'_>,
    args: &RestoreArgs,
    part: &SelectedVolume<'_>,
) -> Result<RestoreVolumeOptions, Failure> {
    let existing = match args.on_conflict {
        _ if args.volume.in_place => Existing::InPlace,
        ConflictChoice::Overwrite => Existing::Overwrite,
        _ => Existing::Refuse,
    };
    let state_folder = args.volume.state_dir.clone();
    Ok(RestoreVolumeOptions {
        budget: context.budget()?,
        range: part.part(),
        target: VolumeTargetOptions {
            existing,
            sparse: args.volume.sparse.way(),
            sector_len: sector_len(part.root),
            spare: volumes::kept(context)?,
            resume: args.volume.resume,
        },
        verify: args.verify,
        state_folder: state_folder.or_else(|| volumes::usual_state_folder(context, &args.target)),
        ..RestoreVolumeOptions::default()
    })
}

/// What partition tables and file systems of the volume count in, where that is known.
fn sector_len(root: &Root) -> Option<u32> {
    let info = root.volume.as_ref()?;
    let has_table = info.layout.table.is_some();
    let of_device = || (info.medium.kind == "device").then_some(info.medium.logical_sector);
    has_table
        .then_some(info.layout.sector_len)
        .or_else(of_device)
}

fn verify(
    context: &Context<'_>,
    args: &RestoreArgs,
    opened: &Opened,
    snapshot: &Snapshot,
    part: &SelectedVolume<'_>,
) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let budget: Budget = context.budget()?;
    let options = VerifyVolumeOptions {
        budget,
        range: part.part(),
    };
    let progress = context.progress()?;
    let (root, target) = (part.root, &args.target);
    let report = verify_volume(&opened.repository, root, target, &options, &progress)?;
    let problems = progress.finish();
    if context.output.is_json() {
        let summary = VerifyVolumeSummary::of(snapshot, &report, &problems, began.elapsed());
        context.output.object(&summary)?;
    } else {
        let text = human::verified_volume(&report, began.elapsed());
        context.output.line(&text)?;
    }
    Ok(Outcome::of_problems(report.problems.max(problems.count)))
}
