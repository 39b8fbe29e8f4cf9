//! Forgets snapshots: by a policy, or by their ids. Nothing is deleted: what is forgotten is put
//! under a tombstone, and can be brought back until a prune lets it go.
//!
//! ```text
//! calendar  hours, days, weeks, months, years, spans
//! clocks    which times of snapshots can be believed
//! policy    what stays and what goes, and why
//! guards    what must not be forgotten yet
//! bury      tombstones, and second thoughts
//! ```
//! **Architecture Invariant:** what stays hangs on the order of commits. Times decide in which hour
//! or day a snapshot lies, and those that contradict others decide nothing.

mod bury;
pub mod calendar;
pub mod clocks;
pub mod guards;
pub mod policy;
#[cfg(test)]
mod properties_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::error::{ErrorKind, Result};
use crate::format::id::SessionId;
use crate::format::snapshot::Snapshot;
use crate::observe::{Observer, Problem, ProblemKind};
use crate::operations::forget::clocks::{Clocks, time_of};
use crate::operations::forget::guards::Guards;
use crate::operations::forget::policy::{
    GroupBy, Judgement, Reason, Refusal, RetentionPolicy, Series, Terms, Verdict, group, judge,
};
use crate::operations::walk;
use crate::repository::Repository;
use crate::repository::retention::Until;
use crate::repository::session::Writer;
use crate::repository::snapshots::{self, SnapshotList};

/// Which snapshots are forgotten, and how careful it is.
#[derive(Clone, Debug)]
pub struct ForgetOptions {
    /// Which ones.
    pub choice: Choice,
    /// What makes a series.
    pub group_by: GroupBy,
    /// A series may be emptied, and the tags of a policy may be on no snapshot.
    pub allow_empty: bool,
    /// Nothing is forgotten; the report says what would be.
    pub dry_run: bool,
    /// Who forgets; `started` is the present.
    pub writer: Writer,
    /// Seconds by which the zone, in which days begin, is ahead of UTC.
    pub offset_seconds: i32,
}

/// Which snapshots are forgotten.
#[derive(Clone, Debug)]
pub enum Choice {
    /// Those that a policy does not keep, of those that the filter lets through.
    Policy(RetentionPolicy, Filter),
    /// These.
    Snapshots(Vec<SessionId>),
}

/// Which snapshots a policy is applied to. The others are as if they were not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this machine.
    pub host: Option<String>,
    /// With all of these tags.
    pub tags: Vec<String>,
    /// With a root of this name, raw bytes.
    pub path: Option<Vec<u8>>,
}

/// What a forget came to.
#[derive(Clone, Debug, Default)]
pub struct ForgetReport {
    /// What was decided: by a policy every snapshot, by ids those that were named.
    pub series: Vec<Series>,
    /// Why nothing was decided.
    pub refusal: Option<Refusal>,
    /// What was forgotten, or would be in a dry run.
    pub forgotten: Vec<SessionId>,
    /// What was named and had been forgotten before.
    pub forgotten_before: Vec<SessionId>,
    /// What was forgotten and brought back at once, because of what others did meanwhile.
    pub taken_back: Vec<(SessionId, SecondThought)>,
    /// Snapshots and protections that cannot be read, each told to the observer.
    pub problems: u64,
}

/// Why something was brought back at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondThought {
    /// It was protected meanwhile.
    Protected(Until),
    /// Others forgot what would have been left of its series.
    WouldEmpty,
}

impl ForgetOptions {
    /// The usual options: of what is chosen, at the time that the writer gives, in UTC.
    pub fn new(choice: Choice, writer: Writer) -> Self {
        Self {
            choice,
            group_by: GroupBy::default(),
            allow_empty: false,
            dry_run: false,
            writer,
            offset_seconds: 0,
        }
    }
}

impl Filter {
    /// True if it lets `snapshot` through.
    pub fn fits(&self, snapshot: &Snapshot) -> bool {
        let has_root = |path: &Vec<u8>| snapshot.roots.iter().any(|root| root.name == *path);
        self.host.as_ref().is_none_or(|host| *host == snapshot.host)
            && self.tags.iter().all(|tag| snapshot.tags.contains(tag))
            && self.path.as_ref().is_none_or(has_root)
    }
}

impl ForgetReport {
    /// Every decision.
    pub fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        self.series.iter().flat_map(|series| &series.verdicts)
    }

    /// How many snapshots were kept because their times do not fit.
    pub fn misfits(&self) -> u64 {
        let is_misfit = |verdict: &&Verdict| {
            let mut reasons = verdict.reasons.iter();
            reasons.any(|reason| matches!(reason, Reason::Clock(_)))
        };
        self.verdicts().filter(is_misfit).count() as u64
    }
}

/// Forgets snapshots. What is protected stays, and so does the last one of a series.
///
/// A policy that has no rule, or that would keep tags which no snapshot has, forgets nothing, and
/// the report says so.
///
/// # Errors
/// If nothing was forgotten: an id is not that of a snapshot, is protected, or is the last one of its
/// series and `allow_empty` is not set; a prune's decisions cannot be read; or the repository cannot
/// be read or written. If tombstones were put before writing failed, or the observer cancelled, those
/// snapshots stay forgotten.
pub fn forget(
    repository: &Repository,
    options: &ForgetOptions,
    observer: &dyn Observer,
) -> Result<ForgetReport> {
    let (list, prunes) = snapshots::list_judged(repository)?;
    prunes.ensure_known()?;
    let guards = Guards::read(repository, &list, options.writer.started)?;
    let mut report = match &options.choice {
        Choice::Policy(policy, filter) => {
            by_policy(&list, policy, filter, &terms(repository, options), &guards)
        }
        Choice::Snapshots(ids) => by_ids(&list, ids, options, &guards)?,
    };
    report.problems = tell_damaged(&list, &guards, observer);
    if options.dry_run {
        report.forgotten = going(&report).collect();
    } else {
        bury::bury(repository, &list, &mut report, options, observer)?;
    }
    Ok(report)
}

fn terms(repository: &Repository, options: &ForgetOptions) -> Terms {
    Terms {
        group_by: options.group_by,
        allow_empty: options.allow_empty,
        clocks: Clocks::of(repository, options.writer.started),
        offset_seconds: options.offset_seconds,
    }
}

fn by_policy(
    list: &SnapshotList,
    policy: &RetentionPolicy,
    filter: &Filter,
    terms: &Terms,
    guards: &Guards,
) -> ForgetReport {
    let chosen = list.snapshots.iter().filter(|s| filter.fits(s));
    let chosen: Vec<_> = chosen.collect();
    let Judgement { series, refusal } =
        judge(&chosen, policy, terms, &|session| guards.until(session));
    ForgetReport {
        series,
        refusal,
        ..ForgetReport::default()
    }
}

/// All of them, or an error before anything was done.
fn by_ids(
    list: &SnapshotList,
    ids: &[SessionId],
    options: &ForgetOptions,
    guards: &Guards,
) -> Result<ForgetReport> {
    let (mut named, mut report) = (BTreeSet::new(), ForgetReport::default());
    for id in ids {
        let is_forgotten = || list.forgotten.iter().any(|s| s.session == *id);
        if list.get(*id).is_some() {
            guards.ensure_none(*id)?;
            named.insert(*id);
        } else if is_forgotten() {
            report.forgotten_before.push(*id);
        } else {
            return Err(walk::refuse(
                *id,
                ErrorKind::NotFound,
                "there is no such snapshot",
            ));
        }
    }
    let all: Vec<_> = list.snapshots.iter().collect();
    for (key, members) in group(&all, options.group_by) {
        let is_named = |snapshot: &&&Snapshot| named.contains(&snapshot.session);
        let going: Vec<_> = members.iter().filter(is_named).collect();
        let Some(last) = going.last() else {
            continue;
        };
        if going.len() == members.len() && !options.allow_empty {
            let detail = "its series would have no snapshot left; allow that if it is meant";
            return Err(walk::refuse(last.session, ErrorKind::InvalidInput, detail));
        }
        let verdicts = going.iter().map(|snapshot| Verdict {
            session: snapshot.session,
            time: time_of(snapshot),
            keep: false,
            reasons: vec![Reason::Named],
        });
        let verdicts = verdicts.collect();
        report.series.push(Series { key, verdicts });
    }
    Ok(report)
}

/// What was decided to go.
fn going(report: &ForgetReport) -> impl Iterator<Item = SessionId> {
    let going = report.verdicts().filter(|verdict| !verdict.keep);
    going.map(|verdict| verdict.session)
}

fn tell_damaged(list: &SnapshotList, guards: &Guards, observer: &dyn Observer) -> u64 {
    let damaged = list.damaged.iter().chain(guards.damaged());
    let told = damaged.map(|(name, error)| {
        observer.problem(&Problem {
            kind: ProblemKind::Damaged,
            subject: name.to_string().into_bytes(),
            detail: walk::with_causes(error),
        });
    });
    told.count() as u64
}
