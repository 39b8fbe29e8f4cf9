//! One inode of XFS: what it is, whose, and since when.

use std::sync::Arc;

use crate::error::Result;
use crate::format::entry::{DeviceNumber, Metadata, Owner, Timestamp};
use crate::serve::image::modes::{self, FILE};
use crate::serve::image::reader::{ImageNode, damaged};
use crate::serve::image::xfs::Xfs;
use crate::serve::image::xfs::block::Seal;
use crate::sources::volume::layout::fields::{
    has, u8_at, u16_high_first, u32_high_first, u64_high_first,
};

const FLAG_REALTIME: u16 = 0x1;
pub(super) const FLAG_2_BIG_TIME: u64 = 0x8;
pub(super) const FLAG_2_BIG_COUNTS: u64 = 0x10;

/// Bytes of the fields of inodes of version 1 and 2, and of version 3.
const FIELDS_LEN: usize = 100;
pub(super) const FIELDS_3_LEN: usize = 176;

const SEAL: Seal = Seal {
    crc_at: 100,
    uuid_at: 160,
    owner_at: 152,
    place_at: None,
};

/// Times of 64 bits begin where those of 32 bits do: in 1901.
const BIG_TIME_EPOCH: i64 = 1 << 31;
const PER_SECOND: u64 = 1_000_000_000;

/// How a fork is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In the inode itself.
    Local,
    /// A list of extents in the inode.
    Extents,
    /// A tree of them, whose root is in the inode.
    Tree,
    /// A device number, or what nobody knows.
    Other,
}

/// Content or attributes of an inode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fork<'i> {
    pub form: Form,
    /// The part of the inode that is the fork's.
    pub bytes: &'i [u8],
    /// Extents that it has.
    pub extents: u64,
    /// The number of its inode.
    pub owner: u64,
}

/// An inode, decoded as far as everything needs it.
#[derive(Debug)]
pub(super) struct Inode {
    pub number: u64,
    /// Length of the content, bytes.
    pub len: u64,
    pub links: u32,
    mode: u16,
    flags_2: u64,
    bytes: Vec<u8>,
}

impl Xfs {
    pub(super) fn inode(&self, number: u64) -> Result<Inode> {
        let place = self.geometry.place_of_inode(number)?;
        let block = self.metadata(place, self.geometry.inode_len)?;
        let inode = Inode::decode(number, self.geometry.has_checksums, &block.bytes);
        let inode = inode.ok_or_else(|| damaged(format!("inode {number} makes no sense")))?;
        block.check(&self.geometry, &SEAL, number)?;
        Ok(inode)
    }
}

impl Inode {
    /// Nothing if the bytes are too few, or nobody has this inode.
    fn decode(number: u64, is_version_3: bool, bytes: &[u8]) -> Option<Self> {
        let version = u8_at(bytes, 4)?;
        let is_known = match is_version_3 {
            true => version == 3,
            false => matches!(version, 1 | 2),
        };
        if !has(bytes, 0, b"IN") || !is_known || bytes.len() < FIELDS_3_LEN {
            return None;
        }
        let links = match version {
            1 => u16_high_first(bytes, 6)?.into(),
            _ => u32_high_first(bytes, 16)?,
        };
        let mode = u16_high_first(bytes, 2)?;
        if mode == 0 || links == 0 {
            return None;
        }
        Some(Self {
            number,
            len: u64_high_first(bytes, 56)?,
            links,
            mode,
            flags_2: u64_high_first(bytes, 120)
                .filter(|_| is_version_3)
                .unwrap_or(0),
            bytes: bytes.to_vec(),
        })
    }

    /// What it is; of a link `target` is asked for.
    pub(super) fn node(&self, target: impl FnOnce() -> Result<Vec<u8>>) -> Result<ImageNode> {
        modes::node_of(self.mode, self.len, self.device(), target)
    }

    /// Its content lies on a device of its own.
    pub(super) fn is_realtime(&self) -> bool {
        modes::type_of(self.mode) == FILE && self.half(90) & u32::from(FLAG_REALTIME) != 0
    }

    /// Bytes that it takes, as it says.
    pub(super) fn allocated(&self, block_len: u64) -> u64 {
        let blocks = u64_high_first(&self.bytes, 64).unwrap_or(0);
        blocks.saturating_mul(block_len)
    }

    pub(super) fn content(&self) -> Fork<'_> {
        let (content, _) = self.split();
        let extents = match self.flags_2 & FLAG_2_BIG_COUNTS {
            0 => self.word(76).into(),
            _ => u64_high_first(&self.bytes, 24).unwrap_or(0),
        };
        self.fork(5, content, extents)
    }

    /// Nothing if it has no attributes.
    pub(super) fn attributes(&self) -> Option<Fork<'_>> {
        let (_, attributes) = self.split();
        let extents = match self.flags_2 & FLAG_2_BIG_COUNTS {
            0 => self.half(80),
            _ => self.word(76),
        };
        let fork = self.fork(83, attributes?, extents.into());
        (fork.form == Form::Local || fork.extents > 0).then_some(fork)
    }

    fn fork<'i>(&'i self, form_at: usize, bytes: &'i [u8], extents: u64) -> Fork<'i> {
        let form = match self.bytes[form_at] {
            1 => Form::Local,
            2 => Form::Extents,
            3 => Form::Tree,
            _ => Form::Other,
        };
        Fork {
            form,
            bytes,
            extents,
            owner: self.number,
        }
    }

    /// What lies behind the fields: content, and attributes if there is a place for them.
    fn split(&self) -> (&[u8], Option<&[u8]>) {
        split(&self.bytes)
    }

    pub(super) fn device(&self) -> DeviceNumber {
        let (content, _) = self.split();
        let number = u32_high_first(content, 0).unwrap_or(0);
        DeviceNumber {
            major: number >> 18,
            minor: number & 0x3_ffff,
        }
    }

    /// All but extended attributes.
    pub(super) fn metadata(&self) -> Metadata {
        Metadata {
            mode: self.mode & 0o7777,
            owner: Arc::new(Owner {
                uid: self.word(8),
                gid: self.word(12),
                ..Owner::default()
            }),
            mtime: self.mtime(),
            xattrs: Vec::new(),
        }
    }

    fn mtime(&self) -> Timestamp {
        if self.flags_2 & FLAG_2_BIG_TIME == 0 {
            return Timestamp {
                seconds: self.word(40).cast_signed().into(),
                nanoseconds: self.word(44).min(999_999_999),
            };
        }
        let time = u64_high_first(&self.bytes, 40).unwrap_or(0);
        Timestamp {
            seconds: (time / PER_SECOND).cast_signed() - BIG_TIME_EPOCH,
            nanoseconds: (time % PER_SECOND) as u32,
        }
    }

    fn word(&self, at: usize) -> u32 {
        u32_high_first(&self.bytes, at).unwrap_or(0)
    }

    fn half(&self, at: usize) -> u32 {
        u16_high_first(&self.bytes, at).map_or(0, u32::from)
    }
}

/// Where the fields of an inode end, its content ends, and its attributes begin.
pub(super) fn split(inode: &[u8]) -> (&[u8], Option<&[u8]>) {
    let fields_len = match u8_at(inode, 4) {
        Some(3) => FIELDS_3_LEN,
        _ => FIELDS_LEN,
    };
    let rest = inode.get(fields_len..).unwrap_or_default();
    match u8_at(inode, 82).map_or(0, |eighth| usize::from(eighth) * 8) {
        0 => (rest, None),
        at => {
            let (content, attributes) = rest.split_at(at.min(rest.len()));
            (content, Some(attributes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inode(version: u8, change: impl FnOnce(&mut [u8])) -> Option<Inode> {
        let mut bytes = vec![0; 256];
        bytes[..2].copy_from_slice(b"IN");
        bytes[2..4].copy_from_slice(&(FILE | 0o4755).to_be_bytes());
        bytes[4] = version;
        bytes[19] = 1;
        change(&mut bytes);
        Inode::decode(77, version == 3, &bytes)
    }

    #[test]
    fn times_before_1970_and_after_2038_are_what_they_were() {
        let classic = |bytes: &mut [u8]| {
            bytes[40..44].copy_from_slice(&(-5_i32).to_be_bytes());
            bytes[47] = 7;
        };
        let mtime = inode(2, classic).unwrap().metadata().mtime;
        assert_eq!((mtime.seconds, mtime.nanoseconds), (-5, 7));
        for seconds in [-(1 << 31), -5, 0, 1 << 32, 16_299_260_424] {
            let mtime = inode(3, |bytes| {
                let time = (seconds + BIG_TIME_EPOCH) as u64 * PER_SECOND + 7;
                bytes[40..48].copy_from_slice(&time.to_be_bytes());
                bytes[127] = FLAG_2_BIG_TIME as u8;
            });
            let mtime = mtime.unwrap().metadata().mtime;
            assert_eq!((mtime.seconds, mtime.nanoseconds), (seconds, 7));
        }
    }

    #[test]
    fn counts_of_extents_of_both_widths_are_read() {
        let counts = |inode: &Inode| {
            let attributes = inode.attributes().map(|fork| fork.extents);
            (inode.content().extents, attributes)
        };
        let small = inode(3, |bytes| {
            bytes[76..82].copy_from_slice(&[0, 1, 0, 2, 0, 3]);
            bytes[82] = 4;
        });
        assert_eq!(counts(&small.unwrap()), (0x1_0002, Some(3)));
        let large = inode(3, |bytes| {
            bytes[24..32].copy_from_slice(&(1_u64 << 40).to_be_bytes());
            bytes[76..80].copy_from_slice(&70_000_u32.to_be_bytes());
            bytes[82] = 4;
            bytes[127] = FLAG_2_BIG_COUNTS as u8;
        });
        assert_eq!(counts(&large.unwrap()), (1 << 40, Some(70_000)));
        let none = inode(2, |bytes| bytes[81] = 3);
        assert_eq!(counts(&none.unwrap()), (0, None));
    }

    #[test]
    fn links_of_the_first_version_are_counted_in_their_own_place() {
        let old = inode(1, |bytes| bytes[7] = 3);
        assert_eq!(old.unwrap().links, 3);
    }

    #[test]
    fn an_inode_that_nobody_has_or_of_another_version_is_none() {
        assert!(inode(2, |bytes| bytes[2..4].fill(0)).is_none());
        assert!(inode(2, |bytes| bytes[19] = 0).is_none());
        assert!(inode(2, |bytes| bytes[0] = b'x').is_none());
        assert!(inode(3, |bytes| bytes[4] = 2).is_none());
        assert!(inode(4, |_| ()).is_none());
    }

    #[test]
    fn attributes_that_would_begin_behind_the_inode_have_no_bytes() {
        let inode = inode(3, |bytes| bytes[82..84].copy_from_slice(&[200, 1]));
        let inode = inode.unwrap();
        assert_eq!(inode.content().bytes.len(), 80);
        assert!(inode.attributes().unwrap().bytes.is_empty());
    }
}
