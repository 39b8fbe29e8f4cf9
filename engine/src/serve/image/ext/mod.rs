//! ext2, ext3 and ext4, journal included: what the file system would be once it was mounted.
//!
//! A reader of our own: libraries for this either take space that was reserved and never written
//! for content, or believe whatever lengths a superblock names. What it does not know it refuses.
//!
//! Deliberately absent: checksums of metadata (what is stored is verified before it gets here),
//! contents inside inodes, encrypted folders, fast commits.

mod blocks;
mod directory;
mod inode;
mod journal;
mod xattr;

use std::rc::Rc;

use crate::error::Result;
use crate::format::entry::Metadata;
use crate::limits::SYMLINK_LEN_LIMIT;
use crate::serve::image::medium::Medium;
use crate::serve::image::reader::{
    At, FileSystemReader, Found, HOLES_BY_ZEROS, Listing, Stretch, damaged, said, unsupported,
};
use crate::sources::volume::layout::fields::{u16_at, u32_at};
use crate::sources::volume::layout::hints::ext::superblock::{Geometry, SUPERBLOCK_AT};

use inode::Inode;
use journal::Replayed;

const SUPERBLOCK_LEN: usize = 1024;
const ROOT_INODE: u64 = 2;
/// The journal holds changes that are not written back yet.
const INCOMPATIBLE_RECOVER: u32 = 0x4;
/// Folders may be too large for a length of 32 bits, and attributes lie in inodes of their own.
const INCOMPATIBLE_EA_INODE: u32 = 0x400;

/// An ext file system.
pub(super) struct Ext {
    medium: Rc<Medium>,
    geometry: Geometry,
    replayed: Replayed,
    has_attribute_inodes: bool,
}

impl Ext {
    pub(super) fn open(medium: &Rc<Medium>) -> Result<Self> {
        let mut superblock = [0; SUPERBLOCK_LEN];
        medium.read(SUPERBLOCK_AT, &mut superblock).map_err(said)?;
        let geometry = Geometry::decode(&superblock).map_err(said)?;
        if geometry.len() > medium.len() {
            return Err(damaged("is longer than what it lies in"));
        }
        let incompatible = u32_at(&superblock, 0x60).unwrap_or(0);
        let mut ext = Self {
            medium: Rc::clone(medium),
            geometry,
            replayed: Replayed::default(),
            has_attribute_inodes: incompatible & INCOMPATIBLE_EA_INODE != 0,
        };
        if incompatible & INCOMPATIBLE_RECOVER != 0 {
            let inode = u32_at(&superblock, 0xe0).unwrap_or(0);
            ext.replayed = journal::replay(&ext, u64::from(inode))?;
        }
        Ok(ext)
    }

    /// Bytes of a block as it is after the journal; `offset` and `out` lie within it.
    fn read_block(&self, number: u64, offset: u64, out: &mut [u8]) -> Result<()> {
        if !self.geometry.has_blocks(number, 1) {
            return Err(damaged(format!("names block {number}, which lies outside")));
        }
        let (place, is_escaped) = self.replayed.place_of(number);
        let at = place * self.geometry.block_len + offset;
        self.medium.read(at, out).map_err(said)?;
        if is_escaped {
            journal::unescape(offset, out);
        }
        Ok(())
    }

    fn block(&self, number: u64) -> Result<Vec<u8>> {
        // At most 64 KiB: the geometry says so.
        let mut bytes = vec![0; self.geometry.block_len as usize];
        self.read_block(number, 0, &mut bytes)?;
        Ok(bytes)
    }

    fn inode(&self, number: u64) -> Result<Inode> {
        let geometry = &self.geometry;
        let per_group = u64::from(geometry.inodes_per_group);
        let index = number.checked_sub(1);
        let index = index.filter(|index| index / per_group < geometry.groups);
        let index = index.ok_or_else(|| damaged(format!("names inode {number}")))?;
        let table = self.inode_table(index / per_group)?;
        let at = index % per_group * geometry.inode_len as u64;
        let mut bytes = vec![0; geometry.inode_len];
        let block = table.saturating_add(at / self.geometry.block_len);
        self.read_block(block, at % self.geometry.block_len, &mut bytes)?;
        Inode::decode(number, bytes)
            .ok_or_else(|| damaged(format!("inode {number} makes no sense")))
    }

    /// The block with which the inodes of a group begin.
    fn inode_table(&self, group: u64) -> Result<u64> {
        let len = self.geometry.descriptor_len;
        let per_block = self.geometry.block_len / len as u64;
        let block = self.geometry.descriptor_block(group / per_block);
        let mut descriptor = vec![0; len];
        self.read_block(block, group % per_block * len as u64, &mut descriptor)?;
        let table = self.geometry.inode_table(&descriptor);
        table.ok_or_else(|| damaged("has a group descriptor that is too short"))
    }

    fn found(&self, inode: &Inode) -> Result<Found> {
        let node = inode.node(|| self.link_target(inode))?;
        let metadata = Metadata {
            xattrs: xattr::read(self, inode)?,
            ..inode.metadata()
        };
        Ok(Found {
            metadata,
            node,
            id: inode.number,
            links: inode.links,
            allocated: Some(inode.allocated(self.geometry.block_len)),
        })
    }

    fn link_target(&self, inode: &Inode) -> Result<Vec<u8>> {
        if let Some(target) = inode.short_target() {
            return Ok(target.to_vec());
        }
        let len = usize::try_from(inode.len).ok();
        let Some(len) = len.filter(|len| *len <= SYMLINK_LEN_LIMIT) else {
            return Err(damaged("has a link target that is too long"));
        };
        let mut target = vec![0; len];
        self.read_inode(inode, 0, &mut target)?;
        Ok(target)
    }
}

impl FileSystemReader for Ext {
    fn fidelity(&self) -> Vec<&'static str> {
        let mut sentences = vec![HOLES_BY_ZEROS];
        if self.has_attribute_inodes {
            sentences.push("attributes that lie in inodes of their own are not carried");
        }
        if self.replayed.has_fast_commits {
            sentences.push("the last fast commits of the journal are not replayed");
        }
        sentences
    }

    fn root(&mut self) -> Result<Found> {
        let inode = self.inode(ROOT_INODE)?;
        self.found(&inode)
    }

    fn list(&mut self, folder: &At<'_>, listing: &mut Listing) -> Result<()> {
        let inode = self.inode(folder.id)?;
        if inode.is_encrypted() {
            return Err(unsupported("is encrypted by its file system"));
        }
        self.each_entry(&inode, &mut |name, number| {
            listing.add(name, || {
                let inode = self.inode(number)?;
                self.found(&inode)
            })
        })
    }

    fn read(&mut self, file: &At<'_>, offset: u64, out: &mut [u8]) -> Result<()> {
        let inode = self.inode(file.id)?;
        if inode.is_encrypted() {
            return Err(unsupported("is encrypted by its file system"));
        }
        self.read_inode(&inode, offset, out)
    }

    fn stretch(&mut self, file: &At<'_>, offset: u64) -> Result<Stretch> {
        let inode = self.inode(file.id)?;
        if inode.is_encrypted() || inode.refusal().is_some() {
            return Ok(Stretch::REST);
        }
        self.stretch_of(&inode, offset)
    }
}

/// A number of a folder entry or a header; nothing where the bytes end too early.
fn u16_of(bytes: &[u8], at: usize) -> Result<usize> {
    let number = u16_at(bytes, at).map(usize::from);
    number.ok_or_else(|| damaged("ends too early"))
}
