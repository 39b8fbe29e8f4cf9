//! Data of the benches: seeded, so that two runs measure the same bytes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What bytes are like, as far as compression cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Words in random order: compresses to about a quarter.
    Text,
    /// Records of numbers that change slowly, and noise: compresses to about a half, as programs do.
    Binary,
    /// What zstd made of text: does not compress any more.
    Compressed,
    /// No pattern: does not compress.
    Noise,
    /// One byte over and over.
    Zeros,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] = [
        Self::Text,
        Self::Binary,
        Self::Compressed,
        Self::Noise,
        Self::Zeros,
    ];

    /// For the names of benches.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Compressed => "compressed",
            Self::Noise => "noise",
            Self::Zeros => "zeros",
        }
    }

    /// `len` bytes of this class; different seeds give different bytes.
    pub fn bytes(self, seed: u64, len: usize) -> Vec<u8> {
        match self {
            Self::Zeros => vec![0; len],
            Self::Binary => binary(seed, len),
            Self::Compressed => compressed(seed, len),
            Self::Noise => noise(seed, len),
            Self::Text => text(seed, len),
        }
    }
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

fn binary(seed: u64, len: usize) -> Vec<u8> {
    const RECORD: usize = 32;
    let noise = noise(seed, len.next_multiple_of(RECORD) / 2);
    let mut bytes = Vec::with_capacity(len + RECORD);
    for (number, noise) in (0_u64..).zip(noise.as_chunks::<16>().0) {
        let address = seed + number * 24 + u64::from(noise[0] % 4) * 8;
        bytes.extend_from_slice(&address.to_le_bytes());
        bytes.extend_from_slice(&[noise[1] % 8, 0, 0, 0]);
        bytes.extend_from_slice(&[0xff, noise[2] % 3, 0, 0x48]);
        bytes.extend_from_slice(noise);
    }
    bytes.truncate(len);
    bytes
}

fn compressed(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    for part in 0.. {
        if bytes.len() >= len {
            break;
        }
        let text = text(seed + part, 1 << 20);
        bytes.extend(zstd::bulk::compress(&text, 3).expect("memory takes it"));
    }
    bytes.truncate(len);
    bytes
}

fn text(seed: u64, len: usize) -> Vec<u8> {
    let letters = noise(seed, 16 * 1024);
    let words: Vec<&[u8]> = letters.chunks(7).collect();
    let picks = noise(seed + 1, len / 2 + 2);
    let mut bytes = Vec::with_capacity(len + 16);
    for pick in picks.as_chunks::<2>().0 {
        // Low numbers are picked more often, as short words are.
        let pick = usize::from(u16::from_le_bytes(*pick));
        let word = words[pick * pick / 65_536 % words.len()];
        bytes.extend(word.iter().map(|letter| b'a' + letter % 26));
        bytes.push(b' ');
        if bytes.len() >= len {
            break;
        }
    }
    bytes.truncate(len);
    bytes
}

/// Makes `count` files of `len` bytes of text in folders of a hundred.
///
/// # Errors
/// If a file cannot be written.
pub fn make_files(folder: &Path, count: usize, len: usize) -> io::Result<()> {
    for number in 0..count {
        let parent = folder.join(format!("{:03}", number / 100));
        fs::create_dir_all(&parent)?;
        fs::write(
            parent.join(format!("{number}")),
            Class::Text.bytes(number as u64, len),
        )?;
    }
    Ok(())
}

/// Where benches put what is large: BLOCKSTORE_BENCH_DIR, or else the temporary folder.
///
/// # Errors
/// If it cannot be made.
pub fn bench_folder() -> io::Result<PathBuf> {
    let folder = std::env::var_os("BLOCKSTORE_BENCH_DIR").map(PathBuf::from);
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bench-data");
    let folder = folder.unwrap_or_else(default);
    fs::create_dir_all(&folder).map(|()| folder)
}

/// Memory of this process that is resident, mapped files included, MiB; 0 where /proc is not.
pub fn resident_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}
