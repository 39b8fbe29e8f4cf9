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
use crate::repository::retention;
use crate::storage::Backend;

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
    read_outcome(repository, session)?.ok_or_else(|| {
        let detail = "is an aborted session, not a snapshot";
        let place = Place::Object(ObjectName::Snapshot(session));
        Error::new(ErrorKind::NotFound, place, detail)
    })
}

/// What became of a session: a snapshot, or nothing for an ABORT.
pub(crate) fn read_outcome(
    repository: &Repository,
    session: SessionId,
) -> Result<Option<Snapshot>> {
    let name = ObjectName::Snapshot(session);
    let (kind, payload) = object::read(repository.backend(), repository.keys(), &name)?;
    if kind == SealedKind::Abort {
        return Ok(None);
    }
    let snapshot = Snapshot::decode(&payload, session);
    snapshot
        .map(Some)
        .map_err(|error| object::damaged(&name, error))
}

/// Sessions that have an outcome, COMMIT or ABORT.
pub(crate) fn decided(backend: &dyn Backend) -> Result<HashSet<SessionId>> {
    let names = backend.list(ObjectKind::Snapshot)?;
    let sessions = names.into_iter().filter_map(|info| match info.name {
        ObjectName::Snapshot(session) => Some(session),
        _ => None,
    });
    Ok(sessions.collect())
}

/// Reads all snapshots; one that is damaged does not hide the others.
pub fn list(repository: &Repository) -> Result<SnapshotList> {
    list_judged(repository).map(|(list, _)| list)
}

/// The same, with what prunes have decided. They are asked behind the snapshots: a commit that came
/// too late for a seal came behind that seal, so whoever sees the commit sees the seal.
pub(crate) fn list_judged(repository: &Repository) -> Result<(SnapshotList, Prunes)> {
    let found = read_all(repository)?;
    let prunes = Prunes::read(repository)?;
    judged(repository, found, &prunes).map(|list| (list, prunes))
}

/// The same, by what prunes were seen to have decided.
pub(crate) fn list_by(repository: &Repository, prunes: &Prunes) -> Result<SnapshotList> {
    judged(repository, read_all(repository)?, prunes)
}

/// Every COMMIT.
fn read_all(repository: &Repository) -> Result<SnapshotList> {
    let mut found = SnapshotList::default();
    for info in repository.backend().list(ObjectKind::Snapshot)? {
        let ObjectName::Snapshot(session) = info.name else {
            continue;
        };
        match read(repository, session) {
            Ok(snapshot) => found.snapshots.push(snapshot),
            Err(error) if error.kind() == ErrorKind::NotFound => {} // aborted, or pruned just now
            Err(error) if is_missing_or_damaged(&error) => found.damaged.push((info.name, error)),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Those that were not let go by a prune and did not come too late for one, the forgotten apart.
fn judged(
    repository: &Repository,
    mut found: SnapshotList,
    prunes: &Prunes,
) -> Result<SnapshotList> {
    found.snapshots.retain(|snapshot| prunes.allow(snapshot));
    found.snapshots.sort_by_key(Snapshot::order);
    let forgotten = retention::forgotten(repository)?;
    let is_forgotten = |snapshot: &mut Snapshot| forgotten.contains(&snapshot.session);
    found.forgotten = found.snapshots.extract_if(.., is_forgotten).collect();
    Ok(found)
}

impl SnapshotList {
    /// The sequence of a snapshot that begins now.
    pub(crate) fn next_sequence(&self) -> u64 {
        let all = self.snapshots.iter().chain(&self.forgotten);
        let greatest = all.map(|snapshot| snapshot.sequence).max();
        greatest.unwrap_or(0).saturating_add(1)
    }

    /// Finds a snapshot as [`find`] does, among those that were listed.
    pub fn find(&self, text: &str) -> Result<&Snapshot> {
        if let Some(back) = steps_back(text)? {
            let count = self.snapshots.len();
            let at = count.checked_sub(back.saturating_add(1));
            return at.map(|at| &self.snapshots[at]).ok_or_else(|| {
                let detail = format!("{text}: there are {count} snapshots");
                refuse(ErrorKind::NotFound, detail)
            });
        }
        let is_meant = |id: &SessionId| !text.is_empty() && id.to_string().starts_with(text);
        let all = self.snapshots.iter().chain(&self.forgotten);
        let mut hits = all.filter(|snapshot| is_meant(&snapshot.session));
        match (hits.next(), hits.count()) {
            (Some(snapshot), 0) => Ok(snapshot),
            (Some(_), others) => {
                let count = others + 1;
                let detail = format!("{text:?} begins {count} ids; give more digits");
                Err(refuse(ErrorKind::InvalidInput, detail))
            }
            (None, _) => {
                let is_named = |name: &ObjectName| names(name, &is_meant);
                let mut damaged = self.damaged.iter();
                Err(match damaged.find(|(name, _)| is_named(name)) {
                    Some((_, error)) => error.repeated(),
                    None => refuse(
                        ErrorKind::NotFound,
                        format!("no snapshot begins with {text:?}; list them with snapshots"),
                    ),
                })
            }
        }
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
    list(repository)?.find(text).cloned()
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
    let error = || refuse(ErrorKind::InvalidInput, detail());
    steps.map(Some).ok_or_else(error)
}

fn refuse(kind: ErrorKind, detail: String) -> Error {
    Error::new(kind, Place::Argument("snapshot"), detail)
}
