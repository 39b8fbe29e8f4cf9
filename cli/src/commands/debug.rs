//! `debug`: stored objects decoded, so that the format stays inspectable.

use blockstore::operations::inspect;

use crate::args::{DebugArgs, DebugSubject};
use crate::commands::Context;
use crate::exit::{Failure, Outcome};
use crate::render::human;
use crate::render::json::InspectionReport;

pub(super) fn run(context: &Context<'_>, args: &DebugArgs) -> Result<Outcome, Failure> {
    let opened = context.open()?;
    let repository = &opened.repository;
    let inspection = match &args.subject {
        DebugSubject::Object { name }
        | DebugSubject::Pack { name }
        | DebugSubject::Index { name } => inspect::object(repository, name),
        DebugSubject::Page { id } => inspect::page(repository, id),
    }?;
    if context.output.is_json() {
        context.output.object(&InspectionReport::of(&inspection))?;
    } else {
        let lines = human::inspection(&inspection);
        lines
            .iter()
            .try_for_each(|line| context.output.line(line))?;
    }
    Ok(Outcome::Done)
}
