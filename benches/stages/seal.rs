//! Sealing and opening a frame, and AES-256-GCM of `ring` as it comes. Opening includes the copy
//! that gives each turn a sealed frame.

use std::hint::black_box;

use blockstore::transform::seal::{Aead, Sealer, Unsealer};
use blockstore_benches::data::Class;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use ring::aead::Aad;

use crate::{FRAME_LEN, bare_key, binding, nonce, secret};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seal");
    group.throughput(Throughput::Bytes(FRAME_LEN as u64));
    for algorithm in [Aead::Aes256Gcm, Aead::ChaCha20Poly1305] {
        let name = format!("{algorithm:?}");
        let sealer = Sealer::new(algorithm, &secret(), binding());
        let mut slot = Class::Noise.bytes(4, FRAME_LEN);
        group.bench_function(BenchmarkId::new("seal", &name), |bencher| {
            bencher.iter(|| sealer.seal(sealer.take_turn(), black_box(&mut slot)));
        });
        let counter = sealer.seal(sealer.take_turn(), &mut slot);
        let unsealer = Unsealer::new(algorithm, &secret(), binding());
        group.bench_function(BenchmarkId::new("unseal", &name), |bencher| {
            bencher.iter_batched_ref(
                || slot.clone(),
                |slot| unsealer.unseal(counter, slot).is_ok(),
                BatchSize::LargeInput,
            );
        });
    }
    let (key, mut slot) = (bare_key(), Class::Noise.bytes(4, FRAME_LEN));
    group.bench_function("floor: ring seals", |bencher| {
        bencher.iter(|| {
            key.seal_in_place_separate_tag(nonce(), Aad::empty(), black_box(&mut slot))
                .is_ok()
        });
    });
    let mut sealed = slot;
    let appended = key.seal_in_place_append_tag(nonce(), Aad::empty(), &mut sealed);
    appended.expect("a frame is not too long");
    group.bench_function("floor: ring opens", |bencher| {
        bencher.iter_batched_ref(
            || sealed.clone(),
            |sealed| key.open_in_place(nonce(), Aad::empty(), sealed).is_ok(),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}
