//! What in the target differs from the volume: read in long runs, by several threads.

use std::ops::Range;

use crate::error::Result;
use crate::limits::KIB;
use crate::operations::restore_volume::job::Job;
use crate::operations::restore_volume::plan::{Fill, Piece};
use crate::operations::restore_volume::write::{BATCH_LEN, goes_on};
use crate::pipeline::{is_zero, parallel};
use crate::targets::volume::VolumeTarget;

/// Unit in which zeros are compared, and written where there are none.
const GRAIN_LEN: usize = 64 * KIB;

/// The parts of a window that the target does not hold.
#[derive(Debug, Default)]
pub(super) struct Differing {
    pub pieces: Vec<Piece>,
    pub fills: Vec<Fill>,
    /// Bytes of the target that were read.
    pub read: u64,
}

/// What one thread compares at once.
enum Task<'t> {
    /// Neighbouring pieces.
    Pieces(&'t [Piece]),
    /// A range that should read as zeros, and what it is part of.
    Zeros(Range<u64>, &'t Fill),
}

/// Compares `pieces` and `fills` with the target. What cannot be read there differs.
pub(super) fn differing(
    job: &Job<'_>,
    target: &VolumeTarget,
    pieces: &[Piece],
    fills: &[Fill],
) -> Result<Differing> {
    let mut tasks: Vec<Task<'_>> = runs_of(pieces).into_iter().map(Task::Pieces).collect();
    for fill in fills {
        add_zeros(job, target, fill, &mut tasks);
    }
    let found = parallel::run(job.budget.threads, &tasks, Vec::new, |buffer, task| {
        job.check_cancelled()?;
        match task {
            Task::Pieces(run) => compare_pieces(job, target, run, buffer),
            Task::Zeros(range, fill) => Ok(compare_zeros(job, target, range, fill, buffer)),
        }
    })?;
    let mut all = Differing::default();
    for one in found {
        all.pieces.extend(one.pieces);
        all.fills.extend(one.fills);
        all.read += one.read;
    }
    Ok(all)
}

/// Pieces as runs of neighbours.
fn runs_of(pieces: &[Piece]) -> Vec<&[Piece]> {
    let mut runs = Vec::new();
    let (mut start, mut run) = (0, 0..0);
    for (index, piece) in pieces.iter().enumerate() {
        if index > start && goes_on(&run, piece) {
            run.end = piece.end();
            continue;
        }
        if index > start {
            runs.push(&pieces[start..index]);
        }
        (start, run) = (index, piece.range());
    }
    if start < pieces.len() {
        runs.push(&pieces[start..]);
    }
    runs
}

/// The parts of a fill that the target does not know to be a hole.
fn add_zeros<'t>(job: &Job<'_>, target: &VolumeTarget, fill: &'t Fill, tasks: &mut Vec<Task<'t>>) {
    for run in target.data_runs(&job.in_target(&fill.range)) {
        let mut at = run.start;
        while at < run.end {
            let end = run.end.min(at + BATCH_LEN);
            tasks.push(Task::Zeros(at..end, fill));
            at = end;
        }
    }
}

fn compare_pieces(
    job: &Job<'_>,
    target: &VolumeTarget,
    run: &[Piece],
    buffer: &mut Vec<u8>,
) -> Result<Differing> {
    let (Some(first), Some(last)) = (run.first(), run.last()) else {
        return Ok(Differing::default());
    };
    let range = job.in_target(&(first.at..last.end()));
    let mut differing = Differing {
        read: range.end - range.start,
        ..Differing::default()
    };
    buffer.resize((range.end - range.start) as usize, 0);
    if target.read_at(range.start, buffer).is_err() {
        differing.pieces.extend_from_slice(run);
        return Ok(differing);
    }
    for piece in run {
        let within = (piece.at - first.at) as usize;
        let bytes = &buffer[within..within + piece.len as usize];
        if !is_equal(job, piece, bytes)? {
            differing.pieces.push(*piece);
        }
    }
    Ok(differing)
}

/// True if `bytes` are what `piece` says; of a part of a chunk only the chunk knows.
fn is_equal(job: &Job<'_>, piece: &Piece, bytes: &[u8]) -> Result<bool> {
    if !piece.is_cut() {
        let id_key = job.reader.repository().keys().chunk_id();
        return Ok(id_key.id_of(bytes) == piece.id);
    }
    let chunk = job.cut_chunk(piece)?;
    Ok(chunk.is_ok_and(|chunk| piece.of(&chunk) == bytes))
}

/// The grains of `range`, in the target, that are not zero.
fn compare_zeros(
    job: &Job<'_>,
    target: &VolumeTarget,
    range: &Range<u64>,
    fill: &Fill,
    buffer: &mut Vec<u8>,
) -> Differing {
    let mut differing = Differing {
        read: range.end - range.start,
        ..Differing::default()
    };
    buffer.resize((range.end - range.start) as usize, 0);
    let readable = target.read_at(range.start, buffer).is_ok();
    let mut at = range.start;
    for grain in buffer.chunks(GRAIN_LEN) {
        let end = at + grain.len() as u64;
        if !readable || !is_zero(grain) {
            let range = job.in_volume(&(at..end));
            match differing.fills.last_mut() {
                Some(last) if last.range.end == range.start => last.range.end = range.end,
                _ => differing.fills.push(Fill {
                    range,
                    ..fill.clone()
                }),
            }
        }
        at = end;
    }
    differing
}
