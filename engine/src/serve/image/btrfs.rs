//! btrfs, by a library that finds files; times and device numbers are taken from the items it read.
//!
//! Subvolumes are folders, as in a mount of the default one. Deliberately absent: the log of trees
//! (the last calls of fsync before a crash), file systems over several disks, checksums of contents:
//! what is stored is verified before it gets here.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use lambutter::{BlockRead, Btrfs as Volume, Error as Fault, Inode, Path};

use crate::error::{Error, Result};
use crate::format::entry::{DeviceNumber, FolderPath, Metadata, Owner, Timestamp};
use crate::limits::SYMLINK_LEN_LIMIT;
use crate::operations::walk;
use crate::serve::image::medium::Medium;
use crate::serve::image::modes;
use crate::serve::image::reader::{At, FileSystemReader, Found, Listing, damaged, unsupported};
use crate::sources::volume::layout::fields::{array, u32_at, u64_at};

const SUPERBLOCK_AT: u64 = 0x1_0000;
const LOG_ROOT_AT: u64 = SUPERBLOCK_AT + 0x60;

/// A btrfs file system.
pub(super) struct Btrfs {
    volume: Volume<Source>,
    source: Source,
    has_log: bool,
}

impl Btrfs {
    pub(super) fn open(medium: &Rc<Medium>) -> Result<Self> {
        let source = Source::new(medium);
        let mut log_root = [0; 8];
        medium
            .read(LOG_ROOT_AT, &mut log_root)
            .map_err(super::reader::said)?;
        let volume = Volume::open(source.clone(), medium.len()).map_err(told)?;
        Ok(Self {
            volume,
            source,
            has_log: log_root != [0; 8],
        })
    }

    fn found(&mut self, path: &[u8], inode: Inode) -> Result<Found> {
        let metadata = self.volume.metadata(&inode).map_err(told)?;
        let item = self.source.item_of(inode.objectid()).unwrap_or_default();
        let node = modes::node_of(metadata.mode as u16, metadata.size, item.device, || {
            if metadata.size > SYMLINK_LEN_LIMIT as u64 {
                return Err(damaged("has a link target that is too long"));
            }
            let path = Path::new(path).ok_or_else(|| damaged("has no path"))?;
            self.volume.read_link(path).map_err(told)
        })?;
        Ok(Found {
            metadata: Metadata {
                mode: (metadata.mode & 0o7777) as u16,
                owner: Arc::new(Owner {
                    uid: metadata.uid,
                    gid: metadata.gid,
                    ..Owner::default()
                }),
                mtime: item.mtime,
                xattrs: Vec::new(),
            },
            node,
            // Inode numbers repeat in each subvolume, of which there are less than 2^24.
            id: inode.subvolume() << 40 ^ inode.objectid(),
            links: metadata.nlink,
            allocated: item.allocated,
        })
    }
}

impl FileSystemReader for Btrfs {
    fn fidelity(&self) -> Vec<&'static str> {
        vec!["extended attributes and ACLs of btrfs are not carried"]
    }

    fn doubt(&self) -> Option<&'static str> {
        self.has_log.then_some(
            "the log of the file system is not replayed: what was flushed in its last seconds may be \
             missing",
        )
    }

    fn has_acls(&self) -> bool {
        false
    }

    fn root(&mut self) -> Result<Found> {
        let root = Path::from("/");
        let inode = self.volume.resolve(root).map_err(told)?;
        self.found(b"/", inode)
    }

    fn list(&mut self, folder: &At<'_>, listing: &mut Listing) -> Result<()> {
        let path = absolute(folder.path);
        let entries = read_dir(&mut self.volume, &path)?;
        for entry in entries {
            let path = absolute(&folder.path.child(&entry.name));
            listing.add(&entry.name, || self.found(&path, entry.inode))?;
        }
        Ok(())
    }

    fn find(&mut self, folder: &At<'_>, name: &[u8]) -> Result<Option<Found>> {
        let path = absolute(&folder.path.child(name));
        let resolved = Path::new(&path).map(|path| self.volume.resolve(path));
        match resolved {
            Some(Ok(inode)) => self.found(&path, inode).map(Some),
            Some(Err(Fault::NotFound)) | None => Ok(None),
            Some(Err(fault)) => Err(told(fault)),
        }
    }

    fn read(&mut self, file: &At<'_>, offset: u64, out: &mut [u8]) -> Result<()> {
        let path = absolute(file.path);
        let path = Path::new(&path).ok_or_else(|| damaged("has no path"))?;
        let inode = self.volume.resolve(path).map_err(told)?;
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let read = self.volume.read_file_at(&inode, at, &mut out[done..]);
            match read.map_err(told)? {
                0 => return Err(damaged("ends too early")),
                len => done += len,
            }
        }
        Ok(())
    }
}

fn read_dir(volume: &mut Volume<Source>, path: &[u8]) -> Result<Vec<lambutter::DirEntry>> {
    let path = Path::new(path).ok_or_else(|| damaged("has no path"))?;
    volume.read_dir(path).map_err(told)
}

fn absolute(path: &FolderPath) -> Vec<u8> {
    walk::path_below(b"/", &path.as_entry())
}

fn told(fault: Fault) -> Error {
    match &fault {
        Fault::UnsupportedFeature(_)
        | Fault::UnsupportedProfile(_)
        | Fault::UnsupportedChecksum(_) => unsupported(fault.to_string()),
        _ => damaged(fault.to_string()),
    }
}

/// The medium, which remembers the leaf that was read last: the library keeps to itself what it
/// does not need of an inode.
#[derive(Clone)]
struct Source {
    medium: Rc<Medium>,
    last: Rc<RefCell<Vec<u8>>>,
}

/// What the library leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    mtime: Timestamp,
    device: DeviceNumber,
    allocated: Option<u64>,
}

impl Default for Item {
    fn default() -> Self {
        let (major, minor) = (0, 0);
        Self {
            mtime: Timestamp::default(),
            device: DeviceNumber { major, minor },
            allocated: None,
        }
    }
}

impl Source {
    fn new(medium: &Rc<Medium>) -> Self {
        Self {
            medium: Rc::clone(medium),
            last: Rc::default(),
        }
    }

    fn item_of(&self, inode: u64) -> Option<Item> {
        item_in(&self.last.borrow(), inode)
    }
}

impl BlockRead for Source {
    type Error = io::Error;

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.medium.read(offset, out)?;
        let mut last = self.last.borrow_mut();
        last.clear();
        last.extend_from_slice(out);
        Ok(())
    }
}

const HEADER_LEN: usize = 101;
const KEY_LEN: usize = 25;
const INODE_ITEM: u8 = 1;
const ALLOCATED_AT: usize = 24;
const DEVICE_AT: usize = 56;
const MTIME_AT: usize = 136;

/// The item of an inode in a leaf; nothing if it is another block.
fn item_in(leaf: &[u8], inode: u64) -> Option<Item> {
    let count = u32_at(leaf, 96)? as usize;
    let keys = leaf.get(HEADER_LEN..)?.as_chunks::<KEY_LEN>().0;
    let is_wanted =
        |key: &&[u8; KEY_LEN]| u64_at(&key[..], 0) == Some(inode) && key[8] == INODE_ITEM;
    let key = keys.iter().take(count).find(is_wanted)?;
    let at = HEADER_LEN.checked_add(u32_at(key, 17)? as usize)?;
    let item = leaf.get(at..)?;
    let device = u64_at(item, DEVICE_AT)?;
    Some(Item {
        mtime: Timestamp {
            seconds: i64::from_le_bytes(array(item, MTIME_AT)?),
            nanoseconds: u32_at(item, MTIME_AT + 8)?.min(999_999_999),
        },
        device: DeviceNumber {
            major: (device >> 20) as u32 & 0xfff,
            minor: device as u32 & 0xf_ffff,
        },
        allocated: u64_at(item, ALLOCATED_AT),
    })
}
