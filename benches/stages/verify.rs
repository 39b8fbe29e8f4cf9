//! Opening, decoding and hashing what was just sealed: each frame goes through it before it counts
//! as stored. Beside it the bare kernels.

use blockstore::format::table::Codec;
use blockstore::transform::compress::{Compressor, Decompressor};
use blockstore::transform::hash::IdKey;
use blockstore::transform::seal::{Aead, Sealer, Unsealer};
use blockstore_benches::data::Class;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use ring::aead::Aad;
use zstd::zstd_safe::DCtx;

use crate::{CHUNK_LEN, FRAME_LEN, bare_key, binding, nonce, secret};

const TAG_LEN: usize = 16;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify");
    group.throughput(Throughput::Bytes(FRAME_LEN as u64));
    let id_key = IdKey::new(secret());
    let sealer = Sealer::new(Aead::Aes256Gcm, &secret(), binding());
    let unsealer = Unsealer::new(Aead::Aes256Gcm, &secret(), binding());
    for class in [Class::Text, Class::Binary, Class::Noise] {
        let data = class.bytes(6, FRAME_LEN);
        let mut coded = Vec::new();
        let (codec, coded) = Compressor::new(1).compress(&data, &mut coded);
        let mut slot = [coded, &[0; TAG_LEN]].concat();
        let counter = sealer.seal(sealer.take_turn(), &mut slot);
        let (mut decompressor, mut plain) = (Decompressor::new(), Vec::new());
        group.bench_function(BenchmarkId::new("frame", class.name()), |bencher| {
            bencher.iter_batched_ref(
                || slot.clone(),
                |slot| {
                    let coded = unsealer.unseal(counter, slot).expect("it was sealed");
                    let decoded = decompressor.decoded(coded, codec, FRAME_LEN, &mut plain);
                    let plain = decoded.expect("it was compressed");
                    plain
                        .chunks(CHUNK_LEN)
                        .map(|chunk| id_key.id_of(chunk).0[0])
                        .max()
                },
                BatchSize::LargeInput,
            );
        });
        let (key, mut sealed) = (bare_key(), coded.to_vec());
        let appended = key.seal_in_place_append_tag(nonce(), Aad::empty(), &mut sealed);
        appended.expect("a frame is not too long");
        let (mut context, hash_key) = (DCtx::create(), secret());
        let mut plain = Vec::with_capacity(FRAME_LEN);
        group.bench_function(BenchmarkId::new("floor", class.name()), |bencher| {
            bencher.iter_batched_ref(
                || sealed.clone(),
                |sealed| {
                    let coded = key.open_in_place(nonce(), Aad::empty(), sealed);
                    let coded: &[u8] = coded.expect("it was sealed");
                    plain.clear();
                    let plain = match codec {
                        Codec::Stored => coded,
                        Codec::Zstd => {
                            let decoded = context.decompress(&mut plain, coded);
                            decoded.expect("it was compressed");
                            &plain
                        }
                    };
                    let hashes = plain.chunks(CHUNK_LEN);
                    hashes
                        .map(|chunk| blake3::keyed_hash(&hash_key, chunk).as_bytes()[0])
                        .max()
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}
