//! `check`: is everything there, and whole?

use std::time::Instant;

use blockstore::operations::check::{CheckOptions, check};

use crate::args::CheckArgs;
use crate::commands::Context;
use crate::exit::{Failure, Outcome};
use crate::render::human;
use crate::render::json::CheckSummary;

pub(super) fn run(context: &Context<'_>, args: &CheckArgs) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let options = CheckOptions {
        read_data: args.read_data,
        budget: context.budget()?,
    };
    let opened = context.open()?;
    let progress = context.progress()?;
    let report = check(&opened.repository, &options, &progress)?;
    let problems = progress.finish();
    let took = began.elapsed();
    if context.output.is_json() {
        context
            .output
            .object(&CheckSummary::of(&report, args.read_data, took))?;
    } else {
        for line in report.findings.iter().flat_map(human::finding) {
            context.output.line(&line)?;
        }
        context.output.line(&human::checked(&report, took))?;
    }
    Ok(match report.is_sound() {
        true => Outcome::of_problems(problems.count),
        false => Outcome::Damage,
    })
}
