//! Reports as sentences and tables.

use std::time::Duration;

use blockstore::format::entry::{Entry, Node};
use blockstore::format::id::SessionId;
use blockstore::format::snapshot::{Root, RootType, Snapshot};
use blockstore::observe::{Problem, ProblemKind};
use blockstore::operations::check::{CheckReport, Finding, FindingKind};
use blockstore::operations::diff::{DiffReport, Difference};
use blockstore::operations::inspect::Inspection;
use blockstore::operations::merge::MergeReport;
use blockstore::operations::repair_index::RepairIndexReport;
use blockstore::operations::restore::RestoreReport;
use blockstore::operations::restore_volume::{RestoreVolumeReport, VerifyVolumeReport};
use blockstore::operations::stats::StatsReport;
use blockstore::storage::room::Room;

use crate::render::escape;
use crate::render::table::{self, Align};

pub(crate) use crate::render::units::{bytes, count, counted, duration, local_time};

/// Digits of an id that are shown.
const ID_LEN_SHORT: usize = 8;

/// The beginning of a snapshot's id, enough to name it.
pub(crate) fn short_id(snapshot: &Snapshot) -> String {
    short(snapshot.session)
}

/// The same of the session that made it.
pub(crate) fn short(session: SessionId) -> String {
    let mut id = session.to_string();
    id.truncate(ID_LEN_SHORT);
    id
}

/// `unreadable: /a/b: permission denied`
pub(crate) fn problem(problem: &Problem) -> String {
    let subject = escape::path(&problem.subject);
    let detail = escape::line(&problem.detail);
    format!("{}: {subject}: {detail}", problem_words(problem.kind))
}

fn problem_words(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Unreadable => "unreadable",
        ProblemKind::Vanished => "vanished",
        ProblemKind::ChangedWhileRead => "changed while read",
        ProblemKind::Damaged => "damaged",
        ProblemKind::Missing => "missing",
        ProblemKind::MetadataNotApplied => "metadata not applied",
        ProblemKind::Conflict => "conflict",
        ProblemKind::NotRestored => "not restored",
    }
}

/// What a snapshot came to.
pub(crate) fn snapshot_saved(
    snapshot: &Snapshot,
    problems: u64,
    dry_run: bool,
    took: Duration,
) -> String {
    let totals = &snapshot.totals;
    let is_volume = |root: &&Root| root.root_type == RootType::Extents;
    let volumes = snapshot.roots.iter().filter(is_volume).count() as u64;
    let subject = match volumes {
        0 => counted(totals.files, "file", "files"),
        _ => counted(volumes, "volume", "volumes"),
    };
    let sums = format!(
        "{}, {} ({} new, {} stored) in {}",
        subject,
        bytes(totals.bytes),
        bytes(totals.new_bytes),
        bytes(totals.stored_bytes),
        duration(took),
    );
    let tail = with_problems(problems);
    if dry_run {
        format!("a snapshot would hold {sums}{tail}; nothing was stored")
    } else {
        format!("snapshot {} saved: {sums}{tail}", short_id(snapshot))
    }
}

/// What a merge came to.
pub(crate) fn merged(report: &MergeReport, problems: u64, dry_run: bool, took: Duration) -> String {
    let totals = &report.snapshot.totals;
    let sums = format!(
        "{} ({} made anew), {}, {} ({} stored) in {}",
        counted(report.snapshot.roots.len() as u64, "root", "roots"),
        count(report.roots_built),
        counted(totals.files, "file", "files"),
        bytes(totals.bytes),
        bytes(totals.stored_bytes),
        duration(took),
    );
    let (of, tail) = (report.merged.len() as u64, with_problems(problems));
    if dry_run {
        format!("a merge of {of} snapshots would hold {sums}{tail}; nothing was stored")
    } else {
        let id = short_id(&report.snapshot);
        format!("snapshot {id} merged of {of} snapshots: {sums}{tail}")
    }
}

fn with_problems(count: u64) -> String {
    match count {
        0 => String::new(),
        _ => format!(", with {}", counted(count, "problem", "problems")),
    }
}

/// What a list says of a snapshot: id, time, host, tags, size, paths.
pub(crate) fn snapshot_cells(snapshot: &Snapshot) -> [String; 6] {
    let names = snapshot.roots.iter().map(|root| escape::path(&root.name));
    let paths: Vec<_> = names.collect();
    [
        short_id(snapshot),
        local_time(snapshot.ended),
        escape::line(&snapshot.host),
        escape::line(&snapshot.tags.join(",")),
        bytes(snapshot.totals.bytes),
        paths.join(" "),
    ]
}

/// As `ls -l` shows it.
pub(crate) fn entry_long(path: &[u8], entry: &Entry) -> String {
    let owner = &entry.metadata.owner;
    let who = |name: &[u8], number: u32| match name {
        [] => number.to_string(),
        _ => escape::path(name),
    };
    let tail = match &entry.node {
        Node::Symlink(target) => format!(" -> {}", escape::path(target)),
        Node::HardLink(leader) => format!(" = {}", escape::line(&leader.to_string())),
        _ => String::new(),
    };
    format!(
        "{} {:>8} {:>8} {:>10} {} {}{tail}",
        mode(entry),
        who(&owner.user, owner.uid),
        who(&owner.group, owner.gid),
        size_or_number(&entry.node),
        local_time(entry.metadata.mtime),
        escape::path(path),
    )
}

pub(crate) fn size_or_number(node: &Node) -> String {
    match node {
        Node::File(content) => bytes(content.len()),
        Node::CharDevice(number) | Node::BlockDevice(number) => {
            format!("{}, {}", number.major, number.minor)
        }
        _ => "-".to_owned(),
    }
}

/// `-rwsr-xr-x`
fn mode(entry: &Entry) -> String {
    let kind = match entry.node {
        Node::File(_) => '-',
        Node::Folder => 'd',
        Node::Symlink(_) => 'l',
        Node::Fifo => 'p',
        Node::Socket => 's',
        Node::CharDevice(_) => 'c',
        Node::BlockDevice(_) => 'b',
        Node::HardLink(_) => 'h',
    };
    let mode = entry.metadata.mode;
    let class = |shift: u16, special: u16, letters: [char; 2]| {
        let bits = mode >> shift;
        let letter = |bit: u16, letter| if bits & bit != 0 { letter } else { '-' };
        let execute = match (bits & 1 != 0, mode & special != 0) {
            (true, true) => letters[0],
            (false, true) => letters[1],
            (executable, false) => {
                if executable {
                    'x'
                } else {
                    '-'
                }
            }
        };
        [letter(4, 'r'), letter(2, 'w'), execute]
    };
    let classes = [
        class(6, 0o4000, ['s', 'S']),
        class(3, 0o2000, ['s', 'S']),
        class(0, 0o1000, ['t', 'T']),
    ];
    std::iter::once(kind)
        .chain(classes.into_iter().flatten())
        .collect()
}

/// One line of a diff.
pub(crate) fn difference(difference: &Difference<'_>) -> String {
    let sign = match (difference.before, difference.after) {
        (None, _) => '+',
        (_, None) => '-',
        _ if difference.content => 'M',
        _ => 'm',
    };
    format!("{sign} {}", escape::path(&difference.path))
}

/// Sums of a diff.
pub(crate) fn diff_sums(report: &DiffReport) -> String {
    format!(
        "{} added, {} removed, {} with other content, {} with other metadata{}",
        count(report.added),
        count(report.removed),
        count(report.content_changed),
        count(report.metadata_changed),
        with_problems(report.problems),
    )
}

/// What a restore came to.
pub(crate) fn restored(
    report: &RestoreReport,
    problems: u64,
    dry_run: bool,
    took: Duration,
) -> String {
    let mut text = format!(
        "{}: {}, {}, {} in {}",
        if dry_run { "would restore" } else { "restored" },
        counted(report.entries, "entry", "entries"),
        counted(report.files, "file", "files"),
        bytes(report.bytes),
        duration(took),
    );
    if report.verified > 0 {
        text += &format!(", {} verified", counted(report.verified, "file", "files"));
    }
    if report.skipped > 0 {
        text += &format!(", {} left as they were", count(report.skipped));
    }
    text + &with_problems(problems)
}

/// What a restore or export of a volume came to.
pub(crate) fn restored_volume(
    report: &RestoreVolumeReport,
    problems: u64,
    took: Duration,
) -> String {
    let mut text = format!(
        "restored {}: {} written, {} zeroed",
        bytes(report.len),
        bytes(report.written),
        bytes(report.zeroed),
    );
    if report.resumed > 0 {
        text += &format!(", {} done before", bytes(report.resumed));
    }
    if report.equal > 0 {
        text += &format!(", {} right already", bytes(report.equal));
    }
    text += &format!(" in {}", duration(took));
    if let Some(verified) = &report.verified {
        text += &format!(", {}", verdict(verified));
    }
    if !report.lost.is_empty() {
        text += &format!(", {} LOST and zeroed", bytes(report.lost.bytes));
    }
    text + &with_problems(problems)
}

/// What a comparison of a target with a volume came to.
pub(crate) fn verified_volume(report: &VerifyVolumeReport, took: Duration) -> String {
    format!(
        "compared {} in {}: {}",
        bytes(report.len),
        duration(took),
        verdict(report)
    )
}

fn verdict(report: &VerifyVolumeReport) -> String {
    match (report.differing.bytes, report.lost.bytes) {
        (0, 0) => "identical".to_owned(),
        (0, lost) => format!("identical but for {} that are lost", bytes(lost)),
        (differing, _) => format!("{} DIFFER", bytes(differing)),
    }
}

/// What a repair of the index came to.
pub(crate) fn repaired_index(report: &RepairIndexReport, dry_run: bool, took: Duration) -> String {
    let took = duration(took);
    if (report.runs_written, report.runs_removed) == (0, 0) {
        return format!("the index needs no repair: looked at it in {took}");
    }
    let verbs = match dry_run {
        true => ["would write", "remove", "read"],
        false => ["wrote", "removed", "read"],
    };
    let runs = |number| counted(number, "index run", "index runs");
    format!(
        "{} {}, {} {}, {} the tables of {} in {took}",
        verbs[0],
        runs(report.runs_written),
        verbs[1],
        runs(report.runs_removed),
        verbs[2],
        counted(report.packs_read, "pack", "packs"),
    )
}

/// One finding: a line, and a line for each path that is lost with it.
pub(crate) fn finding(finding: &Finding) -> Vec<String> {
    let kind = match finding.kind {
        FindingKind::Damaged => "damaged",
        FindingKind::Missing => "missing",
        FindingKind::Unreferenced => "unreferenced",
        FindingKind::Rebuildable => "rebuildable",
        FindingKind::Unreadable => "unreadable",
    };
    let (subject, detail) = (
        escape::line(&finding.subject),
        escape::line(&finding.detail),
    );
    let first = format!("{kind}: {subject}: {detail}");
    let lost = finding
        .lost_paths
        .iter()
        .map(|path| format!("  lost: {}", escape::path(path)));
    let ranges = finding.lost_ranges.iter().map(|lost| {
        let (path, start) = (escape::path(&lost.path), lost.range.start);
        let len = lost.range.end - start;
        let partition = lost.partition.map(|number| format!(" in p{number}"));
        let partition = partition.unwrap_or_default();
        format!("  lost: {path} bytes {start}+{len}{partition}")
    });
    let lines = std::iter::once(first).chain(lost);
    lines.chain(ranges).collect()
}

/// What a check came to.
pub(crate) fn checked(report: &CheckReport, took: Duration) -> String {
    let of = |kinds: &[FindingKind]| {
        report
            .findings
            .iter()
            .filter(|finding| kinds.contains(&finding.kind))
            .count() as u64
    };
    let bad = of(&[FindingKind::Damaged, FindingKind::Missing]);
    let harmless = of(&[
        FindingKind::Unreferenced,
        FindingKind::Rebuildable,
        FindingKind::Unreadable,
    ]);
    let verdict = if report.is_sound() {
        "sound".to_owned()
    } else {
        let findings = counted(bad, "finding", "findings");
        let of_all = count(report.snapshots);
        let hurt = count(report.damaged_snapshots);
        format!("DAMAGED: {findings}, {hurt} of {of_all} snapshots cannot be restored whole")
    };
    let notes = match harmless {
        0 => String::new(),
        _ => format!(
            ", {} of no danger",
            counted(harmless, "finding", "findings")
        ),
    };
    format!(
        "{verdict}: {}, {}, {} read in {}{notes}",
        counted(report.snapshots, "snapshot", "snapshots"),
        counted(report.objects, "object", "objects"),
        bytes(report.bytes),
        duration(took),
    )
}

/// Sums over a repository.
pub(crate) fn stats(report: &StatsReport) -> Vec<String> {
    let row = |name: &str, number: u64, len: u64| [name.to_owned(), count(number), bytes(len)];
    let sums = [
        row("snapshots", report.snapshots, report.logical_bytes),
        row("chunks", report.chunks, report.chunk_bytes),
        row("pages", report.pages, report.page_bytes),
    ];
    let objects = report
        .objects
        .iter()
        .map(|(kind, number, len)| row(&format!("{}/", kind.folder()), *number, *len));
    let stored: u64 = report.objects.iter().map(|(_, _, len)| len).sum();
    let number: u64 = report.objects.iter().map(|(_, number, _)| number).sum();
    let heading = ["", "number", "size"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(heading)
        .chain(sums)
        .chain(objects)
        .chain([row("all objects", number, stored)])
        .collect();
    let mut lines = table::lines([Align::Left, Align::Right, Align::Right], &rows);
    lines.extend(ratios(report, stored));
    lines.extend(report.room.map(room));
    lines
}

fn room(room: Room) -> String {
    let kept = match room.reserve {
        0 => "nothing is".to_owned(),
        len => format!("{} are", bytes(len)),
    };
    format!(
        "{} free of {}; {kept} kept in reserve, so that a full disk blocks no forget and no prune",
        bytes(room.free),
        bytes(room.total)
    )
}

fn ratios(report: &StatsReport, stored: u64) -> Option<String> {
    let ratio = |whole: u64, part: u64| (part > 0).then(|| whole as f64 / part as f64);
    let shared = ratio(report.logical_bytes, report.chunk_bytes)?;
    let compressed = ratio(report.chunk_bytes, report.data_pack_bytes)?;
    let all = ratio(report.logical_bytes, stored)?;
    Some(format!(
        "{shared:.2} by sharing, {compressed:.2} by compression, {all:.2} in all"
    ))
}

/// A decoded object.
pub(crate) fn inspection(inspection: &Inspection) -> Vec<String> {
    let name_value = |(name, value): &(String, String)| [escape::line(name), escape::line(value)];
    let fields: Vec<_> = inspection.fields.iter().map(name_value).collect();
    let mut lines = vec![escape::line(&inspection.title)];
    let fields = table::lines([Align::Left, Align::Left], &fields);
    lines.extend(fields.iter().map(|line| format!("  {line}")));
    lines.extend(inspection.rows.iter().map(|row| {
        let cells = row.iter().map(|(name, value)| format!("{name}={value}"));
        escape::line(&cells.collect::<Vec<_>>().join(" "))
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn a_saved_snapshot_is_one_sentence() {
        let snapshot = samples::snapshot();
        let took = Duration::from_millis(2_300);
        let text = "106,201 files, 1.6 GiB (12.1 MiB new, 4.0 MiB stored) in 2.3 s";
        let saved = snapshot_saved(&snapshot, 0, false, took);
        assert_eq!(saved, format!("snapshot 3f3f3f3f saved: {text}"));
        let dry = snapshot_saved(&snapshot, 1, true, took);
        let expected = format!("a snapshot would hold {text}, with 1 problem; nothing was stored");
        assert_eq!(dry, expected);
    }

    #[test]
    fn a_merge_is_one_sentence() {
        let report = samples::merge();
        let took = Duration::from_millis(2_300);
        let text = "1 root (1 made anew), 106,201 files, 1.6 GiB (4.0 MiB stored) in 2.3 s";
        let saved = merged(&report, 0, false, took);
        assert_eq!(
            saved,
            format!("snapshot 3f3f3f3f merged of 2 snapshots: {text}")
        );
        let dry = merged(&report, 2, true, took);
        let expected = "a merge of 2 snapshots would hold ".to_owned() + text;
        assert_eq!(dry, expected + ", with 2 problems; nothing was stored");
    }

    #[test]
    fn a_mode_shows_setuid_as_ls_does() {
        let mut entry = samples::entry();
        assert_eq!(mode(&entry), "-rwsr-xr-x");
        entry.metadata.mode = 0o1640;
        assert_eq!(mode(&entry), "-rw-r----T");
    }

    #[test]
    fn an_owner_without_a_name_is_a_number() {
        let line = entry_long(b"/x", &samples::entry());
        assert!(line.contains("     ana      100        5 B "), "{line}");
    }

    #[test]
    fn a_problem_stays_one_line() {
        let line = problem(&samples::problem());
        assert_eq!(line, r"unreadable: /a\nb: permission denied");
    }

    #[test]
    fn a_repair_says_what_changed_or_that_nothing_had_to() {
        let took = Duration::from_millis(1500);
        let mut report = RepairIndexReport::default();
        let text = repaired_index(&report, false, took);
        assert!(text.starts_with("the index needs no repair"), "{text}");
        (report.runs_written, report.runs_removed, report.packs_read) = (1, 2, 30);
        let text = repaired_index(&report, true, took);
        let expected = "would write 1 index run, remove 2 index runs, read the tables of 30 packs";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn a_check_says_first_whether_all_is_well() {
        let mut report = CheckReport {
            snapshots: 2,
            objects: 10,
            bytes: 2048,
            ..CheckReport::default()
        };
        let took = Duration::from_secs(1);
        let sound = checked(&report, took);
        assert_eq!(
            sound,
            "sound: 2 snapshots, 10 objects, 2.0 KiB read in 1.0 s"
        );
        report.findings.push(Finding {
            kind: FindingKind::Missing,
            subject: "packs/x".into(),
            detail: "is not there".into(),
            lost_paths: vec![b"3f:/a\n".to_vec()],
            lost_ranges: Vec::new(),
        });
        report.damaged_snapshots = 1;
        let damaged = checked(&report, took);
        assert!(
            damaged.starts_with("DAMAGED: 1 finding, 1 of 2 snapshots"),
            "{damaged}"
        );
        let lines = finding(&report.findings[0]);
        assert_eq!(
            lines,
            ["missing: packs/x: is not there", r"  lost: 3f:/a\n"]
        );
    }
}
