//! The prune that runs beside writers in all schedules.

use crate::error::Result;
use crate::format::entry::Timestamp;
use crate::operations::prune::{self, MaxUnused, PruneOptions};
use crate::repository::Repository;
use crate::repository::session::Writer;
use crate::testing::small_world::writer::session_options;

/// Long after every writer: none is left time to come back, which is the hardest for all.
const LATE: Timestamp = Timestamp {
    seconds: 9_000_000_000,
    nanoseconds: 0,
};

/// Deletes what no snapshot needs, and copies whatever shares a pack with it, on one thread.
///
/// # Errors
/// As of the repository.
pub fn prune(repository: &Repository) -> Result<()> {
    let writer = Writer {
        started: LATE,
        ..Writer::default()
    };
    let options = PruneOptions {
        max_unused: MaxUnused::Bytes(0),
        grace_seconds: 0,
        session: session_options(),
        ..PruneOptions::new(writer)
    };
    prune::prune(repository, &options, &()).map(drop)
}
