//! XFS, log included: what the file system would be once it was mounted.
//!
//! ```text
//! superblock   lengths of everything; where the number of a block or an inode leads
//! log          what is not written back yet, as sectors that are read instead
//! block        a piece of metadata after the log, and whether it belongs where it lies
//! inode        what an entry is; its two forks: content and attributes
//! extents      from an offset in a fork to blocks
//! directory, xattr, remote   what is in them
//! ```
//! Written after the published description of the format, for versions 4 and 5. What it does not know it
//! refuses.
//!
//! Deliberately absent: contents on a realtime device, checksums of version 4 (it has none), trees of
//! free space and of inodes: what no folder leads to is not shown.

#![expect(clippy::big_endian_bytes, reason = "XFS writes the high byte first")]

mod block;
mod directory;
mod extents;
mod inode;
mod log;
mod remote;
mod superblock;
mod xattr;

use std::rc::Rc;

use crate::error::Result;
use crate::format::entry::Metadata;
use crate::serve::image::medium::Medium;
use crate::serve::image::reader::{
    At, FileSystemReader, Found, HOLES_BY_ZEROS, Listing, Stretch, damaged, said,
};

use inode::{Form, Inode};
use log::Replayed;
use remote::Remote;
use superblock::{Geometry, SECTOR_LEN};

/// Longest target of a symbolic link.
const TARGET_LEN_MAX: usize = 1024;

/// An XFS file system.
pub(super) struct Xfs {
    medium: Rc<Medium>,
    geometry: Geometry,
    replayed: Replayed,
}

impl Xfs {
    pub(super) fn open(medium: &Rc<Medium>) -> Result<Self> {
        let mut sector = vec![0; SECTOR_LEN as usize];
        medium.read(0, &mut sector).map_err(said)?;
        let geometry = Geometry::decode(&sector)?;
        sector.resize(superblock::sector_len(&sector)?, 0);
        medium.read(0, &mut sector).map_err(said)?;
        if geometry.has_checksums {
            superblock::check_sum(&sector)?;
        }
        let replayed = log::replay(medium, &geometry);
        // Who made it larger may have had no time to write that back.
        let geometry = match replayed.apply(0, &mut sector) {
            true => Geometry::decode(&sector)?,
            false => geometry,
        };
        if geometry.len() > medium.len() {
            return Err(damaged("is longer than what it lies in"));
        }
        Ok(Self {
            medium: Rc::clone(medium),
            geometry,
            replayed,
        })
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
        let len = usize::try_from(inode.len).ok();
        let Some(len) = len.filter(|len| *len <= TARGET_LEN_MAX) else {
            return Err(damaged("has a link target that is too long"));
        };
        let content = inode.content();
        if content.form != Form::Local {
            return self.remote(&Remote::Target, &content, 0, len);
        }
        let target = content.bytes.get(..len);
        let target = target.ok_or_else(|| damaged("has a link target that ends too early"))?;
        Ok(target.to_vec())
    }
}

impl FileSystemReader for Xfs {
    fn fidelity(&self) -> Vec<&'static str> {
        vec![HOLES_BY_ZEROS]
    }

    fn doubt(&self) -> Option<&'static str> {
        self.replayed.doubt
    }

    fn root(&mut self) -> Result<Found> {
        let inode = self.inode(self.geometry.root)?;
        self.found(&inode)
    }

    fn list(&mut self, folder: &At<'_>, listing: &mut Listing) -> Result<()> {
        let inode = self.inode(folder.id)?;
        self.each_entry(&inode, &mut |name, number| {
            listing.add(name, || {
                let inode = self.inode(number)?;
                self.found(&inode)
            })
        })
    }

    fn read(&mut self, file: &At<'_>, offset: u64, out: &mut [u8]) -> Result<()> {
        let inode = self.inode(file.id)?;
        self.read_content(&inode, offset, out)
    }

    fn stretch(&mut self, file: &At<'_>, offset: u64) -> Result<Stretch> {
        let inode = self.inode(file.id)?;
        if inode.is_realtime() {
            return Ok(Stretch::REST);
        }
        self.stretch_of(&inode, offset)
    }
}
