//! Volume groups of LVM2 inside volumes: their logical volumes listed, and their bytes.

use std::collections::BTreeSet;
use std::sync::Arc;

use blockstore::format::snapshot::Snapshot;
use blockstore::operations::list::ListReport;
use blockstore::operations::select_item::LogicalName;
use blockstore::operations::select_logical::{LogicalPart, SelectedLogical};
use blockstore::operations::select_volume::SelectedVolume;
use blockstore::serve::groups::Group;
use blockstore::serve::view::copy;

use crate::args::LsArgs;
use crate::commands::Context;
use crate::commands::images::Volumes;
use crate::exit::{Failure, Outcome};
use crate::progress::Problems;
use crate::render::json::{LogicalLine, LsSummary};
use crate::render::volumes::{self, LogicalRow};

/// `ls` of a group, or of one of its volumes.
pub(super) fn ls(
    context: &Context<'_>,
    args: &LsArgs,
    volumes: &Volumes,
    snapshot: &Snapshot,
    selected: &SelectedLogical<'_>,
) -> Result<Outcome, Failure> {
    let group = volumes.group(snapshot, &selected.member)?;
    let rows = match &selected.part {
        LogicalPart::Group(None) => rows(&group),
        LogicalPart::Group(Some(name)) => {
            group.check_name(name)?;
            rows(&group)
        }
        LogicalPart::Volume(name) => {
            group.volume(&name.group, &name.volume)?;
            let path = group.path_of(&name.volume);
            let rows = rows(&group).into_iter();
            rows.filter(|row| row.path == path).collect()
        }
    };
    let output = context.output;
    if output.is_json() {
        for row in &rows {
            output.object(&LogicalLine::of(row))?;
        }
        let report = ListReport {
            entries: rows.len() as u64,
            ..ListReport::default()
        };
        let summary = LsSummary::of(snapshot, &report, &Problems::default());
        output.object(&summary)?;
    } else if args.null {
        for row in &rows {
            output.bytes(&row.path)?;
            output.bytes(b"\0")?;
        }
    } else {
        for line in volumes::logical(&rows) {
            output.line(&line)?;
        }
    }
    Ok(Outcome::Done)
}

/// The logical volumes behind physical ones, those of each group once. What is wrong with a group is
/// told, and the rest goes on.
pub(super) fn rows_behind<'s>(
    context: &Context<'_>,
    volumes: &Volumes,
    snapshot: &'s Snapshot,
    members: impl Iterator<Item = SelectedVolume<'s>>,
) -> Result<Vec<LogicalRow>, Failure> {
    let (mut found, mut groups) = (Vec::new(), BTreeSet::new());
    for member in members {
        match volumes.group(snapshot, &member) {
            Ok(group) if groups.insert(group.id().to_owned()) => found.extend(rows(&group)),
            Ok(_) => {}
            Err(Failure::Engine(error)) => context.output.note(&error.to_string()),
            Err(other) => return Err(other),
        }
    }
    Ok(found)
}

/// `cat` of a logical volume.
pub(super) fn cat(
    context: &Context<'_>,
    volumes: &Volumes,
    snapshot: &Snapshot,
    selected: &SelectedLogical<'_>,
) -> Result<u64, Failure> {
    let name = volume_of(selected)?;
    let group = volumes.group(snapshot, &selected.member)?;
    let view = group.view(&name.group, &name.volume)?;
    let mut out = context.output;
    Ok(copy(&*view, &mut out)?)
}

/// The logical volume that is meant; wrong usage where that is a whole group.
pub(super) fn volume_of<'l>(selected: &'l SelectedLogical<'_>) -> Result<&'l LogicalName, Failure> {
    match &selected.part {
        LogicalPart::Volume(name) => Ok(name),
        LogicalPart::Group(_) => {
            let path = String::from_utf8_lossy(&selected.member.name()).into_owned();
            let detail = format!("which logical volume? expected {path}/GROUP/VOLUME");
            Err(Failure::Usage(detail))
        }
    }
}

fn rows(group: &Arc<Group>) -> Vec<LogicalRow> {
    let row = |volume: &_| LogicalRow::of(group, volume);
    group.volumes().iter().map(row).collect()
}
