//! Concurrency, here and nowhere else: threads, queues, and one budget of memory.
//!
//! ```text
//! caller (walks, builds the manifest)            bounded queue of jobs
//!    | submit(job) -> ticket --------------------------------> worker 0..n: read, chunk, hash,
//!    | ticket.wait(), in order <-- results                     known? frame, compress, seal, verify
//!    |                                                              | full packs
//!    | pages of the manifest -------------------------------------> | queue of one
//!                                                                storing thread: encode, put, index
//! ```
//! What the walk comes to next is found out by helpers ahead of it, in its order: `explore`. Work
//! that comes from outside, whenever it likes, finds a bounded number of threads: `crew`. What cannot
//! leave its thread has one to itself: `alone`.
//!
//! A worker runs a batch of files, or a segment of a large one, to its end: half a megabyte stays
//! in its cache instead of moving between threads.
//!
//! Below: `repository`. Above: `operations`, which joins it with sources and targets.

pub(crate) mod alone;
pub(crate) mod behind;
pub mod budget;
pub(crate) mod crew;
pub mod explore;
pub mod fetch;
pub mod ingest;
pub mod parallel;
pub(crate) mod pool;
pub(crate) mod ranges;
mod segments;
pub(crate) mod sequence;
pub(crate) mod stream;
pub mod volume;
mod worker;

pub use segments::{SegmentResult, submit_run};
pub(crate) use worker::is_zero;
pub use worker::{IngestError, ReadAt, Worker};

use crate::error::{Error, ErrorKind, Place};

/// The caller asked to stop.
pub(crate) fn cancelled() -> Error {
    Error::new(
        ErrorKind::Cancelled,
        Place::Repository,
        "stopped on request",
    )
}
