//! Values for the tests of rendering.

use std::time::Duration;

use blockstore::format::boot::{Boot, BootFirmware, BootOutcome};
use blockstore::format::entry::{
    Content, Entry, Extent, ExtentKind, Metadata, Node, Owner, Timestamp,
};
use blockstore::format::id::{ChunkId, SessionId};
use blockstore::format::snapshot::{
    Consistency, PageRoot, Root, Snapshot, SnapshotKind, Totals, Tracking,
};
use blockstore::observe::{Problem, ProblemKind};
use blockstore::operations::bench::{
    BenchReport, Cost, Floor, Measurement, Operation, OperationKind, Probe, Sample, SourceKind,
};
use blockstore::operations::forget::calendar::Period;
use blockstore::operations::forget::clocks::Misfit;
use blockstore::operations::forget::policy::{Reason, Refusal, Series, SeriesKey, TagSet, Verdict};
use blockstore::operations::forget::{ForgetReport, SecondThought};
use blockstore::operations::merge::MergeReport;
use blockstore::repository::retention::Until;

use crate::render::volumes::LogicalRow;

/// A snapshot with one root whose name is no text.
pub(crate) fn snapshot() -> Snapshot {
    let begun = Timestamp {
        seconds: 1_790_000_000,
        nanoseconds: 0,
    };
    let at = PageRoot {
        page: ChunkId([0xab; 32]),
        level: 1,
    };
    let root = Root::folder(b"/home/\xff".to_vec(), at, 120_000, 1_717_986_918);
    Snapshot {
        session: SessionId([0x3f; 16]),
        kind: SnapshotKind::Folders,
        roots: vec![root],
        begun,
        ended: Timestamp {
            seconds: begun.seconds + 2,
            nanoseconds: 300_000_000,
        },
        host: "laptop".into(),
        user: "ana".into(),
        tags: vec!["daily".into()],
        program: "blockstore 0.1.0".into(),
        parent: Some(SessionId([1; 16])),
        tracking: Tracking::Metadata,
        tracking_reason: "parent".into(),
        consistency: Consistency::Files,
        problems: Vec::new(),
        problem_count: 0,
        totals: Totals {
            entries: 120_000,
            files: 106_201,
            folders: 13_000,
            bytes: 1_717_986_918,
            read_bytes: 20 << 20,
            new_chunks: 200,
            new_bytes: 12_687_770,
            stored_bytes: 4 << 20,
            unchanged_files: 106_000,
        },
        base: 0,
        sequence: 1,
    }
}

/// A machine that was started from that snapshot and said what would move a cursor.
pub(crate) fn boot() -> Boot {
    let begun = snapshot().ended;
    Boot {
        session: snapshot().session,
        begun,
        ended: begun,
        outcome: BootOutcome::Appeared { after_ms: 11_500 },
        detail: String::new(),
        expected: "login:".into(),
        timeout_ms: 120_000,
        firmware: BootFirmware::Uefi,
        accelerator: "kvm".into(),
        bus: "virtio".into(),
        memory: 1 << 30,
        machine: "QEMU emulator version 10.0.2".into(),
        disks: vec![b"disk0".to_vec(), b"\xff".to_vec()],
        serial: b"\x1b[2Jhost\r\nlogin: ".to_vec(),
        said: 70_000,
        failed: 0,
        host: "laptop".into(),
        user: "ana".into(),
        program: "blockstore 0.1.0".into(),
    }
}

/// That snapshot, as if it had been merged of two.
pub(crate) fn merge() -> MergeReport {
    MergeReport {
        snapshot: snapshot(),
        merged: vec![SessionId([1; 16]), SessionId([2; 16])],
        roots_taken_over: 0,
        roots_built: 1,
    }
}

/// A forget of one series, in which everything happened that can.
pub(crate) fn forget() -> ForgetReport {
    let time = snapshot().ended;
    let tags = TagSet(["daily".to_owned()].into());
    let (one, two) = (SessionId([1; 16]), SessionId([2; 16]));
    let verdict = |session, keep, reasons| Verdict {
        session,
        time,
        keep,
        reasons,
    };
    let bucket = Period::Day.bucket(time, 0);
    let late = vec![Reason::LaterOf(bucket), Reason::NotTagged];
    let kept = vec![
        Reason::Clock(Misfit::BeforeEarlier(one)),
        Reason::Protected(Until::Time(time)),
        Reason::Tagged(tags.clone()),
    ];
    ForgetReport {
        series: vec![Series {
            key: SeriesKey {
                host: Some("laptop".into()),
                source: Some(vec![b"/home/\xff".to_vec()]),
                tags: Some(vec!["daily".into()]),
            },
            verdicts: vec![verdict(one, false, late), verdict(two, true, kept)],
        }],
        refusal: Some(Refusal::TagsOnNoSnapshot(tags)),
        forgotten: vec![one],
        forgotten_before: vec![two],
        taken_back: vec![(two, SecondThought::Protected(Until::Forever))],
        problems: 0,
    }
}

/// A bench with every optional part, and names that would break a line and a page.
pub(crate) fn bench() -> BenchReport {
    let mut report = BenchReport {
        threads: 2,
        level: 1,
        chunk_len_avg: 65_536,
        cipher: "aes256-gcm",
        notes: vec!["the medium lies in memory".into()],
        swept: vec!["/b/.blockstore-bench-00".into()],
        left: vec!["/b/.blockstore-bench-01".into()],
        ..BenchReport::default()
    };
    report.machine.processor = "A <B> & C".into();
    report.source.path = Some("/a\nb<c>".into());
    report.source.kind = SourceKind::Folder;
    report.source.file_system.kind = "ext4".into();
    (report.source.files, report.source.bytes) = (3, 3_000_000_000);
    (report.source.files_left_out, report.source.bytes_left_out) = (1, 7);
    report.source.ended_at = Some(b"d\0e".to_vec());
    report.medium.path = "/b".into();
    for threads in [1, 2] {
        report.media.push(measurement(Probe::ReadWarm, threads));
        report.media.push(measurement(Probe::SmallFiles, threads));
        report.stages.push(measurement(Probe::Hash, threads));
        report.stages.push(measurement(Probe::Compress, threads));
    }
    report.media.push(measurement(Probe::ListFirst, 1));
    report.media.sort_by_key(|one| one.probe as u8);
    report.stages.sort_by_key(|one| one.probe as u8);
    report.operations = vec![
        operation(OperationKind::SnapshotInitial),
        operation(OperationKind::Restore),
    ];
    report
}

fn cost() -> Cost {
    Cost {
        wall: Duration::from_secs(5),
        user: Duration::from_secs(8),
        system: Duration::from_secs(1),
        others: Duration::from_secs(1),
        memory_peak: 100 << 20,
    }
}

fn measurement(probe: Probe, threads: usize) -> Measurement {
    Measurement {
        probe,
        threads,
        items: 1_000,
        bytes_in: 3_000_000_000 * threads as u64,
        bytes_out: 1_000_000_000 * threads as u64,
        cost: cost(),
    }
}

fn operation(kind: OperationKind) -> Operation {
    let sample = |second: u64| Sample {
        at: Duration::from_secs(second),
        bytes: second * 600_000_000,
        bytes_stored: second * 200_000_000,
        memory: (50 + second * 10) << 20,
    };
    Operation {
        kind,
        entries: 5,
        bytes: 3_000_000_000,
        bytes_read: 3_000_000_000,
        bytes_new: 2_000_000_000,
        bytes_written: 1_000_000_000,
        problems: 0,
        cost: cost(),
        floor: Some(Floor {
            cpu_seconds: 8.0,
            media_seconds: 3.0,
            seconds: 4.0,
        }),
        bottleneck: "compression: 71 % of the processor time, 1.8 of 2 cores busy".into(),
        timeline: (0..=5).map(sample).collect(),
    }
}

/// A file of 5 bytes.
pub(crate) fn entry() -> Entry {
    let extent = Extent {
        len: 5,
        kind: ExtentKind::Hole,
    };
    let owner = Owner {
        uid: 1000,
        gid: 100,
        user: b"ana".to_vec(),
        group: Vec::new(),
    };
    Entry {
        name: b"a".to_vec(),
        metadata: Metadata {
            mode: 0o4755,
            owner: owner.into(),
            ..Metadata::default()
        },
        node: Node::File(Content::Inline(vec![extent])),
    }
}

/// A problem with a name that would break a line.
pub(crate) fn problem() -> Problem {
    Problem {
        kind: ProblemKind::Unreadable,
        subject: b"/a\nb".to_vec(),
        detail: "permission denied".into(),
    }
}

/// A logical volume.
pub(crate) fn logical_row() -> LogicalRow {
    LogicalRow {
        path: b"disk0/p3/vg0/root".to_vec(),
        len: 4096,
        refused: Some("thin volume".to_owned()),
        held: Some(("ext4".to_owned(), Some("root".to_owned()))),
    }
}
