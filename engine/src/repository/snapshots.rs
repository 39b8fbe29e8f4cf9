//! Committed snapshots: list them, find one by what a person types.

use std::collections::HashSet;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::envelope::SealedKind;
use crate::format::id::SessionId;
use crate::format::name::{ObjectKind, ObjectName};
use crate::format::snapshot::Snapshot;
use crate::repository::Repository;
use crate::repository::index::is_missing_or_damaged;
use crate::repository::object;
use crate::repository::prunes::Prunes;

/// What a listing found.
#[derive(Debug, Default)]
pub struct SnapshotList {
    /// Whole snapshots, in the order of their commits.
    pub snapshots: Vec<Snapshot>,
    /// Those that are forgotten and can be brought back, in the same order.
    pub forgotten: Vec<Snapshot>,
    /// Snapshot objects that could not be read.
    pub damaged: Vec<(ObjectName, Error)>,
}

/// Reads one snapshot.
pub fn read(repository: &Repository, session: SessionId) -> Result<Snapshot> {
    let name = ObjectName::Snapshot(session);
    let (kind, payload) = object::read(repository.backend(), repository.keys(), &name)?;
    if kind != SealedKind::Commit {
        let detail = "is an aborted session, not a snapshot";
        return Err(Error::new(ErrorKind::NotFound, Place::Object(name), detail));
    }
    Snapshot::decode(&payload, session).map_err(|error| object::damaged(&name, error))
}

/// Reads all snapshots; one that is damaged does not hide the others.
pub fn list(repository: &Repository) -> Result<SnapshotList> {
    list_by(repository, &Prunes::read(repository)?)
}

/// The same, by what prunes were seen to have decided.
pub(crate) fn list_by(repository: &Repository, prunes: &Prunes) -> Result<SnapshotList> {
    let backend = repository.backend();
    let mut found = SnapshotList::default();
    for info in backend.list(ObjectKind::Snapshot)? {
        let ObjectName::Snapshot(session) = info.name else {
            continue;
        };
        match read(repository, session) {
            Ok(snapshot) if prunes.allow(&snapshot) => found.snapshots.push(snapshot),
            Ok(_) => {} // let go by a prune, or too late for one
            Err(error) if error.kind() == ErrorKind::NotFound => {} // aborted, or pruned just now
            Err(error) if is_missing_or_damaged(&error) => found.damaged.push((info.name, error)),
            Err(error) => return Err(error),
        }
    }
    found
        .snapshots
        .sort_by_key(|snapshot| (snapshot.sequence, snapshot.ended, snapshot.session));
    let forgotten = forgotten(repository)?;
    let is_forgotten = |snapshot: &mut Snapshot| forgotten.contains(&snapshot.session);
    found.forgotten = found.snapshots.extract_if(.., is_forgotten).collect();
    Ok(found)
}

/// The snapshots that have a tombstone.
pub(crate) fn forgotten(repository: &Repository) -> Result<HashSet<SessionId>> {
    let names = repository.backend().list(ObjectKind::Forgotten)?;
    let sessions = names.into_iter().filter_map(|info| match info.name {
        ObjectName::Forgotten(session) => Some(session),
        _ => None,
    });
    Ok(sessions.collect())
}

impl SnapshotList {
    /// The sequence of a snapshot that begins now.
    pub(crate) fn next_sequence(&self) -> u64 {
        let all = self.snapshots.iter().chain(&self.forgotten);
        let greatest = all.map(|snapshot| snapshot.sequence).max();
        greatest.unwrap_or(0).saturating_add(1)
    }

    /// The snapshot of this id, unless it is forgotten.
    pub(crate) fn get(&self, session: SessionId) -> Option<&Snapshot> {
        self.snapshots
            .iter()
            .find(|snapshot| snapshot.session == session)
    }
}

/// Finds a snapshot by `latest`, `latest~N`, or the beginning of its id. One that is forgotten is
/// found by its id alone.
pub fn find(repository: &Repository, text: &str) -> Result<Snapshot> {
    let found = list(repository)?;
    let mut snapshots = found.snapshots;
    let not_found = |detail: String| {
        Err(Error::new(
            ErrorKind::NotFound,
            Place::Argument("snapshot"),
            detail,
        ))
    };
    if let Some(back) = steps_back(text)? {
        let count = snapshots.len();
        return match count.checked_sub(back + 1) {
            Some(at) => Ok(snapshots.swap_remove(at)),
            None => not_found(format!("{text}: there are {count} snapshots")),
        };
    }
    let matching = |id: &SessionId| !text.is_empty() && id.to_string().starts_with(text);
    let mut hits: Vec<_> = snapshots
        .into_iter()
        .chain(found.forgotten)
        .filter(|s| matching(&s.session))
        .collect();
    match (hits.len(), hits.pop()) {
        (1, Some(snapshot)) => Ok(snapshot),
        (0, _) => match found
            .damaged
            .into_iter()
            .find(|(name, _)| names(name, &matching))
        {
            Some((_, error)) => Err(error),
            None => not_found(format!(
                "no snapshot begins with {text:?}; list them with snapshots"
            )),
        },
        (count, _) => {
            let detail = format!("{text:?} begins {count} ids; give more digits");
            Err(Error::new(
                ErrorKind::InvalidInput,
                Place::Argument("snapshot"),
                detail,
            ))
        }
    }
}

fn names(name: &ObjectName, matching: &impl Fn(&SessionId) -> bool) -> bool {
    matches!(name, ObjectName::Snapshot(session) if matching(session))
}

/// 0 for `latest`, N for `latest~N`, nothing for an id.
fn steps_back(text: &str) -> Result<Option<usize>> {
    let Some(rest) = text.strip_prefix("latest") else {
        return Ok(None);
    };
    let steps = match rest.strip_prefix('~') {
        Some(steps) => steps.parse().ok(),
        None => rest.is_empty().then_some(0),
    };
    let detail = || format!("{text:?}: expected latest or latest~N");
    let error = || {
        Error::new(
            ErrorKind::InvalidInput,
            Place::Argument("snapshot"),
            detail(),
        )
    };
    steps.map(Some).ok_or_else(error)
}
