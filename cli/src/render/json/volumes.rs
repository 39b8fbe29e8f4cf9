//! What is said of volumes.

use std::ops::Range;
use std::time::Duration;

use blockstore::format::snapshot::Snapshot;
use blockstore::format::volume::{
    FileSystemInfo, LayoutInfo, MediumInfo, PartitionInfo, VolumeInfo,
};
use blockstore::operations::restore_volume::{RangeList, RestoreVolumeReport, VerifyVolumeReport};
use serde::Serialize;

use super::{ProblemList, tracking};
use crate::progress::Problems;

/// A volume of a snapshot.
#[derive(Debug, Serialize)]
pub(super) struct VolumeDescription {
    tracking: &'static str,
    tracking_reason: String,
    fixed_chunk_len: Option<u32>,
    unreadable_bytes: u64,
    medium: Medium,
    sector_len: u32,
    partition_table: Option<String>,
    disk_id: Option<String>,
    partitions: Vec<Partition>,
    file_system: Option<FileSystem>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Medium {
    kind: String,
    model: Option<String>,
    serial: Option<String>,
    uuid: Option<String>,
    logical_sector: u32,
    physical_sector: u32,
    rotational: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Partition {
    number: u32,
    start: u64,
    length: u64,
    #[serde(rename = "type")]
    kind: String,
    uuid: Option<String>,
    name: String,
    attributes: u64,
    sound: bool,
    file_system: Option<FileSystem>,
}

#[derive(Debug, Serialize)]
struct FileSystem {
    #[serde(rename = "type")]
    kind: String,
    uuid: Option<String>,
    label: Option<String>,
    block_len: Option<u32>,
    used_bytes: Option<u64>,
}

/// `restore` and `export` of a volume; numbers in bytes.
#[derive(Debug, Serialize)]
pub(crate) struct RestoreVolumeSummary {
    snapshot: String,
    bytes: u64,
    resumed: u64,
    read: u64,
    equal: u64,
    written: u64,
    zeroed: u64,
    lost: RangesInfo,
    verified: Option<ComparedInfo>,
    journal: Option<String>,
    #[serde(flatten)]
    problems: ProblemList,
    seconds: f64,
}

/// `restore --verify-only`; numbers in bytes.
#[derive(Debug, Serialize)]
pub(crate) struct VerifyVolumeSummary {
    snapshot: String,
    #[serde(flatten)]
    compared: ComparedInfo,
    #[serde(flatten)]
    problems: ProblemList,
    seconds: f64,
}

/// A target that was compared with a volume.
#[derive(Debug, Serialize)]
struct ComparedInfo {
    compared: u64,
    differing: RangesInfo,
    lost: RangesInfo,
}

/// Ranges of a volume, the first of them listed.
#[derive(Debug, Serialize)]
struct RangesInfo {
    bytes: u64,
    ranges: Vec<RangeInfo>,
    unlisted: u64,
}

#[derive(Debug, Serialize)]
struct RangeInfo {
    start: u64,
    length: u64,
}

impl VolumeDescription {
    pub(super) fn of(info: &VolumeInfo) -> Self {
        let LayoutInfo {
            sector_len,
            table,
            disk_id,
            partitions,
            file_system,
            warnings,
        } = info.layout.clone();
        Self {
            tracking: tracking(info.tracking),
            tracking_reason: info.tracking_reason.clone(),
            fixed_chunk_len: (info.fixed_len > 0).then_some(info.fixed_len),
            unreadable_bytes: info.unreadable_bytes,
            medium: Medium::of(info.medium.clone()),
            sector_len,
            partition_table: table,
            disk_id,
            partitions: partitions.into_iter().map(Partition::of).collect(),
            file_system: file_system.map(FileSystem::of),
            warnings,
        }
    }
}

impl Medium {
    fn of(info: MediumInfo) -> Self {
        Self {
            kind: info.kind,
            model: info.model,
            serial: info.serial,
            uuid: info.uuid,
            logical_sector: info.logical_sector,
            physical_sector: info.physical_sector,
            rotational: info.rotational.map(|rotational| rotational != 0),
        }
    }
}

impl Partition {
    fn of(info: PartitionInfo) -> Self {
        Self {
            number: info.number,
            start: info.offset,
            length: info.len,
            kind: info.kind,
            uuid: info.uuid,
            name: info.name,
            attributes: info.attributes,
            sound: info.sound != 0,
            file_system: info.file_system.map(FileSystem::of),
        }
    }
}

impl FileSystem {
    fn of(info: FileSystemInfo) -> Self {
        Self {
            kind: info.kind,
            uuid: info.uuid,
            label: info.label,
            block_len: info.block_len,
            used_bytes: info.used_bytes,
        }
    }
}

impl RestoreVolumeSummary {
    pub(crate) fn of(
        snapshot: &Snapshot,
        report: &RestoreVolumeReport,
        problems: &Problems,
        took: Duration,
    ) -> Self {
        let journal = report.journal.as_ref();
        Self {
            snapshot: snapshot.session.to_string(),
            bytes: report.len,
            resumed: report.resumed,
            read: report.read,
            equal: report.equal,
            written: report.written,
            zeroed: report.zeroed,
            lost: RangesInfo::of(&report.lost),
            verified: report.verified.as_ref().map(ComparedInfo::of),
            journal: journal.map(|path| path.to_string_lossy().into_owned()),
            problems: ProblemList::of(problems, report.problems),
            seconds: took.as_secs_f64(),
        }
    }
}

impl VerifyVolumeSummary {
    pub(crate) fn of(
        snapshot: &Snapshot,
        report: &VerifyVolumeReport,
        problems: &Problems,
        took: Duration,
    ) -> Self {
        Self {
            snapshot: snapshot.session.to_string(),
            compared: ComparedInfo::of(report),
            problems: ProblemList::of(problems, report.problems),
            seconds: took.as_secs_f64(),
        }
    }
}

impl ComparedInfo {
    fn of(report: &VerifyVolumeReport) -> Self {
        Self {
            compared: report.len,
            differing: RangesInfo::of(&report.differing),
            lost: RangesInfo::of(&report.lost),
        }
    }
}

impl RangesInfo {
    fn of(list: &RangeList) -> Self {
        let info = |range: &Range<u64>| RangeInfo {
            start: range.start,
            length: range.end - range.start,
        };
        Self {
            bytes: list.bytes,
            ranges: list.ranges.iter().map(info).collect(),
            unlisted: list.unlisted,
        }
    }
}
