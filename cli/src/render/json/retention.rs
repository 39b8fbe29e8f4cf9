//! What was decided about snapshots, as JSON.

use blockstore::Timestamp;
use blockstore::format::id::SessionId;
use blockstore::format::snapshot::Snapshot;
use blockstore::operations::forget::calendar::Bucket;
use blockstore::operations::forget::clocks::Misfit;
use blockstore::operations::forget::policy::{Reason, Refusal, Series, TagSet, Verdict};
use blockstore::operations::forget::{ForgetReport, SecondThought};
use blockstore::operations::protect::ProtectReport;
use blockstore::operations::undelete::UndeleteReport;
use blockstore::repository::retention::Until;
use serde::Serialize;

use super::{LastBoot, PathText, ProblemList, SnapshotInfo};
use crate::progress::Problems;
use crate::render::retention::period;
use crate::render::units::utc_time;

/// A line of `snapshots`.
#[derive(Debug, Serialize)]
pub(crate) struct ListedSnapshot {
    #[serde(flatten)]
    info: SnapshotInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    protected_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forgotten: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_boot: Option<LastBoot>,
}

/// `forget`
#[derive(Debug, Serialize)]
pub(crate) struct ForgetSummary {
    series: Vec<SeriesInfo>,
    refusal: Option<RefusalInfo>,
    forgotten: Vec<String>,
    forgotten_before: Vec<String>,
    taken_back: Vec<TakenBack>,
    misfits: u64,
    #[serde(flatten)]
    problems: ProblemList,
    dry_run: bool,
}

/// `undelete`
#[derive(Debug, Serialize)]
pub(crate) struct UndeleteSummary {
    back: Vec<String>,
    too_late: Vec<String>,
}

/// `protect`
#[derive(Debug, Serialize)]
pub(crate) struct ProtectSummary {
    snapshot: String,
    until: String,
    before: Option<String>,
}

#[derive(Debug, Serialize)]
struct SeriesInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paths: Option<Vec<PathText>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
    verdicts: Vec<VerdictInfo>,
}

#[derive(Debug, Serialize)]
struct VerdictInfo {
    snapshot: String,
    time: String,
    keep: bool,
    reasons: Vec<ReasonInfo>,
}

/// Why a snapshot stays or goes.
#[derive(Debug, Default, Serialize)]
struct ReasonInfo {
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<String>,
}

#[derive(Debug, Serialize)]
struct RefusalInfo {
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct TakenBack {
    snapshot: String,
    #[serde(flatten)]
    reason: ReasonInfo,
}

impl ListedSnapshot {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        Self {
            info: SnapshotInfo::of(snapshot),
            protected_until: None,
            forgotten: None,
            last_boot: None,
        }
    }

    pub(crate) fn protected(mut self, until: Option<Until>) -> Self {
        self.protected_until = until.map(until_text);
        self
    }

    pub(crate) fn forgotten(mut self, time: Option<Timestamp>) -> Self {
        self.forgotten = time.map(utc_time);
        self
    }

    pub(crate) fn last_boot(mut self, boot: Option<LastBoot>) -> Self {
        self.last_boot = boot;
        self
    }
}

impl ForgetSummary {
    pub(crate) fn of(report: &ForgetReport, problems: &Problems, dry_run: bool) -> Self {
        let back = |(session, thought): &(SessionId, SecondThought)| TakenBack {
            snapshot: session.to_string(),
            reason: match thought {
                SecondThought::Protected(until) => protected(*until),
                SecondThought::WouldEmpty => ReasonInfo::of("would_empty"),
            },
        };
        Self {
            series: report.series.iter().map(SeriesInfo::of).collect(),
            refusal: report.refusal.as_ref().map(RefusalInfo::of),
            forgotten: ids(&report.forgotten),
            forgotten_before: ids(&report.forgotten_before),
            taken_back: report.taken_back.iter().map(back).collect(),
            misfits: report.misfits(),
            problems: ProblemList::of(problems, report.problems),
            dry_run,
        }
    }
}

impl UndeleteSummary {
    pub(crate) fn of(report: &UndeleteReport) -> Self {
        Self {
            back: ids(&report.back),
            too_late: ids(&report.too_late),
        }
    }
}

impl ProtectSummary {
    pub(crate) fn of(report: &ProtectReport) -> Self {
        Self {
            snapshot: report.session.to_string(),
            until: utc_time(report.until),
            before: report.before.map(until_text),
        }
    }
}

impl SeriesInfo {
    fn of(series: &Series) -> Self {
        let paths = |names: &Vec<Vec<u8>>| names.iter().map(|name| PathText::of(name)).collect();
        Self {
            host: series.key.host.clone(),
            paths: series.key.source.as_ref().map(paths),
            tags: series.key.tags.clone(),
            verdicts: series.verdicts.iter().map(VerdictInfo::of).collect(),
        }
    }
}

impl VerdictInfo {
    fn of(verdict: &Verdict) -> Self {
        Self {
            snapshot: verdict.session.to_string(),
            time: utc_time(verdict.time),
            keep: verdict.keep,
            reasons: verdict.reasons.iter().map(reason).collect(),
        }
    }
}

impl RefusalInfo {
    fn of(refusal: &Refusal) -> Self {
        let (reason, tags) = match refusal {
            Refusal::NoRule => ("no_rule", None),
            Refusal::TagsOnNoSnapshot(tags) => ("tags_on_no_snapshot", Some(words(tags))),
        };
        Self { reason, tags }
    }
}

impl ReasonInfo {
    fn of(reason: &'static str) -> Self {
        Self {
            reason,
            ..Self::default()
        }
    }
}

fn reason(reason: &Reason) -> ReasonInfo {
    match reason {
        Reason::Last => ReasonInfo::of("last"),
        Reason::LastOf(bucket) => in_bucket("last_of", *bucket),
        Reason::Within => ReasonInfo::of("within"),
        Reason::Tagged(tags) => ReasonInfo {
            tags: Some(words(tags)),
            ..ReasonInfo::of("tagged")
        },
        Reason::Protected(until) => protected(*until),
        Reason::Clock(misfit) => clock(*misfit),
        Reason::WouldEmpty => ReasonInfo::of("would_empty"),
        Reason::Refused => ReasonInfo::of("refused"),
        Reason::NotLast => ReasonInfo::of("not_last"),
        Reason::LaterOf(bucket) => in_bucket("later_of", *bucket),
        Reason::BeyondCount(of) => ReasonInfo {
            period: Some(period(*of)),
            ..ReasonInfo::of("beyond_count")
        },
        Reason::NotWithin => ReasonInfo::of("not_within"),
        Reason::NotTagged => ReasonInfo::of("not_tagged"),
        Reason::Named => ReasonInfo::of("named"),
    }
}

fn in_bucket(reason: &'static str, bucket: Bucket) -> ReasonInfo {
    ReasonInfo {
        period: Some(period(bucket.period())),
        bucket: Some(bucket.to_string()),
        ..ReasonInfo::of(reason)
    }
}

fn protected(until: Until) -> ReasonInfo {
    ReasonInfo {
        until: Some(until_text(until)),
        ..ReasonInfo::of("protected")
    }
}

fn clock(misfit: Misfit) -> ReasonInfo {
    let (reason, other) = match misfit {
        Misfit::AfterNow => ("time_after_now", None),
        Misfit::BeforeRepository => ("time_before_repository", None),
        Misfit::BeforeEarlier(other) => ("time_before_earlier", Some(other)),
        Misfit::AfterLater(other) => ("time_after_later", Some(other)),
    };
    ReasonInfo {
        other: other.map(|other| other.to_string()),
        ..ReasonInfo::of(reason)
    }
}

fn until_text(until: Until) -> String {
    match until {
        Until::Time(time) => utc_time(time),
        Until::Forever => "forever".to_owned(),
    }
}

fn words(tags: &TagSet) -> Vec<String> {
    tags.0.iter().cloned().collect()
}

fn ids(sessions: &[SessionId]) -> Vec<String> {
    sessions.iter().map(ToString::to_string).collect()
}
