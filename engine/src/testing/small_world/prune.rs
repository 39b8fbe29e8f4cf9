//! The prune that runs beside writers: what stands here is what all schedules are run with.

use crate::error::Result;
use crate::repository::Repository;
use crate::testing::small_world::toy;

/// Deletes what no snapshot needs, on one thread.
///
/// # Errors
/// As of the repository.
pub fn prune(repository: &Repository) -> Result<()> {
    toy::collect(repository)
}
