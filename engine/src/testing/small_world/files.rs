//! What there is to capture, as text: files apart by slashes, of each the numbers of its chunks.
//!
//! `01/23` is two files of two chunks. Equal texts are equal folders, down to the page.

use crate::format::id::ChunkId;
use crate::repository::Repository;
use crate::testing::random::Random;

/// Length of a chunk, bytes.
pub const CHUNK_LEN: usize = 96;

/// The bytes of a chunk.
pub fn chunk(number: u8) -> Vec<u8> {
    Random::new(u64::from(number)).bytes(CHUNK_LEN)
}

/// The chunk's id in the small repository.
pub fn id_of(repository: &Repository, number: u8) -> ChunkId {
    repository.keys().chunk_id().id_of(&chunk(number))
}

/// Name of each file, and the numbers of its chunks.
pub fn files_of(text: &str) -> impl Iterator<Item = (String, Vec<u8>)> {
    let digits = |file: &str| file.bytes().map(|digit| digit.wrapping_sub(b'0')).collect();
    let files = text.split('/').enumerate();
    files.map(move |(number, file)| (format!("f{number}"), digits(file)))
}
