//! What a participant sees of the storage: every call waits at the gate. And its clock.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use crate::error::{Place, Result};
use crate::format::entry::Timestamp;
use crate::format::name::{ObjectKind, ObjectName};
use crate::storage::memory::MemoryBackend;
use crate::storage::{Backend, ObjectInfo};
use crate::testing::recording_backend::Verb;
use crate::testing::schedule::gate::{Call, Gate};

/// What every clock shows at first, seconds since 1970.
const CLOCK_START: i64 = 1_790_000_000;
const SECONDS_PER_YEAR: i64 = 365 * 24 * 60 * 60;

thread_local! {
    /// What the clock of this thread shows, seconds since 1970.
    static CLOCK: Cell<i64> = const { Cell::new(CLOCK_START) };
}

/// The clock of the participant on this thread: a second later each time it is asked.
pub fn clock() -> Timestamp {
    let seconds = CLOCK.get();
    CLOCK.set(seconds + 1);
    Timestamp {
        seconds,
        nanoseconds: 0,
    }
}

/// The clock of this thread jumps.
pub(super) fn jump(years: i32) {
    CLOCK.set(CLOCK.get() + i64::from(years) * SECONDS_PER_YEAR);
}

/// One participant's way to a storage that all share.
pub struct ScheduledBackend {
    participant: usize,
    storage: Arc<MemoryBackend>,
    gate: Arc<Gate>,
}

impl fmt::Debug for ScheduledBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduledBackend")
            .field("participant", &self.participant)
            .finish_non_exhaustive()
    }
}

impl ScheduledBackend {
    pub(super) fn new(participant: usize, storage: Arc<MemoryBackend>, gate: Arc<Gate>) -> Self {
        Self {
            participant,
            storage,
            gate,
        }
    }

    fn call<T>(
        &self,
        verb: Verb,
        kind: ObjectKind,
        place: impl Fn() -> Place,
        inner: impl FnOnce(&MemoryBackend) -> Result<T>,
    ) -> Result<T> {
        let call = Call {
            participant: self.participant,
            verb,
            kind: Some(kind),
        };
        self.gate.call(call, place, || inner(&self.storage))
    }
}

impl Backend for ScheduledBackend {
    fn put(&self, name: &ObjectName, data: &[u8]) -> Result<()> {
        let place = || Place::Object(*name);
        self.call(Verb::Put, name.kind(), place, |inner| inner.put(name, data))
    }

    fn get(&self, name: &ObjectName) -> Result<Vec<u8>> {
        let place = || Place::Object(*name);
        self.call(Verb::Get, name.kind(), place, |inner| inner.get(name))
    }

    fn get_range(&self, name: &ObjectName, offset: u64, out: &mut [u8]) -> Result<()> {
        let place = || Place::Object(*name);
        self.call(Verb::GetRange, name.kind(), place, |inner| {
            inner.get_range(name, offset, out)
        })
    }

    fn list(&self, kind: ObjectKind) -> Result<Vec<ObjectInfo>> {
        let place = || Place::Repository;
        self.call(Verb::List, kind, place, |inner| inner.list(kind))
    }

    fn delete(&self, name: &ObjectName) -> Result<()> {
        let place = || Place::Object(*name);
        self.call(Verb::Delete, name.kind(), place, |inner| inner.delete(name))
    }

    fn sync(&self) -> Result<()> {
        let call = Call {
            participant: self.participant,
            verb: Verb::Sync,
            kind: None,
        };
        let place = || Place::Repository;
        self.gate.call(call, place, || self.storage.sync())
    }
}
