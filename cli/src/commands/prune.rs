//! `prune`: deletes what no snapshot needs.

use std::time::Instant;

use blockstore::operations::prune::{PruneOptions, prune};

use crate::args::PruneArgs;
use crate::commands::{Context, session_options, writer};
use crate::env;
use crate::exit::{Failure, Outcome};
use crate::render::prune::{PruneSummary, pruned};

pub(super) fn run(context: &Context<'_>, args: &PruneArgs) -> Result<Outcome, Failure> {
    let options = PruneOptions {
        max_unused: args.max_unused.0,
        max_repack: args.max_repack.map_or(u64::MAX, |size| size.0),
        max_time: args.max_time.map(|span| span.0),
        grace_seconds: args.grace.0.as_secs(),
        dry_run: args.dry_run,
        ..usual_options(context)?
    };
    run_with(context, &options)
}

/// What holds unless something else is asked for.
pub(super) fn usual_options(context: &Context<'_>) -> Result<PruneOptions, Failure> {
    Ok(PruneOptions {
        session: session_options(context.budget()?),
        ..PruneOptions::new(writer(env::host()))
    })
}

/// The same for who prunes behind something else.
pub(super) fn run_with(context: &Context<'_>, options: &PruneOptions) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let opened = context.open()?;
    let progress = context.progress()?;
    let report = prune(&opened.repository, options, &progress)?;
    let problems = progress.finish();
    let took = began.elapsed();
    if context.output.is_json() {
        let summary = PruneSummary::of(&report, options.dry_run, took);
        context.output.object(&summary)?;
    } else {
        for line in pruned(&report, options.dry_run, took) {
            context.output.line(&line)?;
        }
    }
    Ok(Outcome::of_problems(
        problems.count + report.unreadable.len() as u64,
    ))
}
