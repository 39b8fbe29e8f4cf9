//! `restore` of a volume, a partition or a logical volume, to a file or a device.

use std::time::Instant;

use blockstore::format::snapshot::Snapshot;
use blockstore::operations::restore_volume::{
    RestoreVolumeOptions, VerifyVolumeOptions, restore_volume, verify_volume,
};
use blockstore::pipeline::budget::Budget;
use blockstore::repository::Repository;
use blockstore::targets::volume::{Existing, VolumeTargetOptions};

use crate::args::{ConflictChoice, RestoreArgs};
use crate::commands::bytes::Wanted;
use crate::commands::{Context, volumes};
use crate::exit::{Failure, Outcome};
use crate::render::human;
use crate::render::json::{RestoreVolumeSummary, VerifyVolumeSummary};

pub(super) fn run(
    context: &Context<'_>,
    args: &RestoreArgs,
    repository: &Repository,
    snapshot: &Snapshot,
    wanted: Wanted<'_>,
) -> Result<Outcome, Failure> {
    check(args)?;
    if args.volume.verify_only {
        return verify(context, args, repository, snapshot, wanted);
    }
    let began = Instant::now();
    let options = options(context, args, &wanted)?;
    let progress = context.progress()?;
    let (bytes, target) = (wanted.bytes, &args.target);
    let report = restore_volume(repository, bytes, target, &options, &progress)?;
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
    wanted: &Wanted<'_>,
) -> Result<RestoreVolumeOptions, Failure> {
    let existing = match args.on_conflict {
        _ if args.volume.in_place => Existing::InPlace,
        ConflictChoice::Overwrite => Existing::Overwrite,
        _ => Existing::Refuse,
    };
    let state_folder = args.volume.state_dir.clone();
    Ok(RestoreVolumeOptions {
        budget: context.budget()?,
        range: wanted.range.clone(),
        target: VolumeTargetOptions {
            existing,
            sparse: args.volume.sparse.way(),
            sector_len: wanted.sector_len(),
            spare: volumes::kept(context)?,
            resume: args.volume.resume,
        },
        verify: args.verify,
        state_folder: state_folder.or_else(|| volumes::usual_state_folder(context, &args.target)),
        ..RestoreVolumeOptions::default()
    })
}

fn verify(
    context: &Context<'_>,
    args: &RestoreArgs,
    repository: &Repository,
    snapshot: &Snapshot,
    wanted: Wanted<'_>,
) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let budget: Budget = context.budget()?;
    let options = VerifyVolumeOptions {
        budget,
        range: wanted.range,
    };
    let progress = context.progress()?;
    let (bytes, target) = (wanted.bytes, &args.target);
    let report = verify_volume(repository, bytes, target, &options, &progress)?;
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
