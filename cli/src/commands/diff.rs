//! `diff`: what differs between two snapshots.

use blockstore::operations::diff::{Difference, diff};
use blockstore::repository::snapshots::find;

use crate::args::DiffArgs;
use crate::commands::Context;
use crate::exit::{Failure, Outcome};
use crate::output::{Output, through_engine};
use crate::render::human;
use crate::render::json::{DiffSummary, DifferenceLine};

pub(super) fn run(context: &Context<'_>, args: &DiffArgs) -> Result<Outcome, Failure> {
    let opened = context.open()?;
    let before = find(&opened.repository, &args.before)?;
    let after = find(&opened.repository, &args.after)?;
    let progress = context.progress()?;
    let mut each =
        |difference: &Difference<'_>| print(context.output, difference).map_err(through_engine);
    let report = diff(&opened.repository, &before, &after, &progress, &mut each)?;
    let problems = progress.finish();
    if context.output.is_json() {
        context
            .output
            .object(&DiffSummary::of((&before, &after), &report, &problems))?;
    } else {
        context.output.flush()?;
        context.output.note(&human::diff_sums(&report));
    }
    Ok(Outcome::of_problems(report.problems.max(problems.count)))
}

fn print(output: &Output, difference: &Difference<'_>) -> Result<(), Failure> {
    if output.is_json() {
        output.object(&DifferenceLine::of(difference))
    } else {
        output.line(&human::difference(difference))
    }
}
