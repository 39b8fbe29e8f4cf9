//! The golden cuts of format-spec/vectors are those that the chunker makes.
//!
//! After a deliberate change of format, `BLOCKSTORE_WRITE_VECTORS=1 cargo test -p blockstore --test
//! chunker_vectors` writes the files anew.

use std::fmt::Write as _;
use std::path::PathBuf;

use blockstore::transform::chunk::ChunkSizes;
use blockstore::transform::chunk::Chunker;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../format-spec/vectors");

const MIN: usize = 16_384;
const AVG: usize = 65_536;
const MAX: usize = 262_144;

/// One vector: what its name claims, and what is cut.
struct Vector {
    claim: &'static str,
    comment: &'static str,
    key: [u8; 32],
    sizes: [u32; 3],
    input: Input,
    len: usize,
}

/// Bytes that a second implementation makes from one line of text.
#[derive(Clone, Copy)]
enum Input {
    Zeros,
    Pattern,
    Xorshift(u64),
}

impl Input {
    fn bytes(self, len: usize) -> Vec<u8> {
        match self {
            Self::Zeros => vec![0; len],
            Self::Pattern => (0..len).map(|i| (i % 251) as u8).collect(),
            Self::Xorshift(seed) => xorshift(seed, len),
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Zeros => "zeros".to_owned(),
            Self::Pattern => "pattern i % 251".to_owned(),
            Self::Xorshift(seed) => format!("xorshift seed {seed}"),
        }
    }
}

fn xorshift(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// The key of the vectors: bytes 0 to 31.
fn key() -> [u8; 32] {
    std::array::from_fn(|i| i as u8)
}

fn vectors() -> Vec<Vector> {
    let vector = |claim, comment, input, len| Vector {
        claim,
        comment,
        key: key(),
        sizes: [MIN as u32, AVG as u32, MAX as u32],
        input,
        len,
    };
    let random = Input::Xorshift(1);
    vec![
        vector("empty", "no bytes, no cut", Input::Zeros, 0),
        vector(
            "one_byte",
            "the end of the stream is a cut",
            Input::Pattern,
            1,
        ),
        vector("min_less_one", "below the minimum", random, MIN - 1),
        vector("min", "the minimum", random, MIN),
        vector("min_and_one", "one byte above the minimum", random, MIN + 1),
        vector("avg", "the average", random, AVG),
        vector(
            "max_less_one",
            "below the maximum, no candidate",
            Input::Zeros,
            MAX - 1,
        ),
        vector("max", "the maximum, no candidate", Input::Zeros, MAX),
        vector(
            "max_and_one",
            "a cut is forced at the maximum",
            Input::Zeros,
            MAX + 1,
        ),
        vector(
            "max_and_one_random",
            "candidates around the maximum",
            random,
            MAX + 1,
        ),
        vector("pattern", "a short period", Input::Pattern, 1 << 20),
        vector("random", "about sixty cuts", Input::Xorshift(2), 5_000_000),
        Vector {
            key: [0xa5; 32],
            ..vector(
                "other_key",
                "the bytes of `random` under another key",
                Input::Xorshift(2),
                5_000_000,
            )
        },
        Vector {
            key: [0x10; 32],
            ..vector(
                "drawn_again",
                "two draws of coefficients are refused",
                random,
                2_000_000,
            )
        },
        Vector {
            sizes: [64, 8192, 16_384],
            ..vector(
                "smallest",
                "the least average: the easier test is one bit",
                random,
                300_000,
            )
        },
        Vector {
            sizes: [262_144, 1 << 20, 4 << 20],
            ..vector(
                "large",
                "large chunks: ten bits, then eight",
                random,
                12_000_000,
            )
        },
        Vector {
            sizes: [8192, 8192, 8192],
            ..vector(
                "fixed",
                "all sizes equal: candidates do not matter",
                random,
                30_000,
            )
        },
    ]
}

/// The text of a vector's file.
fn text(vector: &Vector) -> String {
    let [min, avg, max] = vector.sizes;
    let sizes = ChunkSizes::new(min, avg, max).expect("sizes of a vector are valid");
    let data = vector.input.bytes(vector.len);
    let key: String = vector
        .key
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut text = format!(
        "kind: chunker\nexpect: valid\ncomment: {}\nkey: {key}\nmin: {min}\navg: {avg}\nmax: {max}\n\
         input: {}\nlength: {}\n\n",
        vector.comment,
        vector.input.describe(),
        vector.len,
    );
    for cut in Chunker::new(&vector.key, sizes).cuts(&data) {
        writeln!(text, "{cut}").expect("a string takes any text");
    }
    text
}

fn path(vector: &Vector) -> PathBuf {
    PathBuf::from(FOLDER).join(format!("chunker_{}.vec", vector.claim))
}

#[test]
fn the_chunker_makes_the_golden_cuts() {
    let write = std::env::var_os("BLOCKSTORE_WRITE_VECTORS").is_some();
    for vector in vectors() {
        let path = path(&vector);
        if write {
            std::fs::write(&path, text(&vector)).expect("vectors can be written");
        }
        let golden = std::fs::read_to_string(&path).expect("each vector has its file");
        assert_eq!(text(&vector), golden, "{}", path.display());
    }
}

#[test]
fn no_vector_is_without_its_test() {
    let mut known: Vec<_> = vectors().iter().map(path).collect();
    let entries = std::fs::read_dir(FOLDER).expect("the folder of vectors is there");
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    let is_ours = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("chunker_"))
    };
    let mut present: Vec<_> = paths.filter(is_ours).collect();
    known.sort();
    present.sort();
    assert_eq!(known, present);
}
