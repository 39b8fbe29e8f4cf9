//! `diff`: what differs between two snapshots; of volumes see `diff_volumes`.

use blockstore::format::snapshot::{RootType, Snapshot};
use blockstore::operations::diff::{Difference, diff};
use blockstore::operations::select_volume::select_volume;
use blockstore::repository::snapshots::find;

use crate::args::DiffArgs;
use crate::commands::{Context, diff_volumes, not_a_volume};
use crate::exit::{Failure, Outcome};
use crate::output::{Output, through_engine};
use crate::render::human;
use crate::render::json::{DiffSummary, DifferenceLine};

pub(super) fn run(context: &Context<'_>, args: &DiffArgs) -> Result<Outcome, Failure> {
    let opened = context.open()?;
    let before = find(&opened.repository, &args.before.snapshot)?;
    let after = find(&opened.repository, &args.after.snapshot)?;
    let (first, second) = (&args.before.path, &args.after.path);
    let are_whole = first.is_empty() && second.is_empty();
    if !are_whole || [&before, &after].iter().all(|one| is_one_volume(one)) {
        let Some(first_volume) = select_volume(&before, first)? else {
            return Err(not_a_volume(first));
        };
        let Some(second_volume) = select_volume(&after, second)? else {
            return Err(not_a_volume(second));
        };
        return diff_volumes::one(context, &opened, &first_volume, &second_volume);
    }
    let progress = context.progress()?;
    let both = (&before, &after);
    let of_volumes = diff_volumes::all(context, &opened, both, &progress)?;
    let mut each =
        |difference: &Difference<'_>| print(context.output, difference).map_err(through_engine);
    let (first, second) = (folders_of(&before), folders_of(&after));
    let report = diff(&opened.repository, &first, &second, &progress, &mut each)?;
    let problems = progress.finish();
    if context.output.is_json() {
        context
            .output
            .object(&DiffSummary::of(both, &report, &problems))?;
    } else {
        context.output.flush()?;
        context.output.note(&human::diff_sums(&report));
    }
    let problem_count = (report.problems + of_volumes).max(problems.count);
    Ok(Outcome::of_problems(problem_count))
}

fn is_one_volume(snapshot: &Snapshot) -> bool {
    matches!(snapshot.roots.as_slice(), [root] if root.root_type == RootType::Extents)
}

/// The snapshot without its volumes.
fn folders_of(snapshot: &Snapshot) -> Snapshot {
    let mut snapshot = snapshot.clone();
    snapshot
        .roots
        .retain(|root| root.root_type == RootType::Tree);
    snapshot
}

fn print(output: &Output, difference: &Difference<'_>) -> Result<(), Failure> {
    if output.is_json() {
        output.object(&DifferenceLine::of(difference))
    } else {
        output.line(&human::difference(difference))
    }
}
