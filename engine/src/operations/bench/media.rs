//! What folders and media give: the source as it is, and the medium where a repository would be.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{ErrorKind, Result};
use crate::limits::MIB;
use crate::observe::Observer;
use crate::operations::bench::generated::{Numbers, noise};
use crate::operations::bench::meter::{Stopwatch, announce};
use crate::operations::bench::report::{Measurement, Probe};
use crate::operations::bench::sample::{Piece, Reader, Taken};
use crate::pipeline::{cancelled, parallel};
use crate::storage::scratch::ScratchArea;

/// What is written to the medium at a time, and read from it.
const UNIT: usize = 4 * MIB;
/// Grains of a unit that are told apart, so that nothing on the way finds two alike.
const GRAIN: usize = 4_096;
/// Most that is written in order to measure.
const WRITE_LEN_MAX: u64 = 512 * MIB as u64;
const WRITE_LEN_MIN: u64 = UNIT as u64;
const FILE: &str = "medium";

/// Measures source and medium.
pub(super) struct Media<'m> {
    pub taken: &'m Taken,
    pub area: &'m ScratchArea,
    pub threads: usize,
    pub observer: &'m dyn Observer,
    pub notes: &'m mut Vec<String>,
    pub source_is_memory: bool,
    pub medium_is_memory: bool,
}

/// How much is written to the medium where so much is taken of the source.
pub(super) fn write_len(taken: u64) -> u64 {
    let units = taken.clamp(WRITE_LEN_MIN, WRITE_LEN_MAX) / UNIT as u64;
    units * UNIT as u64
}

impl Media<'_> {
    /// All measurements.
    ///
    /// # Errors
    /// If the medium fails, or the caller wants no more.
    pub(super) fn measure(&mut self) -> Result<Vec<Measurement>> {
        let mut all = Vec::new();
        all.extend(self.list(Probe::ListFirst)?);
        all.extend(self.list(Probe::ListAgain)?);
        if self.source_is_memory {
            let note = "the source lies in memory: there is nothing to read from a medium";
            self.notes.push(note.to_owned());
        } else {
            announce(self.observer, "the source, cold")?;
            match self.taken.drop_cached(self.observer) {
                Ok(()) => all.push(self.read(Probe::ReadCold, self.threads)?),
                Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
                Err(error) => self
                    .notes
                    .push(format!("the source was not read cold: {error}")),
            }
        }
        for threads in self.thread_counts() {
            announce(self.observer, "the source, from the cache")?;
            all.push(self.read(Probe::ReadWarm, threads)?);
        }
        for threads in self.thread_counts() {
            announce(self.observer, "small files")?;
            all.extend(self.small_files(threads)?);
        }
        self.medium(&mut all)?;
        Ok(all)
    }

    /// One, and all.
    fn thread_counts(&self) -> impl Iterator<Item = usize> + use<> {
        let all = Some(self.threads).filter(|threads| *threads > 1);
        std::iter::once(1).chain(all)
    }

    fn list(&self, probe: Probe) -> Result<Option<Measurement>> {
        announce(self.observer, "folders")?;
        let count = self.taken.folder_count();
        if count == 0 {
            return Ok(None);
        }
        let stopwatch = Stopwatch::start();
        let mut items = 0;
        for number in 0..count {
            if self.observer.is_cancelled() {
                return Err(cancelled());
            }
            items += self.taken.list_folder(number);
        }
        Ok(Some(Measurement {
            probe,
            threads: 1,
            items,
            bytes_in: 0,
            bytes_out: 0,
            cost: stopwatch.stop(),
        }))
    }

    fn read(&self, probe: Probe, threads: usize) -> Result<Measurement> {
        let tasks = self.taken.tasks();
        let items = self.taken.facts.files.max(1);
        self.read_tasks(probe, threads, &tasks, items)
    }

    fn small_files(&self, threads: usize) -> Result<Option<Measurement>> {
        let tasks = self.taken.small_tasks();
        let items: usize = tasks.iter().map(|task| task.len()).sum();
        if items == 0 {
            return Ok(None);
        }
        let measured = self.read_tasks(Probe::SmallFiles, threads, &tasks, items as u64)?;
        Ok(Some(measured))
    }

    fn read_tasks(
        &self,
        probe: Probe,
        threads: usize,
        tasks: &[&[Piece]],
        items: u64,
    ) -> Result<Measurement> {
        let bytes = AtomicU64::new(0);
        let stopwatch = Stopwatch::start();
        parallel::run(threads, tasks, Reader::default, |reader, task| {
            if self.observer.is_cancelled() {
                return Err(cancelled());
            }
            let read = self.taken.read(reader, task, &mut |_| {});
            bytes.fetch_add(read, Ordering::Relaxed);
            Ok(())
        })?;
        let cost = stopwatch.stop();
        let bytes = bytes.into_inner();
        Ok(Measurement {
            probe,
            threads,
            items,
            bytes_in: bytes,
            bytes_out: bytes,
            cost,
        })
    }

    fn medium(&mut self, all: &mut Vec<Measurement>) -> Result<()> {
        announce(self.observer, "the medium of the repository")?;
        let mut unit = Vec::with_capacity(UNIT + 8);
        noise(&mut Numbers(1), UNIT, &mut unit);
        let units = write_len(self.taken.facts.bytes) / UNIT as u64;
        let mut file = self.area.file(FILE)?;
        let stopwatch = Stopwatch::start();
        for number in 0..units {
            if self.observer.is_cancelled() {
                return Err(cancelled());
            }
            for (at, grain) in unit.chunks_exact_mut(GRAIN).enumerate() {
                let mark = number * UNIT as u64 + at as u64;
                grain[..8].copy_from_slice(&mark.to_le_bytes());
            }
            file.write(&unit)?;
        }
        file.sync()?;
        all.push(of_medium(Probe::MediumWrite, units, &stopwatch));
        file.drop_cached();
        if self.medium_is_memory {
            let note = "the medium lies in memory: its speed is that of copying";
            self.notes.push(note.to_owned());
        }
        let stopwatch = Stopwatch::start();
        for number in 0..units {
            if self.observer.is_cancelled() {
                return Err(cancelled());
            }
            file.read_at(number * UNIT as u64, &mut unit)?;
        }
        all.push(of_medium(Probe::MediumRead, units, &stopwatch));
        drop(file);
        self.area.clear(FILE)
    }
}

fn of_medium(probe: Probe, units: u64, stopwatch: &Stopwatch) -> Measurement {
    let bytes = units * UNIT as u64;
    let mut cost = stopwatch.stop();
    // A file that is written and flushed faster than the clock tells is not one to divide by.
    cost.wall = cost.wall.max(Duration::from_nanos(1));
    Measurement {
        probe,
        threads: 1,
        items: units,
        bytes_in: bytes,
        bytes_out: bytes,
        cost,
    }
}
