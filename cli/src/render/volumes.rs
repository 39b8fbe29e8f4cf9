//! Volumes as lines and tables.

use blockstore::format::snapshot::{Root, RootType};
use blockstore::format::volume::PartitionInfo;
use blockstore::operations::diff_volume::{DiffVolumeReport, DifferentRange};
use blockstore::operations::map_volume::{MapReport, MappedRange, RangeKind};
use blockstore::operations::select_volume::SelectedVolume;
use blockstore::serve::groups::Group;
use blockstore::serve::nbd::NbdReport;
use blockstore::sources::volume::layout::LogicalVolume;

use crate::render::escape;
use crate::render::table::{self, Align};
use crate::render::units::{bytes, counted};

/// Digits that offsets and lengths are given.
const NUMBER_WIDTH: usize = 16;

/// Above the lines of a map.
pub(crate) fn map_heading() -> String {
    format!(
        "{:>NUMBER_WIDTH$}  {:>NUMBER_WIDTH$}  kind",
        "start", "length"
    )
}

/// One range of a volume.
pub(crate) fn map_line(range: &MappedRange) -> String {
    let (start, len) = (range.range.start, range.range.end - range.range.start);
    let chunk = range.chunk.map_or_else(String::new, |id| format!("  {id}"));
    let kind = kind_word(range.kind);
    format!("{start:>NUMBER_WIDTH$}  {len:>NUMBER_WIDTH$}  {kind}{chunk}")
}

/// The word for a kind of range.
pub(crate) fn kind_word(kind: RangeKind) -> &'static str {
    match kind {
        RangeKind::Data => "data",
        RangeKind::Zero => "zero",
        RangeKind::Hole => "hole",
        RangeKind::Unreadable => "unreadable",
        RangeKind::Lost => "lost",
    }
}

/// Sums of a map.
pub(crate) fn map_sums(report: &MapReport) -> String {
    let mut text = format!(
        "{}: {} data, {} zeros, {} holes",
        counted(report.ranges, "range", "ranges"),
        bytes(report.data),
        bytes(report.zero),
        bytes(report.hole),
    );
    for (len, what) in [(report.unreadable, "unreadable"), (report.lost, "LOST")] {
        if len > 0 {
            text += &format!(", {} {what}", bytes(len));
        }
    }
    text
}

/// One range in which two volumes differ.
pub(crate) fn different(range: &DifferentRange) -> String {
    let (start, len) = (range.range.start, range.range.end - range.range.start);
    let known = if range.known { "" } else { "  unknown" };
    format!("{start:>NUMBER_WIDTH$}  {len:>NUMBER_WIDTH$}{known}")
}

/// The same, of a part of a machine.
pub(crate) fn different_of(label: &[u8], range: &DifferentRange) -> String {
    let (start, len) = (range.range.start, range.range.end - range.range.start);
    let known = if range.known { "" } else { ", unknown" };
    format!("M {} bytes {start}+{len}{known}", escape::path(label))
}

/// A volume that only one of two machines has.
pub(crate) fn alone(root: &Root, change: &str) -> String {
    let sign = if change == "added" { '+' } else { '-' };
    format!("{sign} {}", escape::path(&root.name))
}

/// What a server did, once it has ended.
pub(crate) fn served(report: &NbdReport) -> String {
    let mut text = format!(
        "{}, {}, {} read, {} written",
        counted(report.connections, "connection", "connections"),
        counted(report.requests, "request", "requests"),
        bytes(report.bytes_read),
        bytes(report.bytes_written),
    );
    if report.refused > 0 {
        text += &format!(", {} REFUSED", counted(report.refused, "client", "clients"));
    }
    if report.problems > 0 {
        text += &format!(
            ", {} FAILED",
            counted(report.problems, "read or write", "reads and writes")
        );
    }
    text
}

/// Sums of what differs between two volumes.
pub(crate) fn diff_sums(report: &DiffVolumeReport) -> String {
    let mut text = format!(
        "{}, {} differ",
        counted(report.ranges, "range", "ranges"),
        bytes(report.different),
    );
    if report.unknown > 0 {
        text += &format!(", {} unknown because they are lost", bytes(report.unknown));
    }
    if report.before_len != report.after_len {
        text += &format!("; {}", lengths(report));
    }
    text
}

/// Two volumes of one label and of different lengths.
pub(crate) fn other_length(label: &[u8], report: &DiffVolumeReport) -> String {
    format!("{}: {}", escape::path(label), lengths(report))
}

fn lengths(report: &DiffVolumeReport) -> String {
    let (before, after) = (report.before_len, report.after_len);
    format!("the length was {before} and is {after} bytes")
}

/// The parts of a snapshot.
pub(crate) fn roots(roots: &[Root]) -> Vec<String> {
    let heading = ["label", "size", "kind", "origin"].map(str::to_owned);
    let row = |root: &Root| {
        let kind = match (root.root_type, &root.volume) {
            (RootType::Tree, _) => "folder".to_owned(),
            (RootType::Extents, Some(volume)) if !volume.medium.kind.is_empty() => {
                format!("volume ({})", escape::line(&volume.medium.kind))
            }
            (RootType::Extents, _) => "volume".to_owned(),
        };
        let origin = root.origin.as_deref().unwrap_or_default();
        [
            escape::path(&root.name),
            bytes(root.bytes),
            kind,
            escape::path(origin),
        ]
    };
    let rows: Vec<_> = std::iter::once(heading)
        .chain(roots.iter().map(row))
        .collect();
    use Align::{Left, Right};
    table::lines([Left, Right, Left, Left], &rows)
}

/// The partitions that are meant: one, or all.
pub(crate) fn listed<'s>(volume: &SelectedVolume<'s>) -> Vec<&'s PartitionInfo> {
    let all = volume.root.volume.as_ref();
    let all = all.map_or(&[][..], |info| &info.layout.partitions);
    match volume.partition {
        Some(one) => vec![one],
        None => all.iter().collect(),
    }
}

/// A volume in a line, and its partitions.
pub(crate) fn partitions(root: &Root, listed: &[&PartitionInfo]) -> Vec<String> {
    let heading = ["", "start", "size", "type", "file system", "name"].map(str::to_owned);
    let row = |one: &&PartitionInfo| {
        let file_system = one.file_system.as_ref();
        let label = file_system.and_then(|held| held.label.clone());
        let names = [one.name.clone(), label.unwrap_or_default()];
        let names: Vec<_> = names.into_iter().filter(|name| !name.is_empty()).collect();
        let sound = if one.sound == 0 { " (not sound)" } else { "" };
        [
            format!("p{}{sound}", one.number),
            one.offset.to_string(),
            bytes(one.len),
            escape::line(&one.kind),
            file_system.map_or_else(String::new, |held| escape::line(&held.kind)),
            escape::line(&names.join(", ")),
        ]
    };
    let mut lines = vec![whole(root)];
    if !listed.is_empty() {
        let rows: Vec<_> = std::iter::once(heading)
            .chain(listed.iter().map(row))
            .collect();
        use Align::{Left, Right};
        lines.extend(table::lines([Left, Right, Right, Left, Left, Left], &rows));
    }
    lines
}

/// A logical volume of LVM2, as it is listed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogicalRow {
    /// As a person types it, raw bytes.
    pub(crate) path: Vec<u8>,
    /// Bytes.
    pub(crate) len: u64,
    /// What it is instead, if it is not linear.
    pub(crate) refused: Option<String>,
    /// What it holds: the kind, and the label.
    pub(crate) held: Option<(String, Option<String>)>,
}

impl LogicalRow {
    pub(crate) fn of(group: &Group, volume: &LogicalVolume) -> Self {
        let held = group.held_by(volume);
        Self {
            path: group.path_of(volume.name.as_bytes()),
            len: volume.len,
            refused: volume.pieces.as_ref().err().cloned(),
            held: held.map(|held| (held.kind.to_string(), held.label)),
        }
    }
}

/// Logical volumes, a line each behind a heading; nothing if there are none.
pub(crate) fn logical(rows: &[LogicalRow]) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let heading = ["logical volume", "size", "type", "file system", "name"].map(str::to_owned);
    let row = |row: &LogicalRow| {
        let (kind, label) = row.held.clone().unwrap_or_default();
        let refused = row.refused.as_deref().unwrap_or("linear");
        [
            escape::path(&row.path),
            bytes(row.len),
            escape::line(refused),
            escape::line(&kind),
            escape::line(&label.unwrap_or_default()),
        ]
    };
    let rows: Vec<_> = std::iter::once(heading)
        .chain(rows.iter().map(row))
        .collect();
    use Align::{Left, Right};
    table::lines([Left, Right, Left, Left, Left], &rows)
}

/// `disk0: 20.0 GiB, gpt, from /dev/sda`
fn whole(root: &Root) -> String {
    let mut text = format!("{}: {}", escape::path(&root.name), bytes(root.bytes));
    let layout = root.volume.as_ref().map(|info| &info.layout);
    let table = layout.and_then(|layout| layout.table.as_ref());
    let held = layout.and_then(|layout| layout.file_system.as_ref());
    for word in table.into_iter().chain(held.map(|held| &held.kind)) {
        text += &format!(", {}", escape::line(word));
    }
    if let Some(origin) = &root.origin {
        text += &format!(", from {}", escape::path(origin));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_a_map_stands_below_its_heading() {
        let range = MappedRange {
            range: 4096..70_000,
            kind: RangeKind::Hole,
            chunk: None,
        };
        assert_eq!(map_heading().len(), map_line(&range).len());
        assert!(map_line(&range).ends_with("65904  hole"));
    }

    #[test]
    fn what_differs_is_told_with_its_sums_and_lengths() {
        let report = DiffVolumeReport {
            before_len: 10,
            after_len: 20,
            ranges: 1,
            different: 10,
            unknown: 0,
            problems: 0,
        };
        let text = "1 range, 10 B differ; the length was 10 and is 20 bytes";
        assert_eq!(diff_sums(&report), text);
        let range = DifferentRange {
            range: 10..20,
            known: false,
        };
        assert_eq!(different_of(b"a\n", &range), r"M a\n bytes 10+10, unknown");
    }
}
