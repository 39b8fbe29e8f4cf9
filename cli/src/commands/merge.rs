//! `merge`: a snapshot made out of others.

use std::time::Instant;

use blockstore::operations::merge::{MergeMode, MergeOptions, merge};
use blockstore::pipeline::budget::Budget;
use blockstore::repository::Repository;
use blockstore::repository::snapshots::find;

use crate::args::MergeArgs;
use crate::commands::{Context, session_options, writer};
use crate::env;
use crate::exit::{Failure, Outcome};
use crate::render::human;
use crate::render::json::MergeSummary;

pub(super) fn run(context: &Context<'_>, args: &MergeArgs) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let budget = context.budget()?;
    let opened = context.open_to_write(args.dry_run)?;
    let inputs = inputs(args, &opened.repository)?;
    let progress = context.progress()?;
    let report = merge(
        &opened.repository,
        &inputs,
        &options(args, budget),
        &progress,
    )?;
    let problems = progress.finish();
    let took = began.elapsed();
    let problem_count = report.snapshot.problem_count.max(problems.count);
    if context.output.is_json() {
        let summary = MergeSummary::of(&report, &problems, took, args.dry_run);
        context.output.object(&summary)?;
    } else {
        let text = human::merged(&report, problem_count, args.dry_run, took);
        context.output.line(&text)?;
    }
    Ok(Outcome::of_problems(problem_count))
}

fn inputs(args: &MergeArgs, repository: &Repository) -> Result<Vec<blockstore::Snapshot>, Failure> {
    let names = std::iter::once(&args.base).chain(&args.newer);
    let found = names.map(|name| find(repository, name));
    Ok(found.collect::<blockstore::Result<Vec<_>>>()?)
}

fn options(args: &MergeArgs, budget: Budget) -> MergeOptions {
    MergeOptions {
        writer: writer(env::host()),
        host: args.host.clone(),
        tags: args.tags.clone(),
        mode: match args.keep_deleted {
            true => MergeMode::KeepDeleted,
            false => MergeMode::Replace,
        },
        budget,
        session: session_options(budget),
        ..MergeOptions::new(env::now)
    }
}
