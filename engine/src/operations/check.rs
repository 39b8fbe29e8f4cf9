//! Is everything there, and whole?

use crate::error::{Error, ErrorKind, Place, Result};
use crate::observe::Observer;
use crate::pipeline::budget::Budget;
use crate::repository::Repository;

/// How thorough a check is.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckOptions {
    /// Read every byte: block checksums, seals, and the id of every chunk.
    pub read_data: bool,
    /// Threads and memory.
    pub budget: Budget,
}

/// One thing that a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it means.
    pub kind: FindingKind,
    /// The object or chunk.
    pub subject: String,
    /// One sentence with expected and found.
    pub detail: String,
    /// Paths that cannot be restored because of it, raw bytes, with their snapshot's id before a
    /// colon; the first of them.
    pub lost_paths: Vec<Vec<u8>>,
}

/// What a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// Bytes disagree with their checksum, seal or id.
    Damaged,
    /// Referenced and not there.
    Missing,
    /// There and not referenced: no error, space that a prune can free.
    Unreferenced,
    /// Derived data is damaged or absent; it can be rebuilt and nothing is lost.
    Rebuildable,
}

/// What a check came to.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// Everything found; the repository is sound if none is damaged or missing.
    pub findings: Vec<Finding>,
    /// Objects that were looked at.
    pub objects: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Snapshots whose manifests were walked.
    pub snapshots: u64,
    /// Snapshots of which something cannot be restored.
    pub damaged_snapshots: u64,
}

impl CheckReport {
    /// True if everything can be restored.
    pub fn is_sound(&self) -> bool {
        let harmless = |finding: &Finding| {
            matches!(
                finding.kind,
                FindingKind::Unreferenced | FindingKind::Rebuildable
            )
        };
        self.findings.iter().all(harmless)
    }
}

/// Checks every snapshot, page and pack.
pub fn check(
    _repository: &Repository,
    _options: &CheckOptions,
    _observer: &dyn Observer,
) -> Result<CheckReport> {
    Err(Error::new(
        ErrorKind::Unsupported,
        Place::Repository,
        "stub",
    ))
}
