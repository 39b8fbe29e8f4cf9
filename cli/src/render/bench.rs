//! A bench as tables: media, stages, whole operations, and what holds them up.

use blockstore::operations::bench::{
    BenchReport, FileSystemFacts, Measurement, Operation, OperationKind, Probe, SourceKind,
};

use crate::render::escape;
use crate::render::table::{self, Align};
use crate::render::units::{bytes, count, counted, duration, rate, speed};

/// What a probe is called.
pub(crate) fn probe_words(probe: Probe) -> &'static str {
    match probe {
        Probe::ListFirst => "folders listed, first",
        Probe::ListAgain => "folders listed, again",
        Probe::ReadCold => "source read, cold",
        Probe::ReadWarm => "source read, cached",
        Probe::SmallFiles => "small files read, cached",
        Probe::MediumWrite => "medium written, flushed",
        Probe::MediumRead => "medium read, cold",
        Probe::Chunk => "find cuts",
        Probe::Hash => "hash",
        Probe::Compress => "compress",
        Probe::Seal => "encrypt",
        Probe::Verify => "decrypt, decompress, hash",
    }
}

/// What an operation is called.
pub(crate) fn operation_words(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::SnapshotInitial => "first snapshot",
        OperationKind::SnapshotUnchanged => "again, unchanged",
        OperationKind::SnapshotReread => "again, all read",
        OperationKind::Restore => "restore and verify",
        OperationKind::Check => "check every byte",
    }
}

/// How fast it was, in the unit that suits it.
pub(crate) fn measured(one: &Measurement) -> String {
    match one.probe {
        Probe::ListFirst | Probe::ListAgain => rate(one.items_per_second(), "entries"),
        Probe::SmallFiles => rate(one.items_per_second(), "files"),
        _ => speed(one.bytes_per_second()),
    }
}

/// The processor and its like in one line.
pub(crate) fn machine(report: &BenchReport) -> String {
    let machine = &report.machine;
    let processor = match machine.processor.as_str() {
        "" => "unknown processor",
        processor => processor,
    };
    escape::line(&format!(
        "{processor}, {}, {} of memory, {}",
        counted(machine.processors as u64, "processor", "processors"),
        bytes(machine.memory),
        machine.kernel
    ))
}

/// What was read, and how much of it, in one line.
pub(crate) fn source(report: &BenchReport) -> String {
    let source = &report.source;
    let shown = match &source.path {
        Some(path) => escape::path(path.as_os_str().as_encoded_bytes()),
        None => "generated data".to_owned(),
    };
    let files = match source.kind {
        SourceKind::Volume => String::new(),
        _ => format!("{}, ", counted(source.files, "file", "files")),
    };
    let size = bytes(source.bytes);
    format!("{shown}: {files}{size}, {}", lies_on(&source.file_system))
}

/// What of the source was not looked at; nothing if all was.
pub(crate) fn left_out(report: &BenchReport) -> Vec<String> {
    let source = &report.source;
    let mut all = Vec::new();
    if source.bytes_left_out > 0 {
        all.push(format!("{} behind the limit", bytes(source.bytes_left_out)));
    }
    if source.files_left_out > 0 {
        let files = counted(source.files_left_out, "entry", "entries");
        all.push(format!("{files} longer than the limit"));
    }
    if let Some(end) = &source.ended_at {
        all.push(format!("from {} on", escape::path(&shown_path(end))));
    }
    all
}

/// A path below the root of the source with the usual slashes.
pub(crate) fn shown_path(path: &[u8]) -> Vec<u8> {
    let slash = |&byte: &u8| if byte == 0 { b'/' } else { byte };
    path.iter().map(slash).collect()
}

/// Where the repository was, in one line.
pub(crate) fn medium(report: &BenchReport) -> String {
    let medium = &report.medium;
    let path = escape::path(medium.path.as_os_str().as_encoded_bytes());
    let shared = match medium.holds_source {
        true => ", the same as the source",
        false => "",
    };
    let (on, free) = (lies_on(&medium.file_system), bytes(medium.free));
    format!("{path}: {on}{shared}, {free} free")
}

/// How it was done, in one line.
pub(crate) fn options(report: &BenchReport) -> String {
    format!(
        "{}, zstd level {}, chunks of {}, {}",
        counted(report.threads as u64, "thread", "threads"),
        report.level,
        bytes(report.chunk_len_avg),
        report.cipher
    )
}

fn lies_on(facts: &FileSystemFacts) -> String {
    match facts.kind.as_str() {
        "" => "unknown file system".to_owned(),
        kind => escape::line(&format!("{kind} on {}", facts.device)),
    }
}

/// `62 %`; nothing where no floor is known.
pub(crate) fn reached(operation: &Operation) -> String {
    let percent = |reached: f64| format!("{:.0} %", 100.0 * reached);
    operation.reached().map_or_else(String::new, percent)
}

/// The measurements of one probe: by one thread, and by all.
pub(crate) fn by_probe(all: &[Measurement]) -> Vec<&[Measurement]> {
    all.chunk_by(|a, b| a.probe == b.probe).collect()
}

/// All of it.
pub(crate) fn lines(report: &BenchReport) -> Vec<String> {
    let mut lines = facts(report);
    let threads = counted(report.threads as u64, "thread", "threads");
    for (title, all) in [("media", &report.media), ("stages", &report.stages)] {
        if !all.is_empty() {
            lines.push(String::new());
            lines.extend(speeds(title, &threads, all));
        }
    }
    if !report.operations.is_empty() {
        lines.push(String::new());
        lines.extend(operations(&report.operations));
        lines.push(String::new());
        let held_up = report.operations.iter().map(|one| {
            let bottleneck = escape::line(&one.bottleneck);
            [operation_words(one.kind).to_owned(), bottleneck]
        });
        let held_up: Vec<_> = held_up.collect();
        lines.extend(table::lines([Align::Left, Align::Left], &held_up));
    }
    lines
}

fn facts(report: &BenchReport) -> Vec<String> {
    let mut rows = vec![
        ["machine", &machine(report)].map(str::to_owned),
        ["source", &source(report)].map(str::to_owned),
    ];
    for left_out in left_out(report) {
        rows.push(["left out", &left_out].map(str::to_owned));
    }
    rows.push(["medium", &medium(report)].map(str::to_owned));
    rows.push(["options", &options(report)].map(str::to_owned));
    for note in &report.notes {
        rows.push(["note".to_owned(), escape::line(note)]);
    }
    for (paths, what) in [
        (&report.swept, "left by a run that was killed, removed: "),
        (&report.left, "left by a run that was killed, remove it: "),
    ] {
        for path in paths {
            let path = escape::path(path.as_os_str().as_encoded_bytes());
            rows.push(["note".to_owned(), format!("{what}{path}")]);
        }
    }
    table::lines([Align::Left, Align::Left], &rows)
}

fn speeds(title: &str, threads: &str, all: &[Measurement]) -> Vec<String> {
    let mut rows = vec![[title, "1 thread", threads, "out / in"].map(str::to_owned)];
    for same in by_probe(all) {
        let of = |wanted: &dyn Fn(usize) -> bool| {
            let found = same.iter().find(|one| wanted(one.threads));
            found.map_or_else(String::new, measured)
        };
        let Some(first) = same.first() else { continue };
        let ratio = match first.probe {
            Probe::Compress => format!("{:.2}", first.ratio()),
            _ => String::new(),
        };
        let words = probe_words(first.probe).to_owned();
        rows.push([words, of(&|n| n == 1), of(&|n| n > 1), ratio]);
    }
    let align = [Align::Left, Align::Right, Align::Right, Align::Right];
    table::lines(align, &rows)
}

fn operations(all: &[Operation]) -> Vec<String> {
    let heading = [
        "operations",
        "time",
        "speed",
        "cores",
        "memory",
        "read",
        "written",
        "floor reached",
    ];
    let mut rows = vec![heading.map(str::to_owned)];
    for one in all {
        rows.push([
            operation_words(one.kind).to_owned(),
            duration(one.cost.wall),
            speed(one.bytes_per_second()),
            format!("{:.1}", one.cost.cores()),
            bytes(one.cost.memory_peak),
            bytes(one.bytes_read),
            bytes(one.bytes_written),
            reached(one),
        ]);
    }
    let mut align = [Align::Right; 8];
    align[0] = Align::Left;
    table::lines(align, &rows)
}

/// `12 entries`, `3 objects`: what an operation counts.
pub(crate) fn entries(one: &Operation) -> String {
    match one.kind {
        OperationKind::Check => format!("{} objects", count(one.entries)),
        _ => counted(one.entries, "entry", "entries"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn everything_that_was_measured_has_a_line_and_names_cannot_break_it() {
        let report = samples::bench();
        let lines = lines(&report);
        let text = lines.join("\n");
        let measurements = report.media.iter().chain(&report.stages);
        for probe in measurements.map(|one| one.probe) {
            assert!(text.contains(probe_words(probe)), "{text}");
        }
        for operation in &report.operations {
            assert!(text.contains(operation_words(operation.kind)), "{text}");
            assert!(text.contains(&operation.bottleneck), "{text}");
        }
        assert!(text.contains(r"/a\nb<c>: 3 files"), "{text}");
        assert!(text.contains("from d/e on"), "{text}");
        assert!(lines.iter().all(|line| !line.contains('\n')));
    }

    #[test]
    fn a_report_without_operations_has_no_table_of_them() {
        let mut report = samples::bench();
        report.operations.clear();
        report.media.clear();
        let text = lines(&report).join("\n");
        assert!(
            !text.contains("floor reached") && !text.contains("media"),
            "{text}"
        );
        assert!(text.contains("stages"), "{text}");
    }
}
