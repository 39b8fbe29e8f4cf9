//! Puts tombstones, and takes back those that should not have been put.
//!
//! Whoever protects a snapshot puts the protection first, and looks for a tombstone afterwards; here
//! it is the other way round. So one of the two sees the other, whatever the order of their steps.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::format::id::SessionId;
use crate::format::retention::Tombstone;
use crate::observe::Observer;
use crate::operations::forget::guards::Guards;
use crate::operations::forget::policy::group;
use crate::operations::forget::{ForgetOptions, ForgetReport, SecondThought, going};
use crate::operations::walk;
use crate::repository::Repository;
use crate::repository::retention;
use crate::repository::snapshots::SnapshotList;
use crate::storage::room::with_room;

/// Forgets what the report decided, and tells in it what came of that.
pub(super) fn bury(
    repository: &Repository,
    list: &SnapshotList,
    report: &mut ForgetReport,
    options: &ForgetOptions,
    observer: &dyn Observer,
) -> Result<()> {
    let going: Vec<_> = going(report).collect();
    // Whatever stops it, what was put so far is looked at again.
    let put = put_all(repository, &going, report, options, observer);
    let looked = look_again(repository, list, report, options);
    put.and(looked)
}

fn put_all(
    repository: &Repository,
    going: &[SessionId],
    report: &mut ForgetReport,
    options: &ForgetOptions,
    observer: &dyn Observer,
) -> Result<()> {
    for &session in going {
        walk::stop_if_cancelled(observer)?;
        let tombstone = Tombstone {
            session,
            forgotten: options.writer.started,
            host: options.writer.host.clone(),
            user: options.writer.user.clone(),
        };
        let put = || retention::put_tombstone(repository, &tombstone);
        match with_room(repository.backend(), put)? {
            true => report.forgotten.push(session),
            false => report.forgotten_before.push(session),
        }
    }
    Ok(())
}

fn look_again(
    repository: &Repository,
    list: &SnapshotList,
    report: &mut ForgetReport,
    options: &ForgetOptions,
) -> Result<()> {
    if report.forgotten.is_empty() {
        return Ok(());
    }
    let ours: BTreeSet<_> = report.forgotten.iter().copied().collect();
    let guards = Guards::read_of(repository, list, options.writer.started, &ours)?;
    let emptied = match options.allow_empty {
        true => BTreeSet::new(),
        false => in_emptied_series(repository, list, options)?,
    };
    for session in ours {
        let thought = match guards.until(session) {
            Some(until) => SecondThought::Protected(until),
            None if emptied.contains(&session) => SecondThought::WouldEmpty,
            None => continue,
        };
        retention::delete_tombstone(repository, session)?;
        report.forgotten.retain(|forgotten| *forgotten != session);
        report.taken_back.push((session, thought));
    }
    Ok(())
}

/// The snapshots of the series of which every snapshot is forgotten now.
fn in_emptied_series(
    repository: &Repository,
    list: &SnapshotList,
    options: &ForgetOptions,
) -> Result<BTreeSet<SessionId>> {
    let forgotten = retention::forgotten(repository)?;
    let all: Vec<_> = list.snapshots.iter().collect();
    let series = group(&all, options.group_by).into_values();
    let emptied = series.filter(|members| {
        let mut members = members.iter();
        members.all(|snapshot| forgotten.contains(&snapshot.session))
    });
    Ok(emptied.flatten().map(|snapshot| snapshot.session).collect())
}
