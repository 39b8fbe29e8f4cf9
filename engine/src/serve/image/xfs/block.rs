//! Pieces of metadata: as they are after the log, and compared with what they say of themselves.

use crate::error::Result;
use crate::serve::image::reader::{damaged, said};
use crate::serve::image::xfs::Xfs;
use crate::serve::image::xfs::superblock::{Geometry, SECTOR_LEN};
use crate::sources::volume::layout::crc32c;
use crate::sources::volume::layout::fields::{array, u32_at, u64_high_first};

/// A piece of metadata.
pub(super) struct Block {
    pub bytes: Vec<u8>,
    /// Where it lies.
    place: u64,
    /// The log has newer bytes of it: its checksum is made when it is written back.
    is_replayed: bool,
}

/// Where a kind of metadata says of itself what it is, in version 5.
pub(super) struct Seal {
    pub crc_at: usize,
    pub uuid_at: usize,
    /// The inode that it belongs to, or is.
    pub owner_at: usize,
    /// Its own place, in sectors.
    pub place_at: Option<usize>,
}

impl Xfs {
    /// So many bytes of metadata from `place` on.
    pub(super) fn metadata(&self, place: u64, len: usize) -> Result<Block> {
        let mut bytes = vec![0; len];
        self.medium.read(place, &mut bytes).map_err(said)?;
        let is_replayed = self.replayed.apply(place, &mut bytes);
        Ok(Block {
            bytes,
            place,
            is_replayed,
        })
    }
}

impl Block {
    /// Adds what follows it, wherever that lies.
    pub(super) fn append(&mut self, next: Self) {
        self.bytes.extend(next.bytes);
        self.is_replayed |= next.is_replayed;
    }

    /// Refuses what is damaged, or belongs elsewhere; version 4 does not say.
    pub(super) fn check(&self, geometry: &Geometry, seal: &Seal, owner: u64) -> Result<()> {
        if !geometry.has_checksums {
            return Ok(());
        }
        let bytes = &self.bytes;
        let is_at_home = array(bytes, seal.uuid_at) == Some(geometry.uuid)
            && u64_high_first(bytes, seal.owner_at) == Some(owner)
            && seal
                .place_at
                .is_none_or(|at| u64_high_first(bytes, at) == Some(self.place / SECTOR_LEN));
        if !is_at_home {
            return Err(damaged(format!(
                "has metadata of something else at {}",
                self.place
            )));
        }
        if !self.is_replayed && !has_sum(bytes, seal.crc_at) {
            let detail = format!("has metadata at {} whose checksum differs", self.place);
            return Err(damaged(detail));
        }
        Ok(())
    }
}

fn has_sum(bytes: &[u8], at: usize) -> bool {
    let (head, tail) = bytes.split_at(at.min(bytes.len()));
    let rest = tail.get(4..);
    rest.is_some_and(|rest| u32_at(bytes, at) == Some(crc32c(&[head, &[0; 4], rest])))
}
