//! `versions`: what one path held over all snapshots.

use std::os::unix::ffi::OsStrExt;

use blockstore::operations::versions::{Version, versions};
use blockstore::repository::snapshots::list;

use crate::args::VersionsArgs;
use crate::commands::Context;
use crate::exit::{Failure, Outcome};
use crate::render::human;
use crate::render::json::VersionsSummary;
use crate::render::table::{self, Align};

pub(super) fn run(context: &Context<'_>, args: &VersionsArgs) -> Result<Outcome, Failure> {
    let opened = context.open()?;
    let listed = list(&opened.repository)?;
    let path = args.path.as_bytes();
    let progress = context.progress()?;
    let report = versions(&opened.repository, &listed.snapshots, path, &progress)?;
    let problems = progress.finish();
    let problem_count = report.problems.max(problems.count) + listed.damaged.len() as u64;
    if context.output.is_json() {
        let summary = VersionsSummary::of(path, &report, &problems);
        context.output.object(&summary)?;
    } else {
        let rows: Vec<_> = report.versions.iter().map(row).collect();
        let align = [
            Align::Left,
            Align::Left,
            Align::Right,
            Align::Left,
            Align::Left,
        ];
        for line in table::lines(align, &rows) {
            context.output.line(&line)?;
        }
    }
    Ok(Outcome::of_problems(problem_count))
}

/// Snapshot, when it was taken, length, last modification, and in how many snapshots it is.
fn row(version: &Version) -> [String; 5] {
    [
        human::short(version.snapshot),
        human::local_time(version.taken),
        human::size_or_number(&version.entry.node),
        human::local_time(version.entry.metadata.mtime),
        human::counted(version.snapshots, "snapshot", "snapshots"),
    ]
}
