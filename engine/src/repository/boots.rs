//! What machines did that were started from snapshots: boots. §13.
//!
//! Append-only: the boots of a snapshot are numbered in the order of their puts, none is changed, and
//! they go with their snapshot. One that cannot be read hides no other.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::boot::Boot;
use crate::format::envelope::SealedKind;
use crate::format::id::SessionId;
use crate::format::name::{ObjectKind, ObjectName};
use crate::repository::index::is_missing_or_damaged;
use crate::repository::prunes::put_once;
use crate::repository::{Repository, object};

/// The names of boots, as of one listing: numbers by snapshot, ascending.
#[derive(Debug, Default)]
pub struct BootNumbers(BTreeMap<SessionId, BTreeSet<u32>>);

/// Boots that were read.
#[derive(Debug, Default)]
pub struct BootList {
    /// Number and content, ascending.
    pub boots: Vec<(u32, Boot)>,
    /// Those that could not be read.
    pub damaged: Vec<(ObjectName, Error)>,
}

impl BootNumbers {
    /// Lists them.
    pub fn list(repository: &Repository) -> Result<Self> {
        let mut numbers = Self::default();
        for info in repository.backend().list(ObjectKind::Boot)? {
            if let ObjectName::Boot { session, number } = info.name {
                numbers.0.entry(session).or_default().insert(number);
            }
        }
        Ok(numbers)
    }

    /// Reads all boots of a snapshot.
    pub fn read_all(&self, repository: &Repository, session: SessionId) -> Result<BootList> {
        let mut list = BootList::default();
        for number in self.of(session) {
            list.read(repository, session, number)?;
        }
        Ok(list)
    }

    /// Reads the newest boot of a snapshot that can be read, and no other.
    pub fn read_newest(&self, repository: &Repository, session: SessionId) -> Result<BootList> {
        let mut list = BootList::default();
        for number in self.of(session).rev() {
            list.read(repository, session, number)?;
            if !list.boots.is_empty() {
                break;
            }
        }
        Ok(list)
    }

    fn of(&self, session: SessionId) -> impl DoubleEndedIterator<Item = u32> {
        self.0.get(&session).into_iter().flatten().copied()
    }

    /// Number of the newest boot of a snapshot, whether it can be read or not.
    fn newest(&self, session: SessionId) -> Option<u32> {
        self.of(session).next_back()
    }
}

impl BootList {
    /// What a prune took away since it was listed is not there.
    fn read(&mut self, repository: &Repository, session: SessionId, number: u32) -> Result<()> {
        match read_boot(repository, session, number) {
            Ok(boot) => self.boots.push((number, boot)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if is_missing_or_damaged(&error) => {
                let name = ObjectName::Boot { session, number };
                self.damaged.push((name, error));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Reads one boot.
pub fn read_boot(repository: &Repository, session: SessionId, number: u32) -> Result<Boot> {
    let name = ObjectName::Boot { session, number };
    let (_, payload) = object::read(repository.backend(), repository.keys(), &name)?;
    Boot::decode(&payload, session).map_err(|error| object::damaged(&name, error))
}

/// Puts a boot behind the newest of its snapshot; nothing if another was put there meanwhile. Gives
/// its number. Durable afterwards.
pub(crate) fn put_boot(repository: &Repository, boot: &Boot) -> Result<Option<u32>> {
    let session = boot.session;
    let number = match BootNumbers::list(repository)?.newest(session) {
        None => Some(0),
        Some(newest) => newest.checked_add(1),
    };
    let number = number.ok_or_else(|| {
        let detail = "was started so often that there is no number left for another time";
        let place = Place::Object(ObjectName::Snapshot(session));
        Error::new(ErrorKind::LimitExceeded, place, detail)
    })?;
    let name = ObjectName::Boot { session, number };
    let is_new = put_once(repository, SealedKind::Boot, &name, &boot.encode())?;
    Ok(is_new.then_some(number))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::memory::MemoryBackend;
    use crate::testing::sample_repository::{self, flip_bit, sample_boot};

    const SESSION: SessionId = SessionId([7; 16]);

    fn name(number: u32) -> ObjectName {
        let session = SESSION;
        ObjectName::Boot { session, number }
    }

    fn numbered(list: &BootList) -> Vec<u32> {
        list.boots.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn boots_are_numbered_as_they_are_put_and_none_is_put_over_another() {
        let repository = sample_repository::create(Arc::new(MemoryBackend::new()));
        let boot = sample_boot(SESSION);
        for number in 0..3 {
            assert_eq!(put_boot(&repository, &boot).unwrap(), Some(number));
        }
        let others = put_boot(&repository, &sample_boot(SessionId([8; 16])));
        assert_eq!(others.unwrap(), Some(0));
        let numbers = BootNumbers::list(&repository).unwrap();
        let all = numbers.read_all(&repository, SESSION).unwrap();
        assert_eq!(numbered(&all), [0, 1, 2]);
        assert!(all.damaged.is_empty() && all.boots[0].1 == boot);
        let none = numbers.read_all(&repository, SessionId([9; 16]));
        assert!(none.unwrap().boots.is_empty());
        let payload = boot.encode();
        put_once(&repository, SealedKind::Boot, &name(u32::MAX), &payload).unwrap();
        let full = put_boot(&repository, &boot).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::LimitExceeded);
    }

    #[test]
    fn a_damaged_boot_is_told_and_hides_no_other() {
        let repository = sample_repository::create(Arc::new(MemoryBackend::new()));
        for _ in 0..3 {
            put_boot(&repository, &sample_boot(SESSION)).unwrap();
        }
        flip_bit(repository.backend(), &name(2), 200);
        let numbers = BootNumbers::list(&repository).unwrap();
        let all = numbers.read_all(&repository, SESSION).unwrap();
        assert_eq!(numbered(&all), [0, 1]);
        assert_eq!(all.damaged[0].0, name(2));
        let newest = numbers.read_newest(&repository, SESSION).unwrap();
        assert_eq!(numbered(&newest), [1]);
        assert_eq!(newest.damaged[0].0, name(2));
        repository.backend().delete(&name(1)).unwrap();
        let gone = numbers.read_newest(&repository, SESSION).unwrap();
        assert_eq!(numbered(&gone), [0], "a prune took it away meanwhile");
        assert_eq!(
            put_boot(&repository, &sample_boot(SESSION)).unwrap(),
            Some(3)
        );
    }
}
