//! What `find` and `versions` found.

use blockstore::format::entry::Entry;
use blockstore::format::snapshot::Snapshot;
use blockstore::operations::find::FindReport;
use blockstore::operations::versions::{Version, VersionsReport};
use serde::Serialize;

use super::{EntryInfo, EntryLine, PathText, ProblemList};
use crate::progress::Problems;
use crate::render::units::utc_time;

/// A line of `find`.
#[derive(Debug, Serialize)]
pub(crate) struct FoundLine {
    #[serde(flatten)]
    line: EntryLine,
    snapshot: String,
}

/// Last line of `find`.
#[derive(Debug, Serialize)]
pub(crate) struct FindSummary {
    #[serde(rename = "type")]
    line_type: &'static str,
    snapshots: u64,
    found: u64,
    entries: u64,
    #[serde(flatten)]
    problems: ProblemList,
}

/// `versions`
#[derive(Debug, Serialize)]
pub(crate) struct VersionsSummary {
    #[serde(flatten)]
    path: PathText,
    versions: Vec<VersionInfo>,
    snapshots: u64,
    #[serde(flatten)]
    problems: ProblemList,
}

#[derive(Debug, Serialize)]
struct VersionInfo {
    snapshot: String,
    taken: String,
    last_snapshot: String,
    snapshots: u64,
    #[serde(flatten)]
    entry: EntryInfo,
}

impl FoundLine {
    pub(crate) fn of(snapshot: &Snapshot, path: &[u8], entry: &Entry) -> Self {
        Self {
            line: EntryLine::of(path, entry),
            snapshot: snapshot.session.to_string(),
        }
    }
}

impl FindSummary {
    pub(crate) fn of(report: &FindReport, snapshots: u64, problems: &Problems) -> Self {
        Self {
            line_type: "summary",
            snapshots,
            found: report.found,
            entries: report.entries,
            problems: ProblemList::of(problems, report.problems),
        }
    }
}

impl VersionsSummary {
    pub(crate) fn of(path: &[u8], report: &VersionsReport, problems: &Problems) -> Self {
        Self {
            path: PathText::of(path),
            versions: report.versions.iter().map(VersionInfo::of).collect(),
            snapshots: report.snapshots,
            problems: ProblemList::of(problems, report.problems),
        }
    }
}

impl VersionInfo {
    fn of(version: &Version) -> Self {
        Self {
            snapshot: version.snapshot.to_string(),
            taken: utc_time(version.taken),
            last_snapshot: version.last_snapshot.to_string(),
            snapshots: version.snapshots,
            entry: EntryInfo::of(&version.entry),
        }
    }
}
