//! Commits a session's snapshot, in spite of prunes.
//!
//! A prune ends sessions that are older than its plan and have not committed. Then the snapshot is
//! committed by a new session, if everything that it names can still be relied on.

use std::collections::HashSet;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::id::{ChunkId, PageId, SessionId};
use crate::format::name::ObjectName;
use crate::format::snapshot::Snapshot;
use crate::limits::COMMIT_ATTEMPTS_MAX;
use crate::operations::closure::{self, LostPage, Visitor};
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::index::Index;
use crate::repository::session::{Announced, Commit, Session, SessionOptions, Writer};

/// Pages that a look at what is there keeps, bytes.
const CACHE_LEN: usize = 8 << 20;

/// Commits `snapshot`, by other sessions than `session` if a prune ended that. Nothing if prunes
/// condemned something that it names as well: then it must be made again.
///
/// # Errors
/// As of the repository; and `Busy` if prunes ended one session after the other.
pub(crate) fn commit(
    repository: &Repository,
    session: Session<'_>,
    snapshot: Snapshot,
    writer: &Writer,
    options: SessionOptions,
) -> Result<Option<Snapshot>> {
    // Their intents keep prunes from what they stored, until all of it is needed.
    let mut given_up = vec![session.id()];
    let mut outcome = session.commit(snapshot)?;
    for _ in 1..COMMIT_ATTEMPTS_MAX {
        let snapshot = match outcome {
            Commit::Stands(snapshot) => return Ok(Some(end(repository, &given_up, snapshot))),
            Commit::DecidedAgainst(snapshot) => snapshot,
        };
        let announced = Announced::put(repository, writer)?;
        let index = Index::load(
            repository.backend(),
            repository.keys(),
            repository.local_index(),
        )?;
        let session = Session::start(repository, &index, announced, options)?;
        session.snapshots()?; // its place in the order of commits
        given_up.push(session.id());
        let reader = ChunkReader::with_index(repository, &index, CACHE_LEN);
        if !is_stored(&session, &reader, &snapshot)? {
            session.abandon();
            return Ok(None);
        }
        outcome = session.commit(snapshot)?;
    }
    match outcome {
        Commit::Stands(snapshot) => Ok(Some(end(repository, &given_up, snapshot))),
        Commit::DecidedAgainst(_) => Err(ended_by_prunes()),
    }
}

/// W7. What stays behind goes with the first prune that finds its writer gone.
fn end(repository: &Repository, given_up: &[SessionId], snapshot: Snapshot) -> Snapshot {
    for session in given_up.iter().filter(|id| **id != snapshot.session) {
        let _ = repository.backend().delete(&ObjectName::Intent(*session));
    }
    snapshot
}

/// The error of who was ended by prunes again and again.
pub(crate) fn ended_by_prunes() -> Error {
    let detail = "prunes ended this session again and again; run it again when none runs";
    Error::new(ErrorKind::Busy, Place::Repository, detail)
}

/// True if `session` can rely on everything that `snapshot` names.
fn is_stored(session: &Session<'_>, reader: &ChunkReader<'_>, snapshot: &Snapshot) -> Result<bool> {
    let mut search = Search {
        session,
        seen: HashSet::new(),
        lacks: false,
    };
    closure::visit(reader, snapshot, &mut search)?;
    Ok(!search.lacks)
}

struct Search<'s> {
    session: &'s Session<'s>,
    seen: HashSet<PageId>,
    lacks: bool,
}

impl Visitor for Search<'_> {
    fn page(&mut self, id: &PageId) -> Result<bool> {
        self.lacks |= !self.session.is_stored(id);
        Ok(!self.lacks && self.seen.insert(*id))
    }

    fn chunk(&mut self, id: &ChunkId) -> Result<()> {
        self.lacks |= !self.session.is_stored(id);
        Ok(())
    }

    fn lost(&mut self, _: LostPage) -> Result<()> {
        self.lacks = true;
        Ok(())
    }
}
