//! Which snapshots there are (FORMAT.md section 14.1), as of one look at a repository.
//!
//! Steps of prunes are read once: that one is tidied away while this looks is damage to it.

use crate::reference::fault::Fault;
use crate::reference::fault::Rejection;
use crate::reference::fault::Result;
use crate::reference::name::Id;
use crate::reference::name::ObjectName;
use crate::reference::object::Payload;
use crate::reference::prune::Step;
use crate::reference::repository::Repository;
use crate::reference::snapshot::Commit;
use std::collections::BTreeSet;

/// What lies in `snapshots/` and is there for a reader.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Snapshots, in their order.
    pub snapshots: Vec<Commit>,
    /// Those that are forgotten, in the same order.
    pub forgotten: Vec<Commit>,
    /// Outcomes and steps of prunes that cannot be read; a step that cannot be read hides no snapshot.
    pub damaged: Vec<Rejection>,
}

/// What prunes have decided.
#[derive(Clone, Debug, Default)]
struct Decided {
    /// The newest plan, unless it is done.
    plan: Option<Step>,
    /// The newest seal.
    seal: Option<Step>,
}

impl Decided {
    /// Whether a COMMIT is a snapshot.
    fn allow(&self, commit: &Commit) -> bool {
        let has = |step: &Step| step.snapshots.contains(&commit.session);
        let came_in_time = |seal: &Step| commit.base >= seal.number || has(seal);
        let sealed = self.seal.as_ref().map(|seal| seal.number);
        let unsealed = self
            .plan
            .as_ref()
            .filter(|plan| sealed != Some(plan.number));
        self.seal.as_ref().is_none_or(came_in_time) && !unsealed.is_some_and(has)
    }
}

impl Repository {
    /// The snapshots that there are.
    pub fn listing(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        let decided = self.read_decided(&mut listing.damaged)?;
        let mut commits = Vec::new();
        for name in self.names("snapshots")? {
            match self.object(&name).map(|object| object.payload) {
                Ok(Payload::Commit(commit)) if decided.allow(&commit) => commits.push(*commit),
                Ok(_) => {}
                Err(rejection) => listing.damaged.push(rejection),
            }
        }
        commits.sort_by_key(|commit| (commit.sequence, commit.ended, commit.session));
        let forgotten: BTreeSet<Id> = self
            .names("forgotten")?
            .iter()
            .filter_map(session)
            .collect();
        (listing.forgotten, listing.snapshots) = commits
            .into_iter()
            .partition(|commit| forgotten.contains(&commit.session));
        Ok(listing)
    }

    /// The snapshot of a session, given by its 32 digits, forgotten or not.
    pub fn snapshot(&self, session: &str) -> Result<Commit> {
        let place = format!("snapshots/{session}");
        let name = ObjectName::parse(&place).ok_or_else(|| {
            Rejection::new(Fault::Malformed, &place, "not the name of a snapshot")
        })?;
        let missing = |sentence: &str| Err(Rejection::new(Fault::Missing, &place, sentence));
        let Payload::Commit(commit) = self.object(&name)?.payload else {
            return missing("the session was aborted");
        };
        if !self.read_decided(&mut Vec::new())?.allow(&commit) {
            return missing("a prune let it go, or it came too late for one");
        }
        Ok(*commit)
    }

    fn read_decided(&self, damaged: &mut Vec<Rejection>) -> Result<Decided> {
        let names = self.names("prune")?;
        let numbers = |of: fn(&ObjectName) -> Option<u32>| names.iter().filter_map(of);
        let plan = numbers(|name| match *name {
            ObjectName::PrunePlan(n) => Some(n),
            _ => None,
        });
        let plan = plan.max().filter(|n| *n > 0);
        let plan = plan.filter(|n| !names.contains(&ObjectName::PruneDone(*n)));
        let seal = numbers(|name| match *name {
            ObjectName::PruneSeal(n) => Some(n),
            _ => None,
        });
        let seal = seal.max().filter(|n| *n > 0);
        let mut read = |name: Option<ObjectName>| match self.object(&name?) {
            Ok(object) => step(object.payload),
            Err(rejection) => {
                damaged.push(rejection);
                None
            }
        };
        Ok(Decided {
            plan: read(plan.map(ObjectName::PrunePlan)),
            seal: read(seal.map(ObjectName::PruneSeal)),
        })
    }
}

fn step(payload: Payload) -> Option<Step> {
    match payload {
        Payload::Plan(step) | Payload::Seal(step) => Some(step),
        _ => None,
    }
}

fn session(name: &ObjectName) -> Option<Id> {
    name.session().map(|(session, _)| session)
}
