//! The objects that are read whole: config, key slots, intents, index runs, snapshots, and what was
//! decided about them.

use crate::error::{Error, ErrorKind, Result};
use crate::format::Decoded;
use crate::format::config::Config;
use crate::format::name::{ObjectKind, ObjectName, PruneStep};
use crate::format::record::{Record, RecordKind};
use crate::format::slot::Slot;
use crate::limits::RESERVE_LEN;
use crate::operations::check::FindingKind;
use crate::operations::check::findings::{Findings, Progress};
use crate::operations::walk;
use crate::repository::Repository;
use crate::repository::boots;
use crate::repository::index::{Index, is_missing_or_damaged};
use crate::repository::object;
use crate::repository::prunes;
use crate::repository::retention;
use crate::repository::snapshots::{self, SnapshotList};

/// Checks everything but snapshots and packs.
pub(super) fn check(
    repository: &Repository,
    index: &Index,
    progress: &Progress<'_>,
    findings: &mut Findings,
) -> Result<()> {
    each(
        repository,
        ObjectKind::Config,
        progress,
        findings,
        FindingKind::Damaged,
        config,
    )?;
    each(
        repository,
        ObjectKind::Key,
        progress,
        findings,
        FindingKind::Damaged,
        slot,
    )?;
    for kind in [ObjectKind::Config, ObjectKind::Key] {
        if repository.backend().list(kind)?.is_empty() {
            let detail = "there is none left: nobody can open this repository again";
            findings.add(FindingKind::Missing, kind.folder(), detail);
        }
    }
    // Nobody needs the intent of a writer that is gone.
    each(
        repository,
        ObjectKind::Intent,
        progress,
        findings,
        FindingKind::Unreferenced,
        intent,
    )?;
    for kind in [
        ObjectKind::Forgotten,
        ObjectKind::Protected,
        ObjectKind::Boot,
        ObjectKind::Prune,
    ] {
        let finding = FindingKind::Damaged;
        each(repository, kind, progress, findings, finding, decision)?;
    }
    for (name, error) in index.damaged_runs() {
        let detail = format!("{}; the packs say the same", walk::with_causes(error));
        findings.add(FindingKind::Rebuildable, name, detail);
    }
    for info in repository.backend().list(ObjectKind::Index)? {
        progress.object(info.len)?; // read when the index was loaded
    }
    reserve(repository, findings)
}

/// No object, and no loss; but who never looks learns of it on a full disk.
fn reserve(repository: &Repository, findings: &mut Findings) -> Result<()> {
    let room = repository.backend().room()?;
    if let Some(room) = room.filter(|room| room.reserve < RESERVE_LEN) {
        let detail = format!(
            "{} of {RESERVE_LEN} bytes are kept in reserve, {} are free: on a full disk forget and \
             prune may find no room; snapshots and prunes make it again once there is room",
            room.reserve, room.free
        );
        findings.add(FindingKind::Rebuildable, "reserve", detail);
    }
    Ok(())
}

/// The snapshots; those that cannot be read are findings.
pub(super) fn snapshots(
    repository: &Repository,
    progress: &Progress<'_>,
    findings: &mut Findings,
) -> Result<SnapshotList> {
    let list = snapshots::list(repository)?;
    for (name, error) in &list.damaged {
        let detail = format!("the whole snapshot is lost: {}", walk::with_causes(error));
        findings.add(FindingKind::Damaged, name, detail);
    }
    for info in repository.backend().list(ObjectKind::Snapshot)? {
        progress.object(info.len)?;
    }
    Ok(list)
}

fn each(
    repository: &Repository,
    kind: ObjectKind,
    progress: &Progress<'_>,
    findings: &mut Findings,
    finding: FindingKind,
    check: impl Fn(&Repository, &ObjectName) -> Result<()>,
) -> Result<()> {
    for info in repository.backend().list(kind)? {
        match check(repository, &info.name) {
            Ok(()) => {}
            Err(error) if is_missing_or_damaged(&error) => {
                findings.add(finding, info.name, walk::with_causes(&error));
            }
            Err(error) => return Err(error),
        }
        progress.object(info.len)?;
    }
    Ok(())
}

fn config(repository: &Repository, name: &ObjectName) -> Result<()> {
    let bytes = repository.backend().get(name)?;
    let record = decoded(name, Record::decode(&bytes, RecordKind::Config))?;
    decoded(name, Config::decode(record.body))?;
    if repository.keys().config_tag(record.tagged) != record.tag {
        let detail = "was not written by a holder of this repository's keys";
        return Err(Error::damaged(*name, detail));
    }
    Ok(())
}

/// The secrets in a slot open under its own password alone; its checksum holds without.
fn slot(repository: &Repository, name: &ObjectName) -> Result<()> {
    let bytes = repository.backend().get(name)?;
    let record = decoded(name, Record::decode(&bytes, RecordKind::Slot))?;
    decoded(name, Slot::decode(record.body)).map(drop)
}

fn intent(repository: &Repository, name: &ObjectName) -> Result<()> {
    object::read(repository.backend(), repository.keys(), name).map(drop)
}

/// What was decided about snapshots, and seen of them: tombstones, protections, boots, and the steps
/// of prunes.
fn decision(repository: &Repository, name: &ObjectName) -> Result<()> {
    let (means, read) = match *name {
        ObjectName::Forgotten(session) => (
            "its snapshot counts as forgotten: bring it back, then forget it if that is meant",
            retention::read_tombstone(repository, session).map(drop),
        ),
        ObjectName::Protected { session, number } => (
            "if it is the last one of its snapshot, that is protected for ever",
            retention::read_protection(repository, session, number).map(drop),
        ),
        ObjectName::Boot { session, number } => (
            "that its snapshot was started is not proven by it any more; nothing else is lost, and it may be deleted",
            boots::read_boot(repository, session, number).map(drop),
        ),
        ObjectName::Prune(step @ (PruneStep::Plan | PruneStep::Seal), number) => (
            "nothing can be written until a prune has ended it",
            prunes::read_step(repository, step, number).map(drop),
        ),
        _ => ("its name alone counts", intent(repository, name)),
    };
    read.map_err(|error| match error.kind() {
        ErrorKind::Damaged => {
            Error::damaged(*name, format!("cannot be read; {means}")).with_source(error)
        }
        _ => error,
    })
}

fn decoded<T>(name: &ObjectName, result: Decoded<T>) -> Result<T> {
    result.map_err(|error| object::damaged(name, error))
}
