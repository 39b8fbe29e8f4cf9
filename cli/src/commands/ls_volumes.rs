//! `ls` of volumes: the parts of a snapshot, and the partitions of one of them.

use blockstore::format::snapshot::{RootType, Snapshot};
use blockstore::operations::list::ListReport;
use blockstore::operations::select_volume::{SelectedVolume, select_volume};

use crate::args::LsArgs;
use crate::commands::Context;
use crate::exit::{Failure, Outcome};
use crate::progress::Problems;
use crate::render::json::{LsSummary, RootLine};
use crate::render::volumes;

/// Lists what is no folder; nothing if folders are meant.
pub(super) fn run(
    context: &Context<'_>,
    args: &LsArgs,
    snapshot: &Snapshot,
) -> Result<Option<Outcome>, Failure> {
    let is_volume = |root: &_| matches!(root, RootType::Extents);
    let has_volume = snapshot.roots.iter().any(|root| is_volume(&root.root_type));
    if has_volume && args.location.path.is_empty() {
        return roots(context, args, snapshot).map(Some);
    }
    match select_volume(snapshot, &args.location.path)? {
        Some(volume) => partitions(context, args, snapshot, &volume).map(Some),
        None => Ok(None),
    }
}

fn roots(context: &Context<'_>, args: &LsArgs, snapshot: &Snapshot) -> Result<Outcome, Failure> {
    let output = context.output;
    if output.is_json() {
        for root in &snapshot.roots {
            output.object(&RootLine::of(root))?;
        }
        return summary(context, snapshot, snapshot.roots.len());
    }
    if args.null {
        for root in &snapshot.roots {
            output.bytes(&root.name)?;
            output.bytes(b"\0")?;
        }
        return Ok(Outcome::Done);
    }
    for line in volumes::roots(&snapshot.roots) {
        output.line(&line)?;
    }
    Ok(Outcome::Done)
}

fn partitions(
    context: &Context<'_>,
    args: &LsArgs,
    snapshot: &Snapshot,
    volume: &SelectedVolume<'_>,
) -> Result<Outcome, Failure> {
    let output = context.output;
    if output.is_json() {
        output.object(&RootLine::of(volume.root))?;
        return summary(context, snapshot, 1);
    }
    let listed = volumes::listed(volume);
    if args.null {
        for partition in listed {
            let label = &volume.root.name;
            output.bytes(label)?;
            output.bytes(format!("/p{}\0", partition.number).as_bytes())?;
        }
        return Ok(Outcome::Done);
    }
    for line in volumes::partitions(volume.root, &listed) {
        output.line(&line)?;
    }
    Ok(Outcome::Done)
}

fn summary(context: &Context<'_>, snapshot: &Snapshot, lines: usize) -> Result<Outcome, Failure> {
    let report = ListReport {
        entries: lines as u64,
        ..ListReport::default()
    };
    let summary = LsSummary::of(snapshot, &report, &Problems::default());
    context.output.object(&summary)?;
    Ok(Outcome::Done)
}
