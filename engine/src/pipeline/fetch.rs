//! Many chunks in the order of the packs: each frame is read once, neighbours in one request.

use std::ops::Range;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::id::ChunkId;
use crate::format::name::PackClass;
use crate::limits::{KIB, MIB};
use crate::observe::Observer;
use crate::pipeline::parallel;
use crate::repository::chunks::{ChunkPlace, ChunkReader, FrameBuffers, FrameRef};

/// Longest range read at once.
const REQUEST_LEN_MAX: u64 = 2 * MIB as u64;
/// Bytes between two wanted frames that are cheaper read than skipped.
const GAP_LEN_MAX: u64 = 128 * KIB as u64;

/// How often what a request wants is looked for elsewhere because its pack is gone.
const MOVES_MAX: u32 = 4;

/// A chunk that is wanted, and what the caller wants it for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<T> {
    /// Its id.
    pub id: ChunkId,
    /// Where a copy lies.
    pub place: ChunkPlace,
    /// The caller's own.
    pub tag: T,
}

/// Where a copy of the chunk `id` of `len` bytes lies, or the error that says why it is lost.
///
/// # Errors
/// Of the medium as a whole.
pub fn locate(
    reader: &ChunkReader<'_>,
    id: &ChunkId,
    len: u64,
) -> Result<std::result::Result<ChunkPlace, Error>> {
    let lost = |kind, detail| Err(Error::new(kind, Place::Chunk(*id), detail));
    Ok(match reader.find(id, PackClass::Data)? {
        Some(place) if u64::from(place.len) == len => Ok(place),
        Some(_) => lost(
            ErrorKind::Damaged,
            "content does not have the length it should",
        ),
        None => lost(ErrorKind::NotFound, "content is missing: no pack holds it"),
    })
}

/// Fetches all of `wanted` on several threads and gives each, verified, to `sink`, or the error
/// that no copy of it could be had.
///
/// # Errors
/// The first that `sink` returns, or of the medium as a whole.
pub fn fetch<T: Copy + Send + Sync>(
    reader: &ChunkReader<'_>,
    threads: usize,
    mut wanted: Vec<Wanted<T>>,
    observer: &dyn Observer,
    sink: impl Fn(&Wanted<T>, Result<&[u8]>) -> Result<()> + Sync,
) -> Result<()> {
    // Frames are numbered in the order of their packs.
    wanted.sort_unstable_by_key(|chunk| (chunk.place.frame, chunk.place.offset));
    let requests = requests_of(reader, &wanted);
    let one = |buffers: &mut FrameBuffers, request: &Range<usize>| {
        if observer.is_cancelled() {
            return Err(crate::pipeline::cancelled());
        }
        fetch_request(reader, &wanted[request.clone()], buffers, &sink)
    };
    parallel::run(threads, &requests, FrameBuffers::default, one).map(drop)
}

/// Splits `wanted` into runs of frames that lie close together in one pack.
fn requests_of<T>(reader: &ChunkReader<'_>, wanted: &[Wanted<T>]) -> Vec<Range<usize>> {
    let mut requests: Vec<Range<usize>> = Vec::new();
    let mut reach: Option<(FrameRef, u64, u64)> = None;
    for (index, chunk) in wanted.iter().enumerate() {
        let frame = chunk.place.frame;
        let (start, end) = reader.frame_range(frame);
        let joins = reach.is_some_and(|(first, first_start, last_end)| {
            frame == first
                || (reader.same_pack(first, frame)
                    && start >= first_start
                    && start.saturating_sub(last_end) <= GAP_LEN_MAX
                    && end - first_start <= REQUEST_LEN_MAX)
        });
        match (&mut reach, requests.last_mut()) {
            (Some((_, _, last_end)), Some(request)) if joins => {
                request.end = index + 1;
                *last_end = end.max(*last_end);
            }
            _ => {
                requests.push(index..index + 1);
                reach = Some((frame, start, end));
            }
        }
    }
    requests
}

/// Where everything lies that a request wants from a pack that is gone, in the order of packs;
/// nothing if some of it is nowhere else.
fn moved<T: Copy>(
    reader: &ChunkReader<'_>,
    wanted: &[Wanted<T>],
) -> Result<Option<Vec<Wanted<T>>>> {
    let mut moved = wanted.to_vec();
    for chunk in &mut moved {
        match reader.find_moved(&chunk.id, PackClass::Data, chunk.place.frame)? {
            Some(place) => chunk.place = place,
            None => return Ok(None),
        }
    }
    moved.sort_unstable_by_key(|chunk| (chunk.place.frame, chunk.place.offset));
    Ok(Some(moved))
}

fn fetch_request<T: Copy>(
    reader: &ChunkReader<'_>,
    wanted: &[Wanted<T>],
    buffers: &mut FrameBuffers,
    sink: &impl Fn(&Wanted<T>, Result<&[u8]>) -> Result<()>,
) -> Result<()> {
    fetch_again(reader, wanted, buffers, sink, MOVES_MAX)
}

/// `moves`: how often the pack of a request may be gone, and what it held be looked for elsewhere.
fn fetch_again<T: Copy>(
    reader: &ChunkReader<'_>,
    wanted: &[Wanted<T>],
    buffers: &mut FrameBuffers,
    sink: &impl Fn(&Wanted<T>, Result<&[u8]>) -> Result<()>,
    moves: u32,
) -> Result<()> {
    let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else {
        return Ok(());
    };
    let range = reader.read_frames(first.place.frame, last.place.frame, buffers);
    let is_gone = |error: &Error| error.kind() == ErrorKind::NotFound;
    if range.as_ref().is_err_and(is_gone)
        && moves > 0
        && let Some(moved) = moved(reader, wanted)?
    {
        let requests = requests_of(reader, &moved);
        return requests.into_iter().try_for_each(|request| {
            fetch_again(reader, &moved[request], buffers, sink, moves - 1)
        });
    }
    for of_frame in wanted.chunk_by(|a, b| a.place.frame == b.place.frame) {
        let frame = of_frame[0].place.frame;
        let opened = match &range {
            Ok(start) => reader.open_from_range(frame, *start, buffers),
            Err(_) => reader.read_one_frame(frame, buffers),
        };
        for of_chunk in of_frame.chunk_by(|a, b| a.id == b.id && a.place == b.place) {
            let chunk = &of_chunk[0];
            let found = match &opened {
                Ok(()) => reader.verified(&chunk.id, &chunk.place, &buffers.plain),
                Err(_) => None,
            };
            match found {
                Some(bytes) => of_chunk.iter().try_for_each(|one| sink(one, Ok(bytes)))?,
                // This copy is damaged: another may be whole, or the error says what is lost.
                None => {
                    for one in of_chunk {
                        match reader.chunk(&one.id) {
                            Ok(bytes) => sink(one, Ok(&bytes))?,
                            Err(error) => sink(one, Err(error))?,
                        }
                    }
                }
            }
        }
    }
    Ok(())
}
