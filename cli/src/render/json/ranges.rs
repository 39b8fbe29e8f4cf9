//! Ranges of volumes, in the words that other tools have for them.

use blockstore::format::snapshot::Root;
use blockstore::operations::check::LostRange;
use blockstore::operations::diff_volume::DifferentRange;
use blockstore::operations::map_volume::{MappedRange, RangeKind};
use serde::Serialize;

use super::{LostPath, PathText, RootInfo};
use crate::render::volumes::{LogicalRow, kind_word};

/// An element of `map`: as `qemu-img map` has it, and more.
#[derive(Debug, Serialize)]
pub(crate) struct MapEntry {
    start: u64,
    length: u64,
    depth: u32,
    present: bool,
    zero: bool,
    data: bool,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk: Option<String>,
}

/// An element of `diff` of two volumes: as `nbdinfo --map` has it for a dirty bitmap, and more.
#[derive(Debug, Serialize)]
pub(crate) struct DirtyRange {
    offset: u64,
    length: u64,
    #[serde(rename = "type")]
    dirty: u32,
    description: &'static str,
    known: bool,
}

/// A line of `diff` of machines.
#[derive(Debug, Serialize)]
pub(crate) struct RangeLine {
    #[serde(rename = "type")]
    line_type: &'static str,
    #[serde(flatten)]
    path: PathText,
    start: u64,
    length: u64,
    known: bool,
}

/// A line of `diff` of machines: only one of them has the volume.
#[derive(Debug, Serialize)]
pub(crate) struct VolumeLine {
    #[serde(rename = "type")]
    line_type: &'static str,
    #[serde(flatten)]
    path: PathText,
    change: &'static str,
}

/// A line of `ls`: a part of a snapshot.
#[derive(Debug, Serialize)]
pub(crate) struct RootLine {
    #[serde(rename = "type")]
    line_type: &'static str,
    #[serde(flatten)]
    root: RootInfo,
}

/// A logical volume in the output of `ls`.
#[derive(Debug, Serialize)]
pub(crate) struct LogicalLine {
    #[serde(rename = "type")]
    line_type: &'static str,
    #[serde(flatten)]
    path: PathText,
    size: u64,
    not_readable: Option<String>,
    file_system: Option<HeldFileSystem>,
}

#[derive(Debug, Serialize)]
struct HeldFileSystem {
    #[serde(rename = "type")]
    kind: String,
    label: Option<String>,
}

/// Bytes of a volume in a finding of `check`.
#[derive(Debug, Serialize)]
pub(super) struct LostBytes {
    #[serde(flatten)]
    path: LostPath,
    start: u64,
    length: u64,
    partition: Option<u32>,
}

impl LogicalLine {
    pub(crate) fn of(row: &LogicalRow) -> Self {
        let held = row.held.clone();
        Self {
            line_type: "logical_volume",
            path: PathText::of(&row.path),
            size: row.len,
            not_readable: row.refused.clone(),
            file_system: held.map(|(kind, label)| HeldFileSystem { kind, label }),
        }
    }
}

impl MapEntry {
    pub(crate) fn of(mapped: &MappedRange) -> Self {
        let is_zero = matches!(mapped.kind, RangeKind::Zero | RangeKind::Hole);
        Self {
            start: mapped.range.start,
            length: mapped.range.end - mapped.range.start,
            depth: 0,
            present: mapped.kind != RangeKind::Hole,
            zero: is_zero,
            data: !is_zero,
            kind: kind_word(mapped.kind),
            chunk: mapped.chunk.map(|id| id.to_string()),
        }
    }
}

impl DirtyRange {
    pub(crate) fn of(range: &DifferentRange) -> Self {
        Self {
            offset: range.range.start,
            length: range.range.end - range.range.start,
            dirty: 1,
            description: "dirty",
            known: range.known,
        }
    }
}

impl RangeLine {
    pub(crate) fn of(label: &[u8], range: &DifferentRange) -> Self {
        Self {
            line_type: "range",
            path: PathText::of(label),
            start: range.range.start,
            length: range.range.end - range.range.start,
            known: range.known,
        }
    }
}

impl VolumeLine {
    pub(crate) fn of(root: &Root, change: &'static str) -> Self {
        Self {
            line_type: "volume",
            path: PathText::of(&root.name),
            change,
        }
    }
}

impl RootLine {
    pub(crate) fn of(root: &Root) -> Self {
        Self {
            line_type: "root",
            root: RootInfo::of(root),
        }
    }
}

impl LostBytes {
    pub(super) fn of(lost: &LostRange) -> Self {
        Self {
            path: LostPath::of(&lost.path),
            start: lost.range.start,
            length: lost.range.end - lost.range.start,
            partition: lost.partition,
        }
    }
}
