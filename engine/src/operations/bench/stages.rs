//! What the engine does to bytes, one step at a time, on bytes of the source: chunk, hash,
//! compress, seal, verify.
//!
//! The same functions as in a snapshot, on frames as long as there, each by one thread and by all.
//! Deliberately absent: looking ids up, which is nothing beside them.

use std::time::Duration;

use crate::error::Result;
use crate::format::id::RepositoryId;
use crate::format::table::Codec;
use crate::limits::{FRAME_LEN_TARGET, KIB, MIB};
use crate::observe::Observer;
use crate::operations::bench::meter::{Stopwatch, announce};
use crate::operations::bench::report::{Measurement, Probe};
use crate::operations::bench::sample::{Reader, Taken};
use crate::pipeline::{cancelled, is_zero, parallel};
use crate::transform::chunk::{ChunkSizes, Chunker};
use crate::transform::compress::{Compressor, Decompressor};
use crate::transform::derive::Secret;
use crate::transform::hash::IdKey;
use crate::transform::seal::{Aead, Binding, Part, Sealer, Unsealer};

/// Bytes of the sample are kept in pieces of at most this length.
const PIECE_LEN: usize = MIB;
/// Runs of zeros this long are never chunked, and so not measured.
const ZEROS_LEN: usize = 64 * KIB;
const TAG_LEN: usize = crate::format::envelope::TAG_LEN;

/// Measures stages on a sample of the source.
pub(super) struct Stages<'s> {
    pub threads: usize,
    pub level: i32,
    pub aead: Aead,
    /// Each measurement is repeated until it took so long.
    pub time: Duration,
    pub observer: &'s dyn Observer,
}

/// Chunks that are compressed together.
#[derive(Default)]
struct Frame {
    plain: Vec<u8>,
    /// Where chunks end.
    cuts: Vec<usize>,
}

/// A frame on its way to a pack.
struct Coded {
    codec: Codec,
    bytes: Vec<u8>,
}

/// A frame as it is stored, and what it was.
struct Sealed<'f> {
    frame: &'f Frame,
    codec: Codec,
    counter: u64,
    bytes: Vec<u8>,
}

/// At most `len` bytes from all over what was taken, without runs of zeros.
pub(super) fn sample(taken: &Taken, len: usize, observer: &dyn Observer) -> Result<Vec<Vec<u8>>> {
    let tasks = taken.tasks();
    let share = (len as f64 / taken.facts.bytes.max(1) as f64).min(1.0);
    let mut reader = Reader::default();
    let (mut pieces, mut total) = (Vec::new(), 0);
    // Tasks are long: of each its beginning is taken, as much as its share.
    for task in tasks {
        if observer.is_cancelled() {
            return Err(cancelled());
        }
        let task_len: u64 = task.iter().map(|piece| piece.len()).sum();
        let wanted = ((task_len as f64 * share) as usize).clamp(ZEROS_LEN, len);
        let mut bytes = Vec::new();
        for piece in task {
            let room = wanted.saturating_sub(bytes.len());
            if room == 0 {
                break;
            }
            taken.read(&mut reader, &[piece.shortened(room as u64)], &mut |read| {
                bytes.extend_from_slice(read);
            });
        }
        let grains = bytes.chunks(ZEROS_LEN).filter(|grain| !is_zero(grain));
        let bytes = grains.collect::<Vec<_>>().concat();
        pieces.extend(bytes.chunks(PIECE_LEN).map(<[u8]>::to_vec));
        total += bytes.len();
        if total >= len {
            break;
        }
    }
    Ok(pieces)
}

impl Stages<'_> {
    /// All measurements; none where there is nothing but zeros.
    ///
    /// # Errors
    /// If the caller wants no more.
    pub(super) fn measure(&self, pieces: Vec<Vec<u8>>) -> Result<Vec<Measurement>> {
        let mut all = Vec::new();
        if pieces.is_empty() {
            return Ok(all);
        }
        let chunker = Chunker::new(&[7; 32], ChunkSizes::default());
        let bytes = |pieces: &[Vec<u8>]| pieces.iter().map(|piece| piece.len() as u64).sum();
        let of_pieces = Work::new(Probe::Chunk, pieces.len(), bytes(&pieces));
        self.both(
            &mut all,
            of_pieces,
            &pieces,
            || (),
            |(), piece| {
                std::hint::black_box(chunker.cuts(piece).count());
            },
        )?;
        let frames = frames(&chunker, pieces);
        let chunks = frames.iter().map(|frame| frame.cuts.len()).sum();
        let plain_len = frames.iter().map(|frame| frame.plain.len() as u64).sum();
        let id_key = IdKey::new(Secret::from([8; 32]));
        let of_chunks = Work::new(Probe::Hash, chunks, plain_len);
        self.both(
            &mut all,
            of_chunks,
            &frames,
            || (),
            |(), frame| {
                hash(&id_key, &frame.plain, &frame.cuts);
            },
        )?;
        let coded = self.compress(&mut all, &frames, plain_len)?;
        self.seal(&mut all, &frames, &coded, (chunks, plain_len), &id_key)?;
        Ok(all)
    }

    fn compress(
        &self,
        all: &mut Vec<Measurement>,
        frames: &[Frame],
        plain_len: u64,
    ) -> Result<Vec<Coded>> {
        let new_state = || (Compressor::new(self.level), Vec::new());
        let coded = parallel::run(self.threads, frames, new_state, |(zstd, buffer), frame| {
            let (codec, bytes) = zstd.compress(&frame.plain, buffer);
            let bytes = bytes.to_vec();
            Ok(Coded { codec, bytes })
        })?;
        let mut work = Work::new(Probe::Compress, frames.len(), plain_len);
        work.bytes_out = coded.iter().map(|coded| coded.bytes.len() as u64).sum();
        self.both(all, work, frames, new_state, |(zstd, buffer), frame| {
            std::hint::black_box(zstd.compress(&frame.plain, buffer));
        })?;
        Ok(coded)
    }

    fn seal(
        &self,
        all: &mut Vec<Measurement>,
        frames: &[Frame],
        coded: &[Coded],
        (chunks, plain_len): (usize, u64),
        id_key: &IdKey,
    ) -> Result<()> {
        let key = Secret::from([9; 32]);
        let binding = Binding {
            repository: RepositoryId([0; 16]),
            kind: 0,
            part: Part::Frame,
            salt: [0; 32],
        };
        let sealer = Sealer::new(self.aead, &key, binding);
        let mut work = Work::new(
            Probe::Seal,
            coded.len(),
            coded.iter().map(|coded| coded.bytes.len() as u64).sum(),
        );
        work.bytes_out += (coded.len() * TAG_LEN) as u64;
        self.both(all, work, coded, Vec::new, |slot, coded| {
            fill(slot, &coded.bytes);
            std::hint::black_box(sealer.seal(sealer.take_turn(), slot));
        })?;
        let seal = |(frame, coded): (_, &Coded)| {
            let mut bytes = Vec::new();
            fill(&mut bytes, &coded.bytes);
            Sealed {
                frame,
                codec: coded.codec,
                counter: sealer.seal(sealer.take_turn(), &mut bytes),
                bytes,
            }
        };
        let sealed: Vec<_> = frames.iter().zip(coded).map(seal).collect();
        let unsealer = Unsealer::new(self.aead, &key, binding);
        let work = Work::new(Probe::Verify, chunks, plain_len);
        let new_state = || (Decompressor::new(), Vec::new(), Vec::new());
        self.both(
            all,
            work,
            &sealed,
            new_state,
            |(zstd, slot, plain), sealed| {
                slot.clear();
                slot.extend_from_slice(&sealed.bytes);
                let opened = unsealer.unseal(sealed.counter, slot);
                let opened = opened.expect("it was sealed just now");
                let len = sealed.frame.plain.len();
                let plain = zstd.decoded(opened, sealed.codec, len, plain);
                hash(
                    id_key,
                    plain.expect("it was compressed just now"),
                    &sealed.frame.cuts,
                );
            },
        )
    }

    /// By one thread, and by all.
    fn both<T: Sync, S>(
        &self,
        all: &mut Vec<Measurement>,
        work: Work,
        items: &[T],
        new_state: impl Fn() -> S + Sync,
        task: impl Fn(&mut S, &T) + Sync,
    ) -> Result<()> {
        announce(self.observer, work.name())?;
        all.push(self.repeated(work, 1, items, &new_state, &task)?);
        if self.threads > 1 {
            all.push(self.repeated(work, self.threads, items, &new_state, &task)?);
        }
        Ok(())
    }

    /// Once to see how long it takes, and as often as fits the time to measure it.
    fn repeated<T: Sync, S>(
        &self,
        work: Work,
        threads: usize,
        items: &[T],
        new_state: &(impl Fn() -> S + Sync),
        task: &(impl Fn(&mut S, &T) + Sync),
    ) -> Result<Measurement> {
        let run = |rounds: usize| {
            let numbers: Vec<usize> = (0..rounds).flat_map(|_| 0..items.len()).collect();
            let stopwatch = Stopwatch::start();
            parallel::run(threads, &numbers, new_state, |state, number| {
                if self.observer.is_cancelled() {
                    return Err(cancelled());
                }
                task(state, &items[*number]);
                Ok(())
            })?;
            Ok(stopwatch.stop())
        };
        let first = run(1)?;
        let fits = self.time.as_secs_f64() / first.wall.as_secs_f64().max(1e-6);
        let rounds = (fits as usize).clamp(1, ROUNDS_MAX);
        let cost = if rounds > 1 { run(rounds)? } else { first };
        Ok(Measurement {
            probe: work.probe,
            threads,
            items: (work.items * rounds) as u64,
            bytes_in: work.bytes_in * rounds as u64,
            bytes_out: work.bytes_out * rounds as u64,
            cost,
        })
    }
}

/// Most repetitions: tiny samples would need many.
const ROUNDS_MAX: usize = 1_000;

/// One pass over the sample.
#[derive(Clone, Copy)]
struct Work {
    probe: Probe,
    items: usize,
    bytes_in: u64,
    bytes_out: u64,
}

impl Work {
    fn new(probe: Probe, items: usize, bytes: u64) -> Self {
        Self {
            probe,
            items,
            bytes_in: bytes,
            bytes_out: bytes,
        }
    }

    fn name(&self) -> &'static str {
        match self.probe {
            Probe::Chunk => "chunking",
            Probe::Hash => "hashing",
            Probe::Compress => "compression",
            Probe::Seal => "encryption",
            _ => "verification",
        }
    }
}

fn hash(id_key: &IdKey, plain: &[u8], cuts: &[usize]) {
    let mut start = 0;
    for &end in cuts {
        std::hint::black_box(id_key.id_of(&plain[start..end]));
        start = end;
    }
}

fn fill(slot: &mut Vec<u8>, bytes: &[u8]) {
    slot.clear();
    slot.extend_from_slice(bytes);
    slot.extend_from_slice(&[0; TAG_LEN]);
}

/// Chunks gathered as a snapshot gathers them.
fn frames(chunker: &Chunker, pieces: Vec<Vec<u8>>) -> Vec<Frame> {
    let (mut frames, mut frame) = (Vec::new(), Frame::default());
    for piece in pieces {
        let mut start = 0;
        for end in chunker.cuts(&piece) {
            frame.plain.extend_from_slice(&piece[start..end]);
            frame.cuts.push(frame.plain.len());
            start = end;
            if frame.plain.len() >= FRAME_LEN_TARGET {
                frames.push(std::mem::take(&mut frame));
            }
        }
    }
    if !frame.plain.is_empty() {
        frames.push(frame);
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn stages(observer: &dyn Observer) -> Stages<'_> {
        Stages {
            threads: 2,
            level: 1,
            aead: Aead::fastest_here(),
            time: Duration::ZERO,
            observer,
        }
    }

    #[test]
    fn every_stage_is_measured_by_one_thread_and_by_all_on_the_same_bytes() {
        let pieces = vec![b"all work and no play ".repeat(40_000), vec![1; 70_000]];
        let len = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        let all = stages(&()).measure(pieces).unwrap();
        let probes = [
            Probe::Chunk,
            Probe::Hash,
            Probe::Compress,
            Probe::Seal,
            Probe::Verify,
        ];
        let expected = probes.iter().flat_map(|probe| [(*probe, 1), (*probe, 2)]);
        let found: Vec<_> = all.iter().map(|one| (one.probe, one.threads)).collect();
        assert_eq!(found, expected.collect::<Vec<_>>());
        for one in &all {
            assert!(one.items > 0 && one.bytes_out > 0, "{one:?}");
            assert!(one.probe == Probe::Seal || one.bytes_in == len, "{one:?}");
        }
        let compressed = all.iter().find(|one| one.probe == Probe::Compress).unwrap();
        let sealed = all.iter().find(|one| one.probe == Probe::Seal).unwrap();
        assert!(compressed.ratio() < 0.1);
        assert_eq!(sealed.bytes_in, compressed.bytes_out);
    }

    #[test]
    fn nothing_to_measure_is_no_measurement_and_a_wish_to_stop_is_heard() {
        struct Stop;
        impl Observer for Stop {
            fn is_cancelled(&self) -> bool {
                true
            }
        }
        assert!(stages(&()).measure(Vec::new()).unwrap().is_empty());
        let stopped = stages(&Stop).measure(vec![vec![1; 100]]);
        assert_eq!(stopped.err().map(|e| e.kind()), Some(ErrorKind::Cancelled));
    }
}
