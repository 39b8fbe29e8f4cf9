//! Brings forgotten snapshots back, as long as no prune has let them go.

use std::collections::BTreeSet;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::id::SessionId;
use crate::repository::Repository;
use crate::repository::prunes::Prunes;
use crate::repository::retention;
use crate::repository::snapshots::{self, SnapshotList};

/// What an undelete came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UndeleteReport {
    /// Snapshots that are back.
    pub back: Vec<SessionId>,
    /// Snapshots that a prune decided to let go while they were being brought back.
    pub too_late: Vec<SessionId>,
}

/// Brings back the forgotten snapshots whose ids begin with these texts.
///
/// # Errors
/// If nothing was brought back: a text does not name one forgotten snapshot, or a prune has let it
/// go; or the repository cannot be read. If writing fails, some of them may be back.
pub fn undelete(repository: &Repository, texts: &[String]) -> Result<UndeleteReport> {
    let (list, prunes) = snapshots::list_judged(repository)?;
    let named = texts.iter().map(|text| resolve(&list, &prunes, text));
    let sessions = named.collect::<Result<BTreeSet<_>>>()?;
    for &session in &sessions {
        retention::delete_tombstone(repository, session)?;
    }
    // A prune that planned before the tombstones were gone may let go of what they named.
    let prunes = Prunes::read(repository)?;
    let mut report = UndeleteReport::default();
    for session in sessions {
        let is_there = list
            .forgotten
            .iter()
            .any(|snapshot| snapshot.session == session && prunes.allow(snapshot));
        match is_there {
            true => report.back.push(session),
            false => report.too_late.push(session),
        }
    }
    Ok(report)
}

fn resolve(list: &SnapshotList, prunes: &Prunes, text: &str) -> Result<SessionId> {
    match list.find(text) {
        Ok(found) if list.get(found.session).is_none() => Ok(found.session),
        Ok(found) => {
            let detail = format!("{} is not forgotten", found.session);
            Err(refuse(ErrorKind::InvalidInput, detail))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut let_go = prunes.plan().into_iter().flat_map(|plan| &plan.snapshots);
            let is_meant = |id: &&SessionId| !text.is_empty() && id.to_string().starts_with(text);
            Err(match let_go.find(is_meant) {
                Some(session) => {
                    let detail = format!("{session}: a prune has let it go; it is too late");
                    refuse(ErrorKind::NotFound, detail)
                }
                None => error,
            })
        }
        Err(error) => Err(error),
    }
}

fn refuse(kind: ErrorKind, detail: String) -> Error {
    Error::new(kind, Place::Argument("snapshot"), detail)
}
