//! Lookups in the local copy of an index, warm: of ids that are there, and of some that are not.

#![allow(missing_docs, reason = "criterion makes the entry point")]

use std::hint::black_box;

use blockstore::format::id::ChunkId;
use blockstore::testing::large_index;
use blockstore_benches::data::bench_folder;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

/// Ids that are looked up in turn: more than caches hold.
const IDS: u64 = 1 << 18;

fn lookups(criterion: &mut Criterion) {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let sizes: &[u64] = if is_test {
        &[10_000]
    } else {
        &[1_000_000, 10_000_000]
    };
    let mut group = criterion.benchmark_group("index");
    for &entries in sizes {
        let place = bench_folder().expect("a place for an index");
        let folder = tempfile::tempdir_in(place).expect("a folder");
        large_index::build(folder.path(), entries).expect("an index");
        let index = large_index::open(folder.path(), entries).expect("an index");
        let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % entries;
        let present: Vec<ChunkId> = (0..IDS).map(|n| large_index::id_of(spread(n))).collect();
        let absent: Vec<ChunkId> = (0..IDS).map(|n| large_index::id_of(entries + n)).collect();
        for (name, ids) in [("hit", &present), ("miss", &absent)] {
            let mut turn = ids.iter().cycle();
            group.bench_function(BenchmarkId::new(name, entries), |bencher| {
                bencher.iter(|| turn.next().map(|id| index.contains(black_box(id))));
            });
        }
        group.bench_function(BenchmarkId::new("open", entries), |bencher| {
            bencher.iter(|| large_index::open(folder.path(), entries).map(|index| index.len()));
        });
    }
    group.finish();
}

criterion_group!(index, lookups);
criterion_main!(index);
