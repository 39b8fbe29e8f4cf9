//! The chunker shares as much as FastCDC at the same sizes.

use std::collections::HashSet;

use blockstore::transform::chunk::ChunkSizes;
use blockstore::transform::chunk::Chunker;
use fastcdc::v2020::FastCDC;

const SIZES: [u32; 3] = [2 * 1024, 8 * 1024, 32 * 1024];

/// A stream of numbers that looks random and is the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// Words of a small vocabulary: the same words in ever other order, as text has them.
fn prose(random: &mut Random, len: usize) -> Vec<u8> {
    let words: Vec<Vec<u8>> = (0..600)
        .map(|_| {
            let len = 2 + random.next() % 8;
            (0..len)
                .map(|_| b'a' + (random.next() % 26) as u8)
                .collect()
        })
        .collect();
    let mut text = Vec::with_capacity(len + 16);
    while text.len() < len {
        text.extend_from_slice(&words[random.next() % words.len()]);
        text.push(if random.next().is_multiple_of(12) {
            b'\n'
        } else {
            b' '
        });
    }
    text
}

/// The next version of `data`: bytes inserted, removed and replaced here and there.
fn edited(random: &mut Random, data: &[u8], edits: usize) -> Vec<u8> {
    let mut data = data.to_vec();
    for _ in 0..edits {
        let at = random.next() % data.len();
        match random.next() % 3 {
            0 => data.insert(at, random.next() as u8),
            1 => drop(data.drain(at..data.len().min(at + 100))),
            _ => {
                let new = random.bytes(50);
                data.splice(at..at, new);
            }
        }
    }
    data
}

/// Four versions each of random bytes and of prose.
fn corpus() -> Vec<Vec<u8>> {
    let mut random = Random(0x5eed);
    let mut corpus = vec![random.bytes(3_000_000), prose(&mut random, 3_000_000)];
    for _ in 0..3 {
        for _ in 0..2 {
            let last = &corpus[corpus.len() - 2];
            let next = edited(&mut random, last, 60);
            corpus.push(next);
        }
    }
    corpus
}

/// Bytes that remain when each chunk is kept once.
fn kept<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> usize {
    chunks
        .collect::<HashSet<_>>()
        .iter()
        .map(|chunk| chunk.len())
        .sum()
}

fn ours(data: &[u8]) -> Vec<&[u8]> {
    let [min, avg, max] = SIZES;
    let sizes = ChunkSizes::new(min, avg, max).expect("the sizes are valid");
    let chunker = Chunker::new(&[9; 32], sizes);
    let mut start = 0;
    chunker
        .cuts(data)
        .map(|end| &data[std::mem::replace(&mut start, end)..end])
        .collect()
}

fn reference(data: &[u8]) -> Vec<&[u8]> {
    let [min, avg, max] = SIZES.map(|size| size as usize);
    let chunks = FastCDC::new(data, min, avg, max);
    chunks
        .map(|chunk| &data[chunk.offset..chunk.offset + chunk.length])
        .collect()
}

#[test]
fn an_edited_corpus_is_shared_as_well_as_by_fastcdc() {
    let corpus = corpus();
    let total: usize = corpus.iter().map(Vec::len).sum();
    let ours = kept(corpus.iter().flat_map(|data| ours(data)));
    let reference = kept(corpus.iter().flat_map(|data| reference(data)));
    assert!(
        reference < total / 2,
        "the corpus has much to share: {reference} of {total}"
    );
    assert!(
        ours as f64 <= reference as f64 * 1.05,
        "{ours} bytes are kept, by FastCDC {reference}, of {total}"
    );
}
