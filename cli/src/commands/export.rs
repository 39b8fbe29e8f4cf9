//! `export`: a volume as an image file.

use std::sync::Arc;
use std::time::Instant;

use blockstore::operations::restore_volume::{ExportVolumeOptions, export_volume};
use blockstore::repository::snapshots::find;

use crate::args::ExportArgs;
use crate::commands::bytes::Wanted;
use crate::commands::{Context, volumes};
use crate::env;
use crate::exit::{Failure, Outcome};
use crate::render::escape;
use crate::render::human;
use crate::render::json::RestoreVolumeSummary;

pub(super) fn run(context: &Context<'_>, args: &ExportArgs) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let repository = Arc::new(context.open()?.repository);
    let snapshot = find(&repository, &args.location.snapshot)?;
    let path = &args.location.path;
    let Some(wanted) = Wanted::find(context, &repository, &snapshot, path)? else {
        let path = escape::path(path);
        let detail = format!("{path:?} is not a volume of this snapshot: restore it to a folder");
        return Err(Failure::Usage(detail));
    };
    let created = u64::try_from(env::now().seconds).unwrap_or(0);
    let options = ExportVolumeOptions {
        budget: context.budget()?,
        range: wanted.range,
        overwrite: args.overwrite,
        verify: args.verify,
        spare: volumes::kept(context)?,
        ..ExportVolumeOptions::new(created)
    };
    let progress = context.progress()?;
    let format = args.format.export();
    let (bytes, output) = (wanted.bytes, &args.output);
    let report = export_volume(&repository, bytes, output, format, &options, &progress)?;
    let problems = progress.finish();
    let (problem_count, took) = (report.problems.max(problems.count), began.elapsed());
    if context.output.is_json() {
        let summary = RestoreVolumeSummary::of(&snapshot, &report, &problems, took);
        context.output.object(&summary)?;
    } else {
        let text = human::restored_volume(&report, problem_count, took);
        context.output.line(&text)?;
    }
    Ok(Outcome::of_problems(problem_count))
}
