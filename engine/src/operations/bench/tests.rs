//! Whole runs: reports whose parts agree, and media as they were.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn clock() -> Timestamp {
    Timestamp {
        seconds: 1_790_000_000,
        nanoseconds: 0,
    }
}

fn options(medium: &Path) -> BenchOptions {
    BenchOptions {
        source: BenchSource::Generated(4 * MIB as u64),
        stage_time: Duration::ZERO,
        ..BenchOptions::new(medium, clock)
    }
}

fn of_path(medium: &Path, path: &Path, limit: u64) -> BenchOptions {
    let path = path.to_owned();
    BenchOptions {
        source: BenchSource::Path { path, limit },
        ..options(medium)
    }
}

#[track_caller]
fn assert_empty(folder: &Path) {
    let left: Vec<_> = folder.read_dir().unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Calls a stop once it was asked so often.
struct StopAfter(AtomicUsize);

impl Observer for StopAfter {
    fn is_cancelled(&self) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_err()
    }
}

#[track_caller]
fn assert_consistent(report: &BenchReport) {
    let source = &report.source;
    for read in report
        .media
        .iter()
        .filter(|one| one.probe == Probe::ReadWarm)
    {
        assert_eq!(read.bytes_in, source.bytes);
    }
    for kind in [
        OperationKind::SnapshotInitial,
        OperationKind::SnapshotReread,
    ] {
        let operation = report.operation(kind).unwrap();
        assert_eq!(operation.bytes, source.bytes);
        // Of a volume what describes it is read besides.
        assert!(operation.bytes_read >= source.bytes, "{operation:?}");
    }
    let initial = report.operation(OperationKind::SnapshotInitial).unwrap();
    let reread = report.operation(OperationKind::SnapshotReread).unwrap();
    assert!(initial.bytes_new <= initial.bytes && initial.bytes_written > 0);
    assert_eq!(reread.bytes_new, 0);
    for operation in &report.operations {
        let floor = operation.floor.unwrap();
        assert!(floor.cpu_seconds > 0.0, "{operation:?}");
        assert!(floor.seconds >= floor.media_seconds && floor.seconds.is_finite());
        assert!(operation.reached().unwrap() > 0.0);
        assert_eq!(operation.problems, 0, "{operation:?}");
        assert!(!operation.bottleneck.is_empty() && !operation.timeline.is_empty());
        assert!(operation.cost.memory_peak > 0);
        assert!(
            operation
                .timeline
                .iter()
                .all(|sample| sample.at <= operation.cost.wall * 2 + Duration::from_secs(1))
        );
    }
}

#[test]
fn a_run_on_generated_data_measures_everything_and_leaves_nothing() {
    let medium = tempfile::tempdir().unwrap();
    let report = bench(&options(medium.path()), &()).unwrap();
    assert_eq!(report.source.kind, SourceKind::Generated);
    assert_eq!(report.source.bytes, 4 * MIB as u64);
    assert_consistent(&report);
    assert_eq!(report.operations.len(), 5);
    let restored = report.operation(OperationKind::Restore).unwrap();
    assert_eq!(restored.bytes, report.source.bytes);
    let initial = report.operation(OperationKind::SnapshotInitial).unwrap();
    // Copies and zeros are not stored again, and text shrinks.
    assert!(
        initial.bytes_written < report.source.bytes * 6 / 10,
        "{initial:?}"
    );
    assert!(report.machine.processors > 0 && report.medium.holds_source);
    assert_empty(medium.path());
}

#[test]
fn a_volume_is_read_up_to_the_limit_and_never_written() {
    let (medium, source) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let disk = source.path().join("disk");
    let bytes: Vec<u8> = (0..3_000_000_u32)
        .flat_map(|i| (i / 3).to_le_bytes())
        .collect();
    std::fs::write(&disk, &bytes).unwrap();
    let report = bench(&of_path(medium.path(), &disk, 5 << 20), &()).unwrap();
    assert_eq!(report.source.kind, SourceKind::Volume);
    assert_eq!(report.source.bytes, 5 << 20);
    assert_eq!(report.source.bytes_left_out, 12_000_000 - (5 << 20));
    assert_consistent(&report);
    assert_eq!(std::fs::read(&disk).unwrap(), bytes);
    assert_empty(medium.path());
}

#[test]
fn a_medium_inside_the_source_is_no_part_of_it() {
    let source = tempfile::tempdir().unwrap();
    std::fs::write(source.path().join("file"), vec![7; 300_000]).unwrap();
    let report = bench(&of_path(source.path(), source.path(), 1 << 30), &()).unwrap();
    assert_eq!((report.source.files, report.source.bytes), (1, 300_000));
    assert_consistent(&report);
    assert_eq!(source.path().read_dir().unwrap().count(), 1);
}

#[test]
fn only_the_parts_that_are_asked_for_are_measured() {
    let medium = tempfile::tempdir().unwrap();
    let none = BenchParts {
        media: false,
        stages: false,
        whole: false,
    };
    for (parts, expected) in [
        (
            BenchParts {
                media: true,
                ..none
            },
            (true, false, false),
        ),
        (
            BenchParts {
                stages: true,
                ..none
            },
            (false, true, false),
        ),
        (
            BenchParts {
                whole: true,
                ..none
            },
            (false, false, true),
        ),
    ] {
        let options = BenchOptions {
            source: BenchSource::Generated(MIB as u64),
            parts,
            ..options(medium.path())
        };
        let report = bench(&options, &()).unwrap();
        let found = (
            !report.media.is_empty(),
            !report.stages.is_empty(),
            !report.operations.is_empty(),
        );
        assert_eq!(found, expected);
        assert!(report.operations.iter().all(|one| one.floor.is_none()));
    }
    assert_empty(medium.path());
}

#[test]
fn a_run_that_is_stopped_anywhere_leaves_nothing() {
    let medium = tempfile::tempdir().unwrap();
    let options = BenchOptions {
        source: BenchSource::Generated(MIB as u64),
        ..options(medium.path())
    };
    let mut asked = 1;
    loop {
        let stopped = bench(&options, &StopAfter(AtomicUsize::new(asked)));
        assert_empty(medium.path());
        match stopped {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}"),
            Ok(_) => break,
        }
        asked *= 2;
    }
    assert!(asked > 16, "it was asked only {asked} times");
}

#[test]
fn a_medium_that_is_too_small_or_not_there_is_refused_before_anything_is_written() {
    let medium = tempfile::tempdir().unwrap();
    let large = BenchOptions {
        source: BenchSource::Generated(u64::MAX / 4),
        ..options(medium.path())
    };
    let kind = |options: &BenchOptions| bench(options, &()).err().map(|error| error.kind());
    assert_eq!(kind(&large), Some(ErrorKind::NoSpace));
    assert_empty(medium.path());
    assert_eq!(
        kind(&options(&medium.path().join("gone"))),
        Some(ErrorKind::NotFound)
    );
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next_and_named() {
    let medium = tempfile::tempdir().unwrap();
    let area = ScratchArea::create(medium.path()).unwrap();
    let path = area.path().to_owned();
    let copy = medium.path().join(".blockstore-bench-00000000000000ff");
    std::fs::create_dir(&copy).unwrap();
    let lock = "blockstore-bench.lock";
    std::fs::copy(path.join(lock), copy.join(lock)).unwrap();
    let options = BenchOptions {
        source: BenchSource::Generated(MIB as u64),
        parts: BenchParts {
            whole: false,
            ..BenchParts::ALL
        },
        ..options(medium.path())
    };
    let report = bench(&options, &()).unwrap();
    assert_eq!(report.swept, [copy]);
    // Its owner lives.
    assert!(path.exists());
}
