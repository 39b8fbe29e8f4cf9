//! One window to the target: chunks fetched in pack order and by several threads, gathered into
//! long runs, each written at its last chunk.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::error::Result;
use crate::limits::MIB;
use crate::operations::restore_volume::job::Job;
use crate::operations::restore_volume::plan::{Fill, Loss, Piece, Zeros};
use crate::pipeline::fetch::{self, Wanted};
use crate::targets::volume::VolumeTarget;

/// A run of data is written at once from this length on.
pub(super) const BATCH_LEN: u64 = 2 * MIB as u64;

/// Writes windows; keeps the buffers from one to the next.
pub(super) struct Writer<'w> {
    job: &'w Job<'w>,
    target: &'w VolumeTarget,
    buffers: Mutex<Vec<Vec<u8>>>,
}

/// Neighbouring pieces that are written at once.
struct Batch {
    /// Where they lie in the volume.
    range: Range<u64>,
    /// Pieces that have not come.
    missing: AtomicUsize,
    buffer: Mutex<Vec<u8>>,
}

/// Where a chunk goes.
#[derive(Clone, Copy)]
struct Spot {
    batch: u32,
    piece: Piece,
}

impl<'w> Writer<'w> {
    pub(super) fn new(job: &'w Job<'w>, target: &'w VolumeTarget) -> Self {
        let buffers = Mutex::default();
        Self {
            job,
            target,
            buffers,
        }
    }

    /// Writes `pieces` and `fills`. What cannot be had is zeroed and returned.
    pub(super) fn write(&self, pieces: &[Piece], fills: &[Fill]) -> Result<Vec<Loss>> {
        for fill in fills {
            self.job.check_cancelled()?;
            let range = self.job.in_target(&fill.range);
            self.target.clear(range, fill.zeros != Zeros::Allocated)?;
        }
        let mut losses = Vec::new();
        let (mut batches, mut wanted) = (Vec::<Batch>::new(), Vec::with_capacity(pieces.len()));
        for piece in pieces {
            match fetch::locate(&self.job.reader, &piece.id, piece.chunk_len.into())? {
                Ok(place) => {
                    let batch = join(&mut batches, piece);
                    wanted.push(Wanted {
                        id: piece.id,
                        place,
                        tag: Spot {
                            batch,
                            piece: *piece,
                        },
                    });
                }
                Err(error) => {
                    let range = piece.range();
                    self.target.clear(self.job.in_target(&range), true)?;
                    losses.push(Loss { range, error });
                }
            }
        }
        let late_losses = self.fetch(wanted, &batches)?;
        losses.extend(late_losses);
        Ok(losses)
    }

    fn fetch(&self, wanted: Vec<Wanted<Spot>>, batches: &[Batch]) -> Result<Vec<Loss>> {
        let losses = Mutex::new(Vec::new());
        let (job, threads) = (self.job, self.job.budget.threads);
        fetch::fetch(
            &job.reader,
            threads,
            wanted,
            job.observer,
            |chunk, bytes| {
                let Spot { batch, piece } = chunk.tag;
                let batch = &batches[batch as usize];
                match bytes {
                    Ok(bytes) => self.place(batch, &piece, bytes),
                    Err(error) => {
                        let range = piece.range();
                        losses.lock().push(Loss { range, error });
                    }
                }
                self.done_with_one(batch)
            },
        )?;
        Ok(losses.into_inner())
    }

    fn place(&self, batch: &Batch, piece: &Piece, chunk: &[u8]) {
        let mut buffer = batch.buffer.lock();
        self.prepare(&mut buffer, batch);
        let within = (piece.at - batch.range.start) as usize;
        let wanted = piece.of(chunk);
        buffer[within..within + wanted.len()].copy_from_slice(wanted);
    }

    /// A buffer of zeros for a batch that has none yet.
    fn prepare(&self, buffer: &mut Vec<u8>, batch: &Batch) {
        if buffer.is_empty() {
            *buffer = self.buffers.lock().pop().unwrap_or_default();
            buffer.clear();
            buffer.resize((batch.range.end - batch.range.start) as usize, 0);
        }
    }

    fn done_with_one(&self, batch: &Batch) -> Result<()> {
        if batch.missing.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut *batch.buffer.lock());
        self.prepare(&mut buffer, batch);
        let range = self.job.in_target(&batch.range);
        self.target.write_at(range.start, &buffer)?;
        self.buffers.lock().push(buffer);
        Ok(())
    }
}

/// Adds a piece to the last batch, if it goes on there, or to a new one.
fn join(batches: &mut Vec<Batch>, piece: &Piece) -> u32 {
    match batches.last_mut() {
        Some(last) if goes_on(&last.range, piece) => {
            last.range.end = piece.end();
            *last.missing.get_mut() += 1;
        }
        _ => batches.push(Batch {
            range: piece.range(),
            missing: AtomicUsize::new(1),
            buffer: Mutex::default(),
        }),
    }
    // A window has fewer pieces than 2^32.
    batches.len() as u32 - 1
}

/// True if `piece` lies behind a run that is not long enough yet.
pub(super) fn goes_on(run: &Range<u64>, piece: &Piece) -> bool {
    run.end == piece.at && run.end - run.start < BATCH_LEN
}
