//! What lies in the repository, in few bits; and FORMAT 14.1, which reads it.
//!
//! A session is a number, and owns one pack and one outcome of that number. Names are sets of
//! numbers, so a listing is a copy. What nobody could read from storage, and only the properties
//! ask for, is in [`Ghost`].

use std::ops::{BitAnd, BitOr, BitOrAssign, Sub};

/// Sessions that may exist: two of the beginning, two of each writer, two in which prunes copy.
pub(crate) const SESSIONS: usize = 8;
/// Where the sessions of writers begin.
pub(crate) const FIRST_OF_WRITERS: usize = 2;
/// Where the sessions of prunes begin.
pub(crate) const FIRST_OF_COPIES: usize = 6;
/// Numbers of prunes, 0 stands for none.
pub(crate) const NUMBERS: usize = 4;

/// A set of sessions, of their packs, or of chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Set(pub(crate) u8);

impl Set {
    pub(crate) const EMPTY: Self = Self(0);

    pub(crate) const fn of(member: usize) -> Self {
        Self(1 << member)
    }

    pub(crate) fn has(self, member: usize) -> bool {
        self.0 & (1 << member) != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn contains_all(self, other: Self) -> bool {
        (other - self).is_empty()
    }

    pub(crate) fn add(&mut self, member: usize) {
        self.0 |= 1 << member;
    }

    pub(crate) fn remove(&mut self, member: usize) {
        self.0 &= !(1 << member);
    }

    pub(crate) fn first(self) -> Option<usize> {
        (!self.is_empty()).then(|| self.0.trailing_zeros() as usize)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..u8::BITS as usize).filter(move |member| self.has(*member))
    }

    /// The members of which `keep` is true.
    pub(crate) fn only(self, keep: impl Fn(usize) -> bool) -> Self {
        self.iter()
            .filter(|member| keep(*member))
            .fold(Self::EMPTY, |set, member| set | Self::of(member))
    }
}

impl BitOr for Set {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Set {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for Set {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOrAssign for Set {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// A plan: packs condemned, snapshots let go. A seal: packs deleted, snapshots that remain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Record {
    pub(crate) packs: Set,
    pub(crate) snapshots: Set,
}

/// `plan-<n>`, `seal-<n>` and `done-<n>` of one n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Steps {
    pub(crate) plan: Option<Record>,
    pub(crate) seal: Option<Record>,
    pub(crate) done: bool,
}

/// All objects that there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    pub(crate) steps: [Steps; NUMBERS],
    pub(crate) intents: Set,
    pub(crate) commits: Set,
    pub(crate) aborts: Set,
    pub(crate) tombstones: Set,
    pub(crate) packs: Set,
    /// Sessions whose own index run is there; it names their pack.
    pub(crate) runs: Set,
    /// The packs that the one run of several packs names, as long as it is there.
    pub(crate) shared_run: Set,
    /// The packs that the run in its place names.
    pub(crate) folded_run: Set,
    /// The base in intent and COMMIT of a session: both say the same, for ever.
    pub(crate) bases: [u8; SESSIONS],
    /// The chunks that the COMMIT of a session names.
    pub(crate) names: [Set; SESSIONS],
    /// The chunks in its pack.
    pub(crate) holds: [Set; SESSIONS],
    pub(crate) ghost: Ghost,
}

/// What has been, and what was told to people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ghost {
    /// Sessions whose writer was told that the commit stands, but those that were forgotten since.
    pub(crate) promised: Set,
    pub(crate) forgotten: Set,
    /// Sessions that ever had an ABORT.
    pub(crate) aborted: Set,
    /// Sessions that ever had a COMMIT.
    pub(crate) committed: Set,
    /// Packs that ever were there.
    pub(crate) stored: Set,
    /// How many sessions of prunes there were.
    pub(crate) copies: u8,
    /// Rules that were seen broken; see `properties`.
    pub(crate) broken: Set,
}

/// What one listing of `prune/` tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct View {
    pub(crate) newest: u8,
    /// The newest plan, unless it is done.
    pub(crate) plan: Option<Record>,
    /// Number of the newest seal, and the snapshots that it lists.
    pub(crate) seal: Option<(u8, Set)>,
}

impl View {
    pub(crate) fn condemned(&self) -> Set {
        self.plan.unwrap_or_default().packs
    }

    /// FORMAT 14.1, the first line: true unless it came too late, or was let go.
    pub(crate) fn is_in_time(&self, session: usize, base: u8) -> bool {
        self.seal
            .is_none_or(|(number, remain)| base >= number || remain.has(session))
    }

    /// FORMAT 14.1, both lines.
    pub(crate) fn allows(&self, session: usize, base: u8) -> bool {
        self.is_in_time(session, base) && !self.plan.unwrap_or_default().snapshots.has(session)
    }
}

impl Store {
    pub(crate) fn newest_plan(&self) -> u8 {
        let newest = (1..NUMBERS).rfind(|number| self.steps[*number].plan.is_some());
        newest.unwrap_or(0) as u8
    }

    /// Lists `prune/`, and reads what is needed of it.
    pub(crate) fn view(&self) -> View {
        let newest = self.newest_plan();
        let steps = &self.steps[usize::from(newest)];
        let sealed = (1..NUMBERS).rfind(|number| self.steps[*number].seal.is_some());
        View {
            newest,
            plan: steps.plan.filter(|_| !steps.done),
            seal: sealed.map(|number| {
                let record = self.steps[number].seal.unwrap_or_default();
                (number as u8, record.snapshots)
            }),
        }
    }

    /// The snapshots that there are for who has seen `view`.
    pub(crate) fn snapshots(&self, view: &View) -> Set {
        let is_there = |session: usize| view.allows(session, self.bases[session]);
        self.commits.only(is_there)
    }

    pub(crate) fn has_outcome(&self, session: usize) -> bool {
        (self.commits | self.aborts).has(session)
    }

    /// The packs that are there and that an index run names.
    pub(crate) fn indexed(&self) -> Set {
        self.packs & (self.runs | self.shared_run | self.folded_run)
    }

    /// The chunks in these packs.
    pub(crate) fn chunks_in(&self, packs: Set) -> Set {
        let held = packs.iter().map(|pack| self.holds[pack]);
        held.fold(Set::EMPTY, BitOr::bitor)
    }

    /// The chunks that these snapshots need.
    pub(crate) fn chunks_of(&self, snapshots: Set) -> Set {
        let named = snapshots.iter().map(|session| self.names[session]);
        named.fold(Set::EMPTY, BitOr::bitor)
    }

    /// Puts an intent of this base.
    pub(crate) fn announce(&mut self, session: usize, base: u8) {
        self.intents.add(session);
        self.bases[session] = base;
    }
}
