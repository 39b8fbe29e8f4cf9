//! Frames by class of data, level and length, and zstd as it comes: what skipping incompressible
//! data saves, and what longer frames cost.

use std::hint::black_box;

use blockstore::transform::compress::{Compressor, Decompressor};
use blockstore_benches::data::Class;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};

use crate::{CHUNK_LEN, FRAME_LEN, KIB};

const LEVELS: [i32; 2] = [1, 3];

pub(crate) fn bench(criterion: &mut Criterion) {
    for len in [16 * KIB, CHUNK_LEN, FRAME_LEN] {
        let mut group = criterion.benchmark_group(format!("compress {} KiB", len / KIB));
        group
            .throughput(Throughput::Bytes(len as u64))
            .sample_size(20);
        for class in Class::ALL {
            let data = class.bytes(3, len);
            for level in LEVELS {
                compress(&mut group, class, level, &data);
            }
            decompress(&mut group, class, &data);
        }
        group.finish();
    }
}

fn compress(group: &mut BenchmarkGroup<'_, WallTime>, class: Class, level: i32, data: &[u8]) {
    let (mut compressor, mut coded) = (Compressor::new(level), Vec::new());
    let name = format!("level {level}");
    group.bench_function(BenchmarkId::new(&name, class.name()), |bencher| {
        bencher.iter(|| compressor.compress(black_box(data), &mut coded).0);
    });
    let mut context = zstd::bulk::Compressor::new(level).expect("the level exists");
    let mut coded = vec![0; zstd::zstd_safe::compress_bound(data.len())];
    let name = format!("floor: zstd {level}");
    group.bench_function(BenchmarkId::new(&name, class.name()), |bencher| {
        bencher.iter(|| context.compress_to_buffer(black_box(data), &mut coded));
    });
}

fn decompress(group: &mut BenchmarkGroup<'_, WallTime>, class: Class, data: &[u8]) {
    let (mut coded, mut plain) = (Vec::new(), Vec::new());
    let mut compressor = Compressor::new(1);
    let (codec, coded) = compressor.compress(data, &mut coded);
    let mut decompressor = Decompressor::new();
    group.bench_function(BenchmarkId::new("decompress", class.name()), |bencher| {
        bencher.iter(|| {
            let decoded = decompressor.decoded(black_box(coded), codec, data.len(), &mut plain);
            decoded.map(<[u8]>::len)
        });
    });
}
