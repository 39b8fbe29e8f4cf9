//! Ids, and keyed BLAKE3 as it comes.

use std::hint::black_box;

use blockstore::transform::hash::IdKey;
use blockstore_benches::data::Class;
use criterion::{BenchmarkId, Criterion, Throughput};

use crate::{CHUNK_LEN, KIB, secret};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash");
    let key = IdKey::new(secret());
    for len in [256, 4 * KIB, CHUNK_LEN] {
        let data = Class::Noise.bytes(2, len);
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("id", len), |bencher| {
            bencher.iter(|| key.id_of(black_box(&data)));
        });
        let key = secret();
        group.bench_function(BenchmarkId::new("floor: blake3", len), |bencher| {
            bencher.iter(|| blake3::keyed_hash(&key, black_box(&data)));
        });
    }
    group.finish();
}
