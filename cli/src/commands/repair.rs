//! `repair`: what can be derived is made again.

use std::time::Instant;

use blockstore::operations::repair_index::{RepairIndexOptions, repair_index};

use crate::args::{RepairArgs, RepairIndexArgs, RepairSubject};
use crate::commands::{Context, writer};
use crate::env;
use crate::exit::{Failure, Outcome};
use crate::render::human;
use crate::render::json::RepairIndexSummary;

pub(super) fn run(context: &Context<'_>, args: &RepairArgs) -> Result<Outcome, Failure> {
    match &args.subject {
        RepairSubject::Index(args) => index(context, args),
    }
}

fn index(context: &Context<'_>, args: &RepairIndexArgs) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let options = RepairIndexOptions {
        writer: writer(env::host()),
        rebuild: args.rebuild,
        dry_run: args.dry_run,
    };
    let opened = context.open_to_write(args.dry_run)?;
    let progress = context.progress()?;
    let report = repair_index(&opened.repository, &options, &progress)?;
    let problems = progress.finish();
    let took = began.elapsed();
    if context.output.is_json() {
        let summary = RepairIndexSummary::of(&report, took, args.dry_run);
        context.output.object(&summary)?;
    } else {
        let text = human::repaired_index(&report, args.dry_run, took);
        context.output.line(&text)?;
    }
    Ok(Outcome::of_problems(problems.count))
}
