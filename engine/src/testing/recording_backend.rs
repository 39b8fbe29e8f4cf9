//! A backend that counts what is asked of another: calls and bytes, by verb and kind of object.
//!
//! For tests of cost: an unchanged folder puts no pack; one file is restored by so many reads.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::error::Result;
use crate::format::name::ObjectKind;
use crate::format::name::ObjectName;
use crate::format::name::PackClass;
use crate::storage::Backend;
use crate::storage::ObjectInfo;
use crate::storage::room::Room;

/// The methods of [`Backend`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named after the methods of Backend")]
pub enum Verb {
    Put,
    Get,
    GetRange,
    List,
    Delete,
    Sync,
    ReleaseReserve,
    RenewReserve,
    Room,
}

/// What a call was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The repository: `sync`, and what is about its room.
    All,
    /// An object of this kind, or the listing of it.
    Kind(ObjectKind),
    /// A pack of this class.
    Pack(PackClass),
}

/// How often, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls, failed ones included.
    pub calls: u64,
    /// Bytes that were put, or read by calls that succeeded.
    pub bytes: u64,
}

/// Passes every call on, and counts it.
#[derive(Debug)]
pub struct RecordingBackend<B> {
    inner: B,
    tallies: Mutex<BTreeMap<(Verb, Subject), Tally>>,
    /// Every call, in the order in which they came.
    calls: Mutex<Vec<(Verb, Subject)>>,
}

impl<B: Backend> RecordingBackend<B> {
    /// Counts from 0.
    pub fn new(inner: B) -> Self {
        Self {
            inner,
            tallies: Mutex::default(),
            calls: Mutex::default(),
        }
    }

    /// The backend that is asked.
    pub fn inner(&self) -> &B {
        &self.inner
    }

    /// Everything that was counted, in the order of verbs and subjects.
    pub fn tallies(&self) -> BTreeMap<(Verb, Subject), Tally> {
        self.tallies.lock().clone()
    }

    /// One count; `Kind(Pack)` is the sum of both classes.
    pub fn tally(&self, verb: Verb, subject: Subject) -> Tally {
        let tallies = self.tallies.lock();
        let counted = tallies
            .iter()
            .filter(|((v, s), _)| *v == verb && includes(subject, *s));
        counted.fold(Tally::default(), |sum, (_, tally)| Tally {
            calls: sum.calls + tally.calls,
            bytes: sum.bytes + tally.bytes,
        })
    }

    /// All calls of one verb.
    pub fn calls(&self, verb: Verb) -> u64 {
        let tallies = self.tallies.lock();
        tallies
            .iter()
            .filter(|((v, _), _)| *v == verb)
            .map(|(_, tally)| tally.calls)
            .sum()
    }

    /// Every call, in the order in which they came.
    pub fn in_order(&self) -> Vec<(Verb, Subject)> {
        self.calls.lock().clone()
    }

    /// Counts from 0 again.
    pub fn reset(&self) {
        self.tallies.lock().clear();
        self.calls.lock().clear();
    }

    fn count(&self, verb: Verb, subject: Subject, bytes: usize) {
        let mut tallies = self.tallies.lock();
        let tally = tallies.entry((verb, subject)).or_default();
        tally.calls += 1;
        tally.bytes += bytes as u64;
        self.calls.lock().push((verb, subject));
    }
}

impl<B: Backend> Backend for RecordingBackend<B> {
    fn put(&self, name: &ObjectName, data: &[u8]) -> Result<()> {
        self.count(Verb::Put, subject_of(name), data.len());
        self.inner.put(name, data)
    }

    fn get(&self, name: &ObjectName) -> Result<Vec<u8>> {
        let outcome = self.inner.get(name);
        self.count(
            Verb::Get,
            subject_of(name),
            outcome.as_ref().map_or(0, Vec::len),
        );
        outcome
    }

    fn get_range(&self, name: &ObjectName, offset: u64, out: &mut [u8]) -> Result<()> {
        let outcome = self.inner.get_range(name, offset, out);
        let bytes = if outcome.is_ok() { out.len() } else { 0 };
        self.count(Verb::GetRange, subject_of(name), bytes);
        outcome
    }

    fn list(&self, kind: ObjectKind) -> Result<Vec<ObjectInfo>> {
        self.count(Verb::List, Subject::Kind(kind), 0);
        self.inner.list(kind)
    }

    fn delete(&self, name: &ObjectName) -> Result<()> {
        self.count(Verb::Delete, subject_of(name), 0);
        self.inner.delete(name)
    }

    fn sync(&self) -> Result<()> {
        self.count(Verb::Sync, Subject::All, 0);
        self.inner.sync()
    }

    fn release_reserve(&self) -> Result<bool> {
        self.count(Verb::ReleaseReserve, Subject::All, 0);
        self.inner.release_reserve()
    }

    fn renew_reserve(&self) -> Result<()> {
        self.count(Verb::RenewReserve, Subject::All, 0);
        self.inner.renew_reserve()
    }

    fn room(&self) -> Result<Option<Room>> {
        self.count(Verb::Room, Subject::All, 0);
        self.inner.room()
    }
}

fn subject_of(name: &ObjectName) -> Subject {
    match name {
        ObjectName::Pack { class, .. } => Subject::Pack(*class),
        name => Subject::Kind(name.kind()),
    }
}

fn includes(asked: Subject, counted: Subject) -> bool {
    asked == counted
        || asked == Subject::Kind(ObjectKind::Pack) && matches!(counted, Subject::Pack(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::id::SessionId;
    use crate::storage::memory::MemoryBackend;
    use crate::testing::conformance;

    #[test]
    fn counting_does_not_change_the_contract() {
        conformance::run_all(|| Box::new(RecordingBackend::new(MemoryBackend::new())));
    }

    #[test]
    fn calls_and_bytes_are_counted_by_verb_and_subject() {
        let backend = RecordingBackend::new(MemoryBackend::new());
        let session = SessionId([1; 16]);
        for (number, class) in [
            (0, PackClass::Data),
            (1, PackClass::Data),
            (2, PackClass::Meta),
        ] {
            backend
                .put(
                    &ObjectName::Pack {
                        session,
                        number,
                        class,
                    },
                    &[0; 10],
                )
                .expect("stored");
        }
        assert!(backend.get(&ObjectName::Config(1)).is_err());
        assert_eq!(
            backend.tally(Verb::Put, Subject::Pack(PackClass::Data)),
            Tally {
                calls: 2,
                bytes: 20
            }
        );
        assert_eq!(
            backend
                .tally(Verb::Put, Subject::Kind(ObjectKind::Pack))
                .calls,
            3
        );
        assert_eq!(
            backend.tally(Verb::Get, Subject::Kind(ObjectKind::Config)),
            Tally { calls: 1, bytes: 0 }
        );
        backend.reset();
        assert_eq!(backend.calls(Verb::Put), 0);
    }
}
