//! What one session has stored and indexed so far: found in segments of this machine, so that a
//! session remembers no more ids in memory than one index run holds, however much it stores.
//!
//! The files are those that the next start reads anyway. A part that turns out to be damaged makes
//! an id look absent: it is stored twice then, never left out.

use parking_lot::{RwLock, RwLockUpgradableReadGuard};

use crate::format::id::ChunkId;
use crate::format::index_run::IndexRun;
use crate::repository::index::local::LocalIndex;
use crate::repository::index::segment::Segment;
use crate::repository::index::{build, first_to_merge};

/// The runs that a session has stored.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Largest first.
    segments: RwLock<Vec<Segment>>,
}

impl Written {
    /// True if a run that was taken in speaks of `id`.
    pub(crate) fn contains(&self, id: &ChunkId) -> bool {
        let segments = self.segments.read();
        segments.iter().any(|segment| !segment.find(id).is_empty())
    }

    /// Takes in a run that was stored. False if it could not be kept: its ids are not found here.
    pub(crate) fn add(&self, local: &LocalIndex, run: &IndexRun) -> bool {
        let Some(segment) = local.keep(&[build::from_run(run)]) else {
            return false;
        };
        self.segments.write().push(segment);
        self.merge_small(local);
        true
    }

    /// Merges those that are small beside each other, so that few are asked for an id. Ids are
    /// found meanwhile.
    fn merge_small(&self, local: &LocalIndex) {
        let segments = self.segments.upgradable_read();
        let first = first_to_merge(&segments);
        if segments.len() - first < 2 {
            return;
        }
        let Some(merged) = local.keep(&segments[first..]) else {
            return;
        };
        let mut segments = RwLockUpgradableReadGuard::upgrade(segments);
        let small = segments.split_off(first);
        segments.push(merged);
        small.iter().for_each(|segment| local.forget(segment));
    }
}
