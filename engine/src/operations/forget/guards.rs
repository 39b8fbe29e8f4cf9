//! Which snapshots must not be forgotten, by two clocks.
//!
//! A protection lapses only when both the caller's clock and the newest time that fits among all
//! snapshots of the repository are past its end: one clock that jumps ends no protection.

use std::collections::BTreeSet;

use crate::error::{Error, ErrorKind, Result};
use crate::format::entry::Timestamp;
use crate::format::id::SessionId;
use crate::format::name::ObjectName;
use crate::operations::forget::calendar::utc;
use crate::operations::forget::clocks::{Clocks, newest_fitting};
use crate::operations::walk::refuse;
use crate::repository::Repository;
use crate::repository::retention::{Protections, Until};
use crate::repository::snapshots::SnapshotList;

/// The protections that there are, and the time by which they lapse.
#[derive(Debug)]
pub struct Guards {
    protections: Protections,
    /// The earlier of both clocks; nothing if no snapshot has a time that fits.
    clock: Option<Timestamp>,
}

impl Guards {
    /// Reads all protections.
    pub fn read(repository: &Repository, list: &SnapshotList, now: Timestamp) -> Result<Self> {
        let clock = clock(list, &Clocks::of(repository, now));
        let protections = Protections::read(repository)?;
        Ok(Self { protections, clock })
    }

    /// Reads those of some snapshots.
    pub(crate) fn read_of(
        repository: &Repository,
        list: &SnapshotList,
        now: Timestamp,
        sessions: &BTreeSet<SessionId>,
    ) -> Result<Self> {
        let clock = clock(list, &Clocks::of(repository, now));
        let protections = Protections::read_of(repository, |session| sessions.contains(session))?;
        Ok(Self { protections, clock })
    }

    /// Until when a snapshot must not be forgotten; nothing if it may be.
    pub fn until(&self, session: SessionId) -> Option<Until> {
        self.protections.until(session).filter(|until| match until {
            Until::Time(end) => self.clock.is_none_or(|clock| clock <= *end),
            Until::Forever => true,
        })
    }

    /// Protections that cannot be read, and so hold for ever.
    pub(crate) fn damaged(&self) -> &[(ObjectName, Error)] {
        self.protections.damaged()
    }

    /// # Errors
    /// If the snapshot must not be forgotten.
    pub(crate) fn ensure_none(&self, session: SessionId) -> Result<()> {
        let detail = match self.until(session) {
            None => return Ok(()),
            Some(Until::Forever) => "is protected, and until when cannot be read".to_owned(),
            Some(Until::Time(end)) => format!("is protected until {}", utc(end)),
        };
        let detail = format!("{detail}; shorten the protection first");
        Err(refuse(session, ErrorKind::InvalidInput, detail))
    }
}

fn clock(list: &SnapshotList, clocks: &Clocks) -> Option<Timestamp> {
    let mut all: Vec<_> = list.snapshots.iter().chain(&list.forgotten).collect();
    all.sort_by_key(|snapshot| snapshot.order());
    newest_fitting(&all, clocks).map(|newest| newest.min(clocks.now))
}
