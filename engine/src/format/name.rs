//! Names of stored objects: the only place that spells or parses them.
//!
//! Names are part of the format. They hold lowercase hex digits, `/`, `-` and `.` alone, so that
//! they survive every medium, and none is ever used twice for different bytes.

use std::fmt;
use std::str::FromStr;

use crate::format::id::{SessionId, SlotId};
use crate::format::{DecodeError, Decoded};

/// Name of one object in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectName {
    /// `config/<number>`: the highest number counts.
    Config(u32),
    /// `keys/<slot>`: one way in.
    Key(SlotId),
    /// `intents/<session>`: a writer announces itself.
    Intent(SessionId),
    /// `packs/<session>/<number>.data` or `.meta`.
    Pack {
        /// The session that wrote it.
        session: SessionId,
        /// Counts the packs of that session, both classes together.
        number: u32,
        /// Whether it holds file contents or pages.
        class: PackClass,
    },
    /// `index/<session>-<number>`: one sorted run.
    Index {
        /// The session that wrote it.
        session: SessionId,
        /// Counts the runs of that session.
        number: u32,
    },
    /// `snapshots/<session>`: the commit point.
    Snapshot(SessionId),
    /// `forgotten/<session>`: tombstone of a snapshot.
    Forgotten(SessionId),
    /// `protected/<session>-<number>`: a snapshot must not be forgotten; the highest number counts.
    Protected {
        /// The snapshot.
        session: SessionId,
        /// Counts the protections of that snapshot.
        number: u32,
    },
    /// `boots/<session>-<number>`: what a machine did that was started from a snapshot.
    Boot {
        /// The snapshot.
        session: SessionId,
        /// Counts the boots of that snapshot.
        number: u32,
    },
    /// `prune/plan-<number>`, `prune/seal-<number>`, `prune/done-<number>`.
    Prune(PruneStep, u32),
}

/// What a pack holds, and so which class key opens its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PackClass {
    /// Contents of files and volumes.
    Data,
    /// Pages of manifests.
    Meta,
}

/// Steps of pruning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PruneStep {
    /// What is condemned.
    Plan,
    /// What is deleted.
    Seal,
    /// Finished.
    Done,
}

/// The folder that an object lies in: what can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// `config/`
    Config,
    /// `keys/`
    Key,
    /// `intents/`
    Intent,
    /// `packs/`
    Pack,
    /// `index/`
    Index,
    /// `snapshots/`
    Snapshot,
    /// `forgotten/`
    Forgotten,
    /// `protected/`
    Protected,
    /// `boots/`
    Boot,
    /// `prune/`
    Prune,
}

impl ObjectKind {
    /// All kinds, in the order in which a repository is laid out.
    pub const ALL: [Self; 10] = [
        Self::Config,
        Self::Key,
        Self::Intent,
        Self::Pack,
        Self::Index,
        Self::Snapshot,
        Self::Forgotten,
        Self::Protected,
        Self::Boot,
        Self::Prune,
    ];

    /// Name of the folder, without a slash.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Key => "keys",
            Self::Intent => "intents",
            Self::Pack => "packs",
            Self::Index => "index",
            Self::Snapshot => "snapshots",
            Self::Forgotten => "forgotten",
            Self::Protected => "protected",
            Self::Boot => "boots",
            Self::Prune => "prune",
        }
    }
}

impl ObjectName {
    /// The kind this name belongs to.
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Config(_) => ObjectKind::Config,
            Self::Key(_) => ObjectKind::Key,
            Self::Intent(_) => ObjectKind::Intent,
            Self::Pack { .. } => ObjectKind::Pack,
            Self::Index { .. } => ObjectKind::Index,
            Self::Snapshot(_) => ObjectKind::Snapshot,
            Self::Forgotten(_) => ObjectKind::Forgotten,
            Self::Protected { .. } => ObjectKind::Protected,
            Self::Boot { .. } => ObjectKind::Boot,
            Self::Prune(..) => ObjectKind::Prune,
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.kind().folder();
        match self {
            Self::Config(number) => write!(f, "{folder}/{number:08x}"),
            Self::Key(slot) => write!(f, "{folder}/{slot}"),
            Self::Intent(session) | Self::Snapshot(session) | Self::Forgotten(session) => {
                write!(f, "{folder}/{session}")
            }
            Self::Pack {
                session,
                number,
                class,
            } => {
                write!(f, "{folder}/{session}/{number:08x}.{}", class.suffix())
            }
            Self::Index { session, number }
            | Self::Protected { session, number }
            | Self::Boot { session, number } => {
                write!(f, "{folder}/{session}-{number:08x}")
            }
            Self::Prune(step, number) => write!(f, "{folder}/{}-{number:08x}", step.word()),
        }
    }
}

impl PackClass {
    /// How it is stored: as the kind of a sealed pack of this class.
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::Meta => 2,
        }
    }

    /// Reads it.
    pub(crate) fn from_byte(byte: u8) -> Decoded<Self> {
        match byte {
            1 => Ok(Self::Data),
            2 => Ok(Self::Meta),
            _ => Err(DecodeError::Malformed("unknown class of a pack")),
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Meta => "meta",
        }
    }
}

impl PruneStep {
    fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Seal => "seal",
            Self::Done => "done",
        }
    }
}

/// Text that is no object name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseNameError;

impl fmt::Display for ParseNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an object name")
    }
}

impl std::error::Error for ParseNameError {}

impl FromStr for ObjectName {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, ParseNameError> {
        let (folder, rest) = text.split_once('/').ok_or(ParseNameError)?;
        match folder {
            "config" => parse_number(rest).map(Self::Config),
            "keys" => rest.parse().map(Self::Key).map_err(|_| ParseNameError),
            "intents" => parse_session(rest).map(Self::Intent),
            "packs" => parse_pack(rest),
            "index" => {
                parse_numbered(rest).map(|(session, number)| Self::Index { session, number })
            }
            "snapshots" => parse_session(rest).map(Self::Snapshot),
            "forgotten" => parse_session(rest).map(Self::Forgotten),
            "protected" => {
                parse_numbered(rest).map(|(session, number)| Self::Protected { session, number })
            }
            "boots" => parse_numbered(rest).map(|(session, number)| Self::Boot { session, number }),
            "prune" => parse_prune(rest),
            _ => Err(ParseNameError),
        }
    }
}

fn parse_pack(rest: &str) -> Result<ObjectName, ParseNameError> {
    let (session, file) = rest.split_once('/').ok_or(ParseNameError)?;
    let (number, suffix) = file.split_once('.').ok_or(ParseNameError)?;
    let class = match suffix {
        "data" => PackClass::Data,
        "meta" => PackClass::Meta,
        _ => return Err(ParseNameError),
    };
    let (session, number) = (parse_session(session)?, parse_number(number)?);
    Ok(ObjectName::Pack {
        session,
        number,
        class,
    })
}

fn parse_numbered(rest: &str) -> Result<(SessionId, u32), ParseNameError> {
    let (session, number) = rest.split_once('-').ok_or(ParseNameError)?;
    Ok((parse_session(session)?, parse_number(number)?))
}

fn parse_prune(rest: &str) -> Result<ObjectName, ParseNameError> {
    let (word, number) = rest.split_once('-').ok_or(ParseNameError)?;
    let step = match word {
        "plan" => PruneStep::Plan,
        "seal" => PruneStep::Seal,
        "done" => PruneStep::Done,
        _ => return Err(ParseNameError),
    };
    parse_number(number).map(|number| ObjectName::Prune(step, number))
}

fn parse_session(text: &str) -> Result<SessionId, ParseNameError> {
    text.parse().map_err(|_| ParseNameError)
}

/// Exactly eight lowercase hex digits: a number has one spelling.
fn parse_number(text: &str) -> Result<u32, ParseNameError> {
    let number = u32::from_str_radix(text, 16).map_err(|_| ParseNameError)?;
    if format!("{number:08x}") == text {
        Ok(number)
    } else {
        Err(ParseNameError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_from_its_text() {
        let session = SessionId([0xab; 16]);
        let names = [
            ObjectName::Config(1),
            ObjectName::Key(SlotId([7; 16])),
            ObjectName::Intent(session),
            ObjectName::Pack {
                session,
                number: 0x10,
                class: PackClass::Data,
            },
            ObjectName::Pack {
                session,
                number: u32::MAX,
                class: PackClass::Meta,
            },
            ObjectName::Index { session, number: 3 },
            ObjectName::Snapshot(session),
            ObjectName::Forgotten(session),
            ObjectName::Protected { session, number: 2 },
            ObjectName::Boot { session, number: 0 },
            ObjectName::Prune(PruneStep::Seal, 9),
        ];
        for name in names {
            assert_eq!(name.to_string().parse(), Ok(name), "{name}");
            assert!(name.to_string().starts_with(name.kind().folder()));
        }
    }

    #[test]
    fn a_second_spelling_of_a_name_is_refused() {
        for text in [
            "config/1",
            "config/+0000001",
            "config/0000000A",
            "packs/x",
            "other/00000001",
        ] {
            assert_eq!(text.parse::<ObjectName>(), Err(ParseNameError), "{text}");
        }
    }
}
