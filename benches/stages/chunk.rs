//! Where chunks end: all candidates, the cuts alone, and the `fastcdc` crate with the same sizes.

use std::hint::black_box;

use blockstore::transform::chunk::{ChunkSizes, Chunker};
use blockstore_benches::data::Class;
use criterion::{BenchmarkId, Criterion, Throughput};

const LEN: usize = 8 << 20;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunk");
    group.throughput(Throughput::Bytes(LEN as u64));
    let sizes = ChunkSizes::default();
    let chunker = Chunker::new(&[7; 32], sizes);
    let (min, avg, max) = (sizes.min(), sizes.avg(), sizes.max());
    for class in Class::ALL {
        let data = class.bytes(1, LEN);
        group.bench_function(BenchmarkId::new("cuts", class.name()), |bencher| {
            bencher.iter(|| chunker.cuts(black_box(&data)).count());
        });
        group.bench_function(BenchmarkId::new("scan", class.name()), |bencher| {
            let mut candidates = Vec::new();
            bencher.iter(|| {
                candidates.clear();
                chunker.scan(black_box(&data), 0, &mut candidates);
                candidates.len()
            });
        });
        group.bench_function(BenchmarkId::new("fastcdc", class.name()), |bencher| {
            bencher.iter(|| fastcdc::v2020::FastCDC::new(black_box(&data), min, avg, max).count());
        });
    }
    group.finish();
}
