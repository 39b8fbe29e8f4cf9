//! One large run of data, read and chunked by all workers at once.
//!
//! Where a chunk may end depends on the bytes before it alone, so every segment is scanned on its
//! own. Which of these places are cuts depends on where the chunk began: that one number is handed
//! from segment to segment, and takes microseconds beside the milliseconds of the scan. So cuts are
//! the same for any number of threads.

use std::ops::Range;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::error::Result;
use crate::format::entry::Extent;
use crate::pipeline::ingest::{Ingest, Ticket};
use crate::pipeline::worker::{IngestError, ReadAt, Segment};

/// The extents of one segment, or why the source could not be read.
pub type SegmentResult = std::result::Result<Vec<Extent>, std::io::Error>;

/// Queues the segments of `run` in order and gives each ticket to `each` as soon as it is queued.
pub fn submit_run<'s>(
    ingest: &Ingest<'s>,
    reader: &Arc<dyn ReadAt>,
    run: Range<u64>,
    mut each: impl FnMut(Ticket<SegmentResult>) -> Result<()>,
) -> Result<()> {
    let segment_len = ingest.budget().segment_len as u64;
    let (begin, mut first) = bounded::<u64>(1);
    let _ = begin.send(run.start);
    let mut start = run.start;
    while start < run.end {
        let end = start.saturating_add(segment_len).min(run.end);
        let segment = Segment {
            start,
            end,
            run_end: run.end,
        };
        let (pass_on, next_first) = bounded::<u64>(1);
        let reader = Arc::clone(reader);
        let job_first = std::mem::replace(&mut first, next_first);
        each(ingest.submit(move |worker| {
            let begins = || wait_for(&job_first);
            let behind = |at| hand_on(&pass_on, at);
            match worker.ingest_segment(&*reader, segment, begins, behind) {
                Ok(extents) => Ok(Ok(extents)),
                Err(IngestError::Source(error)) => Ok(Err(error)),
                Err(IngestError::Store(error)) => Err(error),
            }
        })?)?;
        start = end;
    }
    Ok(())
}

/// Segments are queued in order, so the one before is always in work or done. If it could not be
/// read, neither can this one begin: the whole content is given up for the same reason.
fn wait_for(first: &Receiver<u64>) -> Result<u64, IngestError> {
    first.recv().map_err(|_| {
        IngestError::Source(std::io::Error::other(
            "an earlier part of it could not be read",
        ))
    })
}

fn hand_on(next: &Sender<u64>, at: u64) {
    // Nobody waits behind the last segment.
    let _ = next.send(at);
}
