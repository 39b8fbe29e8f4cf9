//! A bench as one page that needs nothing else: its style and plots are in it, and nothing in it
//! runs.
//!
//! Written so that it is well-formed XML too; all text goes through [`text`].

mod charts;

use std::time::Duration;

use blockstore::format::entry::Timestamp;
use blockstore::operations::bench::{
    BenchReport, Measurement, Operation, OperationKind, Probe, Sample,
};

use crate::render::bench as words;
use crate::render::escape;
use crate::render::html::charts::{Bar, Group, Line};
use crate::render::units::{bytes, count, duration, local_time, speed};

const STYLE: &str = include_str!("style.css");
/// Throughput is the average over so much time: packs are stored in bursts.
const WINDOW: Duration = Duration::from_millis(500);

const MIB: f64 = (1 << 20) as f64;

/// The page.
pub(crate) fn page(report: &BenchReport, now: Timestamp) -> String {
    let sections = [
        facts(report),
        findings(report),
        operations(report),
        speeds(
            "What the processors do",
            "Each step of a snapshot by itself, on a sample of the data that fits in memory.",
            &report.stages,
            report.threads,
        ),
        speeds(
            "What the media give",
            "The source and the medium of the repository, without anything done to the bytes.",
            &bytes_only(&report.media),
            report.threads,
        ),
        over_time(report),
        numbers(report),
    ];
    let (version, time) = (env!("CARGO_PKG_VERSION"), text(&local_time(now)));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\
         <title>blockstore bench</title><style>\n{STYLE}</style></head>\n<body><main>\n\
         <h1>blockstore bench</h1><p class=\"lead\">{}</p>\n{}\
         <footer>blockstore {version}, {time}</footer>\n</main></body></html>\n",
        text(&words::source(report)),
        sections.concat()
    )
}

/// Text as it stands in a page, in an element or in an attribute.
pub(super) fn text(raw: &str) -> String {
    let mut safe = String::with_capacity(raw.len());
    for character in escape::line(raw).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn section(title: &str, about: &str, inner: &str) -> String {
    let (title, about) = (text(title), text(about));
    format!("<section><h2>{title}</h2><p class=\"about\">{about}</p>{inner}</section>\n")
}

fn facts(report: &BenchReport) -> String {
    let mut rows = vec![
        ("machine", words::machine(report)),
        ("source", words::source(report)),
    ];
    rows.extend(
        words::left_out(report)
            .into_iter()
            .map(|left| ("left out", left)),
    );
    rows.push(("medium", words::medium(report)));
    rows.push(("options", words::options(report)));
    rows.extend(report.notes.iter().map(|note| ("note", note.clone())));
    let rows = rows.iter().map(|(name, value)| {
        let value = text(value);
        format!("<dt>{name}</dt><dd>{value}</dd>")
    });
    let rows: String = rows.collect();
    format!("<section><dl>{rows}</dl></section>\n")
}

fn findings(report: &BenchReport) -> String {
    if report.operations.is_empty() {
        return String::new();
    }
    let finding = |one: &Operation| {
        let name = text(words::operation_words(one.kind));
        let (time, fast) = (duration(one.cost.wall), speed(one.bytes_per_second()));
        let bottleneck = text(&one.bottleneck);
        format!("<li><b>{name}: {time}, {fast}</b><span>{bottleneck}</span></li>")
    };
    let all: String = report.operations.iter().map(finding).collect();
    section(
        "What holds it up",
        "Whole operations on this machine, and what each of them waited for.",
        &format!("<ul class=\"findings\">{all}</ul>"),
    )
}

/// Time and floor of each operation.
fn operations(report: &BenchReport) -> String {
    let with_floor = report
        .operations
        .iter()
        .filter_map(|one| Some((one, one.floor?)));
    let group = |(one, floor): (&Operation, blockstore::operations::bench::Floor)| Group {
        name: words::operation_words(one.kind).to_owned(),
        bars: vec![
            Bar {
                class: "all",
                value: one.cost.wall.as_secs_f64(),
                shown: format!("{} taken", duration(one.cost.wall)),
            },
            Bar {
                class: "floor",
                value: floor.seconds,
                shown: format!("{:.1} s at least, {}", floor.seconds, words::reached(one)),
            },
        ],
    };
    let groups: Vec<_> = with_floor.map(group).collect();
    if groups.is_empty() {
        return String::new();
    }
    let legend = legend(&[
        ("all", "time taken"),
        ("floor", "floor: the least it could take here"),
    ]);
    section(
        "Operations against their floor",
        "The floor is what the steps below cost for the same bytes on all threads, or what the media \
         need for them, whichever is more. 100 % would be an operation that does nothing else and \
         never waits.",
        &format!("{legend}{}", charts::bars(&groups)),
    )
}

/// Measurements in bytes; entries and files have numbers in the table.
fn bytes_only(all: &[Measurement]) -> Vec<Measurement> {
    let is_bytes = |one: &&Measurement| {
        !matches!(
            one.probe,
            Probe::ListFirst | Probe::ListAgain | Probe::SmallFiles
        )
    };
    all.iter().filter(is_bytes).copied().collect()
}

fn speeds(title: &str, about: &str, all: &[Measurement], threads: usize) -> String {
    if all.is_empty() {
        return String::new();
    }
    let bar = |one: &Measurement| Bar {
        class: if one.threads > 1 { "all" } else { "one" },
        value: one.bytes_per_second(),
        shown: speed(one.bytes_per_second()),
    };
    let group = |same: &&[Measurement]| Group {
        name: same
            .first()
            .map_or("", |one| words::probe_words(one.probe))
            .to_owned(),
        bars: same.iter().map(bar).collect(),
    };
    let groups: Vec<_> = words::by_probe(all).iter().map(group).collect();
    let many = format!("{threads} threads");
    let legend = match threads {
        1 => legend(&[("one", "1 thread")]),
        _ => legend(&[("one", "1 thread"), ("all", &many)]),
    };
    section(title, about, &format!("{legend}{}", charts::bars(&groups)))
}

/// Throughput and memory of the operations that take long.
fn over_time(report: &BenchReport) -> String {
    let kinds = [OperationKind::SnapshotInitial, OperationKind::Restore];
    let found = kinds.iter().filter_map(|kind| report.operation(*kind));
    let plots: String = found.map(plots).collect();
    if plots.is_empty() {
        return String::new();
    }
    let legend = legend(&[
        ("all", "content"),
        ("floor", "stored"),
        ("memory", "memory"),
    ]);
    section(
        "Over time",
        "Content done and bytes stored per second, and the memory of the process.",
        &format!("{legend}{plots}"),
    )
}

fn plots(one: &Operation) -> String {
    let mut lines = vec![Line {
        class: "all",
        points: rates(&one.timeline, |sample| sample.bytes),
    }];
    if one.kind == OperationKind::SnapshotInitial {
        lines.push(Line {
            class: "floor",
            points: rates(&one.timeline, |sample| sample.bytes_stored),
        });
    }
    let memory = one.timeline.iter();
    let memory = Line {
        class: "memory",
        points: memory
            .map(|at| (at.at.as_secs_f64(), at.memory as f64 / MIB))
            .collect(),
    };
    let name = words::operation_words(one.kind);
    let throughput = charts::lines(&lines, name, speed);
    let memory = charts::lines(&[memory], name, |mib| format!("{mib:.0} MiB"));
    let name = text(name);
    format!("<h3>{name}: throughput</h3>{throughput}<h3>{name}: memory</h3>{memory}")
}

/// Bytes per second at each moment, over the [`WINDOW`] before it.
fn rates(timeline: &[Sample], counted: impl Fn(&Sample) -> u64) -> Vec<(f64, f64)> {
    let mut first = 0;
    let mut points = Vec::new();
    for now in timeline.iter().skip(1) {
        while timeline[first + 1].at + WINDOW <= now.at {
            first += 1;
        }
        let before = &timeline[first];
        let seconds = (now.at - before.at).as_secs_f64();
        let grown = counted(now).saturating_sub(counted(before)) as f64;
        let rate = if seconds > 0.0 { grown / seconds } else { 0.0 };
        points.push((now.at.as_secs_f64(), rate));
    }
    points
}

fn legend(items: &[(&str, &str)]) -> String {
    let item = |(class, name): &(&str, &str)| {
        let name = text(name);
        format!("<span><i class=\"{class}\"></i>{name}</span>")
    };
    let items: String = items.iter().map(item).collect();
    format!("<div class=\"legend\">{items}</div>")
}

/// Every number again, for who wants to copy them.
fn numbers(report: &BenchReport) -> String {
    let probes = report.media.iter().chain(&report.stages).map(|one| {
        [
            words::probe_words(one.probe).to_owned(),
            one.threads.to_string(),
            words::measured(one),
            count(one.items),
            bytes(one.bytes_in),
            bytes(one.bytes_out),
            duration(one.cost.wall),
            format!("{:.1}", one.cost.cores()),
        ]
    });
    let operations = report.operations.iter().map(|one| {
        [
            words::operation_words(one.kind).to_owned(),
            report.threads.to_string(),
            speed(one.bytes_per_second()),
            words::entries(one),
            bytes(one.bytes_read),
            bytes(one.bytes_written),
            duration(one.cost.wall),
            format!("{:.1}", one.cost.cores()),
        ]
    });
    let heading = [
        "", "threads", "speed", "items", "in", "out", "time", "cores",
    ];
    let heading = row("th", &heading.map(str::to_owned));
    let rows: String = probes
        .chain(operations)
        .map(|cells| row("td", &cells))
        .collect();
    let table = format!(
        "<div class=\"wide\"><table><thead>{heading}</thead><tbody>{rows}</tbody></table></div>"
    );
    section(
        "Numbers",
        "Speeds are in powers of ten, lengths in powers of two.",
        &table,
    )
}

fn row(tag: &str, cells: &[String]) -> String {
    let cell = |cell: &String| {
        let cell = text(cell);
        format!("<{tag}>{cell}</{tag}>")
    };
    let cells: String = cells.iter().map(cell).collect();
    format!("<tr>{cells}</tr>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    const NOW: Timestamp = Timestamp {
        seconds: 1_790_000_000,
        nanoseconds: 0,
    };

    /// Panics unless every element is closed in order and nothing stands open in the text.
    fn assert_well_formed(page: &str) {
        let body = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
        let mut open = Vec::new();
        for part in body.split('<').skip(1) {
            let (tag, behind) = part.split_once('>').unwrap();
            assert!(!behind.contains('>'), "{behind}");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            let name = tag.split([' ', '/']).find(|name| !name.is_empty()).unwrap();
            match (tag.starts_with('/'), tag.ends_with('/')) {
                (true, _) => assert_eq!(open.pop(), Some(name)),
                (false, true) => {}
                (false, false) => open.push(name),
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn the_page_is_well_formed_and_needs_nothing_from_elsewhere() {
        let page = page(&samples::bench(), NOW);
        assert_well_formed(&page);
        for foreign in [
            "http:", "https:", "//", "src=", "href", "url(", "@import", "<script",
        ] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn names_of_the_machine_and_of_paths_are_text_and_nothing_else() {
        let page = page(&samples::bench(), NOW);
        assert!(page.contains("A &lt;B&gt; &amp; C") && !page.contains("<B>"));
        assert!(page.contains("/a\\nb&lt;c&gt;") && !page.contains("b<c>"));
    }

    #[test]
    fn parts_that_were_not_measured_are_not_on_the_page() {
        let mut report = samples::bench();
        report.operations.clear();
        report.stages.clear();
        let page = page(&report, NOW);
        assert_well_formed(&page);
        assert!(!page.contains("What the processors do") && !page.contains("Over time"));
        assert!(page.contains("What the media give"));
    }

    #[test]
    fn a_rate_is_taken_over_the_window() {
        let sample = |millis, bytes| Sample {
            at: Duration::from_millis(millis),
            bytes,
            ..Sample::default()
        };
        let timeline = [
            sample(0, 0),
            sample(100, 10),
            sample(600, 110),
            sample(1_100, 110),
        ];
        let rates = rates(&timeline, |sample| sample.bytes);
        assert_eq!(rates, [(0.1, 100.0), (0.6, 200.0), (1.1, 0.0)]);
        assert!(super::rates(&[], |sample| sample.bytes).is_empty());
    }
}
