//! The bytes of a segment: in memory, or in a mapped file that is checked block by block.
//!
//! A file may hold anything: a crash while it was written, a bad disk, another user's hand. Each
//! block has a keyed tag and is checked when it is first read; a block that does not check is
//! never shown. So a damaged copy of the index can cost time, but never make a lookup lie.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::storage::cache::Mapped;
use crate::transform::derive::Secret;

/// What is checked at once: a few microseconds of hashing.
const BLOCK_LEN: usize = 16 * 1024;
const TAG_LEN: usize = 16;
/// Length of the tag that binds all others and the footer.
pub(super) const SUM_LEN: usize = 32;

/// The body of a segment.
#[derive(Debug)]
pub(super) enum SegmentBytes {
    /// Made by this process.
    Memory(Vec<u8>),
    /// Made by some process earlier.
    File(CheckedFile),
}

/// A mapped file, its blocks checked as they are read.
pub(super) struct CheckedFile {
    map: Mapped,
    key: Secret,
    body_len: usize,
    /// A bit for each block that was checked and found right.
    checked: Vec<AtomicU64>,
    damaged: AtomicBool,
}

impl SegmentBytes {
    /// A part of the body; nothing if it lies outside, or is damaged.
    pub(super) fn get(&self, range: Range<usize>) -> Option<&[u8]> {
        match self {
            Self::Memory(bytes) => bytes.get(range),
            Self::File(file) => file.get(range),
        }
    }

    /// Lets go of the memory of what was looked at in vain.
    pub(super) fn give_back(&self, range: Range<usize>) {
        if let Self::File(file) = self {
            file.map.give_back(range);
        }
    }

    /// True once something that was asked for could not be shown.
    pub(super) fn is_damaged(&self) -> bool {
        matches!(self, Self::File(file) if file.damaged.load(Ordering::Relaxed))
    }
}

impl CheckedFile {
    /// A file of a body of `body_len` bytes, the tags of its blocks, and `footer`, if what binds
    /// them is right.
    pub(super) fn open(map: Mapped, key: Secret, body_len: usize, footer: &[u8]) -> Option<Self> {
        let block_count = body_len.div_ceil(BLOCK_LEN);
        let tags_end = body_len.checked_add(block_count.checked_mul(TAG_LEN)?)?;
        let tags = map.get(body_len..tags_end)?;
        let sum = map.get(tags_end + footer.len()..)?;
        if sum != sum_of(&key, tags, footer) {
            return None;
        }
        let checked = (0..block_count.div_ceil(64))
            .map(|_| AtomicU64::new(0))
            .collect();
        Some(Self {
            map,
            key,
            body_len,
            checked,
            damaged: AtomicBool::new(false),
        })
    }

    fn get(&self, range: Range<usize>) -> Option<&[u8]> {
        if range.start >= range.end {
            return (range.end <= self.body_len).then_some(&[]);
        }
        let mut blocks = range.start / BLOCK_LEN..=(range.end - 1) / BLOCK_LEN;
        if range.end > self.body_len || !blocks.all(|block| self.is_right(block)) {
            self.damaged.store(true, Ordering::Relaxed);
            self.map.remove_file();
            return None;
        }
        self.map.get(range)
    }

    fn is_right(&self, block: usize) -> bool {
        let (word, bit) = (&self.checked[block / 64], 1 << (block % 64));
        if word.load(Ordering::Relaxed) & bit != 0 {
            return true;
        }
        let start = block * BLOCK_LEN;
        let end = (start + BLOCK_LEN).min(self.body_len);
        let tag_at = self.body_len + block * TAG_LEN;
        let right = self.map[tag_at..tag_at + TAG_LEN] == tag_of(&self.key, &self.map[start..end]);
        if right {
            word.fetch_or(bit, Ordering::Relaxed);
        }
        right
    }
}

impl std::fmt::Debug for CheckedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckedFile")
            .field("body_len", &self.body_len)
            .finish_non_exhaustive()
    }
}

/// Passes a body on and gathers the tags of its blocks.
pub(super) struct TaggingWriter<'w> {
    out: &'w mut dyn Write,
    key: &'w Secret,
    block: Vec<u8>,
    tags: Vec<u8>,
}

impl<'w> TaggingWriter<'w> {
    pub(super) fn new(out: &'w mut dyn Write, key: &'w Secret) -> Self {
        let (block, tags) = (Vec::with_capacity(BLOCK_LEN), Vec::new());
        Self {
            out,
            key,
            block,
            tags,
        }
    }

    /// Ends the body: tags, footer, and the tag of both.
    pub(super) fn finish(mut self, footer: &[u8]) -> io::Result<()> {
        self.end_block()?;
        self.out.write_all(&self.tags)?;
        self.out.write_all(footer)?;
        self.out.write_all(&sum_of(self.key, &self.tags, footer))
    }

    fn end_block(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.tags.extend_from_slice(&tag_of(self.key, &self.block));
        self.out.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }
}

impl Write for TaggingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(BLOCK_LEN - self.block.len());
        self.block.extend_from_slice(&bytes[..len]);
        if self.block.len() == BLOCK_LEN {
            self.end_block()?;
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tag_of(key: &Secret, block: &[u8]) -> [u8; TAG_LEN] {
    let mut tag = [0; TAG_LEN];
    tag.copy_from_slice(&blake3::keyed_hash(key, block).as_bytes()[..TAG_LEN]);
    tag
}

fn sum_of(key: &Secret, tags: &[u8], footer: &[u8]) -> [u8; SUM_LEN] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(tags).update(footer);
    *hasher.finalize().as_bytes()
}
