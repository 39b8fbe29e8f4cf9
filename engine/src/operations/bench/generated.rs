//! Data for a bench without a source: a bit of everything that stores meet.
//!
//! Of each 20 parts 8 are text that shrinks to about a third, 4 are noise, 3 are copies of what came
//! before, 3 are small files and 2 are zeros. The same length gives the same bytes on every machine.

use crate::error::Result;
use crate::limits::{KIB, MIB};
use crate::observe::Observer;
use crate::pipeline::cancelled;
use crate::storage::scratch::{ScratchArea, ScratchFile};

const PARTS: u64 = 20;
const TEXT: u64 = 8;
const NOISE: u64 = 4;
const COPIES: u64 = 3;
const SMALL: u64 = 3;

/// Longest of the long files.
const FILE_LEN: u64 = 16 * MIB as u64;
/// Small files are up to this long, 8 KiB on average.
const SMALL_LEN: u64 = 16 * KIB as u64;
const SMALL_PER_FOLDER: u64 = 256;
const PIECE_LEN: usize = 256 * KIB;
const WORDS: usize = 4_096;

/// Writes about `len` bytes, never more, into folder `name` of `area`.
///
/// # Errors
/// If the medium fails or the caller wants no more.
pub(super) fn generate(
    area: &ScratchArea,
    name: &str,
    len: u64,
    observer: &dyn Observer,
) -> Result<()> {
    area.folder(name)?;
    let mut writer = Writer {
        area,
        name,
        observer,
        words: words(),
    };
    let part = len / PARTS;
    writer.long("text", part * TEXT, 1, Content::Text)?;
    writer.long("noise", part * NOISE, 2, Content::Noise)?;
    // The seed of the text: the same bytes in another folder.
    writer.long("copies", part * COPIES, 1, Content::Text)?;
    writer.small(part * SMALL)?;
    let rest = len - part * (TEXT + NOISE + COPIES + SMALL);
    writer.long("zeros", rest, 0, Content::Zeros)?;
    area.sync()
}

#[derive(Clone, Copy)]
enum Content {
    Text,
    Noise,
    Zeros,
}

struct Writer<'w> {
    area: &'w ScratchArea,
    name: &'w str,
    observer: &'w dyn Observer,
    words: Vec<Vec<u8>>,
}

impl Writer<'_> {
    fn long(&mut self, folder: &str, len: u64, seed: u64, content: Content) -> Result<()> {
        self.area.folder(&format!("{}/{folder}", self.name))?;
        let mut left = len;
        for number in 0.. {
            if left == 0 {
                break;
            }
            let file_len = left.min(FILE_LEN);
            let path = format!("{}/{folder}/{number:05}", self.name);
            let mut file = self.area.file(&path)?;
            let mut numbers = Numbers(seed << 32 | number);
            self.fill(&mut file, file_len, &mut numbers, content)?;
            left -= file_len;
        }
        Ok(())
    }

    fn small(&mut self, len: u64) -> Result<()> {
        let mut numbers = Numbers(3);
        let mut left = len;
        for number in 0.. {
            if left == 0 {
                break;
            }
            let folder = format!("{}/small/{:04}", self.name, number / SMALL_PER_FOLDER);
            if number % SMALL_PER_FOLDER == 0 {
                self.area.folder(&folder)?;
            }
            let file_len = (numbers.next() % SMALL_LEN + 1).min(left);
            let mut file = self.area.file(&format!("{folder}/{number:08}"))?;
            let content = match number % 4 {
                0 => Content::Noise,
                _ => Content::Text,
            };
            self.fill(&mut file, file_len, &mut numbers, content)?;
            left -= file_len;
        }
        Ok(())
    }

    fn fill(
        &self,
        file: &mut ScratchFile,
        len: u64,
        numbers: &mut Numbers,
        content: Content,
    ) -> Result<()> {
        let mut left = len;
        let mut piece = Vec::with_capacity(PIECE_LEN + 64);
        while left > 0 {
            if self.observer.is_cancelled() {
                return Err(cancelled());
            }
            let wanted = left.min(PIECE_LEN as u64) as usize;
            piece.clear();
            match content {
                Content::Zeros => piece.resize(wanted, 0),
                Content::Noise => noise(numbers, wanted, &mut piece),
                Content::Text => self.text(numbers, wanted, &mut piece),
            }
            file.write(&piece)?;
            left -= wanted as u64;
        }
        Ok(())
    }

    /// Words of a vocabulary, some much more often than others.
    fn text(&self, numbers: &mut Numbers, len: usize, out: &mut Vec<u8>) {
        while out.len() < len {
            let number = numbers.next();
            let (a, b) = (number as usize % WORDS, (number >> 32) as usize % WORDS);
            out.extend_from_slice(&self.words[a * b / WORDS]);
            out.push(if number >> 60 == 0 { b'\n' } else { b' ' });
        }
        out.truncate(len);
    }
}

fn words() -> Vec<Vec<u8>> {
    let mut numbers = Numbers(9);
    let mut word = || {
        let len = 2 + numbers.next() % 9;
        let letters = (0..len).map(|_| b'a' + (numbers.next() % 26) as u8);
        letters.collect()
    };
    (0..WORDS).map(|_| word()).collect()
}

pub(super) fn noise(numbers: &mut Numbers, len: usize, out: &mut Vec<u8>) {
    while out.len() < len {
        out.extend_from_slice(&numbers.next().to_le_bytes());
    }
    out.truncate(len);
}

/// SplitMix64: a counter and a mixer.
pub(super) struct Numbers(pub u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::table::Codec;
    use crate::transform::compress::Compressor;

    #[test]
    fn the_data_is_as_long_as_asked_for_and_of_every_kind() {
        let temp = tempfile::tempdir().unwrap();
        let area = ScratchArea::create(temp.path()).unwrap();
        let len = 3 * MIB as u64 + 17;
        generate(&area, "data", len, &()).unwrap();
        let mut total = 0;
        let mut folders = vec![area.path().join("data")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false => total += entry.metadata().unwrap().len(),
                }
            }
        }
        assert_eq!(total, len);
        let read = |name: &str| std::fs::read(area.path().join("data").join(name)).unwrap();
        let codec = |bytes: &[u8]| {
            let mut buffer = Vec::new();
            let (codec, coded) = Compressor::new(1).compress(bytes, &mut buffer);
            (codec, coded.len() as f64 / bytes.len() as f64)
        };
        let (text_codec, text_ratio) = codec(&read("text/00000")[..100_000]);
        assert_eq!(text_codec, Codec::Zstd);
        assert!((0.15..0.6).contains(&text_ratio), "{text_ratio}");
        assert_eq!(codec(&read("noise/00000")[..100_000]).0, Codec::Stored);
        let copy = read("copies/00000");
        assert_eq!(copy, read("text/00000")[..copy.len()]);
        assert!(read("zeros/00000").iter().all(|byte| *byte == 0));
    }
}
