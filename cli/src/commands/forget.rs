//! `forget`: by rules, or by name.

use std::os::unix::ffi::OsStrExt;

use blockstore::operations::forget::policy::RetentionPolicy;
use blockstore::operations::forget::{Choice, Filter, ForgetOptions, ForgetReport, forget};
use blockstore::repository::Repository;
use blockstore::repository::snapshots;

use crate::args::{ForgetArgs, KeepArgs};
use crate::commands::{Context, prune, writer};
use crate::env;
use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::render::json::ForgetSummary;
use crate::render::retention;

pub(super) fn run(context: &Context<'_>, args: &ForgetArgs) -> Result<Outcome, Failure> {
    let policy = policy(&args.keep);
    if args.snapshots.is_empty() && policy.is_empty() {
        let detail = "which snapshots? say what to keep with --keep-last and so on, or name them";
        return Err(Failure::Usage(detail.to_owned()));
    }
    let opened = context.open_to_write(args.dry_run)?;
    let choice = choice(args, policy, &opened.repository)?;
    let progress = context.progress()?;
    let options = options(args, choice);
    let report = forget(&opened.repository, &options, &progress)?;
    let problems = progress.finish();
    if context.output.is_json() {
        let summary = ForgetSummary::of(&report, &problems, args.dry_run);
        context.output.object(&summary)?;
    } else {
        print(context.output, &report, args.dry_run)?;
    }
    let outcome = Outcome::of_problems(doubts(&report));
    if !args.prune {
        return Ok(outcome);
    }
    drop(opened);
    let pruned = prune::run_with(context, &prune::usual_options(context)?)?;
    Ok(match outcome {
        Outcome::Done => pruned,
        outcome => outcome,
    })
}

fn choice(
    args: &ForgetArgs,
    policy: RetentionPolicy,
    repository: &Repository,
) -> Result<Choice, Failure> {
    if args.snapshots.is_empty() {
        let path = args.path.as_ref();
        let filter = Filter {
            host: args.host.clone(),
            tags: args.tags.clone(),
            path: path.map(|path| path.as_os_str().as_bytes().to_vec()),
        };
        return Ok(Choice::Policy(policy, filter));
    }
    let list = snapshots::list(repository)?;
    let named = args.snapshots.iter().map(|text| list.find(text));
    let ids = named.map(|found| found.map(|snapshot| snapshot.session));
    Ok(Choice::Snapshots(ids.collect::<blockstore::Result<_>>()?))
}

fn options(args: &ForgetArgs, choice: Choice) -> ForgetOptions {
    let writer = writer(env::host());
    ForgetOptions {
        group_by: args.group_by,
        allow_empty: args.allow_empty,
        dry_run: args.dry_run,
        offset_seconds: env::zone_offset(writer.started),
        ..ForgetOptions::new(choice, writer)
    }
}

fn policy(keep: &KeepArgs) -> RetentionPolicy {
    RetentionPolicy {
        last: keep.keep_last,
        hourly: keep.keep_hourly,
        daily: keep.keep_daily,
        weekly: keep.keep_weekly,
        monthly: keep.keep_monthly,
        yearly: keep.keep_yearly,
        within: keep.keep_within.map(|text| text.0),
        tags: keep.keep_tags.clone(),
    }
}

/// How much of what was found a person has to look at.
fn doubts(report: &ForgetReport) -> u64 {
    let others = report.taken_back.len() as u64 + u64::from(report.refusal.is_some());
    report.problems + report.misfits() + others
}

fn print(output: &Output, report: &ForgetReport, dry_run: bool) -> Result<(), Failure> {
    for line in report.series.iter().flat_map(retention::series) {
        output.line(&line)?;
    }
    for line in retention::doubts(report) {
        output.problem(&line);
    }
    output.line(&retention::forgotten(report, dry_run))
}
