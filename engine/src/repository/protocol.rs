//! The names of the steps by which writers and prunes work beside each other. §14.2.
//!
//! One vocabulary for the specification, the model that explores every interleaving of the steps,
//! and the code that takes them. Names alone: what a step decides lies in `session`, and in the
//! operations that prune.

use std::fmt;

use crate::format::name::ObjectKind;

use ObjectKind as Kind;
use Verb::{Delete, Get, List, Put};

/// What a call does to storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Names the objects of a kind.
    List,
    /// Reads one.
    Get,
    /// Stores one under a name that is free, durable before the next call.
    Put,
    /// Deletes one.
    Delete,
}

/// A call on storage, by what it does and to which kind of object.
pub type Call = (Verb, ObjectKind);

/// A step of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WriterStep {
    /// W1: sees the newest plan, and puts an intent that says so.
    Announce,
    /// W2: begins again if a plan was put in between.
    LookAgain,
    /// W3: finds what is stored, and the snapshots to start from.
    Choose,
    /// W4: stores what is not there.
    Store,
    /// W5: puts the COMMIT.
    Commit,
    /// W6: asks whether it stands.
    Verify,
    /// W7: takes the intent away.
    End,
}

/// A step of a prune.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CollectorStep {
    /// P0: takes up the newest plan, or the next number.
    Number,
    /// P1: finds what snapshots need.
    Mark,
    /// P2: copies what is needed out of sparse packs.
    Copy,
    /// P3: puts the plan.
    Plan,
    /// P4: decides every session that does not know of the plan.
    Fence,
    /// P5: marks what those sessions committed.
    MarkAgain,
    /// P6: puts the seal.
    Seal,
    /// P7: deletes outcomes, tombstones, protections, boots and intents that the seal has settled.
    Tidy,
    /// P8: deletes packs.
    Sweep,
    /// P9: replaces the index runs that name deleted packs.
    Fold,
    /// P10: puts done, and deletes the steps of lower numbers.
    Finish,
}

impl WriterStep {
    /// All steps, in their order.
    pub const ALL: [Self; 7] = [
        Self::Announce,
        Self::LookAgain,
        Self::Choose,
        Self::Store,
        Self::Commit,
        Self::Verify,
        Self::End,
    ];

    /// Number and name of the step, as the specification has them.
    pub fn label(self) -> &'static str {
        match self {
            Self::Announce => "W1 announce",
            Self::LookAgain => "W2 look again",
            Self::Choose => "W3 choose",
            Self::Store => "W4 store",
            Self::Commit => "W5 commit",
            Self::Verify => "W6 verify",
            Self::End => "W7 end",
        }
    }

    /// The calls that the step may make, in the order of the first of each; what it need not do may be
    /// left out, and what there are many of is repeated.
    pub fn calls(self) -> &'static [Call] {
        match self {
            Self::Announce => &[(List, Kind::Prune), (Put, Kind::Intent)],
            Self::LookAgain => &[
                (List, Kind::Prune),
                (Get, Kind::Prune),
                (Delete, Kind::Intent),
            ],
            Self::Choose => &[
                (List, Kind::Index),
                (Get, Kind::Index),
                (List, Kind::Pack),
                (List, Kind::Snapshot),
                (Get, Kind::Snapshot),
                (List, Kind::Forgotten),
                (List, Kind::Prune),
                (Get, Kind::Prune),
            ],
            Self::Store => &[(Put, Kind::Pack), (Put, Kind::Index)],
            Self::Commit => &[(Put, Kind::Snapshot), (Get, Kind::Snapshot)],
            Self::Verify => &[(List, Kind::Prune), (Get, Kind::Prune)],
            Self::End => &[(Delete, Kind::Intent)],
        }
    }
}

impl CollectorStep {
    /// All steps, in their order.
    pub const ALL: [Self; 11] = [
        Self::Number,
        Self::Mark,
        Self::Copy,
        Self::Plan,
        Self::Fence,
        Self::MarkAgain,
        Self::Seal,
        Self::Tidy,
        Self::Sweep,
        Self::Fold,
        Self::Finish,
    ];

    /// Number and name of the step, as the specification has them.
    pub fn label(self) -> &'static str {
        match self {
            Self::Number => "P0 number",
            Self::Mark => "P1 mark",
            Self::Copy => "P2 copy",
            Self::Plan => "P3 plan",
            Self::Fence => "P4 fence",
            Self::MarkAgain => "P5 mark again",
            Self::Seal => "P6 seal",
            Self::Tidy => "P7 tidy",
            Self::Sweep => "P8 sweep",
            Self::Fold => "P9 fold",
            Self::Finish => "P10 finish",
        }
    }

    /// The calls that the step may make, as [`WriterStep::calls`].
    pub fn calls(self) -> &'static [Call] {
        match self {
            Self::Number => &[(List, Kind::Prune), (Get, Kind::Prune)],
            Self::Mark => &[
                (List, Kind::Pack),
                (List, Kind::Intent),
                (List, Kind::Snapshot),
                (Get, Kind::Snapshot),
                (List, Kind::Prune),
                (Get, Kind::Prune),
                (List, Kind::Forgotten),
                (Get, Kind::Forgotten),
                (List, Kind::Protected),
                (Get, Kind::Protected),
                (List, Kind::Index),
                (Get, Kind::Index),
                (Get, Kind::Pack),
            ],
            Self::Copy => &[
                (List, Kind::Prune),
                (Put, Kind::Intent),
                (Get, Kind::Prune),
                (Delete, Kind::Intent),
                (List, Kind::Pack),
                (Get, Kind::Pack),
                (Put, Kind::Pack),
                (Put, Kind::Index),
            ],
            Self::Plan => &[(Put, Kind::Prune), (List, Kind::Prune), (Get, Kind::Prune)],
            Self::Fence => &[
                (List, Kind::Intent),
                (Get, Kind::Intent),
                (List, Kind::Snapshot),
                (Put, Kind::Snapshot),
            ],
            Self::MarkAgain => &[
                (List, Kind::Snapshot),
                (Get, Kind::Snapshot),
                (List, Kind::Prune),
                (Get, Kind::Prune),
                (List, Kind::Forgotten),
                (Get, Kind::Forgotten),
                (List, Kind::Protected),
                (Get, Kind::Protected),
                (List, Kind::Pack),
                (List, Kind::Index),
                (Get, Kind::Index),
                (Get, Kind::Pack),
            ],
            Self::Seal => &[(Put, Kind::Prune), (Get, Kind::Prune), (List, Kind::Prune)],
            Self::Tidy => &[
                (List, Kind::Forgotten),
                (List, Kind::Protected),
                (List, Kind::Boot),
                (List, Kind::Intent),
                (Get, Kind::Intent),
                (List, Kind::Snapshot),
                (Get, Kind::Snapshot),
                (Delete, Kind::Snapshot),
                (Delete, Kind::Forgotten),
                (Delete, Kind::Protected),
                (Delete, Kind::Boot),
                (Delete, Kind::Intent),
            ],
            Self::Sweep => &[(List, Kind::Pack), (Delete, Kind::Pack)],
            Self::Fold => &[
                (List, Kind::Index),
                (List, Kind::Prune),
                (Put, Kind::Intent),
                (Get, Kind::Prune),
                (List, Kind::Intent),
                (List, Kind::Snapshot),
                (List, Kind::Pack),
                (Get, Kind::Index),
                (Put, Kind::Index),
                (Delete, Kind::Index),
                (Delete, Kind::Intent),
            ],
            Self::Finish => &[
                (Put, Kind::Prune),
                (List, Kind::Prune),
                (Delete, Kind::Prune),
                (Delete, Kind::Intent),
            ],
        }
    }
}

impl fmt::Display for WriterStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl fmt::Display for CollectorStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
