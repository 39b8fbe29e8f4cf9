//! `undelete`: brings forgotten snapshots back.

use blockstore::operations::undelete::undelete;

use crate::args::UndeleteArgs;
use crate::commands::Context;
use crate::exit::{Failure, Outcome};
use crate::render::json::UndeleteSummary;
use crate::render::retention;

pub(super) fn run(context: &Context<'_>, args: &UndeleteArgs) -> Result<Outcome, Failure> {
    let opened = context.open()?;
    let report = undelete(&opened.repository, &args.snapshots)?;
    if context.output.is_json() {
        context.output.object(&UndeleteSummary::of(&report))?;
    } else {
        for session in &report.back {
            context.output.line(&retention::back(*session))?;
        }
        for session in &report.too_late {
            context.output.problem(&retention::too_late(*session));
        }
    }
    Ok(Outcome::of_problems(report.too_late.len() as u64))
}
