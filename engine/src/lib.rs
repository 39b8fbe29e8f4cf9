//! blockstore: a content-addressed, deduplicating, encrypted block store for folders and volumes.

pub mod error;
pub mod format;
pub mod limits;
pub mod observe;
pub mod operations;
pub mod pipeline;
pub mod repository;
pub mod sources;
pub mod storage;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod targets;
pub mod transform;
