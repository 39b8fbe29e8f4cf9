//! What must stay and what may go: tombstones and protections of snapshots. §13, §14.1.
//!
//! A tombstone counts by its name: one that cannot be read makes its snapshot forgotten all the
//! same. Of the protections of a snapshot the one of the highest number counts, and one that cannot
//! be read protects for ever. Deliberately absent: whether a protection has lapsed, which is a
//! matter of clocks.

use std::collections::{BTreeMap, HashSet};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::Timestamp;
use crate::format::envelope::SealedKind;
use crate::format::id::SessionId;
use crate::format::name::{ObjectKind, ObjectName};
use crate::format::retention::{Protection, Tombstone};
use crate::repository::index::is_missing_or_damaged;
use crate::repository::prunes::put_once;
use crate::repository::{Repository, object};

/// How long a snapshot is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// Until then.
    Time(Timestamp),
    /// For ever: what says until when cannot be read.
    Forever,
}

/// The protections that count, as of one listing.
#[derive(Debug, Default)]
pub struct Protections {
    by_session: BTreeMap<SessionId, (u32, Until)>,
    damaged: Vec<(ObjectName, Error)>,
}

impl Protections {
    /// Lists and reads them.
    pub fn read(repository: &Repository) -> Result<Self> {
        Self::read_of(repository, |_| true)
    }

    /// The same, of some snapshots.
    pub(crate) fn read_of(
        repository: &Repository,
        is_asked_for: impl Fn(&SessionId) -> bool,
    ) -> Result<Self> {
        let mut highest = BTreeMap::<SessionId, u32>::new();
        for info in repository.backend().list(ObjectKind::Protected)? {
            if let ObjectName::Protected { session, number } = info.name {
                let known = highest.entry(session).or_default();
                *known = number.max(*known);
            }
        }
        highest.retain(|session, _| is_asked_for(session));
        let mut protections = Self::default();
        for (session, number) in highest {
            let until = protections.until_when(repository, session, number)?;
            protections.by_session.insert(session, (number, until));
        }
        Ok(protections)
    }

    fn until_when(
        &mut self,
        repository: &Repository,
        session: SessionId,
        number: u32,
    ) -> Result<Until> {
        match read_protection(repository, session, number) {
            Ok(protection) => Ok(Until::Time(protection.until)),
            Err(error) if is_missing_or_damaged(&error) => {
                let name = ObjectName::Protected { session, number };
                self.damaged.push((name, error));
                Ok(Until::Forever)
            }
            Err(error) => Err(error),
        }
    }

    /// Until when a snapshot is, or was, protected; nothing if it never was.
    pub fn until(&self, session: SessionId) -> Option<Until> {
        self.by_session.get(&session).map(|(_, until)| *until)
    }

    /// Number of the protection that counts.
    pub(crate) fn number(&self, session: SessionId) -> Option<u32> {
        self.by_session.get(&session).map(|(number, _)| *number)
    }

    /// Those that count and cannot be read.
    pub fn damaged(&self) -> &[(ObjectName, Error)] {
        &self.damaged
    }
}

/// Reads one protection.
pub fn read_protection(
    repository: &Repository,
    session: SessionId,
    number: u32,
) -> Result<Protection> {
    let name = ObjectName::Protected { session, number };
    let (_, payload) = object::read(repository.backend(), repository.keys(), &name)?;
    Protection::decode(&payload, session).map_err(|error| object::damaged(&name, error))
}

/// Puts the protection behind number `after`; false if another was put there meanwhile. Durable
/// afterwards.
pub(crate) fn put_protection(
    repository: &Repository,
    protection: &Protection,
    after: Option<u32>,
) -> Result<bool> {
    let session = protection.session;
    let number = match after {
        None => Some(0),
        Some(number) => number.checked_add(1),
    };
    let number = number.ok_or_else(|| {
        let detail = "was protected so often that there is no number left for another time";
        let place = Place::Object(ObjectName::Snapshot(session));
        Error::new(ErrorKind::LimitExceeded, place, detail)
    })?;
    let name = ObjectName::Protected { session, number };
    put_once(
        repository,
        SealedKind::Protection,
        &name,
        &protection.encode(),
    )
}

/// Reads the tombstone of a snapshot.
pub fn read_tombstone(repository: &Repository, session: SessionId) -> Result<Tombstone> {
    let name = ObjectName::Forgotten(session);
    let (_, payload) = object::read(repository.backend(), repository.keys(), &name)?;
    Tombstone::decode(&payload, session).map_err(|error| object::damaged(&name, error))
}

/// Puts a tombstone; false if there is one already. Durable afterwards.
pub(crate) fn put_tombstone(repository: &Repository, tombstone: &Tombstone) -> Result<bool> {
    let name = ObjectName::Forgotten(tombstone.session);
    put_once(
        repository,
        SealedKind::Tombstone,
        &name,
        &tombstone.encode(),
    )
}

/// Deletes a tombstone, if there is one. Durable afterwards.
pub(crate) fn delete_tombstone(repository: &Repository, session: SessionId) -> Result<()> {
    let backend = repository.backend();
    backend.delete(&ObjectName::Forgotten(session))?;
    backend.sync()
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::memory::MemoryBackend;
    use crate::testing::sample_repository::{self, flip_bit};

    const SESSION: SessionId = SessionId([7; 16]);

    fn time(seconds: i64) -> Timestamp {
        Timestamp {
            seconds,
            nanoseconds: 0,
        }
    }

    fn protection(until: i64) -> Protection {
        Protection {
            session: SESSION,
            until: time(until),
            decided: time(1),
            host: "host".into(),
            user: "ana".into(),
        }
    }

    fn repository() -> Repository {
        sample_repository::create(Arc::new(MemoryBackend::new()))
    }

    #[test]
    fn the_protection_of_the_highest_number_counts_and_none_is_put_twice() {
        let repository = repository();
        assert!(put_protection(&repository, &protection(9), None).unwrap());
        assert!(!put_protection(&repository, &protection(8), None).unwrap());
        assert!(put_protection(&repository, &protection(5), Some(0)).unwrap());
        let read = Protections::read(&repository).unwrap();
        assert_eq!(read.until(SESSION), Some(Until::Time(time(5))));
        assert_eq!(read.number(SESSION), Some(1));
        assert_eq!(read.until(SessionId([8; 16])), None);
        let none = put_protection(&repository, &protection(9), Some(u32::MAX));
        assert_eq!(none.unwrap_err().kind(), ErrorKind::LimitExceeded);
    }

    #[test]
    fn a_damaged_protection_protects_for_ever_and_a_lower_number_does_not_count() {
        let repository = repository();
        put_protection(&repository, &protection(9), None).unwrap();
        put_protection(&repository, &protection(10), Some(0)).unwrap();
        let name = |number| ObjectName::Protected {
            session: SESSION,
            number,
        };
        flip_bit(repository.backend(), &name(0), 200);
        let read = Protections::read(&repository).unwrap();
        assert_eq!(read.until(SESSION), Some(Until::Time(time(10))));
        assert!(read.damaged().is_empty());
        flip_bit(repository.backend(), &name(1), 200);
        let read = Protections::read(&repository).unwrap();
        assert_eq!(read.until(SESSION), Some(Until::Forever));
        assert_eq!(read.damaged()[0].0, name(1));
        assert!(Until::Forever > Until::Time(time(i64::MAX)));
    }

    #[test]
    fn a_damaged_tombstone_counts_by_its_name() {
        let repository = repository();
        let tombstone = Tombstone {
            session: SESSION,
            forgotten: time(1),
            host: "host".into(),
            user: "ana".into(),
        };
        assert!(put_tombstone(&repository, &tombstone).unwrap());
        assert!(!put_tombstone(&repository, &tombstone).unwrap());
        assert_eq!(read_tombstone(&repository, SESSION).unwrap(), tombstone);
        flip_bit(repository.backend(), &ObjectName::Forgotten(SESSION), 200);
        let damaged = read_tombstone(&repository, SESSION).unwrap_err();
        assert_eq!(damaged.kind(), ErrorKind::Damaged);
        assert!(forgotten(&repository).unwrap().contains(&SESSION));
        delete_tombstone(&repository, SESSION).unwrap();
        assert!(forgotten(&repository).unwrap().is_empty());
    }
}
