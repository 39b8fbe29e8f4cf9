//! `ls` of volumes: the parts of a snapshot, and the partitions of one of them, with the logical volumes
//! behind those.

use std::sync::Arc;

use blockstore::format::snapshot::{RootType, Snapshot};
use blockstore::operations::list::ListReport;
use blockstore::operations::select_volume::{SelectedVolume, select_volume};
use blockstore::repository::Repository;

use crate::args::LsArgs;
use crate::commands::images::Volumes;
use crate::commands::{Context, logical};
use crate::exit::{Failure, Outcome};
use crate::progress::Problems;
use crate::render::json::{LogicalLine, LsSummary, RootLine};
use crate::render::volumes::{self, LogicalRow};

/// Lists what is no folder; nothing if folders are meant.
pub(super) fn run(
    context: &Context<'_>,
    args: &LsArgs,
    repository: &Arc<Repository>,
    snapshot: &Snapshot,
) -> Result<Option<Outcome>, Failure> {
    let is_volume = |root: &_| matches!(root, RootType::Extents);
    let has_volume = snapshot.roots.iter().any(|root| is_volume(&root.root_type));
    if has_volume && args.location.path.is_empty() {
        return roots(context, args, snapshot).map(Some);
    }
    match select_volume(snapshot, &args.location.path)? {
        Some(volume) => {
            let logical = behind(context, repository, snapshot, &volume)?;
            partitions(context, args, snapshot, &volume, &logical).map(Some)
        }
        None => Ok(None),
    }
}

/// The logical volumes behind what is listed.
fn behind(
    context: &Context<'_>,
    repository: &Arc<Repository>,
    snapshot: &Snapshot,
    volume: &SelectedVolume<'_>,
) -> Result<Vec<LogicalRow>, Failure> {
    let parts = volumes::listed(volume).into_iter();
    let parts = parts.map(|one| SelectedVolume {
        partition: Some(one),
        ..*volume
    });
    let members = std::iter::once(*volume).chain(parts);
    let members = members.filter(|one| one.is_physical() && one.is_whole());
    let mut members = members.peekable();
    if members.peek().is_none() {
        return Ok(Vec::new());
    }
    let library = Volumes::open(context, repository)?;
    logical::rows_behind(context, &library, snapshot, members)
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
    logical: &[LogicalRow],
) -> Result<Outcome, Failure> {
    let output = context.output;
    if output.is_json() {
        output.object(&RootLine::of(volume.root))?;
        for row in logical {
            output.object(&LogicalLine::of(row))?;
        }
        return summary(context, snapshot, 1 + logical.len());
    }
    let listed = volumes::listed(volume);
    if args.null {
        for partition in listed {
            let label = &volume.root.name;
            output.bytes(label)?;
            output.bytes(format!("/p{}\0", partition.number).as_bytes())?;
        }
        for row in logical {
            output.bytes(&row.path)?;
            output.bytes(b"\0")?;
        }
        return Ok(Outcome::Done);
    }
    for line in volumes::partitions(volume.root, &listed) {
        output.line(&line)?;
    }
    for line in volumes::logical(logical) {
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
