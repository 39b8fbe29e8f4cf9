//! Why something was rejected: the classes of FORMAT.md section 1, with a place and a sentence.

use std::fmt;

/// The class of a rejection. Two decoders have to agree on it; the sentence is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Bytes end early.
    Truncated,
    /// Bytes changed.
    BadChecksum,
    /// A version that is not 1.
    UnknownVersion,
    /// A flag that a reader must know.
    UnknownRequiredFlag,
    /// A length, count or level that no writer may produce.
    LimitExceeded,
    /// Everything else that is wrong with bytes.
    Malformed,
    /// The bytes may be right: this key does not open them.
    WrongKey,
    /// Something that is named and is not there.
    Missing,
    /// The operating system refused to read or write. Not a finding about the format.
    Medium,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Truncated => "truncated",
            Fault::BadChecksum => "bad checksum",
            Fault::UnknownVersion => "unknown version",
            Fault::UnknownRequiredFlag => "unknown required flag",
            Fault::LimitExceeded => "limit exceeded",
            Fault::Malformed => "malformed",
            Fault::WrongKey => "wrong key",
            Fault::Missing => "missing",
            Fault::Medium => "medium",
        })
    }
}

/// One rejection: its class, where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The class.
    pub fault: Fault,
    /// The object, structure or path, with an offset where one is known.
    pub place: String,
    /// One sentence without a period.
    pub sentence: String,
}

impl Rejection {
    /// A rejection of class `fault` at `place`.
    pub fn new(fault: Fault, place: impl Into<String>, sentence: impl Into<String>) -> Self {
        Rejection {
            fault,
            place: place.into(),
            sentence: sentence.into(),
        }
    }

    /// What the operating system said about `place`.
    pub fn io(place: impl Into<String>, error: &std::io::Error) -> Self {
        let fault = match error.kind() {
            std::io::ErrorKind::NotFound => Fault::Missing,
            _ => Fault::Medium,
        };
        Rejection::new(fault, place, error.to_string())
    }

    /// The same rejection, found inside of `outer`.
    pub fn within(mut self, outer: &str) -> Self {
        self.place = format!("{outer}: {}", self.place);
        self
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.fault, self.sentence)
    }
}

impl std::error::Error for Rejection {}

/// A value, or why there is none.
pub type Result<T> = std::result::Result<T, Rejection>;
