//! How much is stored, and how well it is shared.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::name::ObjectKind;
use crate::repository::Repository;

/// Sums over a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsReport {
    /// Objects and their stored bytes, by kind.
    pub objects: Vec<(ObjectKind, u64, u64)>,
    /// Snapshots.
    pub snapshots: u64,
    /// Lengths of the contents of all snapshots, bytes.
    pub logical_bytes: u64,
    /// Distinct chunks.
    pub chunks: u64,
    /// Their plaintext, bytes.
    pub chunk_bytes: u64,
    /// Distinct pages.
    pub pages: u64,
    /// Their plaintext, bytes.
    pub page_bytes: u64,
    /// Stored length of all data packs, bytes.
    pub data_pack_bytes: u64,
    /// Stored length of all meta packs, bytes.
    pub meta_pack_bytes: u64,
}

/// Counts what is stored.
pub fn stats(_repository: &Repository) -> Result<StatsReport> {
    Err(Error::new(
        ErrorKind::Unsupported,
        Place::Repository,
        "stub",
    ))
}
