//! `stats`: how much is stored, and how well it is shared.

use blockstore::operations::stats::stats;

use crate::commands::Context;
use crate::exit::{Failure, Outcome};
use crate::render::human;
use crate::render::json::StatsSummary;

pub(super) fn run(context: &Context<'_>) -> Result<Outcome, Failure> {
    let opened = context.open()?;
    let report = stats(&opened.repository)?;
    if context.output.is_json() {
        context.output.object(&StatsSummary::of(&report))?;
    } else {
        human::stats(&report)
            .iter()
            .try_for_each(|line| context.output.line(line))?;
    }
    Ok(Outcome::Done)
}
