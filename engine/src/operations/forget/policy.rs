//! Which snapshots a policy keeps, and why: pure, of snapshots in the order of their commits.
//!
//! Each series is judged by itself. Rules look at it from its newest snapshot back; one that any
//! rule keeps stays. Safety stands above all rules: what is protected stays, so does what has a
//! time that does not fit (see `clocks`), a policy that keeps nothing by mistake forgets nothing,
//! and no series is emptied unless that is asked for.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::format::entry::Timestamp;
use crate::format::id::SessionId;
use crate::format::snapshot::Snapshot;
use crate::mutants::{self, Mutant};
use crate::operations::forget::calendar::{Bucket, Period, Span};
use crate::operations::forget::clocks::{Clocks, Misfit, misfits, time_of};
use crate::repository::retention::Until;

/// What is kept; what no rule keeps is forgotten. A count of 0 is no rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// So many, the newest.
    pub last: Option<u32>,
    /// The last of each of so many hours that have any.
    pub hourly: Option<u32>,
    /// The last of each of so many days that have any.
    pub daily: Option<u32>,
    /// The last of each of so many weeks that have any.
    pub weekly: Option<u32>,
    /// The last of each of so many months that have any.
    pub monthly: Option<u32>,
    /// The last of each of so many years that have any.
    pub yearly: Option<u32>,
    /// All that are not older than this, before now and before the newest one.
    pub within: Option<Span>,
    /// All that have all the tags of one of these sets.
    pub tags: Vec<TagSet>,
}

/// Tags that a snapshot must have, all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagSet(pub BTreeSet<String>);

/// What makes snapshots one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupBy {
    /// The same machine.
    pub host: bool,
    /// The same names of roots, in any order.
    pub source: bool,
    /// The same tags.
    pub tags: bool,
}

impl Default for GroupBy {
    /// The same machine and the same sources.
    fn default() -> Self {
        Self {
            host: true,
            source: true,
            tags: false,
        }
    }
}

/// What the snapshots of a series share; nothing where they may differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesKey {
    /// Name of the machine.
    pub host: Option<String>,
    /// Names of the roots, ascending, raw bytes.
    pub source: Option<Vec<Vec<u8>>>,
    /// Tags, ascending.
    pub tags: Option<Vec<String>>,
}

/// By what else than the policy it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What makes a series.
    pub group_by: GroupBy,
    /// A series may be emptied, and tags may be on no snapshot.
    pub allow_empty: bool,
    /// What times are measured by.
    pub clocks: Clocks,
    /// Seconds by which the zone, in which days begin, is ahead of UTC.
    pub offset_seconds: i32,
}

/// One series, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// What its snapshots share.
    pub key: SeriesKey,
    /// In the order of their commits.
    pub verdicts: Vec<Verdict>,
}

/// What becomes of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The snapshot.
    pub session: SessionId,
    /// Its time.
    pub time: Timestamp,
    /// True if it stays.
    pub keep: bool,
    /// Why; of one that stays what keeps it, of one that goes what does not.
    pub reasons: Vec<Reason>,
}

/// Why a snapshot stays or goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Stays: it is among the last ones.
    Last,
    /// Stays: it is the last one of this hour, day, week, month or year.
    LastOf(Bucket),
    /// Stays: it is not old enough.
    Within,
    /// Stays: it has these tags.
    Tagged(TagSet),
    /// Stays: it must not be forgotten.
    Protected(Until),
    /// Stays: its time does not fit. It counts for no rule.
    Clock(Misfit),
    /// Stays: the policy would have emptied its series.
    WouldEmpty,
    /// Stays: the policy was not applied at all.
    Refused,
    /// Goes: it is not among the last ones.
    NotLast,
    /// Goes: a later one stays for this hour, day, week, month or year.
    LaterOf(Bucket),
    /// Goes: later ones fill the count of these.
    BeyondCount(Period),
    /// Goes: it is too old.
    NotWithin,
    /// Goes: it has none of the tags.
    NotTagged,
    /// Goes: it was named.
    Named,
}

/// Why a policy was not applied, though it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has no rule.
    NoRule,
    /// No snapshot has these tags, which may be a slip of the pen.
    TagsOnNoSnapshot(TagSet),
}

/// What a policy comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Every series, by key.
    pub series: Vec<Series>,
    /// Why everything stays.
    pub refusal: Option<Refusal>,
}

/// Judges `snapshots`, which stand in the order of their commits; `protected` tells of one until
/// when it must not be forgotten, if that is not over.
pub fn judge(
    snapshots: &[&Snapshot],
    policy: &RetentionPolicy,
    terms: &Terms,
    protected: &dyn Fn(SessionId) -> Option<Until>,
) -> Judgement {
    let groups = group(snapshots, terms.group_by).into_iter();
    let groups = groups.map(|(key, members)| (key, with_misfits(&members, &terms.clocks)));
    let groups: Vec<_> = groups.collect();
    let all = groups.iter().flat_map(|(_, members)| members);
    let refusal = policy.refusal(all, terms.allow_empty);
    let series = groups.into_iter().map(|(key, members)| {
        let mut verdicts = match refusal {
            None => policy.judge_series(&members, terms),
            Some(_) => members.iter().map(refused).collect(),
        };
        for verdict in &mut verdicts {
            if let Some(until) = protected(verdict.session) {
                verdict.stays(Reason::Protected(until));
            }
        }
        if !terms.allow_empty && !mutants::is_on(Mutant::SeriesEmptied) {
            keep_one(&mut verdicts);
        }
        Series { key, verdicts }
    });
    Judgement {
        series: series.collect(),
        refusal,
    }
}

/// The series of `snapshots`, each in their order.
pub fn group<'s>(
    snapshots: &[&'s Snapshot],
    by: GroupBy,
) -> BTreeMap<SeriesKey, Vec<&'s Snapshot>> {
    let mut series = BTreeMap::<_, Vec<_>>::new();
    for snapshot in snapshots {
        series
            .entry(SeriesKey::of(snapshot, by))
            .or_default()
            .push(*snapshot);
    }
    series
}

/// A snapshot, and why its time does not fit those of its series.
type Member<'s> = (&'s Snapshot, Option<Misfit>);

fn with_misfits<'s>(members: &[&'s Snapshot], clocks: &Clocks) -> Vec<Member<'s>> {
    let found = misfits(members, clocks);
    members.iter().copied().zip(found).collect()
}

/// Those whose times fit.
fn fitting<'m, 's: 'm>(
    members: impl IntoIterator<Item = &'m Member<'s>>,
) -> impl Iterator<Item = &'s Snapshot> {
    let fits = |(snapshot, misfit): &Member<'s>| misfit.is_none().then_some(*snapshot);
    members.into_iter().filter_map(fits)
}

impl SeriesKey {
    fn of(snapshot: &Snapshot, by: GroupBy) -> Self {
        let mut source: Vec<_> = snapshot.roots.iter().map(|r| r.name.clone()).collect();
        source.sort();
        Self {
            host: by.host.then(|| snapshot.host.clone()),
            source: by.source.then_some(source),
            tags: by.tags.then(|| snapshot.tags.clone()),
        }
    }
}

impl TagSet {
    fn is_on(&self, snapshot: &Snapshot) -> bool {
        self.0.iter().all(|tag| snapshot.tags.contains(tag))
    }
}

impl Verdict {
    fn stays(&mut self, reason: Reason) {
        if !self.keep {
            self.reasons.clear();
        }
        self.keep = true;
        self.reasons.push(reason);
    }

    fn is_counted(&self) -> bool {
        !self.reasons.iter().any(|r| matches!(r, Reason::Clock(_)))
    }
}

fn refused((snapshot, misfit): &Member<'_>) -> Verdict {
    let clock = misfit.map(Reason::Clock);
    Verdict {
        session: snapshot.session,
        time: time_of(snapshot),
        keep: true,
        reasons: std::iter::once(Reason::Refused).chain(clock).collect(),
    }
}

/// If the policy keeps none of those that count, it keeps all of them: those that do not count may
/// be anybody's.
fn keep_one(verdicts: &mut [Verdict]) {
    let mut counted = verdicts.iter().filter(|v| v.is_counted()).peekable();
    if counted.peek().is_some() && !counted.any(|verdict| verdict.keep) {
        for verdict in verdicts.iter_mut().filter(|verdict| !verdict.keep) {
            verdict.stays(Reason::WouldEmpty);
        }
    }
}

impl RetentionPolicy {
    /// True if there is nothing that it would keep.
    pub fn is_empty(&self) -> bool {
        let counts = self.counts();
        let has_count = self.last().is_some() || counts.iter().any(|(_, count)| count.is_some());
        !has_count && self.within.is_none() && self.tags.is_empty()
    }

    fn last(&self) -> Option<u32> {
        self.last.filter(|count| *count > 0)
    }

    fn counts(&self) -> [(Period, Option<u32>); 5] {
        let counts = [
            (Period::Hour, self.hourly),
            (Period::Day, self.daily),
            (Period::Week, self.weekly),
            (Period::Month, self.monthly),
            (Period::Year, self.yearly),
        ];
        counts.map(|(period, count)| (period, count.filter(|count| *count > 0)))
    }

    /// Tags count as on no snapshot if only such have them whose times do not fit.
    fn refusal<'m, 's: 'm>(
        &self,
        members: impl Iterator<Item = &'m Member<'s>>,
        allow_empty: bool,
    ) -> Option<Refusal> {
        if self.is_empty() {
            return Some(Refusal::NoRule);
        }
        if allow_empty {
            return None;
        }
        let mut unseen: Vec<_> = self.tags.iter().collect();
        fitting(members).for_each(|snapshot| unseen.retain(|tags| !tags.is_on(snapshot)));
        let slip = unseen.first();
        slip.map(|tags| Refusal::TagsOnNoSnapshot((*tags).clone()))
    }

    fn judge_series(&self, members: &[Member<'_>], terms: &Terms) -> Vec<Verdict> {
        let mut rules = self.rules(members, terms);
        let newest_first = members.iter().rev();
        let mut verdicts: Vec<_> = newest_first
            .map(|(snapshot, misfit)| {
                let (keep, reasons) = match misfit {
                    Some(misfit) => (true, vec![Reason::Clock(*misfit)]),
                    None => weigh(&mut rules, snapshot),
                };
                Verdict {
                    session: snapshot.session,
                    time: time_of(snapshot),
                    keep,
                    reasons,
                }
            })
            .collect();
        verdicts.reverse();
        verdicts
    }

    /// Its rules, before they have seen a snapshot of this series.
    fn rules(&self, members: &[Member<'_>], terms: &Terms) -> Vec<Rule> {
        let mut rules = Vec::new();
        rules.extend(self.last().map(|left| Rule::Last { left }));
        for (period, count) in self.counts() {
            rules.extend(count.map(|count| Rule::Each {
                period,
                count: count as usize,
                offset_seconds: terms.offset_seconds,
                seen: HashSet::new(),
            }));
        }
        if let Some(span) = self.within {
            let newest = fitting(members).map(time_of).max();
            let from = newest.unwrap_or(terms.clocks.now).min(terms.clocks.now);
            let since = span.before(from, terms.offset_seconds);
            rules.push(Rule::Within { since });
        }
        if !self.tags.is_empty() {
            rules.push(Rule::Tagged {
                sets: self.tags.clone(),
            });
        }
        rules
    }
}

/// One rule on its way through a series, from the newest snapshot that counts back.
enum Rule {
    Last {
        left: u32,
    },
    Each {
        period: Period,
        count: usize,
        offset_seconds: i32,
        seen: HashSet<Bucket>,
    },
    Within {
        since: Timestamp,
    },
    Tagged {
        sets: Vec<TagSet>,
    },
}

/// Whether any rule keeps the next snapshot; every rule sees each.
fn weigh(rules: &mut [Rule], snapshot: &Snapshot) -> (bool, Vec<Reason>) {
    let found: Vec<_> = rules.iter_mut().map(|rule| rule.weigh(snapshot)).collect();
    let keep = found.iter().any(Result::is_ok);
    let reasons = found.into_iter().filter(|found| found.is_ok() == keep);
    let reasons = reasons.map(|found| found.unwrap_or_else(|reason| reason));
    (keep, reasons.collect())
}

impl Rule {
    /// Why the next snapshot stays, or else why this rule does not keep it.
    fn weigh(&mut self, snapshot: &Snapshot) -> Result<Reason, Reason> {
        match self {
            Self::Last { left: 0 } => Err(Reason::NotLast),
            Self::Last { left } => {
                *left -= 1;
                Ok(Reason::Last)
            }
            Self::Each {
                period,
                count,
                offset_seconds,
                seen,
            } => {
                let bucket = period.bucket(time_of(snapshot), *offset_seconds);
                if seen.contains(&bucket) {
                    Err(Reason::LaterOf(bucket))
                } else if seen.len() >= *count {
                    Err(Reason::BeyondCount(*period))
                } else {
                    seen.insert(bucket);
                    Ok(Reason::LastOf(bucket))
                }
            }
            Self::Within { since } if time_of(snapshot) >= *since => Ok(Reason::Within),
            Self::Within { .. } => Err(Reason::NotWithin),
            Self::Tagged { sets } => match sets.iter().find(|tags| tags.is_on(snapshot)) {
                Some(tags) => Ok(Reason::Tagged(tags.clone())),
                None => Err(Reason::NotTagged),
            },
        }
    }
}
