//! Reports as JSON. Every field is described in JSON.md; a test compares the two.
//!
//! Fields are only ever added. Lengths are bytes, times are RFC 3339 in UTC, ids are lowercase
//! hex. Bytes that are no UTF-8 are shown with replacement characters, and exactly, as hex, in a
//! second field.

mod bench;
mod boots;
mod mount;
mod ranges;
mod retention;
mod search;
mod serve;
mod volumes;

use std::fmt::Write;
use std::time::Duration;

use blockstore::error::Error;
use blockstore::format::entry::{Entry, Node};
use blockstore::format::name::ObjectName;
use blockstore::format::snapshot::{Consistency, Root, Snapshot, Tracking};
use blockstore::observe::{Problem, ProblemKind};
use blockstore::operations::check::{CheckReport, Finding, FindingKind};
use blockstore::operations::diff::{DiffReport, Difference};
use blockstore::operations::inspect::Inspection;
use blockstore::operations::list::ListReport;
use blockstore::operations::merge::MergeReport;
use blockstore::operations::repair_index::RepairIndexReport;
use blockstore::operations::restore::RestoreReport;
use blockstore::operations::stats::StatsReport;
use blockstore::repository::Repository;
use serde::Serialize;
use serde_json::{Map, Value};

pub(crate) use self::bench::BenchSummary;
pub(crate) use self::boots::{BootList, BootRecord, BootSummary, LastBoot, VerifySummary};
pub(crate) use self::mount::{MountLine, MountSummary};
use self::ranges::LostBytes;
pub(crate) use self::ranges::{DirtyRange, LogicalLine, MapEntry, RangeLine, RootLine, VolumeLine};
pub(crate) use self::retention::{ForgetSummary, ListedSnapshot, ProtectSummary, UndeleteSummary};
pub(crate) use self::search::{FindSummary, FoundLine, VersionsSummary};
pub(crate) use self::serve::{ListeningLine, ServeSummary};
use self::volumes::VolumeDescription;
pub(crate) use self::volumes::{RestoreVolumeSummary, VerifyVolumeSummary};
use crate::progress::Problems;
use crate::render::units::utc_time;

/// Any failure, on standard error.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorReport {
    pub(crate) error: String,
    pub(crate) kind: &'static str,
    pub(crate) exit_code: u8,
}

/// `init`
#[derive(Debug, Serialize)]
pub(crate) struct InitReport {
    repository: String,
    chunk_len_min: u32,
    chunk_len_avg: u32,
    chunk_len_max: u32,
    aead: &'static str,
}

impl InitReport {
    pub(crate) fn of(repository: &Repository) -> Self {
        let config = repository.config();
        Self {
            repository: repository.id().to_string(),
            chunk_len_min: config.chunk_len_min,
            chunk_len_avg: config.chunk_len_avg,
            chunk_len_max: config.chunk_len_max,
            aead: if config.aead == 1 {
                "aes256-gcm"
            } else {
                "chacha20-poly1305"
            },
        }
    }
}

/// What is known of one snapshot; a line of `snapshots`, and most of `snapshot`.
#[derive(Debug, Serialize)]
pub(crate) struct SnapshotInfo {
    snapshot: Option<String>,
    root: Option<String>,
    roots: Vec<RootInfo>,
    parent: Option<String>,
    begun: String,
    ended: String,
    host: String,
    user: String,
    tags: Vec<String>,
    program: String,
    tracking: &'static str,
    tracking_reason: String,
    consistency: &'static str,
    entries: u64,
    files: u64,
    folders: u64,
    bytes: u64,
    read_bytes: u64,
    new_chunks: u64,
    new_bytes: u64,
    stored_bytes: u64,
    unchanged_files: u64,
    problem_count: u64,
}

/// One root of a snapshot.
#[derive(Debug, Serialize)]
struct RootInfo {
    #[serde(flatten)]
    path: PathText,
    root: String,
    entries: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volume: Option<VolumeDescription>,
}

/// `snapshot`
#[derive(Debug, Serialize)]
pub(crate) struct SnapshotReport {
    #[serde(flatten)]
    info: SnapshotInfo,
    problems: Vec<ProblemInfo>,
    seconds: f64,
    dry_run: bool,
}

/// `merge`
#[derive(Debug, Serialize)]
pub(crate) struct MergeSummary {
    #[serde(flatten)]
    report: SnapshotReport,
    merged: Vec<String>,
    roots_taken_over: u64,
    roots_built: u64,
}

/// `snapshots`
#[derive(Debug, Serialize)]
pub(crate) struct SnapshotsReport {
    pub(crate) snapshots: Vec<ListedSnapshot>,
    pub(crate) damaged: Vec<DamagedObject>,
}

/// An object that could not be read.
#[derive(Debug, Serialize)]
pub(crate) struct DamagedObject {
    object: String,
    detail: String,
}

impl DamagedObject {
    pub(crate) fn list(damaged: &[(ObjectName, Error)]) -> Vec<Self> {
        let damaged = damaged.iter().map(|(name, error)| Self {
            object: name.to_string(),
            detail: error.to_string(),
        });
        damaged.collect()
    }
}

/// A path as text, and exactly where it is no text.
#[derive(Debug, Serialize)]
struct PathText {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
}

/// One thing that went wrong.
#[derive(Debug, Serialize)]
struct ProblemInfo {
    kind: &'static str,
    #[serde(flatten)]
    path: PathText,
    detail: String,
}

/// A line of `ls`.
#[derive(Debug, Serialize)]
pub(crate) struct EntryLine {
    #[serde(rename = "type")]
    line_type: &'static str,
    #[serde(flatten)]
    path: PathText,
    #[serde(flatten)]
    entry: EntryInfo,
}

/// What an entry is and has.
#[derive(Debug, Serialize)]
struct EntryInfo {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    mode: String,
    uid: u32,
    gid: u32,
    user: String,
    group: String,
    mtime: String,
    xattrs: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
}

/// Last line of `ls`.
#[derive(Debug, Serialize)]
pub(crate) struct LsSummary {
    #[serde(rename = "type")]
    line_type: &'static str,
    snapshot: String,
    entries: u64,
    #[serde(flatten)]
    problems: ProblemList,
}

/// `cat`
#[derive(Debug, Serialize)]
pub(crate) struct CatReport {
    pub(crate) snapshot: String,
    pub(crate) bytes: u64,
}

/// `restore`
#[derive(Debug, Serialize)]
pub(crate) struct RestoreSummary {
    snapshot: String,
    entries: u64,
    files: u64,
    bytes: u64,
    skipped: u64,
    verified: u64,
    #[serde(flatten)]
    problems: ProblemList,
    privileged: bool,
    seconds: f64,
    dry_run: bool,
}

/// A line of `diff`.
#[derive(Debug, Serialize)]
pub(crate) struct DifferenceLine {
    #[serde(rename = "type")]
    line_type: &'static str,
    #[serde(flatten)]
    path: PathText,
    change: &'static str,
    content: bool,
    metadata: bool,
    before: Option<EntryInfo>,
    after: Option<EntryInfo>,
}

/// Last line of `diff`.
#[derive(Debug, Serialize)]
pub(crate) struct DiffSummary {
    #[serde(rename = "type")]
    line_type: &'static str,
    before: String,
    after: String,
    added: u64,
    removed: u64,
    content_changed: u64,
    metadata_changed: u64,
    #[serde(flatten)]
    problems: ProblemList,
}

/// `check`
#[derive(Debug, Serialize)]
pub(crate) struct CheckSummary {
    sound: bool,
    read_data: bool,
    findings: Vec<FindingInfo>,
    snapshots: u64,
    damaged_snapshots: u64,
    objects: u64,
    bytes: u64,
    seconds: f64,
}

/// `repair index`
#[derive(Debug, Serialize)]
pub(crate) struct RepairIndexSummary {
    runs_written: u64,
    runs_removed: u64,
    packs_read: u64,
    unreadable: Vec<DamagedObject>,
    seconds: f64,
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct FindingInfo {
    kind: &'static str,
    subject: String,
    detail: String,
    lost_paths: Vec<LostPath>,
    lost_ranges: Vec<LostBytes>,
}

#[derive(Debug, Serialize)]
struct LostPath {
    snapshot: String,
    #[serde(flatten)]
    path: PathText,
}

/// `stats`
#[derive(Debug, Serialize)]
pub(crate) struct StatsSummary {
    snapshots: u64,
    logical_bytes: u64,
    chunks: u64,
    chunk_bytes: u64,
    pages: u64,
    page_bytes: u64,
    data_pack_bytes: u64,
    meta_pack_bytes: u64,
    stored_bytes: u64,
    objects: Vec<ObjectSum>,
    medium_bytes: Option<u64>,
    free_bytes: Option<u64>,
    reserve_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct ObjectSum {
    kind: &'static str,
    count: u64,
    bytes: u64,
}

/// `debug`
#[derive(Debug, Serialize)]
pub(crate) struct InspectionReport {
    title: String,
    fields: Map<String, Value>,
    rows: Vec<Map<String, Value>>,
}

/// What went wrong, the first of it listed.
#[derive(Debug, Serialize)]
struct ProblemList {
    problems: Vec<ProblemInfo>,
    problem_count: u64,
}

impl SnapshotInfo {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let totals = snapshot.totals;
        let root = match snapshot.roots.as_slice() {
            [only] => Some(only.page.to_string()),
            _ => None,
        };
        Self {
            snapshot: Some(snapshot.session.to_string()),
            root,
            roots: snapshot.roots.iter().map(RootInfo::of).collect(),
            parent: snapshot.parent.map(|parent| parent.to_string()),
            begun: utc_time(snapshot.begun),
            ended: utc_time(snapshot.ended),
            host: snapshot.host.clone(),
            user: snapshot.user.clone(),
            tags: snapshot.tags.clone(),
            program: snapshot.program.clone(),
            tracking: tracking(snapshot.tracking),
            tracking_reason: snapshot.tracking_reason.clone(),
            consistency: match snapshot.consistency {
                Consistency::Files => "files",
                Consistency::Crash => "crash",
                Consistency::FileSystem => "file_system",
                Consistency::Application => "application",
                Consistency::Smeared => "smeared",
            },
            entries: totals.entries,
            files: totals.files,
            folders: totals.folders,
            bytes: totals.bytes,
            read_bytes: totals.read_bytes,
            new_chunks: totals.new_chunks,
            new_bytes: totals.new_bytes,
            stored_bytes: totals.stored_bytes,
            unchanged_files: totals.unchanged_files,
            problem_count: snapshot.problem_count,
        }
    }
}

fn tracking(tracking: Tracking) -> &'static str {
    match tracking {
        Tracking::Full => "full",
        Tracking::Metadata => "metadata",
        Tracking::ChangedRanges => "changed_ranges",
        Tracking::Merged => "merged",
    }
}

impl RootInfo {
    fn of(root: &Root) -> Self {
        Self {
            path: PathText::of(&root.name),
            root: root.page.to_string(),
            entries: root.entries,
            bytes: root.bytes,
            origin: root
                .origin
                .as_ref()
                .map(|origin| String::from_utf8_lossy(origin).into_owned()),
            volume: root.volume.as_ref().map(VolumeDescription::of),
        }
    }
}

impl SnapshotReport {
    pub(crate) fn of(
        snapshot: &Snapshot,
        problems: &Problems,
        took: Duration,
        dry_run: bool,
    ) -> Self {
        let mut info = SnapshotInfo::of(snapshot);
        info.problem_count = info.problem_count.max(problems.count);
        if dry_run {
            info.snapshot = None; // nothing was committed under it
        }
        Self {
            info,
            problems: ProblemInfo::list(problems),
            seconds: took.as_secs_f64(),
            dry_run,
        }
    }
}

impl MergeSummary {
    pub(crate) fn of(
        report: &MergeReport,
        problems: &Problems,
        took: Duration,
        dry_run: bool,
    ) -> Self {
        Self {
            report: SnapshotReport::of(&report.snapshot, problems, took, dry_run),
            merged: report.merged.iter().map(ToString::to_string).collect(),
            roots_taken_over: report.roots_taken_over,
            roots_built: report.roots_built,
        }
    }
}

impl PathText {
    fn of(bytes: &[u8]) -> Self {
        let path = String::from_utf8_lossy(bytes).into_owned();
        let path_hex = hex_unless_text(bytes);
        Self { path, path_hex }
    }
}

impl ProblemInfo {
    fn of(problem: &Problem) -> Self {
        Self {
            kind: match problem.kind {
                ProblemKind::Unreadable => "unreadable",
                ProblemKind::Vanished => "vanished",
                ProblemKind::ChangedWhileRead => "changed_while_read",
                ProblemKind::Damaged => "damaged",
                ProblemKind::Missing => "missing",
                ProblemKind::MetadataNotApplied => "metadata_not_applied",
                ProblemKind::Conflict => "conflict",
                ProblemKind::NotRestored => "not_restored",
            },
            path: PathText::of(&problem.subject),
            detail: problem.detail.clone(),
        }
    }

    fn list(problems: &Problems) -> Vec<Self> {
        problems.listed.iter().map(Self::of).collect()
    }
}

impl ProblemList {
    fn of(problems: &Problems, counted: u64) -> Self {
        Self {
            problems: ProblemInfo::list(problems),
            problem_count: problems.count.max(counted),
        }
    }
}

impl EntryLine {
    pub(crate) fn of(path: &[u8], entry: &Entry) -> Self {
        Self {
            line_type: "entry",
            path: PathText::of(path),
            entry: EntryInfo::of(entry),
        }
    }
}

impl EntryInfo {
    fn of(entry: &Entry) -> Self {
        let metadata = &entry.metadata;
        let (size, target, device) = match &entry.node {
            Node::File(content) => (Some(content.len()), None, None),
            Node::Symlink(target) => (None, Some(target.clone()), None),
            Node::HardLink(leader) => (None, Some(leader.to_bytes()), None),
            Node::CharDevice(number) | Node::BlockDevice(number) => (
                None,
                None,
                Some(format!("{}:{}", number.major, number.minor)),
            ),
            Node::Folder | Node::Fifo | Node::Socket => (None, None, None),
        };
        Self {
            kind: kind_word(&entry.node),
            size,
            mode: format!("{:04o}", metadata.mode),
            uid: metadata.owner.uid,
            gid: metadata.owner.gid,
            user: String::from_utf8_lossy(&metadata.owner.user).into_owned(),
            group: String::from_utf8_lossy(&metadata.owner.group).into_owned(),
            mtime: utc_time(metadata.mtime),
            xattrs: metadata.xattrs.len(),
            target_hex: target.as_deref().and_then(hex_unless_text),
            target: target.map(|target| String::from_utf8_lossy(&target).into_owned()),
            device,
        }
    }
}

fn kind_word(node: &Node) -> &'static str {
    match node {
        Node::File(_) => "file",
        Node::Folder => "folder",
        Node::Symlink(_) => "symlink",
        Node::Fifo => "fifo",
        Node::Socket => "socket",
        Node::CharDevice(_) => "char_device",
        Node::BlockDevice(_) => "block_device",
        Node::HardLink(_) => "hard_link",
    }
}

impl LsSummary {
    pub(crate) fn of(snapshot: &Snapshot, report: &ListReport, problems: &Problems) -> Self {
        Self {
            line_type: "summary",
            snapshot: snapshot.session.to_string(),
            entries: report.entries,
            problems: ProblemList::of(problems, report.problems),
        }
    }
}

impl RestoreSummary {
    pub(crate) fn of(
        snapshot: &Snapshot,
        report: &RestoreReport,
        problems: &Problems,
        took: Duration,
    ) -> Self {
        Self {
            snapshot: snapshot.session.to_string(),
            entries: report.entries,
            files: report.files,
            bytes: report.bytes,
            skipped: report.skipped,
            verified: report.verified,
            problems: ProblemList::of(problems, report.problems),
            privileged: false,
            seconds: took.as_secs_f64(),
            dry_run: false,
        }
    }

    /// How it was run.
    pub(crate) fn run(self, privileged: bool, dry_run: bool) -> Self {
        Self {
            privileged,
            dry_run,
            ..self
        }
    }
}

impl DifferenceLine {
    pub(crate) fn of(difference: &Difference<'_>) -> Self {
        Self {
            line_type: "difference",
            path: PathText::of(&difference.path),
            change: match (difference.before, difference.after) {
                (None, _) => "added",
                (_, None) => "removed",
                _ => "changed",
            },
            content: difference.content,
            metadata: difference.metadata,
            before: difference.before.map(EntryInfo::of),
            after: difference.after.map(EntryInfo::of),
        }
    }
}

impl DiffSummary {
    pub(crate) fn of(
        (before, after): (&Snapshot, &Snapshot),
        report: &DiffReport,
        problems: &Problems,
    ) -> Self {
        Self {
            line_type: "summary",
            before: before.session.to_string(),
            after: after.session.to_string(),
            added: report.added,
            removed: report.removed,
            content_changed: report.content_changed,
            metadata_changed: report.metadata_changed,
            problems: ProblemList::of(problems, report.problems),
        }
    }
}

impl CheckSummary {
    pub(crate) fn of(report: &CheckReport, read_data: bool, took: Duration) -> Self {
        Self {
            sound: report.is_sound(),
            read_data,
            findings: report.findings.iter().map(FindingInfo::of).collect(),
            snapshots: report.snapshots,
            damaged_snapshots: report.damaged_snapshots,
            objects: report.objects,
            bytes: report.bytes,
            seconds: took.as_secs_f64(),
        }
    }
}

impl RepairIndexSummary {
    pub(crate) fn of(report: &RepairIndexReport, took: Duration, dry_run: bool) -> Self {
        let unreadable = report.unreadable.iter();
        let unreadable = unreadable.map(|(name, detail)| DamagedObject {
            object: name.to_string(),
            detail: detail.clone(),
        });
        Self {
            runs_written: report.runs_written,
            runs_removed: report.runs_removed,
            packs_read: report.packs_read,
            unreadable: unreadable.collect(),
            seconds: took.as_secs_f64(),
            dry_run,
        }
    }
}

impl FindingInfo {
    fn of(finding: &Finding) -> Self {
        Self {
            kind: match finding.kind {
                FindingKind::Damaged => "damaged",
                FindingKind::Missing => "missing",
                FindingKind::Unreferenced => "unreferenced",
                FindingKind::Rebuildable => "rebuildable",
                FindingKind::Unreadable => "unreadable",
            },
            subject: finding.subject.clone(),
            detail: finding.detail.clone(),
            lost_paths: finding
                .lost_paths
                .iter()
                .map(|lost| LostPath::of(lost))
                .collect(),
            lost_ranges: finding.lost_ranges.iter().map(LostBytes::of).collect(),
        }
    }
}

impl LostPath {
    /// `lost` has the snapshot's id before its first colon.
    fn of(lost: &[u8]) -> Self {
        let colon = lost.iter().position(|&byte| byte == b':');
        let (snapshot, path) = colon.map_or((&[][..], lost), |at| (&lost[..at], &lost[at + 1..]));
        Self {
            snapshot: String::from_utf8_lossy(snapshot).into_owned(),
            path: PathText::of(path),
        }
    }
}

impl StatsSummary {
    pub(crate) fn of(report: &StatsReport) -> Self {
        let objects = report
            .objects
            .iter()
            .map(|&(kind, count, bytes)| ObjectSum {
                kind: kind.folder(),
                count,
                bytes,
            });
        Self {
            snapshots: report.snapshots,
            logical_bytes: report.logical_bytes,
            chunks: report.chunks,
            chunk_bytes: report.chunk_bytes,
            pages: report.pages,
            page_bytes: report.page_bytes,
            data_pack_bytes: report.data_pack_bytes,
            meta_pack_bytes: report.meta_pack_bytes,
            stored_bytes: report.objects.iter().map(|(_, _, bytes)| bytes).sum(),
            objects: objects.collect(),
            medium_bytes: report.room.map(|room| room.total),
            free_bytes: report.room.map(|room| room.free),
            reserve_bytes: report.room.map(|room| room.reserve),
        }
    }
}

impl InspectionReport {
    pub(crate) fn of(inspection: &Inspection) -> Self {
        let object = |pairs: &Vec<(String, String)>| {
            let pairs = pairs.iter().cloned();
            pairs
                .map(|(name, value)| (name, Value::String(value)))
                .collect()
        };
        Self {
            title: inspection.title.clone(),
            fields: object(&inspection.fields),
            rows: inspection.rows.iter().map(object).collect(),
        }
    }
}

fn hex_unless_text(bytes: &[u8]) -> Option<String> {
    if std::str::from_utf8(bytes).is_ok() {
        return None;
    }
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // A string takes everything.
        let _ = write!(hex, "{byte:02x}");
    }
    Some(hex)
}

#[cfg(test)]
mod tests {
    use blockstore::format::id::ChunkId;
    use blockstore::format::name::{ObjectKind, ObjectName};
    use blockstore::operations::check::LostRange;
    use blockstore::operations::diff_volume::DifferentRange;
    use blockstore::operations::find::FindReport;
    use blockstore::operations::map_volume::{MappedRange, RangeKind};
    use blockstore::operations::protect::ProtectReport;
    use blockstore::operations::undelete::UndeleteReport;
    use blockstore::operations::versions::{Version, VersionsReport};
    use blockstore::repository::retention::Until;
    use blockstore::serve::nbd::NbdReport;
    use serde_json::json;

    use super::*;
    use crate::render::samples;

    const DOCUMENT: &str = include_str!("../../JSON.md");

    fn problems() -> Problems {
        Problems {
            listed: vec![samples::problem()],
            count: 3,
        }
    }

    fn value(report: impl Serialize) -> Value {
        serde_json::to_value(report).unwrap()
    }

    /// One report of each kind, with every optional field there.
    fn every_report() -> Vec<(&'static str, Value)> {
        let (snapshot, entry, problems) = (samples::snapshot(), samples::entry(), problems());
        let symlink = Entry {
            node: Node::Symlink(b"\xff".to_vec()),
            ..samples::entry()
        };
        let finding = Finding {
            kind: FindingKind::Missing,
            subject: "packs/x".into(),
            detail: "is not there".into(),
            lost_paths: vec![b"3f:/a:\xff".to_vec()],
            lost_ranges: vec![LostRange {
                path: b"3f:disk0".to_vec(),
                range: 0..1,
                partition: Some(1),
            }],
        };
        let mapped = MappedRange {
            range: 0..1,
            kind: RangeKind::Data,
            chunk: Some(ChunkId([1; 32])),
        };
        let different = DifferentRange {
            range: 0..1,
            known: true,
        };
        let check = CheckReport {
            findings: vec![finding],
            ..CheckReport::default()
        };
        let repaired = RepairIndexReport {
            unreadable: vec![(ObjectName::Config(1), "x".into())],
            ..RepairIndexReport::default()
        };
        let stats = StatsReport {
            objects: vec![(ObjectKind::Pack, 1, 2)],
            ..StatsReport::default()
        };
        let difference = Difference {
            path: b"/\xff".to_vec(),
            before: Some(&entry),
            after: Some(&symlink),
            content: true,
            metadata: false,
        };
        let error = ErrorReport {
            error: "x".into(),
            kind: "busy",
            exit_code: 11,
        };
        let name = ObjectName::Snapshot(snapshot.session);
        let damaged = [(name, Error::damaged(name, "x"))];
        let until = Some(Until::Forever);
        let boot = samples::boot();
        let listed = ListedSnapshot::of(&snapshot)
            .protected(until)
            .forgotten(Some(snapshot.ended))
            .last_boot(Some(LastBoot::of(1, &boot)));
        let list = SnapshotsReport {
            snapshots: vec![listed],
            damaged: DamagedObject::list(&damaged),
        };
        let cat = CatReport {
            snapshot: "x".into(),
            bytes: 1,
        };
        let undeleted = UndeleteReport {
            back: vec![snapshot.session],
            too_late: vec![snapshot.session],
        };
        let protected = ProtectReport {
            session: snapshot.session,
            until: snapshot.ended,
            before: until,
        };
        let versions = VersionsReport {
            versions: vec![Version {
                snapshot: snapshot.session,
                taken: snapshot.ended,
                last_snapshot: snapshot.session,
                snapshots: 1,
                entry: symlink.clone(),
            }],
            ..VersionsReport::default()
        };
        let took = Duration::from_millis(1_500);
        let (restored, diffed) = (RestoreReport::default(), DiffReport::default());
        let both = (&snapshot, &snapshot);
        vec![
            ("failure", value(error)),
            (
                "snapshot",
                value(SnapshotReport::of(&snapshot, &problems, took, false)),
            ),
            (
                "merge",
                value(MergeSummary::of(&samples::merge(), &problems, took, false)),
            ),
            ("snapshots", value(list)),
            ("ls", value(EntryLine::of(b"/\xff", &symlink))),
            (
                "ls",
                value(LsSummary::of(&snapshot, &ListReport::default(), &problems)),
            ),
            ("find", value(FoundLine::of(&snapshot, b"/\xff", &symlink))),
            (
                "find",
                value(FindSummary::of(&FindReport::default(), 1, &problems)),
            ),
            (
                "versions",
                value(VersionsSummary::of(b"/\xff", &versions, &problems)),
            ),
            ("cat", value(cat)),
            (
                "restore",
                value(RestoreSummary::of(&snapshot, &restored, &problems, took)),
            ),
            ("mount", value(MountLine::of(b"/m\xff", Some(&snapshot)))),
            ("mount", value(MountSummary::of(None, &problems, 3))),
            ("map", value(MapEntry::of(&mapped))),
            ("diff", value(DirtyRange::of(&different))),
            ("diff", value(RangeLine::of(b"\xff", &different))),
            ("diff", value(VolumeLine::of(&snapshot.roots[0], "added"))),
            ("ls", value(RootLine::of(&snapshot.roots[0]))),
            ("ls", value(LogicalLine::of(&samples::logical_row()))),
            ("diff", value(DifferenceLine::of(&difference))),
            ("diff", value(DiffSummary::of(both, &diffed, &problems))),
            (
                "forget",
                value(ForgetSummary::of(&samples::forget(), &problems, true)),
            ),
            (
                "boot",
                value(BootSummary::of(Some(true), b"\xff", &problems, took)),
            ),
            ("verify", value(VerifySummary::of(1, &boot, &problems))),
            (
                "verify",
                value(BootList::of(
                    snapshot.session,
                    &[(1, boot.clone())],
                    &damaged,
                )),
            ),
            ("undelete", value(UndeleteSummary::of(&undeleted))),
            ("protect", value(ProtectSummary::of(&protected))),
            ("check", value(CheckSummary::of(&check, true, took))),
            (
                "repair index",
                value(RepairIndexSummary::of(&repaired, took, false)),
            ),
            (
                "serve nbd",
                value(ServeSummary::of(&NbdReport::default(), &problems, took)),
            ),
            ("stats", value(StatsSummary::of(&stats))),
            (
                "bench",
                value(BenchSummary::of(&samples::bench(), &problems, took)),
            ),
        ]
    }

    fn names(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                into.extend(fields.keys().cloned());
                fields.values().for_each(|field| names(field, into));
            }
            Value::Array(items) => items.iter().for_each(|item| names(item, into)),
            _ => {}
        }
    }

    /// The part of the document about one command.
    fn section(command: &str) -> &'static str {
        let heading = format!("\n## `{command}`");
        let parts = DOCUMENT.split_once(heading.as_str());
        let (_, rest) = parts.expect("every command has a section");
        rest.split("\n## ").next().unwrap_or_default()
    }

    #[test]
    fn every_field_is_described_in_json_md() {
        for (command, report) in every_report() {
            let mut fields = Vec::new();
            names(&report, &mut fields);
            for field in fields {
                let row = format!("| `{field}` |");
                // Problems and snapshots inside other reports are described where they come first.
                let described = section(command).contains(&row)
                    || section("snapshot").contains(&row)
                    || matches!(command, "diff" | "find" | "versions")
                        && section("ls").contains(&row);
                assert!(described, "{command}: {field}");
            }
        }
    }

    #[test]
    fn a_snapshot_has_its_id_the_root_of_its_tree_and_its_sums() {
        let report = SnapshotReport::of(&samples::snapshot(), &problems(), Duration::ZERO, false);
        let report = value(report);
        assert_eq!(report["snapshot"], "3f".repeat(16));
        assert_eq!(report["root"], "ab".repeat(32));
        let root = json!({
            "path": "/home/\u{fffd}", "path_hex": "2f686f6d652fff",
            "root": "ab".repeat(32), "entries": 120_000, "bytes": 1_717_986_918_u64,
        });
        assert_eq!(report["roots"], json!([root]));
        assert_eq!(report["unchanged_files"], 106_000);
        assert_eq!(report["ended"], "2026-09-21T14:13:22.3Z");
        let problem = json!({"kind": "unreadable", "path": "/a\nb", "detail": "permission denied"});
        assert_eq!(report["problems"], json!([problem]));
        assert_eq!(report["problem_count"], 3);
    }

    #[test]
    fn several_roots_have_no_single_root_id_and_a_dry_run_no_snapshot() {
        let mut snapshot = samples::snapshot();
        snapshot.roots.push(snapshot.roots[0].clone());
        let report = SnapshotReport::of(&snapshot, &Problems::default(), Duration::ZERO, true);
        let report = value(report);
        assert_eq!(
            (&report["root"], &report["snapshot"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(report["roots"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn text_needs_no_hex_and_other_bytes_have_it() {
        assert_eq!(value(PathText::of("/ü".as_bytes())), json!({"path": "/ü"}));
        let other = json!({"path": "\u{fffd}", "path_hex": "ff"});
        assert_eq!(value(PathText::of(b"\xff")), other);
    }

    #[test]
    fn a_lost_path_is_split_at_the_first_colon() {
        let lost = value(LostPath::of(b"3f:/a:b"));
        assert_eq!(lost, json!({"snapshot": "3f", "path": "/a:b"}));
    }
}
