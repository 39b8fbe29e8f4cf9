//! `restore`: a snapshot, or a part of it, back into a folder; of a volume see `restore_volume`.

use std::sync::Arc;
use std::time::Instant;

use blockstore::operations::restore::{RestoreOptions, restore};
use blockstore::operations::select_item::select_item;
use blockstore::pipeline::budget::Budget;
use blockstore::repository::snapshots::find;
use blockstore::targets::folder::{FolderTargetOptions, OnConflict, OwnerNames};

use crate::args::{ConflictChoice, RestoreArgs, RestoreVolumeArgs, SparseChoice};
use crate::commands::bytes::Wanted;
use crate::commands::{Context, images, restore_volume, volumes};
use crate::env;
use crate::exit::{Failure, Outcome};
use crate::render::human;
use crate::render::json::RestoreSummary;

pub(super) fn run(context: &Context<'_>, args: &RestoreArgs) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let privileged = is_privileged(args);
    let options = options(args, context.budget()?, privileged);
    let opened = context.open()?;
    let snapshot = find(&opened.repository, &args.location.snapshot)?;
    let item = select_item(&snapshot, &args.location.path)?;
    let (path, target) = (&args.location.path, &args.target);
    let repository = Arc::new(opened.repository);
    if item.is_none()
        && let Some(wanted) = Wanted::find(context, &repository, &snapshot, path)?
    {
        return restore_volume::run(context, args, &repository, &snapshot, wanted);
    }
    check(&args.volume)?;
    if !privileged {
        context
            .output
            .note("not privileged: owners, setuid bits, capabilities and devices are not restored");
    }
    let progress = context.progress()?;
    let report = match &item {
        Some(item) => images::restore(
            context,
            args,
            &repository,
            &snapshot,
            item,
            &options,
            &progress,
        )?,
        None => restore(&repository, &snapshot, path, target, &options, &progress)?,
    };
    let problems = progress.finish();
    let (problem_count, took) = (report.problems.max(problems.count), began.elapsed());
    if context.output.is_json() {
        let summary = RestoreSummary::of(&snapshot, &report, &problems, took);
        context
            .output
            .object(&summary.run(privileged, args.dry_run))?;
    } else {
        let text = human::restored(&report, problem_count, args.dry_run, took);
        context.output.line(&text)?;
    }
    Ok(Outcome::of_problems(problem_count))
}

/// Refuses what means nothing for folders.
fn check(args: &RestoreVolumeArgs) -> Result<(), Failure> {
    let given = [
        ("--in-place", args.in_place),
        ("--resume", args.resume),
        ("--verify-only", args.verify_only),
        ("--sparse", args.sparse != SparseChoice::AsRecorded),
        ("--state-dir", args.state_dir.is_some()),
    ];
    volumes::refuse(&given, "is for volumes")
}

fn options(args: &RestoreArgs, budget: Budget, privileged: bool) -> RestoreOptions {
    let owner_names = if args.numeric_owner {
        OwnerNames::default()
    } else {
        env::owner_names()
    };
    RestoreOptions {
        budget,
        dry_run: args.dry_run,
        verify: args.verify,
        target: FolderTargetOptions {
            on_conflict: policy_of(args.on_conflict),
            privileged,
            owner_names,
        },
    }
}

fn is_privileged(args: &RestoreArgs) -> bool {
    args.privileged || (env::is_root() && !args.no_privileged)
}

fn policy_of(choice: ConflictChoice) -> OnConflict {
    match choice {
        ConflictChoice::Fail => OnConflict::Fail,
        ConflictChoice::Overwrite => OnConflict::Overwrite,
        ConflictChoice::Skip => OnConflict::Skip,
        ConflictChoice::Newer => OnConflict::Newer,
        ConflictChoice::Copy => OnConflict::Copy,
    }
}
