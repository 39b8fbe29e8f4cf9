//! Known ways of losing data or secrets, each behind a switch that only tests can turn.
//!
//! Every one is a mistake that some backup program made, or that one line of ours holds off. The
//! tests switch on one at a time and expect that an attack finds it: so they show that the attacks
//! are able to find something. Lowest floor, beside `limits`: it names no other module.
//!
//! **Architecture Invariant:** without tests `is_on` is the constant `false`, so that nothing of
//! a mutant is in the program.

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Mutant {
    /// A writer does not list the prunes again behind its intent (W2).
    NoSecondLook,
    /// A writer relies on copies in packs that a plan condemns (W3).
    CondemnedCounts,
    /// A writer takes no notice of a seal that came before its commit (W6).
    LateCommitStands,
    /// A commit is put before the last packs and the index run are.
    CommitBeforePacks,
    /// A pack that is not of the length that the index says counts as there.
    TornPackCounts,
    /// A prune does not decide open sessions before it deletes (P4).
    NoAborts,
    /// A prune does not mark again what was committed meanwhile (P5).
    NoRescue,
    /// A prune keeps a page that nothing needs, and drops what it names.
    ParentWithoutChildren,
    /// A prune takes a page that cannot be read for one that names nothing.
    UnreadableIsEmpty,
    /// A prune takes each of two copies for the one that the other makes unneeded.
    BothCopiesDropped,
    /// A prune that writes index runs anew forgets one of the old ones.
    IndexInputDropped,
    /// An abort replaces a commit that is there already.
    AbortOverwrites,
    /// Every frame of an object is sealed under the same nonce.
    NonceStays,
    /// What a frame is bound to does not tell the kind of its object.
    KindNotBound,
    /// A restore goes through symbolic links on its way.
    LinksFollowed,
    /// Holes are believed on file systems that are known to report false ones.
    HolesTrusted,
    /// A policy that keeps no snapshot of a series forgets all of it.
    SeriesEmptied,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::NoSecondLook,
        Self::CondemnedCounts,
        Self::LateCommitStands,
        Self::CommitBeforePacks,
        Self::TornPackCounts,
        Self::NoAborts,
        Self::NoRescue,
        Self::ParentWithoutChildren,
        Self::UnreadableIsEmpty,
        Self::BothCopiesDropped,
        Self::IndexInputDropped,
        Self::AbortOverwrites,
        Self::NonceStays,
        Self::KindNotBound,
        Self::LinksFollowed,
        Self::HolesTrusted,
        Self::SeriesEmptied,
    ];
}

#[cfg(any(test, feature = "testing"))]
pub use self::switches::{Guard, switch_on};

/// True if the mistake is to be made.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn is_on(mutant: Mutant) -> bool {
    switches::is_on(mutant)
}

/// True if the mistake is to be made: never.
#[cfg(not(any(test, feature = "testing")))]
pub(crate) const fn is_on(_: Mutant) -> bool {
    false
}

#[cfg(any(test, feature = "testing"))]
mod switches {
    use std::sync::atomic::{AtomicU32, Ordering};

    use parking_lot::{Mutex, MutexGuard};

    use crate::mutants::Mutant;

    /// One bit for each mutant.
    static ON: AtomicU32 = AtomicU32::new(0);
    /// Held by whoever has one switched on.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    /// Switches its mutant off when it goes.
    #[must_use]
    pub struct Guard {
        _alone: MutexGuard<'static, ()>,
    }

    /// Makes the mistake in the whole process for as long as the guard lives; waits until no other
    /// one is made. What else runs in the process makes it too.
    pub fn switch_on(mutant: Mutant) -> Guard {
        let guard = Guard {
            _alone: ONE_AT_A_TIME.lock(),
        };
        ON.store(1 << mutant as u8, Ordering::SeqCst);
        guard
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            ON.store(0, Ordering::SeqCst);
        }
    }

    pub(super) fn is_on(mutant: Mutant) -> bool {
        ON.load(Ordering::Relaxed) & (1 << mutant as u8) != 0
    }
}
