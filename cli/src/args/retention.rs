//! The arguments of what decides about snapshots: forget, undelete, protect.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use blockstore::operations::forget::calendar::Span;
use blockstore::operations::forget::policy::{GroupBy, TagSet};
use clap::Args;

/// Forget snapshots: by rules that say what is kept, or by name
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore forget --repo /backup --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run
  blockstore forget --repo /backup --keep-within 30d --keep-tag important --host laptop
  blockstore forget --repo /backup 3f1c 8a02

What any rule keeps stays. Rules look at the snapshots of the same host and paths, a series, from
the newest back, in the order in which they were committed. A snapshot whose time contradicts that
order, or lies in the future, is kept, counts for nothing, and is a problem that is told; forget it
by name if its clock was wrong. Nothing is deleted: undelete brings back what is forgotten, until
prune has let it go.")]
pub(crate) struct ForgetArgs {
    /// Snapshots to forget, all of them or none
    #[arg(value_name = "SNAP", conflicts_with_all = ["KeepArgs", "host", "tags", "path"])]
    pub(crate) snapshots: Vec<String>,
    #[command(flatten)]
    pub(crate) keep: KeepArgs,
    /// Look at snapshots of this machine alone
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Look at snapshots with this tag alone; if repeated, with all of them
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Look at snapshots alone that have this absolute path as a root
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
    /// What makes a series: some of host, source and tags, or none
    #[arg(long, value_name = "WORDS", default_value = "host,source", value_parser = group_by)]
    pub(crate) group_by: GroupBy,
    /// Let a series be emptied, and let --keep-tag name tags that no snapshot has
    #[arg(long)]
    pub(crate) allow_empty: bool,
    /// Forget nothing, say what would be forgotten
    #[arg(long, conflicts_with = "prune")]
    pub(crate) dry_run: bool,
    /// Prune afterwards, as prune does without options
    #[arg(long)]
    pub(crate) prune: bool,
}

/// What is kept.
#[derive(Clone, Debug, Default, Args)]
#[group(multiple = true)]
#[command(next_help_heading = "Rules")]
pub(crate) struct KeepArgs {
    /// Keep the last N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_last: Option<u32>,
    /// Keep the last of each of N hours
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_hourly: Option<u32>,
    /// Keep the last of each of N days
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_daily: Option<u32>,
    /// Keep the last of each of N weeks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_weekly: Option<u32>,
    /// Keep the last of each of N months
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_monthly: Option<u32>,
    /// Keep the last of each of N years
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_yearly: Option<u32>,
    /// Keep all that is not older than this, counted from the newest of the series: 30d, 2y6m, 12h
    #[arg(long, value_name = "SPAN")]
    pub(crate) keep_within: Option<SpanText>,
    /// Keep what has this tag, or all of several with commas between; may be repeated
    #[arg(long = "keep-tag", value_name = "TAG,...", value_parser = tag_set)]
    pub(crate) keep_tags: Vec<TagSet>,
}

/// Bring forgotten snapshots back, as long as no prune has let them go
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  blockstore snapshots --repo /backup --forgotten
  blockstore undelete --repo /backup 3f1c")]
pub(crate) struct UndeleteArgs {
    /// Beginnings of their ids
    #[arg(required = true, value_name = "ID")]
    pub(crate) snapshots: Vec<String>,
}

/// Protect a snapshot: until some time it cannot be forgotten
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore protect --repo /backup latest --until 90d
  blockstore protect --repo /backup 3f1c --until 2027-12-31
  blockstore protect --repo /backup 3f1c --until 2026-01-01 --shorten

A protection ends when the clock of this machine and the newest snapshot of the repository are both
past its end. It keeps people from slips; who has the password can shorten it.")]
pub(crate) struct ProtectArgs {
    /// The snapshot
    #[arg(value_name = "SNAP")]
    pub(crate) snapshot: String,
    /// A date, whose beginning is meant, a time as 2027-12-31T18:00:00Z, or how long from now: 90d
    #[arg(long, value_name = "DATE|SPAN")]
    pub(crate) until: Moment,
    /// Let it end earlier than the protection that there is, or at once
    #[arg(long)]
    pub(crate) shorten: bool,
}

/// A span as a person types it: `30d`, `2y6m`, `4w`, `12h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanText(pub(crate) Span);

/// A point in time as a person types it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// With its zone.
    Time(jiff::Timestamp),
    /// By the calendar and clock of this machine.
    Local(jiff::civil::DateTime),
    /// From now on.
    In(Span),
}

impl FromStr for SpanText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "{text:?}: expected years, months, weeks, days, hours in this order, as 2y6m or 30d"
            )
        };
        let (mut span, mut rest) = (Span::default(), text);
        let mut units = "ymwdh".chars();
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, behind) = rest.split_at(digits);
            let number: u32 = number.parse().map_err(|_| expected())?;
            let mut characters = behind.chars();
            let unit = characters.next().ok_or_else(expected)?;
            rest = characters.as_str();
            // What was passed over cannot come any more: each unit once, the longest first.
            let unit = units.find(|known| *known == unit).ok_or_else(expected)?;
            match unit {
                'y' => span.years = number,
                'm' => span.months = number,
                'w' => span.days = number.checked_mul(7).ok_or_else(expected)?,
                'd' => span.days = span.days.checked_add(number).ok_or_else(expected)?,
                _ => span.hours = number,
            }
        }
        match span == Span::default() {
            true => Err(expected()),
            false => Ok(Self(span)),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(time) = text.parse() {
            return Ok(Self::Time(time));
        }
        if let Ok(local) = text.parse() {
            return Ok(Self::Local(local));
        }
        let span = text.parse::<SpanText>().map_err(|_| {
            format!("{text:?}: expected a date as 2027-12-31, a time, or a span as 90d or 2y")
        });
        span.map(|SpanText(span)| Self::In(span))
    }
}

fn group_by(text: &str) -> Result<GroupBy, String> {
    let mut by = GroupBy {
        host: false,
        source: false,
        tags: false,
    };
    if text == "none" {
        return Ok(by);
    }
    for word in text.split(',') {
        match word {
            "host" => by.host = true,
            "source" => by.source = true,
            "tags" => by.tags = true,
            _ => return Err(format!("{word:?}: expected host, source, tags, or none")),
        }
    }
    Ok(by)
}

fn tag_set(text: &str) -> Result<TagSet, String> {
    let tags: BTreeSet<_> = text.split(',').map(str::to_owned).collect();
    match tags.contains("") {
        true => Err("a tag has at least one character".to_owned()),
        false => Ok(TagSet(tags)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_name_each_unit_once_and_the_longest_first() {
        let span = |years, months, days, hours| Span {
            years,
            months,
            days,
            hours,
        };
        for (text, expected) in [
            ("30d", span(0, 0, 30, 0)),
            ("2y6m", span(2, 6, 0, 0)),
            ("1y2m3w4d5h", span(1, 2, 25, 5)),
            ("12h", span(0, 0, 0, 12)),
        ] {
            assert_eq!(text.parse(), Ok(SpanText(expected)), "{text}");
        }
        for text in [
            "",
            "0d",
            "d",
            "30",
            "1d1d",
            "1d1y",
            "1 d",
            "-1d",
            "1x",
            "1.5d",
            "4294967296d",
            "1m€",
            "4294967295w",
        ] {
            assert!(text.parse::<SpanText>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_is_a_date_a_time_or_a_span_from_now() {
        let local = jiff::civil::date(2027, 12, 31).at(0, 0, 0, 0);
        assert_eq!("2027-12-31".parse(), Ok(Moment::Local(local)));
        let time = jiff::Timestamp::from_second(1_830_276_000);
        assert_eq!(
            "2027-12-31T18:00:00Z".parse().ok(),
            time.ok().map(Moment::Time)
        );
        let quarter = Span {
            days: 90,
            ..Span::default()
        };
        assert_eq!("90d".parse(), Ok(Moment::In(quarter)));
        for text in ["", "tomorrow", "2027-13-01", "90"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }

    #[test]
    fn words_that_make_no_series_are_refused() {
        assert_eq!(group_by("host,source"), Ok(GroupBy::default()));
        assert_eq!(group_by("none").map(|by| by.host), Ok(false));
        assert!(group_by("hosts").is_err() && group_by("").is_err());
        assert!(tag_set("a,,b").is_err() && tag_set("").is_err());
        assert_eq!(tag_set("b,a,b").map(|tags| tags.0.len()), Ok(2));
    }
}
