//! One window to the target: chunks fetched in pack order and by several threads, gathered into
//! long runs, each written at its last chunk; in place only the blocks of it that differ.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::error::Result;
use crate::limits::{KIB, MIB};
use crate::operations::restore_volume::job::Job;
use crate::operations::restore_volume::plan::{Fill, Loss, Piece, Zeros};
use crate::pipeline::fetch::{self, Wanted};
use crate::targets::volume::VolumeTarget;

/// A run of data is written at once from this length on.
pub(super) const BATCH_LEN: u64 = 2 * MIB as u64;

/// What is written at least where blocks are compared: a page of the kernel's cache.
const BLOCK_LEN: u64 = 4 * KIB as u64;

/// Writes windows; keeps the buffers from one to the next.
pub(super) struct Writer<'w> {
    job: &'w Job<'w>,
    target: &'w VolumeTarget,
    in_place: bool,
    buffers: Mutex<Vec<Vec<u8>>>,
    /// Bytes of chunks that differ which the target holds all the same.
    spared: AtomicU64,
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
    pub(super) fn new(job: &'w Job<'w>, target: &'w VolumeTarget, in_place: bool) -> Self {
        Self {
            job,
            target,
            in_place,
            buffers: Mutex::default(),
            spared: AtomicU64::new(0),
        }
    }

    /// Bytes that were not written because they were right already.
    pub(super) fn spared(&self) -> u64 {
        self.spared.load(Ordering::Relaxed)
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
        if self.in_place {
            self.write_differing(range.start, &buffer)?;
        } else {
            self.target.write_at(range.start, &buffer)?;
        }
        self.buffers.lock().push(buffer);
        Ok(())
    }

    /// Writes the blocks of `wanted` that the target does not hold from `start` on.
    fn write_differing(&self, start: u64, wanted: &[u8]) -> Result<()> {
        let mut found = self.buffers.lock().pop().unwrap_or_default();
        found.resize(wanted.len(), 0);
        if self.target.read_at(start, &mut found).is_err() {
            return self.target.write_at(start, wanted);
        }
        let mut run = 0..0;
        let mut at = 0;
        while at < wanted.len() {
            let rest = BLOCK_LEN - (start + at as u64) % BLOCK_LEN;
            let end = wanted.len().min(at + rest as usize);
            if wanted[at..end] != found[at..end] {
                if run.end != at {
                    self.write_run(start, wanted, &run)?;
                    run.start = at;
                }
                run.end = end;
            } else {
                self.spared.fetch_add((end - at) as u64, Ordering::Relaxed);
            }
            at = end;
        }
        self.write_run(start, wanted, &run)?;
        self.buffers.lock().push(found);
        Ok(())
    }

    fn write_run(&self, start: u64, wanted: &[u8], run: &Range<usize>) -> Result<()> {
        match run.is_empty() {
            true => Ok(()),
            false => {
                let at = start + run.start as u64;
                self.target.write_at(at, &wanted[run.clone()])
            }
        }
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
