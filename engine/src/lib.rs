//! blockstore: a content-addressed, deduplicating, encrypted block store for folders and volumes.

pub mod error;
pub mod format;
pub mod limits;
pub mod observe;
pub mod storage;
pub mod targets;
pub mod transform;
