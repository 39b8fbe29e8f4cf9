//! What an index of a size costs: a table of opening, lookups and resident memory.
//!
//! `cargo bench -p blockstore-benches --bench index_sizes -- [ENTRIES]...`, 1e6 and 1e7 by default.
//! 1e8 takes 10 GB of disk while it is made, below BLOCKSTORE_BENCH_DIR or else target/. Every
//! index is made by a process of its own, and measured by another, so that memory is that of the
//! index alone: all that is resident, pages of mapped files too.

#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use blockstore::format::id::ChunkId;
use blockstore::repository::index::Index;
use blockstore::testing::large_index;
use blockstore_benches::data::{bench_folder, resident_mib};

/// Ids that are looked up: enough that all lines of the largest index are checked.
const LOOKUPS: u64 = 4 << 20;
/// Ids that are made at once, outside of the measured time.
const SOME: u64 = 4096;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["build", folder, entries] => Ok(large_index::build(folder.as_ref(), entries.parse()?)?),
        ["measure", folder, entries] => measure(folder.as_ref(), entries.parse()?),
        ref words => table(words),
    }
}

fn table(words: &[&str]) -> Outcome {
    let given: Vec<f64> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let sizes = match given.as_slice() {
        _ if words.contains(&"--test") => vec![1e4],
        [] => vec![1e6, 1e7],
        given => given.to_vec(),
    };
    println!(
        "| entries | open ms | first misses ns | miss ns | MiB | first hits ns | hit ns | MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for entries in sizes {
        let folder = tempfile::tempdir_in(bench_folder()?)?;
        for step in ["build", "measure"] {
            let mut program = Command::new(std::env::current_exe()?);
            program
                .arg(step)
                .arg(folder.path())
                .arg((entries as u64).to_string());
            if !program.status()?.success() {
                return Err(format!("{step} {entries:e} failed").into());
            }
        }
    }
    Ok(())
}

/// Prints one row.
fn measure(folder: &Path, entries: u64) -> Outcome {
    let begun = Instant::now();
    let index = large_index::open(folder, entries)?;
    let open = begun.elapsed().as_secs_f64() * 1e3;
    let lookups = LOOKUPS.min(100 * entries);
    let absent = |round| move |number| entries + round * lookups + number;
    let (first_miss, miss) = (
        nanoseconds(&index, lookups, absent(0)),
        nanoseconds(&index, lookups, absent(1)),
    );
    let after_misses = resident_mib();
    let present = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % entries;
    let (first_hit, hit) = (
        nanoseconds(&index, lookups, present),
        nanoseconds(&index, lookups, present),
    );
    let after_hits = resident_mib();
    index.ensure_whole()?;
    println!(
        "| {entries:.0e} | {open:.1} | {first_miss:.0} | {miss:.0} | {after_misses:.0} \
         | {first_hit:.0} | {hit:.0} | {after_hits:.0} |"
    );
    Ok(())
}

/// Mean time of a lookup.
fn nanoseconds(index: &Index, lookups: u64, number: impl Fn(u64) -> u64) -> f64 {
    let mut spent = 0;
    for from in (0..lookups).step_by(SOME as usize) {
        let numbers = from..lookups.min(from + SOME);
        let ids: Vec<ChunkId> = numbers.map(|at| large_index::id_of(number(at))).collect();
        let begun = Instant::now();
        for id in &ids {
            black_box(index.contains(black_box(id)));
        }
        spent += begun.elapsed().as_nanos();
    }
    spent as f64 / lookups as f64
}
