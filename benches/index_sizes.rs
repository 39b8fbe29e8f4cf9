//! What an index of a size costs: a table of opening, lookups and resident memory.
//!
//! `cargo bench -p blockstore-benches --bench index_sizes -- [ENTRIES]...`; 10^6 and 10^7 by
//! default. 10^8 takes 10 GB of disk while it is made, below BLOCKSTORE_BENCH_DIR.

#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use blockstore::format::id::ChunkId;
use blockstore::repository::index::Index;
use blockstore::testing::large_index;
use blockstore_benches::data::{bench_folder, resident_mib};

/// Ids that are looked up: enough that every block of fingerprints is read.
const LOOKUPS: u64 = 4 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<f64> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let sizes = match given.as_slice() {
        _ if std::env::args().any(|arg| arg == "--test") => vec![1e4],
        [] => vec![1e6, 1e7],
        given => given.to_vec(),
    };
    println!(
        "| entries | build s | open ms | first misses ns | miss ns | resident MiB | first hits ns | hit ns | resident MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    sizes.iter().try_for_each(|entries| row(*entries as u64))
}

fn row(entries: u64) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir_in(bench_folder()?)?;
    let begun = Instant::now();
    large_index::build(folder.path(), entries)?;
    let build = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let index = large_index::open(folder.path(), entries)?;
    let open = begun.elapsed().as_secs_f64() * 1e3;
    let lookups = LOOKUPS.min(100 * entries);
    let base = resident_mib();
    let [first_misses, misses] =
        [0, 1].map(|round| nanoseconds(&index, lookups, |i| entries + round * lookups + i));
    let after_misses = resident_mib();
    let spread = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % entries;
    let [first_hits, hits] = [0, 1].map(|_| nanoseconds(&index, lookups, spread));
    index.ensure_whole()?;
    println!(
        "| {entries:.0e} | {build:.1} | {open:.0} | {first_misses:.0} | {misses:.0} | {after_misses:.0} | {first_hits:.0} | {hits:.0} | {:.0} |",
        resident_mib()
    );
    let _ = base;
    Ok(())
}

/// Mean time of a lookup; the ids are made outside of it, some at a time.
fn nanoseconds(index: &Index, lookups: u64, number: impl Fn(u64) -> u64) -> f64 {
    const SOME: u64 = 4096;
    let mut spent = 0;
    for from in (0..lookups).step_by(SOME as usize) {
        let ids: Vec<ChunkId> = (from..lookups.min(from + SOME))
            .map(|i| large_index::id_of(number(i)))
            .collect();
        let begun = Instant::now();
        for id in &ids {
            black_box(index.contains(black_box(id)));
        }
        spent += begun.elapsed().as_nanos();
    }
    spent as f64 / lookups as f64
}
