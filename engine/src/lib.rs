//! blockstore: a content-addressed, deduplicating, encrypted block store for folders and volumes.

pub mod error;
pub mod format;
pub mod limits;
pub mod observe;
pub mod sources;
pub mod storage;
pub mod transform;
