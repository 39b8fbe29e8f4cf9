//! Data of the benches: seeded, so that two runs measure the same bytes.

use std::fs;
use std::io;
use std::path::Path;

/// What bytes are like, as far as compression cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Words in random order: compresses to about a quarter.
    Text,
    /// No pattern: does not compress.
    Noise,
    /// One byte over and over.
    Zeros,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Text, Self::Noise, Self::Zeros];

    /// For the names of benches.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Noise => "noise",
            Self::Zeros => "zeros",
        }
    }

    /// `len` bytes of this class; different seeds give different bytes.
    pub fn bytes(self, seed: u64, len: usize) -> Vec<u8> {
        match self {
            Self::Zeros => vec![0; len],
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
