//! `diff` of volumes: one with one, or the parts of a machine by their labels.

use blockstore::format::snapshot::{Root, RootType, Snapshot};
use blockstore::operations::diff_volume::{DiffVolumeReport, DifferentRange, diff_volumes};
use blockstore::operations::select_volume::SelectedVolume;

use crate::commands::{Context, Opened};
use crate::exit::{Failure, Outcome};
use crate::output::through_engine;
use crate::progress::Progress;
use crate::render::json::{DirtyRange, RangeLine, VolumeLine};
use crate::render::volumes;

/// Compares two volumes, or partitions.
pub(super) fn one(
    context: &Context<'_>,
    opened: &Opened,
    before: &SelectedVolume<'_>,
    after: &SelectedVolume<'_>,
) -> Result<Outcome, Failure> {
    let (progress, output) = (context.progress()?, context.output);
    let mut is_first = true;
    let mut each = |range: &DifferentRange| {
        let printed = match output.is_json() {
            true => output.element(is_first, &DirtyRange::of(range)),
            false => output.line(&volumes::different(range)),
        };
        is_first = false;
        printed.map_err(through_engine)
    };
    let report = diff_volumes(&opened.repository, before, after, &progress, &mut each)?;
    let problems = progress.finish();
    if output.is_json() {
        output.end_of_array(is_first)?;
    } else {
        output.flush()?;
        output.note(&volumes::diff_sums(&report));
    }
    Ok(Outcome::of_problems(report.problems.max(problems.count)))
}

/// Compares the volumes of two machines, label by label; gives the number of problems.
pub(super) fn all(
    context: &Context<'_>,
    opened: &Opened,
    (before, after): (&Snapshot, &Snapshot),
    progress: &Progress<'_>,
) -> Result<u64, Failure> {
    let mut problems = 0;
    for (index, root) in volumes_of(before) {
        match volumes_of(after).find(|(_, other)| other.name == root.name) {
            None => alone(context, root, "removed")?,
            Some((other_index, other)) => {
                let before = whole(root, index);
                let after = whole(other, other_index);
                problems += pair(context, opened, &before, &after, progress)?.problems;
            }
        }
    }
    for (_, root) in volumes_of(after) {
        if !volumes_of(before).any(|(_, other)| other.name == root.name) {
            alone(context, root, "added")?;
        }
    }
    Ok(problems)
}

fn pair(
    context: &Context<'_>,
    opened: &Opened,
    before: &SelectedVolume<'_>,
    after: &SelectedVolume<'_>,
    progress: &Progress<'_>,
) -> Result<DiffVolumeReport, Failure> {
    let (output, label) = (context.output, &after.root.name);
    let mut each = |range: &DifferentRange| {
        let printed = match output.is_json() {
            true => output.object(&RangeLine::of(label, range)),
            false => output.line(&volumes::different_of(label, range)),
        };
        printed.map_err(through_engine)
    };
    let report = diff_volumes(&opened.repository, before, after, progress, &mut each)?;
    if report.before_len != report.after_len {
        output.note(&volumes::other_length(label, &report));
    }
    Ok(report)
}

fn alone(context: &Context<'_>, root: &Root, change: &'static str) -> Result<(), Failure> {
    match context.output.is_json() {
        true => context.output.object(&VolumeLine::of(root, change)),
        false => context.output.line(&volumes::alone(root, change)),
    }
}

fn volumes_of(snapshot: &Snapshot) -> impl Iterator<Item = (usize, &Root)> {
    let roots = snapshot.roots.iter().enumerate();
    roots.filter(|(_, root)| root.root_type == RootType::Extents)
}

fn whole(root: &Root, index: usize) -> SelectedVolume<'_> {
    SelectedVolume {
        root,
        index,
        partition: None,
    }
}
