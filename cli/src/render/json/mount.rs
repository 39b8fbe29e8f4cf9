//! What is said of a mount: one line when it is there, one when it is gone.

use blockstore::format::snapshot::Snapshot;
use serde::Serialize;

use super::{PathText, ProblemList};
use crate::progress::Problems;

/// First line of `mount`: it can be used.
#[derive(Debug, Serialize)]
pub(crate) struct MountLine {
    #[serde(rename = "type")]
    line_type: &'static str,
    #[serde(flatten)]
    path: PathText,
    snapshot: Option<String>,
    process: u32,
}

/// Last line of `mount`: it was unmounted.
#[derive(Debug, Serialize)]
pub(crate) struct MountSummary {
    #[serde(rename = "type")]
    line_type: &'static str,
    snapshot: Option<String>,
    #[serde(flatten)]
    problems: ProblemList,
}

impl MountLine {
    pub(crate) fn of(point: &[u8], snapshot: Option<&Snapshot>) -> Self {
        Self {
            line_type: "mounted",
            path: PathText::of(point),
            snapshot: id_of(snapshot),
            process: std::process::id(),
        }
    }
}

impl MountSummary {
    pub(crate) fn of(snapshot: Option<&Snapshot>, problems: &Problems, count: u64) -> Self {
        Self {
            line_type: "summary",
            snapshot: id_of(snapshot),
            problems: ProblemList::of(problems, count),
        }
    }
}

fn id_of(snapshot: Option<&Snapshot>) -> Option<String> {
    snapshot.map(|snapshot| snapshot.session.to_string())
}
