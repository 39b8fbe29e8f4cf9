//! What was decided about snapshots, as tables and sentences.

use blockstore::format::id::SessionId;
use blockstore::format::snapshot::Snapshot;
use blockstore::operations::forget::calendar::Period;
use blockstore::operations::forget::clocks::Misfit;
use blockstore::operations::forget::policy::{Reason, Refusal, Series, SeriesKey, TagSet, Verdict};
use blockstore::operations::forget::{ForgetReport, SecondThought};
use blockstore::operations::protect::ProtectReport;
use blockstore::repository::retention::Until;

use crate::render::escape;
use crate::render::human::{counted, local_time, short, snapshot_cells};
use crate::render::table::{self, Align};

/// A heading, and a line for each snapshot: what becomes of it, and why.
pub(crate) fn series(series: &Series) -> Vec<String> {
    let rows: Vec<_> = series.verdicts.iter().map(verdict_cells).collect();
    let rows = table::lines([Align::Left; 4], &rows);
    let rows = rows.iter().map(|row| format!("  {row}"));
    std::iter::once(heading(&series.key)).chain(rows).collect()
}

fn heading(key: &SeriesKey) -> String {
    let names = |source: &Vec<Vec<u8>>| {
        let names: Vec<_> = source.iter().map(|name| escape::path(name)).collect();
        names.join(" ")
    };
    let tags = key.tags.as_ref().map(|tags| match tags.is_empty() {
        true => "without tags".to_owned(),
        false => format!("tags {}", escape::line(&tags.join(","))),
    });
    let host = key.host.as_ref().map(|host| escape::line(host));
    let parts = [host, key.source.as_ref().map(names), tags];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => "all snapshots:".to_owned(),
        false => format!("{}:", parts.join("  ")),
    }
}

fn verdict_cells(verdict: &Verdict) -> [String; 4] {
    let word = if verdict.keep { "keep" } else { "forget" };
    let reasons: Vec<_> = verdict.reasons.iter().map(reason).collect();
    [
        word.to_owned(),
        short(verdict.session),
        local_time(verdict.time),
        reasons.join("; "),
    ]
}

fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Last => "last".to_owned(),
        Reason::LastOf(bucket) => format!("{} {bucket}", period(bucket.period())),
        Reason::Within => "within the span".to_owned(),
        Reason::Tagged(tags) => format!("tag {}", words(tags)),
        Reason::Protected(until) => format!("protected {}", until_words(until)),
        Reason::Clock(misfit) => format!("its time does not fit: {}", misfit_words(misfit)),
        Reason::WouldEmpty => "nothing of the series would be left".to_owned(),
        Reason::Refused => "nothing was decided".to_owned(),
        Reason::NotLast => "not among the last".to_owned(),
        Reason::LaterOf(bucket) => {
            format!("{} {bucket} has a later one", period(bucket.period()))
        }
        Reason::BeyondCount(of) => format!("beyond the {}s that are kept", period(*of)),
        Reason::NotWithin => "before the span".to_owned(),
        Reason::NotTagged => "no such tag".to_owned(),
        Reason::Named => "named".to_owned(),
    }
}

/// The word for a period.
pub(crate) fn period(period: Period) -> &'static str {
    match period {
        Period::Hour => "hour",
        Period::Day => "day",
        Period::Week => "week",
        Period::Month => "month",
        Period::Year => "year",
    }
}

fn misfit_words(misfit: &Misfit) -> String {
    match misfit {
        Misfit::AfterNow => "it lies in the future".to_owned(),
        Misfit::BeforeRepository => "it lies before the repository was made".to_owned(),
        Misfit::BeforeEarlier(other) => {
            format!(
                "before that of {}, which was committed earlier",
                short(*other)
            )
        }
        Misfit::AfterLater(other) => {
            format!("after that of {}, which was committed later", short(*other))
        }
    }
}

fn words(tags: &TagSet) -> String {
    let tags: Vec<_> = tags.0.iter().map(|tag| escape::line(tag)).collect();
    tags.join(",")
}

/// `until 2027-01-31 00:00:00`
fn until_words(until: &Until) -> String {
    match until {
        Until::Time(time) => format!("until {}", local_time(*time)),
        Until::Forever => "for ever, as until when cannot be read".to_owned(),
    }
}

/// What a person should look at.
pub(crate) fn doubts(report: &ForgetReport) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(report.refusal.as_ref().map(|refusal| match refusal {
        Refusal::NoRule => "nothing was forgotten: there is no rule".to_owned(),
        Refusal::TagsOnNoSnapshot(tags) => format!(
            "nothing was forgotten: no snapshot has the tag {}; --allow-empty forgets all the same",
            words(tags)
        ),
    }));
    let misfits = report.misfits();
    if misfits > 0 {
        let kept = counted(misfits, "snapshot is", "snapshots are");
        lines.push(format!(
            "{kept} kept and not counted because of a time that does not fit; \
             forget what is wrong by its id"
        ));
    }
    lines.extend(report.taken_back.iter().map(|(session, thought)| {
        let why = match thought {
            SecondThought::Protected(until) => {
                format!("it was protected meanwhile, {}", until_words(until))
            }
            SecondThought::WouldEmpty => "others forgot the rest of its series".to_owned(),
        };
        format!("{} was brought back: {why}", short(*session))
    }));
    lines
}

/// What a forget came to, in one sentence.
pub(crate) fn forgotten(report: &ForgetReport, dry_run: bool) -> String {
    let count = counted(report.forgotten.len() as u64, "snapshot", "snapshots");
    let before = match report.forgotten_before.len() as u64 {
        0 => String::new(),
        before => format!(", {} before", counted(before, "snapshot", "snapshots")),
    };
    match (dry_run, report.forgotten.is_empty()) {
        (true, _) => format!("{count} would be forgotten{before}; nothing was changed"),
        (false, true) => format!("nothing was forgotten{before}"),
        (false, false) => {
            format!("{count} forgotten{before}; undelete brings them back until prune has run")
        }
    }
}

/// A snapshot is back.
pub(crate) fn back(session: SessionId) -> String {
    format!("snapshot {} is back", short(session))
}

/// A snapshot may not be back.
pub(crate) fn too_late(session: SessionId) -> String {
    format!(
        "too late: a prune decided to let {} go meanwhile; look for it when that is done",
        short(session)
    )
}

/// What a protect came to.
pub(crate) fn protected(report: &ProtectReport) -> String {
    let before = match report.before {
        Some(before) if before != Until::Time(report.until) => {
            format!("; before it was {}", until_words(&before))
        }
        _ => String::new(),
    };
    let until = local_time(report.until);
    format!(
        "snapshot {} is protected until {until}{before}",
        short(report.session)
    )
}

/// One line for each snapshot, below a heading; with a column for each kind of note that there is.
pub(crate) fn snapshots(
    notes: [&str; 2],
    rows: &[(&Snapshot, [Option<String>; 2])],
) -> Vec<String> {
    let is_there = |column: usize| rows.iter().any(|(_, notes)| notes[column].is_some());
    let heading = [0, 1].map(|column| match is_there(column) {
        true => notes[column].to_owned(),
        false => String::new(),
    });
    let names = ["id", "time", "host", "tags", "size", "paths"].map(str::to_owned);
    let cells = rows.iter().map(|(snapshot, notes)| {
        let notes = notes.clone().map(Option::unwrap_or_default);
        with_notes(snapshot_cells(snapshot), notes)
    });
    let cells: Vec<_> = std::iter::once(with_notes(names, heading))
        .chain(cells)
        .collect();
    use Align::{Left, Right};
    table::lines([Left, Left, Left, Left, Left, Left, Right, Left], &cells)
}

/// Behind the time.
fn with_notes(cells: [String; 6], notes: [String; 2]) -> [String; 8] {
    let [id, time, host, tags, size, paths] = cells;
    let [first, second] = notes;
    [id, time, first, second, host, tags, size, paths]
}

/// The end of a protection, for a column.
pub(crate) fn until_cell(until: Until) -> String {
    match until {
        Until::Time(time) => local_time(time),
        Until::Forever => "for ever".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use blockstore::Timestamp;

    use super::*;
    use crate::render::samples;

    #[test]
    fn a_list_of_snapshots_has_a_heading_and_escaped_paths() {
        let snapshot = samples::snapshot();
        let notes = ["protected until", "booted"];
        let lines = snapshots(notes, &[(&snapshot, [None, None])]);
        assert!(lines[0].starts_with("id        time "), "{}", lines[0]);
        assert!(!lines[0].contains("protected"), "{}", lines[0]);
        assert!(lines[1].starts_with("3f3f3f3f  20"), "{}", lines[1]);
        let end = r"laptop  daily  1.6 GiB  /home/\xff";
        assert!(lines[1].ends_with(end), "{}", lines[1]);
        let noted = Some(until_cell(Until::Forever));
        let lines = snapshots(notes, &[(&snapshot, [noted.clone(), None])]);
        assert!(lines[0].contains("  protected until  host"), "{}", lines[0]);
        assert!(
            lines[1].contains("  for ever         laptop"),
            "{}",
            lines[1]
        );
        let started = Some("failed".to_owned());
        let lines = snapshots(notes, &[(&snapshot, [noted, started])]);
        assert!(lines[0].contains("  protected until  booted  host"));
        assert!(lines[1].contains("  for ever         failed  laptop"));
    }

    #[test]
    fn a_forget_is_a_table_of_each_series_and_a_sentence() {
        let mut report = samples::forget();
        let lines: Vec<_> = report.series.iter().flat_map(series).collect();
        assert_eq!(lines[0], r"laptop  /home/\xff  tags daily:");
        assert!(
            lines[1].starts_with("  forget  01010101  2026-"),
            "{}",
            lines[1]
        );
        assert!(lines[1].ends_with("day 2026-09-21 has a later one; no such tag"));
        assert!(lines[2].starts_with("  keep    02020202  "), "{}", lines[2]);
        assert!(lines[2].contains("which was committed earlier; protected until 20"));
        assert_eq!(lines.len(), 3);
        let done = "1 snapshot forgotten, 1 snapshot before; \
             undelete brings them back until prune has run";
        assert_eq!(forgotten(&report, false), done);
        let dry = "1 snapshot would be forgotten, 1 snapshot before; nothing was changed";
        assert_eq!(forgotten(&report, true), dry);
        assert_eq!(doubts(&report).len(), 3);
        report.forgotten.clear();
        report.forgotten_before.clear();
        assert_eq!(forgotten(&report, false), "nothing was forgotten");
        assert_eq!(heading(&SeriesKey::default()), "all snapshots:");
    }

    #[test]
    fn a_protection_says_what_it_was_before() {
        let time = |seconds| Timestamp {
            seconds,
            nanoseconds: 0,
        };
        let mut report = ProtectReport {
            session: SessionId([1; 16]),
            until: time(1_790_000_000),
            before: Some(Until::Forever),
        };
        let line = protected(&report);
        assert!(
            line.starts_with("snapshot 01010101 is protected until 2026-09-2"),
            "{line}"
        );
        assert!(line.ends_with("; before it was for ever, as until when cannot be read"));
        report.before = Some(Until::Time(report.until));
        assert!(!protected(&report).contains("before"));
    }
}
