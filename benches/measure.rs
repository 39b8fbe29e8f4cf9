//! Floor and engine in turn on one source, some rounds of it, and a table of the medians.
#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

use crate::engine::{Engine, Parent};
use crate::floor::Floor;

/// Operations in the order in which they are measured.
const OPERATIONS: [&str; 5] = ["initial", "read again", "unchanged", "restore", "check"];

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What something took, seconds.
#[derive(Clone, Copy, Debug)]
struct Figure {
    wall: f64,
    /// Of all threads, in the kernel too.
    processor: f64,
}

/// Floor and engine of each operation, one of each for each round.
type Figures = [Vec<[Figure; 2]>; OPERATIONS.len()];

/// Measures all operations on `source` in folders below `at`, and prints a table.
///
/// # Errors
/// If the source cannot be read, or `at` not be written.
pub fn table(title: &str, source: &Path, at: &Path, threads: usize, rounds: usize) -> Outcome<()> {
    let mut figures = Figures::default();
    for _ in 0..rounds {
        let place = tempfile::tempdir_in(at)?;
        round(source, place.path(), threads, &mut figures)?;
    }
    println!("\n{title}: {threads} threads, medians of {rounds} rounds, seconds\n");
    println!("| operation | floor wall | floor CPU | engine wall | engine CPU | wall | CPU |");
    println!("|---|---|---|---|---|---|---|");
    for (operation, figures) in OPERATIONS.iter().zip(&figures) {
        print_row(operation, figures);
    }
    Ok(())
}

fn print_row(operation: &str, figures: &[[Figure; 2]]) {
    let [floor, engine] = [0, 1].map(|side| Figure {
        wall: median(figures.iter().map(|pair| pair[side].wall)),
        processor: median(figures.iter().map(|pair| pair[side].processor)),
    });
    println!(
        "| {operation} | {:.3} | {:.3} | {:.3} | {:.3} | {:.2} | {:.2} |",
        floor.wall,
        floor.processor,
        engine.wall,
        engine.processor,
        floor.wall / engine.wall,
        floor.processor / engine.processor
    );
}

fn round(source: &Path, place: &Path, threads: usize, figures: &mut Figures) -> Outcome<()> {
    let [packs, floor_target, engine_target] = ["packs", "floor", "engine"].map(|n| place.join(n));
    [&packs, &floor_target, &engine_target]
        .into_iter()
        .try_for_each(fs::create_dir)?;
    let mut floor = Floor::new(source, &packs, threads);
    let engine = Engine::create(source, place, threads)?;
    let [initial, again, unchanged, restore, check] = figures;

    initial.push([
        figure(|| floor.ingest())?,
        figure(|| engine.snapshot(Parent::None))?,
    ]);
    again.push([
        figure(|| floor.ingest())?,
        figure(|| engine.snapshot(Parent::None))?,
    ]);
    unchanged.push([
        figure(|| floor.unchanged())?,
        figure(|| engine.snapshot(Parent::Newest))?,
    ]);
    let plan = floor.plan();
    let of_floor = figure(|| floor.restore(&plan, &floor_target))?;
    remove(&floor_target)?;
    restore.push([of_floor, figure(|| engine.restore(&engine_target))?]);
    remove(&engine_target)?;
    check.push([figure(|| floor.check(&plan))?, figure(|| engine.check())?]);
    Ok(())
}

fn remove(folder: &Path) -> io::Result<()> {
    fs::remove_dir_all(folder)
}

fn figure<E>(work: impl FnOnce() -> Result<(), E>) -> Result<Figure, E> {
    let (begun, processor_begun) = (Instant::now(), processor_time());
    work()?;
    Ok(Figure {
        wall: begun.elapsed().as_secs_f64(),
        processor: processor_time() - processor_begun,
    })
}

fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
