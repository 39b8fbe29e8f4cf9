//! `ls`: what is in a snapshot; of volumes see `ls_volumes`, of files in them `images`.

use std::sync::Arc;

use blockstore::operations::list::{Listed, list};
use blockstore::operations::select_item::select_item;
use blockstore::operations::select_logical::select_logical;
use blockstore::repository::snapshots::find;

use crate::args::LsArgs;
use crate::commands::images::Volumes;
use crate::commands::{Context, images, logical, ls_volumes};
use crate::exit::{Failure, Outcome};
use crate::output::{Output, through_engine};
use crate::render::escape;
use crate::render::human;
use crate::render::json::{EntryLine, LsSummary};

pub(super) fn run(context: &Context<'_>, args: &LsArgs) -> Result<Outcome, Failure> {
    let repository = Arc::new(context.open()?.repository);
    let snapshot = find(&repository, &args.location.snapshot)?;
    if let Some(item) = select_item(&snapshot, &args.location.path)? {
        return images::ls(
            context,
            args,
            &repository,
            &snapshot,
            &item,
            &mut |listed| print(context.output, args, listed),
        );
    }
    if let Some(selected) = select_logical(&snapshot, &args.location.path)? {
        let volumes = Volumes::open(context, &repository)?;
        return logical::ls(context, args, &volumes, &snapshot, &selected);
    }
    if let Some(outcome) = ls_volumes::run(context, args, &repository, &snapshot)? {
        return Ok(outcome);
    }
    let progress = context.progress()?;
    let report = list(
        &repository,
        &snapshot,
        &args.location.path,
        args.recursive,
        &progress,
        &mut |listed| print(context.output, args, listed).map_err(through_engine),
    )?;
    let problems = progress.finish();
    if context.output.is_json() {
        context
            .output
            .object(&LsSummary::of(&snapshot, &report, &problems))?;
    }
    Ok(Outcome::of_problems(report.problems.max(problems.count)))
}

fn print(output: &Output, args: &LsArgs, listed: &Listed<'_>) -> Result<(), Failure> {
    if output.is_json() {
        output.object(&EntryLine::of(&listed.path, listed.entry))
    } else if args.null {
        output.bytes(&listed.path)?;
        output.bytes(b"\0")
    } else if args.long {
        output.line(&human::entry_long(&listed.path, listed.entry))
    } else {
        output.line(&escape::path(&listed.path))
    }
}
