//! What transactions change: pieces of metadata, and inodes.
//!
//! Numbers have the low byte first, but for what is a copy of bytes on the disk.

use std::collections::{HashMap, HashSet};

use crate::error::Result;
use crate::serve::image::medium::Medium;
use crate::serve::image::reader::{damaged, said};
use crate::serve::image::xfs::inode;
use crate::serve::image::xfs::log::fields::{put, put_fields, put_root};
use crate::serve::image::xfs::log::record::Regions;
use crate::serve::image::xfs::log::{Replayed, SECTOR_LEN};
use crate::serve::image::xfs::superblock::Geometry;
use crate::sources::volume::layout::fields::{has, u16_at, u32_at, u64_at};

/// What a transaction begins with.
const TRANSACTION: &[u8] = b"NART";
const INODE: u16 = 0x123b;
const PIECE: u16 = 0x123c;
/// What is announced, and what says that it is done: of maps of files, of attributes, and of contents
/// that are exchanged. All others are about free space.
const ANNOUNCED: [(u16, u16); 3] = [(0x1244, 0x1245), (0x1246, 0x1247), (0x1248, 0x1249)];

/// Of a piece: only pointers among inodes that have no name.
const FLAG_UNNAMED: u16 = 0x1;
/// Of a piece: it is thrown away, whatever the log has of it before.
const FLAG_CANCELLED: u16 = 0x2;
/// Unit of what is changed in a piece.
const CHUNK_LEN: usize = 128;
const MAP_AT: usize = 20;

/// Of an inode: what is in the log of it, beside its fields.
const CONTENT_BYTES: u32 = 0x2 | 0x4;
const CONTENT_ROOT: u32 = 0x8;
const DEVICE: u32 = 0x10;
const ATTRIBUTE_BYTES: u32 = 0x40 | 0x80;
const ATTRIBUTE_ROOT: u32 = 0x100;

/// A piece of metadata: its first sector, and how many it takes.
type Piece = (u64, u32);

pub(super) struct Changes<'m> {
    medium: &'m Medium,
    geometry: &'m Geometry,
    replayed: Replayed,
    /// Pieces that are thrown away, and how often from here on.
    cancelled: HashMap<Piece, u32>,
    announced: HashSet<(u16, u64)>,
}

/// One thing that a transaction changes: what, and with which bytes.
struct Item<'r> {
    kind: u16,
    regions: &'r [Vec<u8>],
}

impl<'m> Changes<'m> {
    pub(super) fn new(medium: &'m Medium, geometry: &'m Geometry) -> Self {
        Self {
            medium,
            geometry,
            replayed: Replayed::default(),
            cancelled: HashMap::new(),
            announced: HashSet::new(),
        }
    }

    /// What is replayed, and false if some of what was announced is not done.
    pub(super) fn finish(self) -> (Replayed, bool) {
        (self.replayed, self.announced.is_empty())
    }

    /// Notes which pieces a transaction throws away.
    pub(super) fn note_cancelled(&mut self, regions: &Regions) -> Result<()> {
        for item in items(regions)? {
            if let Some(piece) = item.cancelled()? {
                *self.cancelled.entry(piece).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Carries a transaction out: pieces before inodes, which lie in some of them.
    pub(super) fn replay(&mut self, regions: &Regions) -> Result<()> {
        let items = items(regions)?;
        for item in items.iter().filter(|item| item.kind == PIECE) {
            if item.cancelled()?.is_none() {
                self.piece(item)?;
            }
        }
        for item in items.iter().filter(|item| item.kind == INODE) {
            self.inode(item)?;
        }
        for item in &items {
            if let Some(piece) = item.cancelled()? {
                self.uncancel(piece);
            }
            self.announcement(item)?;
        }
        Ok(())
    }

    fn uncancel(&mut self, piece: Piece) {
        if let Some(count) = self.cancelled.get_mut(&piece) {
            *count -= 1;
            if *count == 0 {
                self.cancelled.remove(&piece);
            }
        }
    }

    fn announcement(&mut self, item: &Item<'_>) -> Result<()> {
        for (intent, done) in ANNOUNCED {
            if item.kind == intent {
                self.announced.insert((intent, long(item.head(), 8)?));
            } else if item.kind == done {
                self.announced.remove(&(intent, long(item.head(), 8)?));
            }
        }
        Ok(())
    }

    /// Runs of bits say which chunks are changed; each run has a region.
    fn piece(&mut self, item: &Item<'_>) -> Result<()> {
        let head = item.head();
        let piece = item.piece()?;
        if half(head, 4)? & FLAG_UNNAMED != 0 || self.cancelled.contains_key(&piece) {
            return Ok(());
        }
        let words = word(head, 16)? as usize;
        let map = head.get(MAP_AT..).ok_or_else(broken)?.as_chunks::<4>().0;
        let map = map.get(..words).ok_or_else(broken)?;
        let is_changed = |bit: usize| {
            let word = map
                .get(bit / 32)
                .map_or(0, |word| u32::from_le_bytes(*word));
            word >> (bit % 32) & 1 != 0
        };
        let place = piece.0.checked_mul(SECTOR_LEN as u64).ok_or_else(broken)?;
        let mut bit = 0;
        for region in &item.regions[1..] {
            while bit < words * 32 && !is_changed(bit) {
                bit += 1;
            }
            let chunks = region.len() / CHUNK_LEN;
            let run = (bit..)
                .take(chunks)
                .take_while(|bit| is_changed(*bit))
                .count();
            let (at, len) = (bit * CHUNK_LEN, run * CHUNK_LEN);
            if run == 0 || at + len > piece.1 as usize * SECTOR_LEN {
                return Err(broken());
            }
            let place = place.checked_add(at as u64).ok_or_else(broken)?;
            self.replayed.put(self.medium, place, &region[..len])?;
            bit += run;
        }
        Ok(())
    }

    fn inode(&mut self, item: &Item<'_>) -> Result<()> {
        let head = InodeHead::decode(item.head())?;
        if self.cancelled.contains_key(&head.piece) {
            return Ok(());
        }
        let place = head.piece.0.checked_mul(SECTOR_LEN as u64);
        let place = place.and_then(|place| place.checked_add(head.offset));
        let place = place.ok_or_else(broken)?;
        let len = self.geometry.inode_len;
        if place
            .checked_add(len as u64)
            .is_none_or(|end| end > self.medium.len())
        {
            return Err(broken());
        }
        let mut bytes = vec![0; len];
        self.medium.read(place, &mut bytes).map_err(said)?;
        self.replayed.apply(place, &mut bytes);
        self.change_inode(&head, &item.regions[1..], &mut bytes)?;
        self.replayed.put(self.medium, place, &bytes)
    }

    fn change_inode(&self, head: &InodeHead, regions: &[Vec<u8>], inode: &mut [u8]) -> Result<()> {
        let (fields, mut rest) = regions.split_first().ok_or_else(broken)?;
        put_fields(fields, inode)?;
        let (content, attributes) = inode::split(inode);
        let (content, attributes) = (content.len(), attributes.map_or(0, <[u8]>::len));
        let content_at = inode.len() - attributes - content;
        let (content, attributes) = inode[content_at..].split_at_mut(content);
        let is_logged = |mask| head.fields & mask != 0;
        if is_logged(DEVICE) {
            put(content, 0, &head.device.to_be_bytes())?;
        }
        for (fork, bytes, root) in [
            (content, CONTENT_BYTES, CONTENT_ROOT),
            (attributes, ATTRIBUTE_BYTES, ATTRIBUTE_ROOT),
        ] {
            if !is_logged(bytes | root) {
                continue;
            }
            // A fork that became empty has a flag and no region.
            let Some((region, behind)) = rest.split_first() else {
                break;
            };
            rest = behind;
            match is_logged(bytes) {
                true => put(fork, 0, region.get(..fork.len()).unwrap_or(region))?,
                false => put_root(region, self.geometry.has_checksums, fork)?,
            }
        }
        Ok(())
    }
}

impl Item<'_> {
    fn head(&self) -> &[u8] {
        &self.regions[0]
    }

    fn piece(&self) -> Result<Piece> {
        let head = self.head();
        Ok((long(head, 8)?, half(head, 6)?.into()))
    }

    /// The piece that is thrown away, if that is what it says.
    fn cancelled(&self) -> Result<Option<Piece>> {
        if self.kind != PIECE || half(self.head(), 4)? & FLAG_CANCELLED == 0 {
            return Ok(None);
        }
        self.piece().map(Some)
    }
}

/// What the regions of a transaction are about.
fn items(regions: &Regions) -> Result<Vec<Item<'_>>> {
    let Some((first, mut rest)) = regions.split_first() else {
        return Ok(Vec::new());
    };
    if !has(first, 0, TRANSACTION) {
        return Err(broken());
    }
    let mut items = Vec::new();
    while let Some(head) = rest.first() {
        let (kind, count) = (half(head, 0)?, usize::from(half(head, 2)?));
        let (regions, behind) = rest.split_at_checked(count.max(1)).ok_or_else(broken)?;
        items.push(Item { kind, regions });
        rest = behind;
    }
    Ok(items)
}

/// What is said of an inode before its bytes.
struct InodeHead {
    fields: u32,
    device: u32,
    /// Where it lies, and from which byte on.
    piece: Piece,
    offset: u64,
}

impl InodeHead {
    /// Machines of 32 bits leave out a word before the number of the inode.
    fn decode(bytes: &[u8]) -> Result<Self> {
        let number_at = match bytes.len() {
            56 => 16,
            52 => 12,
            _ => return Err(broken()),
        };
        Ok(Self {
            fields: word(bytes, 4)?,
            device: word(bytes, number_at + 8)?,
            piece: (long(bytes, number_at + 24)?, word(bytes, number_at + 32)?),
            offset: word(bytes, number_at + 36)?.into(),
        })
    }
}

fn half(bytes: &[u8], at: usize) -> Result<u16> {
    u16_at(bytes, at).ok_or_else(broken)
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    u32_at(bytes, at).ok_or_else(broken)
}

fn long(bytes: &[u8], at: usize) -> Result<u64> {
    u64_at(bytes, at).ok_or_else(broken)
}

fn broken() -> crate::error::Error {
    damaged("has a log that makes no sense")
}
