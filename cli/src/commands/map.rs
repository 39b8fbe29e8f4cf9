//! `map`: what a volume is made of.

use std::sync::Arc;

use blockstore::operations::map_volume::{MappedRange, map_volume};
use blockstore::repository::snapshots::find;

use crate::args::MapArgs;
use crate::commands::bytes::Wanted;
use crate::commands::{Context, not_a_volume};
use crate::exit::{Failure, Outcome};
use crate::output::{Output, through_engine};
use crate::render::json::MapEntry;
use crate::render::volumes;

pub(super) fn run(context: &Context<'_>, args: &MapArgs) -> Result<Outcome, Failure> {
    let (repository, output) = (Arc::new(context.open()?.repository), context.output);
    let (snapshot, path) = (
        find(&repository, &args.location.snapshot)?,
        &args.location.path,
    );
    let Some(wanted) = Wanted::find(context, &repository, &snapshot, path)? else {
        return Err(not_a_volume(path));
    };
    let progress = context.progress()?;
    let mut is_first = true;
    let mut each = |range: &MappedRange| {
        let printed = print(output, range, is_first);
        is_first = false;
        printed.map_err(through_engine)
    };
    let (bytes, chunks) = (wanted.bytes, args.chunks);
    let range = wanted.range.unwrap_or(0..bytes.len());
    let report = map_volume(&repository, bytes, &range, chunks, &progress, &mut each)?;
    let problems = progress.finish();
    if output.is_json() {
        output.end_of_array(is_first)?;
    } else {
        output.flush()?;
        output.note(&volumes::map_sums(&report));
    }
    Ok(Outcome::of_problems(report.problems.max(problems.count)))
}

fn print(output: &Output, range: &MappedRange, is_first: bool) -> Result<(), Failure> {
    if output.is_json() {
        return output.element(is_first, &MapEntry::of(range));
    }
    if is_first {
        output.line(&volumes::map_heading())?;
    }
    output.line(&volumes::map_line(range))
}
