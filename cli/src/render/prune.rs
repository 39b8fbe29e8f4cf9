//! What a prune did, for people and for programs.

use std::time::Duration;

use blockstore::operations::prune::{PackSum, PruneReport};
use serde::Serialize;

use crate::render::units::{bytes, count, duration};

/// `prune`
#[derive(Debug, Serialize)]
pub(crate) struct PruneSummary {
    dry_run: bool,
    plans: Vec<u32>,
    packs: Sum,
    dead: Sum,
    repacked: Sum,
    copied_bytes: u64,
    deleted: Sum,
    unused_bytes: u64,
    snapshots_let_go: Vec<String>,
    sessions_ended: Vec<String>,
    packs_rescued: Vec<String>,
    packs_unreadable: Vec<String>,
    index_runs_written: u64,
    index_runs_removed: u64,
    partial: bool,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct Sum {
    packs: u64,
    bytes: u64,
}

impl From<PackSum> for Sum {
    fn from(sum: PackSum) -> Self {
        Self {
            packs: sum.count,
            bytes: sum.bytes,
        }
    }
}

impl PruneSummary {
    pub(crate) fn of(report: &PruneReport, dry_run: bool, took: Duration) -> Self {
        let texts = |ids: &[blockstore::format::id::SessionId]| {
            ids.iter().map(ToString::to_string).collect()
        };
        Self {
            dry_run,
            plans: report.plans.clone(),
            packs: report.packs.into(),
            dead: report.dead.into(),
            repacked: report.repacked.into(),
            copied_bytes: report.copied_bytes,
            deleted: report.deleted.into(),
            unused_bytes: report.unused_bytes,
            snapshots_let_go: texts(&report.let_go),
            sessions_ended: texts(&report.ended),
            packs_rescued: report.rescued.iter().map(ToString::to_string).collect(),
            packs_unreadable: report
                .unreadable
                .iter()
                .map(|(name, _)| name.to_string())
                .collect(),
            index_runs_written: report.runs_written,
            index_runs_removed: report.runs_removed,
            partial: report.is_partial,
            seconds: took.as_secs_f64(),
        }
    }
}

/// Lines for people.
pub(crate) fn pruned(report: &PruneReport, dry_run: bool, took: Duration) -> Vec<String> {
    let mut lines = Vec::new();
    let packs = |sum: PackSum| format!("{} packs, {}", count(sum.count), bytes(sum.bytes));
    let (would, is) = match dry_run {
        true => ("would be ", "would be"),
        false => ("", "are"),
    };
    lines.push(format!(
        "{} there; {} needed by nothing, {} {would}copied for {} of their content",
        packs(report.packs),
        packs(report.dead),
        packs(report.repacked),
        bytes(report.copied_bytes),
    ));
    if !report.let_go.is_empty() {
        let snapshots = count(report.let_go.len() as u64);
        lines.push(format!(
            "{snapshots} forgotten snapshots {is} gone for good"
        ));
    }
    if !report.ended.is_empty() {
        let sessions = count(report.ended.len() as u64);
        lines.push(format!("{sessions} unfinished snapshots were ended"));
    }
    if !report.rescued.is_empty() {
        let rescued = count(report.rescued.len() as u64);
        lines.push(format!("{rescued} packs stay: a new snapshot needs them"));
    }
    for (name, error) in &report.unreadable {
        lines.push(format!("{name} stays: {}", error.detail()));
    }
    if report.is_partial {
        lines.push("not everything was copied that is worth it; prune again to go on".to_owned());
    }
    let unused = bytes(report.unused_bytes);
    lines.push(match dry_run {
        true => format!("nothing was deleted; {unused} would stay unused"),
        false => format!(
            "deleted {}; {unused} stay unused; {}",
            packs(report.deleted),
            duration(took)
        ),
    });
    lines
}
