//! The protocol, one rule short: each breaks a property, or the rule would be of no use.

use crate::configs::{BRINGING_BACK, LOSING_ANSWERS, SMALL, TAKING_OVER};
use crate::protocol::Config;

/// A rule that is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mutant {
    /// W2 does not begin again when there is a newer plan.
    NoSecondLook,
    /// W3: copies in packs that are condemned count.
    CondemnedCounts,
    /// W3: the snapshot to start from is chosen before W1.
    StartChosenBeforeIntent,
    /// W3: snapshots are listed after the prunes by which they are judged.
    SnapshotsListedAfterPrunes,
    /// P4 aborts nobody.
    NoFence,
    /// P4: an ABORT takes the place of a COMMIT.
    AbortOverwrites,
    /// P5 rescues nothing.
    NoRescue,
    /// P5 does not ask whether what the plan lets go is still forgotten.
    LetGoForGood,
    /// P1 lists outcomes before packs and intents.
    OutcomesListedFirst,
    /// P1: packs of sessions that are open may be condemned.
    OpenSessionsAreCandidates,
    /// P6: a seal that was put by another does not count.
    OwnSealCounts,
    /// P6: a seal beside a newer plan counts.
    VoidSealsCount,
    /// P6: a seal beside a newer plan is deleted.
    VoidSealsAreDeleted,
    /// 14.1: what the seal does not list is there all the same.
    SealsAreNoRegistry,
    /// W6 is left out.
    NoVerification,
    /// P10 comes before P7.
    DoneBeforeDeletes,
    /// P0 does not wait until the newest plan is done.
    PlansOverlap,
    /// P9 deletes the run before the one in its place is put.
    RunDeletedFirst,
    /// To forget is to delete the COMMIT.
    ForgetDeletesOutcome,
    /// To bring back is to delete the tombstone, and no more.
    BroughtBackUnseen,
    /// A pack is named by what it holds.
    PacksNamedByContent,
}

impl Mutant {
    pub(crate) const ALL: [Self; 21] = [
        Self::NoSecondLook,
        Self::CondemnedCounts,
        Self::StartChosenBeforeIntent,
        Self::SnapshotsListedAfterPrunes,
        Self::NoFence,
        Self::AbortOverwrites,
        Self::NoRescue,
        Self::LetGoForGood,
        Self::OutcomesListedFirst,
        Self::OpenSessionsAreCandidates,
        Self::OwnSealCounts,
        Self::VoidSealsCount,
        Self::VoidSealsAreDeleted,
        Self::SealsAreNoRegistry,
        Self::NoVerification,
        Self::DoneBeforeDeletes,
        Self::PlansOverlap,
        Self::RunDeletedFirst,
        Self::ForgetDeletesOutcome,
        Self::BroughtBackUnseen,
        Self::PacksNamedByContent,
    ];

    /// Where it shows.
    pub(crate) fn config(self) -> Config {
        match self {
            Self::StartChosenBeforeIntent | Self::SnapshotsListedAfterPrunes => TAKING_OVER,
            Self::LetGoForGood | Self::BroughtBackUnseen => BRINGING_BACK,
            Self::ForgetDeletesOutcome => LOSING_ANSWERS,
            _ => SMALL,
        }
    }
}
