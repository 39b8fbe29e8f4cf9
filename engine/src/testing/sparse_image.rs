//! A volume of which only some sectors are not zeros: what real file systems look like to a fuzzer.
//!
//! ```text
//! image  := sectors:u32 piece*
//! piece  := sector:u32 bytes[512]      the last one of a sector counts
//! ```
//! So a file system of many MiB is some KiB of input, of which nearly every byte means something.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::operations::map_volume::MappedRange;
use crate::serve::View;

const SECTOR_LEN: usize = 512;
const PIECE_LEN: usize = 4 + SECTOR_LEN;
/// Longest image: 256 MiB, mostly zeros.
const SECTORS_MAX: u32 = 1 << 19;

/// A volume in memory, by its sectors that are not zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseImage {
    sectors: u32,
    pieces: BTreeMap<u32, [u8; SECTOR_LEN]>,
}

impl SparseImage {
    /// The image that `bytes` spell: any bytes are one.
    pub fn decode(bytes: &[u8]) -> Self {
        let (head, rest) = bytes.split_at(bytes.len().min(4));
        let sectors = number(head).min(SECTORS_MAX);
        let pieces = rest.as_chunks::<PIECE_LEN>().0.iter().map(|piece| {
            let (at, sector) = piece.split_at(4);
            let mut bytes = [0; SECTOR_LEN];
            bytes.copy_from_slice(sector);
            (number(at), bytes)
        });
        let pieces = pieces.filter(|(at, _)| *at < sectors).collect();
        Self { sectors, pieces }
    }

    /// The image that has these bytes; what is behind the last whole sector is left out.
    pub fn of(bytes: &[u8]) -> Self {
        let sectors = bytes.as_chunks::<SECTOR_LEN>().0;
        let pieces = (0..).zip(sectors.iter().copied());
        let is_empty = |sector: &[u8; SECTOR_LEN]| sector.iter().all(|byte| *byte == 0);
        Self {
            sectors: sectors.len() as u32,
            pieces: pieces.filter(|(_, sector)| !is_empty(sector)).collect(),
        }
    }

    /// In its spelling.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.sectors.to_le_bytes().to_vec();
        for (at, sector) in &self.pieces {
            bytes.extend(at.to_le_bytes());
            bytes.extend(sector);
        }
        bytes
    }

    /// Sectors that are not zeros, by their numbers.
    pub fn pieces(&self) -> impl Iterator<Item = u32> {
        self.pieces.keys().copied()
    }

    /// Writes over bytes that lie within the image; any others are left out.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (at, byte) in (offset..self.len()).zip(bytes) {
            let sector = self.pieces.entry((at / SECTOR_LEN as u64) as u32);
            sector.or_insert([0; SECTOR_LEN])[at as usize % SECTOR_LEN] = *byte;
        }
    }

    /// So many bytes at `offset`, if the image has them.
    pub fn bytes(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.read_at(offset, &mut bytes).ok()?;
        Some(bytes)
    }
}

fn number(bytes: &[u8]) -> u32 {
    let bytes = bytes.first_chunk().copied();
    u32::from_le_bytes(bytes.unwrap_or_default())
}

impl View for SparseImage {
    fn len(&self) -> u64 {
        u64::from(self.sectors) * SECTOR_LEN as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let end = offset.checked_add(out.len() as u64);
        let Some(end) = end.filter(|end| *end <= self.len()) else {
            let place = Place::Argument("range");
            return Err(Error::new(ErrorKind::InvalidInput, place, "outside"));
        };
        out.fill(0);
        let sector_of = |at: u64| (at / SECTOR_LEN as u64) as u32;
        let last = sector_of(end.div_ceil(SECTOR_LEN as u64) * SECTOR_LEN as u64);
        for (sector, bytes) in self.pieces.range(sector_of(offset)..last) {
            let start = u64::from(*sector) * SECTOR_LEN as u64;
            let (from, to) = (start.max(offset), (start + SECTOR_LEN as u64).min(end));
            let part = &bytes[(from - start) as usize..(to - start) as usize];
            out[(from - offset) as usize..(to - offset) as usize].copy_from_slice(part);
        }
        Ok(())
    }

    fn map(&self, _: Range<u64>, _: usize) -> Result<Vec<MappedRange>> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::Random;

    #[test]
    fn an_image_is_the_bytes_it_was_made_of_in_either_spelling() {
        let mut bytes = vec![0; 40 * SECTOR_LEN];
        let noise = Random::new(1).bytes(3000);
        bytes[700..3700].copy_from_slice(&noise);
        bytes[20_000] = 7;
        let image = SparseImage::of(&bytes);
        assert_eq!(SparseImage::decode(&image.encode()), image);
        assert_eq!(image.pieces().count(), 8);
        for (offset, len) in [(0, bytes.len()), (701, 5), (511, 1026), (3699, 9000)] {
            let read = image.bytes(offset as u64, len).unwrap();
            assert!(read == bytes[offset..offset + len], "{offset}+{len}");
        }
        assert_eq!(image.bytes(image.len() - 1, 2), None);
        let mut written = SparseImage::decode(&40_u32.to_le_bytes());
        written.write(700, &noise);
        written.write(20_000, &[7]);
        assert_eq!(written, image);
    }
}
