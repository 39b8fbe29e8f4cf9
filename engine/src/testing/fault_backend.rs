//! A backend that fails on purpose, above any other: what an object store or a network does.
//!
//! Faults come at the n-th call, or at random by seed. The cruel one is [`Effect::After`]: the call
//! did what was asked, and the caller is told that it failed. Deliberately absent: delays, and
//! lost power, which is `sim_disk`'s business.

use parking_lot::Mutex;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Place;
use crate::error::Result;
use crate::format::name::ObjectKind;
use crate::format::name::ObjectName;
use crate::storage::Backend;
use crate::storage::ObjectInfo;
use crate::storage::room::Room;
use crate::testing::random::Random;
use crate::testing::recording_backend::Verb;

/// A fault to come: the `nth` call from now on fails, once or for ever.
#[derive(Clone, Copy, Debug)]
pub struct BackendFault {
    /// Calls of this verb only; `None` counts all.
    pub verb: Option<Verb>,
    /// 1 is the next one.
    pub nth: u64,
    /// What the caller is told.
    pub kind: ErrorKind,
    /// Whether the call does anything.
    pub effect: Effect,
    /// Whether every such call fails from then on.
    pub lasting: bool,
}

impl BackendFault {
    /// The ways in which the `nth` call may fail: before its effect, after it, and for good.
    pub fn each_way(nth: u64) -> [Self; 3] {
        let ways = [
            (Effect::Before, false),
            (Effect::After, false),
            (Effect::Before, true),
        ];
        ways.map(|(effect, lasting)| Self {
            verb: None,
            nth,
            kind: ErrorKind::Io,
            effect,
            lasting,
        })
    }
}

/// When a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Before it did anything.
    Before,
    /// After it did what was asked.
    After,
}

/// Passes calls on, except when a fault is due.
#[derive(Debug)]
pub struct FaultBackend<B> {
    inner: B,
    plan: Mutex<Plan>,
}

#[derive(Debug)]
struct Plan {
    calls: u64,
    faults: Vec<BackendFault>,
    random: Random,
    random_one_in: u64,
}

impl<B: Backend> FaultBackend<B> {
    /// Without any fault yet.
    pub fn new(inner: B) -> Self {
        let plan = Plan {
            calls: 0,
            faults: Vec::new(),
            random: Random::new(0),
            random_one_in: 0,
        };
        Self {
            inner,
            plan: Mutex::new(plan),
        }
    }

    /// The backend that is asked.
    pub fn inner(&self) -> &B {
        &self.inner
    }

    /// Calls so far: how many places a workload can fail at.
    pub fn calls(&self) -> u64 {
        self.plan.lock().calls
    }

    /// Adds a fault to come.
    pub fn fail(&self, fault: BackendFault) {
        self.plan.lock().faults.push(fault);
    }

    /// Once in `one_in` calls, on average, one fails with `Io`; half of those after their effect.
    pub fn fail_at_random(&self, seed: u64, one_in: u64) {
        let mut plan = self.plan.lock();
        plan.random = Random::new(seed);
        plan.random_one_in = one_in;
    }

    /// All faults are over.
    pub fn heal(&self) {
        let mut plan = self.plan.lock();
        plan.faults.clear();
        plan.random_one_in = 0;
    }

    fn call<T>(&self, verb: Verb, place: Place, inner: impl FnOnce() -> Result<T>) -> Result<T> {
        let due = self.plan.lock().next(verb);
        let Some((kind, effect)) = due else {
            return inner();
        };
        if effect == Effect::After {
            inner()?;
        }
        Err(Error::new(kind, place, "a simulated fault"))
    }
}

impl Plan {
    /// What happens to the next call, if not what was asked.
    fn next(&mut self, verb: Verb) -> Option<(ErrorKind, Effect)> {
        self.calls += 1;
        let mut due = None;
        self.faults.retain_mut(|fault| {
            if fault.verb.is_some_and(|only| only != verb) {
                return true;
            }
            fault.nth = fault.nth.saturating_sub(1);
            if fault.nth > 0 {
                return true;
            }
            due = Some((fault.kind, fault.effect));
            fault.lasting
        });
        due.or_else(|| self.by_chance())
    }

    fn by_chance(&mut self) -> Option<(ErrorKind, Effect)> {
        let effect = if self.random.one_in(2) {
            Effect::Before
        } else {
            Effect::After
        };
        self.random
            .one_in(self.random_one_in)
            .then_some((ErrorKind::Io, effect))
    }
}

impl<B: Backend> Backend for FaultBackend<B> {
    fn put(&self, name: &ObjectName, data: &[u8]) -> Result<()> {
        self.call(Verb::Put, Place::Object(*name), || {
            self.inner.put(name, data)
        })
    }

    fn get(&self, name: &ObjectName) -> Result<Vec<u8>> {
        self.call(Verb::Get, Place::Object(*name), || self.inner.get(name))
    }

    fn get_range(&self, name: &ObjectName, offset: u64, out: &mut [u8]) -> Result<()> {
        let place = Place::Range {
            name: *name,
            offset,
            len: out.len() as u64,
        };
        self.call(Verb::GetRange, place, || {
            self.inner.get_range(name, offset, out)
        })
    }

    fn list(&self, kind: ObjectKind) -> Result<Vec<ObjectInfo>> {
        self.call(Verb::List, Place::Repository, || self.inner.list(kind))
    }

    fn delete(&self, name: &ObjectName) -> Result<()> {
        self.call(Verb::Delete, Place::Object(*name), || {
            self.inner.delete(name)
        })
    }

    fn sync(&self) -> Result<()> {
        self.call(Verb::Sync, Place::Repository, || self.inner.sync())
    }

    fn release_reserve(&self) -> Result<bool> {
        self.call(Verb::ReleaseReserve, Place::Repository, || {
            self.inner.release_reserve()
        })
    }

    fn renew_reserve(&self) -> Result<()> {
        self.call(Verb::RenewReserve, Place::Repository, || {
            self.inner.renew_reserve()
        })
    }

    fn room(&self) -> Result<Option<Room>> {
        self.call(Verb::Room, Place::Repository, || self.inner.room())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory::MemoryBackend;
    use crate::testing::conformance;

    fn fault(nth: u64, effect: Effect, lasting: bool) -> BackendFault {
        BackendFault {
            verb: Some(Verb::Put),
            nth,
            kind: ErrorKind::Io,
            effect,
            lasting,
        }
    }

    #[test]
    fn without_faults_the_contract_holds() {
        conformance::run_all(|| Box::new(FaultBackend::new(MemoryBackend::new())));
    }

    #[test]
    fn a_single_fault_hits_the_nth_call_of_its_verb_and_no_other() {
        let backend = FaultBackend::new(MemoryBackend::new());
        backend.fail(fault(2, Effect::Before, false));
        assert!(backend.put(&ObjectName::Config(1), b"1").is_ok());
        assert!(backend.get(&ObjectName::Config(1)).is_ok());
        assert!(backend.put(&ObjectName::Config(2), b"2").is_err());
        assert!(
            backend.put(&ObjectName::Config(2), b"2").is_ok(),
            "nothing was stored before"
        );
        assert_eq!(backend.calls(), 4);
    }

    #[test]
    fn a_lasting_fault_lasts_until_it_is_healed() {
        let backend = FaultBackend::new(MemoryBackend::new());
        backend.fail(fault(1, Effect::Before, true));
        assert!((1..5).all(|n| backend.put(&ObjectName::Config(n), b"").is_err()));
        backend.heal();
        assert!(backend.put(&ObjectName::Config(1), b"").is_ok());
    }

    #[test]
    fn an_ambiguous_put_fails_and_is_there() {
        let backend = FaultBackend::new(MemoryBackend::new());
        backend.fail(fault(1, Effect::After, false));
        assert!(backend.put(&ObjectName::Config(1), b"1").is_err());
        assert_eq!(
            backend
                .get(&ObjectName::Config(1))
                .expect("stored all the same"),
            b"1"
        );
    }
}
