//! What `bench` reports.

use std::path::PathBuf;
use std::time::Duration;

use blockstore::operations::bench::{
    BenchReport, Cost, Measurement, Operation, OperationKind, Probe, SourceKind,
};
use serde::Serialize;

use super::{PathText, ProblemInfo};
use crate::progress::Problems;
use crate::render::bench::shown_path;

/// `bench`
#[derive(Debug, Serialize)]
pub(crate) struct BenchSummary {
    machine: MachineInfo,
    options: OptionsInfo,
    source: SourceInfo,
    medium: PlaceInfo,
    media: Vec<MeasurementInfo>,
    stages: Vec<MeasurementInfo>,
    operations: Vec<OperationInfo>,
    notes: Vec<String>,
    removed: Vec<PathText>,
    left_behind: Vec<PathText>,
    problems: Vec<ProblemInfo>,
    problem_count: u64,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct MachineInfo {
    processor: String,
    processors: usize,
    memory: u64,
    kernel: String,
}

#[derive(Debug, Serialize)]
struct OptionsInfo {
    threads: usize,
    level: i32,
    chunk_len_avg: u64,
    aead: &'static str,
}

#[derive(Debug, Serialize)]
struct SourceInfo {
    kind: &'static str,
    #[serde(flatten)]
    path: Option<PathText>,
    file_system: String,
    device: String,
    files: u64,
    folders: u64,
    bytes: u64,
    left_out_files: u64,
    left_out_bytes: u64,
    ended_at: Option<PathText>,
}

#[derive(Debug, Serialize)]
struct PlaceInfo {
    #[serde(flatten)]
    path: PathText,
    file_system: String,
    device: String,
    free: u64,
    holds_source: bool,
}

#[derive(Debug, Serialize)]
struct CostInfo {
    seconds: f64,
    user_seconds: f64,
    system_seconds: f64,
    cores: f64,
    other_cores: f64,
    memory_peak: u64,
}

#[derive(Debug, Serialize)]
struct MeasurementInfo {
    probe: &'static str,
    threads: usize,
    items: u64,
    bytes_in: u64,
    bytes_out: u64,
    bytes_per_second: u64,
    items_per_second: u64,
    #[serde(flatten)]
    cost: CostInfo,
}

#[derive(Debug, Serialize)]
struct OperationInfo {
    operation: &'static str,
    entries: u64,
    bytes: u64,
    read_bytes: u64,
    new_bytes: u64,
    written_bytes: u64,
    problem_count: u64,
    bytes_per_second: u64,
    #[serde(flatten)]
    cost: CostInfo,
    floor: Option<FloorInfo>,
    reached: Option<f64>,
    bottleneck: String,
    timeline: Vec<SampleInfo>,
}

#[derive(Debug, Serialize)]
struct FloorInfo {
    cpu_seconds: f64,
    media_seconds: f64,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct SampleInfo {
    seconds: f64,
    bytes: u64,
    stored_bytes: u64,
    memory: u64,
}

impl BenchSummary {
    pub(crate) fn of(report: &BenchReport, problems: &Problems, took: Duration) -> Self {
        let (source, medium) = (&report.source, &report.medium);
        let path = |path: &PathBuf| PathText::of(path.as_os_str().as_encoded_bytes());
        let found = report.operations.iter().map(|one| one.problems).max();
        Self {
            machine: MachineInfo {
                processor: report.machine.processor.clone(),
                processors: report.machine.processors,
                memory: report.machine.memory,
                kernel: report.machine.kernel.clone(),
            },
            options: OptionsInfo {
                threads: report.threads,
                level: report.level,
                chunk_len_avg: report.chunk_len_avg,
                aead: report.cipher,
            },
            source: SourceInfo {
                kind: source_word(source.kind),
                path: source.path.as_ref().map(path),
                file_system: source.file_system.kind.clone(),
                device: source.file_system.device.clone(),
                files: source.files,
                folders: source.folders,
                bytes: source.bytes,
                left_out_files: source.files_left_out,
                left_out_bytes: source.bytes_left_out,
                ended_at: source
                    .ended_at
                    .as_ref()
                    .map(|path| PathText::of(&shown_path(path))),
            },
            medium: PlaceInfo {
                path: path(&medium.path),
                file_system: medium.file_system.kind.clone(),
                device: medium.file_system.device.clone(),
                free: medium.free,
                holds_source: medium.holds_source,
            },
            media: report.media.iter().map(MeasurementInfo::of).collect(),
            stages: report.stages.iter().map(MeasurementInfo::of).collect(),
            operations: report.operations.iter().map(OperationInfo::of).collect(),
            notes: report.notes.clone(),
            removed: report.swept.iter().map(path).collect(),
            left_behind: report.left.iter().map(path).collect(),
            problems: problems.listed.iter().map(ProblemInfo::of).collect(),
            problem_count: found.unwrap_or(0).max(problems.count),
            seconds: rounded(took.as_secs_f64()),
        }
    }
}

impl CostInfo {
    fn of(cost: &Cost) -> Self {
        Self {
            seconds: rounded(cost.wall.as_secs_f64()),
            user_seconds: rounded(cost.user.as_secs_f64()),
            system_seconds: rounded(cost.system.as_secs_f64()),
            cores: rounded(cost.cores()),
            other_cores: rounded(cost.other_cores()),
            memory_peak: cost.memory_peak,
        }
    }
}

impl MeasurementInfo {
    fn of(one: &Measurement) -> Self {
        Self {
            probe: probe_word(one.probe),
            threads: one.threads,
            items: one.items,
            bytes_in: one.bytes_in,
            bytes_out: one.bytes_out,
            bytes_per_second: one.bytes_per_second() as u64,
            items_per_second: one.items_per_second() as u64,
            cost: CostInfo::of(&one.cost),
        }
    }
}

impl OperationInfo {
    fn of(one: &Operation) -> Self {
        let timeline = one.timeline.iter().map(|sample| SampleInfo {
            seconds: rounded(sample.at.as_secs_f64()),
            bytes: sample.bytes,
            stored_bytes: sample.bytes_stored,
            memory: sample.memory,
        });
        Self {
            operation: operation_word(one.kind),
            entries: one.entries,
            bytes: one.bytes,
            read_bytes: one.bytes_read,
            new_bytes: one.bytes_new,
            written_bytes: one.bytes_written,
            problem_count: one.problems,
            bytes_per_second: one.bytes_per_second() as u64,
            cost: CostInfo::of(&one.cost),
            floor: one.floor.map(|floor| FloorInfo {
                cpu_seconds: rounded(floor.cpu_seconds),
                media_seconds: rounded(floor.media_seconds),
                seconds: rounded(floor.seconds),
            }),
            reached: one.reached().map(rounded),
            bottleneck: one.bottleneck.clone(),
            timeline: timeline.collect(),
        }
    }
}

/// To the millionth: nothing here is known better.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

fn source_word(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Generated => "generated",
        SourceKind::Folder => "folder",
        SourceKind::File => "file",
        SourceKind::Volume => "volume",
    }
}

fn probe_word(probe: Probe) -> &'static str {
    match probe {
        Probe::ListFirst => "list_first",
        Probe::ListAgain => "list_again",
        Probe::ReadCold => "read_cold",
        Probe::ReadWarm => "read_warm",
        Probe::SmallFiles => "small_files",
        Probe::MediumWrite => "medium_write",
        Probe::MediumRead => "medium_read",
        Probe::Chunk => "chunk",
        Probe::Hash => "hash",
        Probe::Compress => "compress",
        Probe::Seal => "seal",
        Probe::Verify => "verify",
    }
}

fn operation_word(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::SnapshotInitial => "snapshot_initial",
        OperationKind::SnapshotUnchanged => "snapshot_unchanged",
        OperationKind::SnapshotReread => "snapshot_reread",
        OperationKind::Restore => "restore",
        OperationKind::Check => "check",
    }
}
