//! blockstore: a content-addressed, deduplicating, encrypted block store.
//!
//! Folders are captured as *snapshots*: manifests over chunks that are stored once, compressed and
//! sealed in append-only packs. Every snapshot is a full one; none depends on another.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use blockstore::{
//!     CheckOptions, CreateOptions, LocalBackend, Repository, RestoreOptions, SnapshotOptions,
//!     Timestamp, UnlockSecret,
//! };
//!
//! fn now() -> Timestamp {
//!     Timestamp { seconds: 1_790_000_000, nanoseconds: 0 }
//! }
//!
//! fn main() -> blockstore::Result<()> {
//!     let secret = UnlockSecret::password("correct horse");
//!     let backend = Arc::new(LocalBackend::create("/backup/repository".as_ref())?);
//!     let repository = Repository::create(backend, &secret, &CreateOptions::new(1_790_000_000))?;
//!
//!     let options = SnapshotOptions::new(now);
//!     let made = blockstore::snapshot(&repository, &["/home/ana".into()], &options, &())?;
//!
//!     let report = blockstore::check(&repository, &CheckOptions::default(), &())?;
//!     assert!(report.is_sound());
//!
//!     let target = "restored".as_ref();
//!     blockstore::restore(&repository, &made.snapshot, b"", target, &RestoreOptions::default(), &())?;
//!     Ok(())
//! }
//! ```
//!
//! # Floors
//!
//! A module imports from those above it in this list only; a test reads the imports.
//!
//! | floor | what |
//! |---|---|
//! | [`limits`], [`mutants`] | every maximum and default; known mistakes, which only tests switch on |
//! | [`format`](mod@format) | bytes and values: no I/O, no clock, no thread |
//! | [`transform`] | pure bytes to bytes: chunk, hash, compress, seal |
//! | [`error`], [`observe`] | what went wrong and where; what the engine tells |
//! | `system` | what the kernel says of mounts and block devices |
//! | [`storage`] | named write-once objects on a medium |
//! | [`repository`] | objects become meaning: keys, packs, index, manifests, sessions |
//! | [`pipeline`] | threads, and one budget of memory |
//! | [`sources`], [`targets`] | folders and volumes, read and written |
//! | [`operations`] | one verb per file |
//! | [`serve`] | snapshots used where they lie |

pub mod error;
pub mod format;
pub mod limits;
pub mod mutants;
pub mod observe;
pub mod operations;
pub mod pipeline;
pub mod repository;
pub mod serve;
pub mod sources;
pub mod storage;
mod system;
pub mod targets;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod transform;

pub use error::{Error, ErrorKind, Place, Result};
pub use format::entry::Timestamp;
pub use format::snapshot::Snapshot;
pub use observe::{Counter, Observer, Problem, ProblemKind};
pub use operations::bench::{BenchOptions, BenchParts, BenchReport, BenchSource, bench};
pub use operations::cat::cat;
pub use operations::check::{CheckOptions, CheckReport, check};
pub use operations::diff::{DiffReport, Difference, diff};
pub use operations::find::{FindReport, FoundEntry, Pattern, find};
pub use operations::forget::{ForgetOptions, ForgetReport, forget};
pub use operations::list::{ListReport, Listed, list};
pub use operations::merge::{MergeMode, MergeOptions, MergeReport, merge};
pub use operations::protect::{ProtectOptions, ProtectReport, protect};
pub use operations::prune::{MaxUnused, PruneOptions, PruneReport, prune};
pub use operations::record_boot::record_boot;
pub use operations::repair_index::{RepairIndexOptions, RepairIndexReport, repair_index};
pub use operations::restore::{RestoreOptions, RestoreReport, restore};
pub use operations::restore_volume::{
    ExportFormat, ExportVolumeOptions, RestoreVolumeOptions, RestoreVolumeReport,
    VerifyVolumeOptions, VerifyVolumeReport, export_volume, restore_volume, verify_volume,
};
pub use operations::snapshot::{ParentChoice, SnapshotOptions, SnapshotReport, snapshot};
pub use operations::stats::{StatsReport, stats};
pub use operations::undelete::{UndeleteReport, undelete};
pub use operations::versions::{Version, VersionsReport, versions};
pub use repository::keys::UnlockSecret;
pub use repository::{CreateOptions, Repository};
pub use storage::Backend;
pub use storage::local::LocalBackend;
pub use storage::memory::MemoryBackend;
