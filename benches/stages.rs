//! Each stage on its own, and beside it the bare kernel that bounds it.

#![allow(missing_docs, reason = "criterion makes the entry point")]

use std::hint::black_box;

use blockstore::format::id::RepositoryId;
use blockstore::transform::chunk::{ChunkSizes, Chunker};
use blockstore::transform::compress::{Compressor, Decompressor};
use blockstore::transform::derive::Secret;
use blockstore::transform::hash::IdKey;
use blockstore::transform::seal::{Aead, Binding, Part, Sealer, Unsealer};
use blockstore_benches::Class;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const LEN: usize = 8 << 20;
const FRAME_LEN: usize = 512 << 10;
const CHUNK_LEN: usize = 64 << 10;

fn chunk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunk");
    group.throughput(Throughput::Bytes(LEN as u64));
    let chunker = Chunker::new(&[7; 32], ChunkSizes::default());
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
            bencher.iter(|| {
                fastcdc::v2020::FastCDC::new(black_box(&data), 16 << 10, 64 << 10, 256 << 10)
                    .count()
            });
        });
    }
    group.finish();
}

fn hash(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash");
    let key = IdKey::new(Secret::from([3; 32]));
    for len in [4 << 10, CHUNK_LEN] {
        let data = Class::Noise.bytes(2, len);
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("id", len), |bencher| {
            bencher.iter(|| key.id_of(black_box(&data)));
        });
    }
    group.finish();
}

fn compress(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compress");
    group.throughput(Throughput::Bytes(FRAME_LEN as u64));
    for class in Class::ALL {
        let data = class.bytes(3, FRAME_LEN);
        for level in [1, 3] {
            let name = format!("level {level}");
            let (mut compressor, mut out) = (Compressor::new(level), Vec::new());
            group.bench_function(BenchmarkId::new(&name, class.name()), |bencher| {
                bencher.iter(|| compressor.compress(black_box(&data), &mut out).0);
            });
        }
        let mut context = zstd::bulk::Compressor::new(1).expect("level 1 exists");
        let mut out = vec![0; zstd::zstd_safe::compress_bound(FRAME_LEN)];
        group.bench_function(BenchmarkId::new("floor: zstd 1", class.name()), |bencher| {
            bencher.iter(|| context.compress_to_buffer(black_box(&data), &mut out));
        });
        let (mut coded, mut plain) = (Vec::new(), Vec::new());
        let mut compressor = Compressor::new(1);
        let (codec, coded) = compressor.compress(&data, &mut coded);
        let mut decompressor = Decompressor::new();
        group.bench_function(BenchmarkId::new("decompress", class.name()), |bencher| {
            bencher
                .iter(|| decompressor.decompress(black_box(coded), codec, FRAME_LEN, &mut plain));
        });
    }
    group.finish();
}

fn seal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seal");
    group.throughput(Throughput::Bytes(FRAME_LEN as u64));
    let repository = RepositoryId([1; 16]);
    let binding = Binding {
        repository,
        kind: 1,
        part: Part::Frame,
        salt: [2; 32],
    };
    for algorithm in [Aead::Aes256Gcm, Aead::ChaCha20Poly1305] {
        let key = Secret::from([9; 32]);
        let sealer = Sealer::new(algorithm, &key, binding);
        let mut slot = Class::Noise.bytes(4, FRAME_LEN);
        group.bench_function(
            BenchmarkId::new("seal", format!("{algorithm:?}")),
            |bencher| {
                bencher.iter(|| sealer.seal(sealer.take_turn(), black_box(&mut slot)));
            },
        );
        let counter = sealer.seal(sealer.take_turn(), &mut slot);
        let unsealer = Unsealer::new(algorithm, &key, binding);
        group.bench_function(
            BenchmarkId::new("unseal", format!("{algorithm:?}")),
            |bencher| {
                bencher.iter_batched_ref(
                    || slot.clone(),
                    |slot| unsealer.unseal(counter, slot).is_ok(),
                    criterion::BatchSize::LargeInput,
                );
            },
        );
    }
    group.finish();
}

criterion_group!(stages, chunk, hash, compress, seal);
criterion_main!(stages);
