//! `snapshot`: a point-in-time copy of folders or volumes.

use std::time::Instant;

use blockstore::Snapshot;
use blockstore::operations::snapshot::{ParentChoice, SnapshotOptions, snapshot, snapshot_volumes};
use blockstore::pipeline::budget::Budget;
use blockstore::sources::folder::{ChangeTest, Excludes, FolderOptions};

use crate::args::{ExcludeArgs, SnapshotArgs};
use crate::commands::{Context, Opened, session_options, volumes, writer};
use crate::env;
use crate::exit::{Failure, Outcome};
use crate::progress::Problems;
use crate::render::human;
use crate::render::json::SnapshotReport;

pub(super) fn run(context: &Context<'_>, args: &SnapshotArgs) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let budget = context.budget()?;
    let opened = context.open_to_write(args.dry_run)?;
    let parts = volumes::parts(args)?;
    let options = options(args, budget, &opened);
    let volume_options = volumes::options(context, &args.volumes)?;
    let progress = context.progress()?;
    let repository = &opened.repository;
    let report = match parts {
        None => snapshot(repository, &args.paths, &options, &progress)?,
        Some((kind, parts)) => snapshot_volumes(
            repository,
            kind,
            &parts,
            &volume_options,
            &options,
            &progress,
        )?,
    };
    let problems = progress.finish();
    tell(context, &report.snapshot, &problems, began, args.dry_run)
}

/// What a snapshot that was begun then came to.
pub(super) fn tell(
    context: &Context<'_>,
    taken: &Snapshot,
    problems: &Problems,
    began: Instant,
    is_dry: bool,
) -> Result<Outcome, Failure> {
    let took = began.elapsed();
    let problem_count = taken.problem_count.max(problems.count);
    if context.output.is_json() {
        let report = SnapshotReport::of(taken, problems, took, is_dry);
        context.output.object(&report)?;
    } else {
        let text = human::snapshot_saved(taken, problem_count, is_dry, took);
        context.output.line(&text)?;
    }
    Ok(Outcome::of_problems(problem_count))
}

fn options(args: &SnapshotArgs, budget: Budget, opened: &Opened) -> SnapshotOptions {
    let name = args.volumes.machine.clone().or_else(|| args.host.clone());
    SnapshotOptions {
        writer: writer(name.unwrap_or_else(env::host)),
        tags: args.tags.clone(),
        program: concat!("blockstore ", env!("CARGO_PKG_VERSION")).to_owned(),
        parent: parent(args),
        change_test: ChangeTest {
            ignore_ctime: args.ignore_ctime,
            ignore_inode: args.ignore_inode,
        },
        folder: FolderOptions {
            one_file_system: args.one_file_system,
            excludes: excludes(&args.excludes),
        },
        level: args.level,
        budget,
        session: session_options(budget),
        repository_folder: Some(opened.identity),
        clock: env::now,
    }
}

fn parent(args: &SnapshotArgs) -> ParentChoice {
    match &args.parent {
        _ if args.full => ParentChoice::None,
        Some(snapshot) => ParentChoice::Given(snapshot.clone()),
        None => ParentChoice::Newest,
    }
}

fn excludes(args: &ExcludeArgs) -> Excludes {
    Excludes {
        patterns: args.exclude.clone(),
        pattern_files: args.exclude_from.clone(),
        caches: args.exclude_caches,
        if_present: args.exclude_if_present.clone(),
        larger_than: args.exclude_larger_than.map(|size| size.0),
        from: None,
    }
}
