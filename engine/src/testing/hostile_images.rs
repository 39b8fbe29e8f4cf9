//! Every reader of file systems inside volumes, as functions that must come back.
//!
//! The bytes are a [`SparseImage`]. All that a user can ask of one is asked: `ls`, `find`, `cat`, and
//! pages of folders. A restore writes what these give, and is the affair of `serve::image::tests`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::format::entry::{FolderPath, is_valid_name};
use crate::limits::{IMAGE_DEPTH_LIMIT, MIB};
use crate::observe::Observer;
use crate::operations::find::Pattern;
use crate::serve::View;
use crate::serve::image::{Image, cat, find, list};
use crate::sources::volume::layout::crc32c;
use crate::sources::volume::layout::fields::u16_high_first;
use crate::testing::sparse_image::SparseImage;

const NAME: &[u8] = b"disk0/p1";
/// Entries after which a walk is stopped, as by a user: small images that name a million are many.
const ENTRIES_MAX: usize = 2_000;
/// Files that are read, and how much of each: length is a number in the image.
const FILES_MAX: usize = 20;
const READ_LEN_MAX: usize = MIB;

/// ext2, ext3, ext4.
pub fn ext(bytes: &[u8]) {
    exercise(Arc::new(SparseImage::decode(bytes)));
}

/// FAT of all widths.
pub fn fat(bytes: &[u8]) {
    exercise(Arc::new(SparseImage::decode(bytes)));
}

/// NTFS.
pub fn ntfs(bytes: &[u8]) {
    exercise(Arc::new(SparseImage::decode(bytes)));
}

/// btrfs, with its checksums repaired: whoever makes a hostile one makes them right.
pub fn btrfs(bytes: &[u8]) {
    let mut image = SparseImage::decode(bytes);
    repair_btrfs(&mut image);
    exercise(Arc::new(image));
}

/// XFS, with its checksums repaired.
pub fn xfs(bytes: &[u8]) {
    let mut image = SparseImage::decode(bytes);
    repair_xfs(&mut image);
    exercise(Arc::new(image));
}

/// Asks everything of an image; gives the number of entries that were listed.
pub fn exercise(view: Arc<dyn View>) -> usize {
    let Ok(mut image) = Image::open(view, NAME) else {
        return 0;
    };
    let paths = listed(&mut image);
    for path in paths.iter().take(FILES_MAX) {
        let path = path_in(path);
        let mut sink = Enough(0);
        let read = cat(&mut image, &path, &mut sink);
        assert!(read.is_err() || read.is_ok_and(|len| len == sink.0 as u64));
        let _ = image.entry(&path);
    }
    let all = Pattern::new("*e*", true).expect("it is one");
    let tired = Tired::default();
    let found = find(&mut image, &all, &tired, &mut |path, _| {
        assert_inside(&path);
        Ok(())
    });
    assert!(found.is_err() || found.is_ok_and(|report| report.found <= report.entries));
    paths.len()
}

fn listed(image: &mut Image) -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    let tired = Tired::default();
    let _ = list(image, &FolderPath::root(), true, &tired, &mut |listed| {
        assert_inside(&listed.path);
        paths.push(listed.path.clone());
        Ok(())
    });
    paths
}

/// A path leads from the image downwards, by names that a folder can have.
fn assert_inside(path: &[u8]) {
    let path = path_in(path);
    assert!(path.components().all(is_valid_name));
    assert!(path.components().count() <= IMAGE_DEPTH_LIMIT + 1);
}

fn path_in(path: &[u8]) -> FolderPath {
    let below = path.strip_prefix(NAME).expect("paths begin with the name");
    let below = below.strip_prefix(b"/").expect("and go on below it");
    let names = below.split(|byte| *byte == b'/');
    names.fold(FolderPath::root(), |path, name| path.child(name))
}

/// A user who has seen enough.
#[derive(Default)]
struct Tired(AtomicUsize);

impl Observer for Tired {
    fn is_cancelled(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) >= ENTRIES_MAX
    }
}

/// A sink that takes no more.
struct Enough(usize);

impl io::Write for Enough {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 > READ_LEN_MAX {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const SUPERBLOCK_AT: u64 = 0x1_0000;
const SUPERBLOCK_LEN: usize = 4096;
const CHECKSUM_LEN: usize = 32;
const SECTOR_LEN: usize = 512;
const XFS_BLOCK_LEN_MAX: usize = 65_536;

/// Makes the checksums of the superblock and of everything that looks like a node right again.
pub fn repair_btrfs(image: &mut SparseImage) {
    let Some(superblock) = image.bytes(SUPERBLOCK_AT, SUPERBLOCK_LEN) else {
        return;
    };
    let id = &superblock[32..48];
    let word =
        |at: usize| u32::from_le_bytes(superblock[at..at + 4].try_into().unwrap_or_default());
    let node_len = (word(0x94) as usize).next_power_of_two();
    put_checksum(image, SUPERBLOCK_AT, &superblock);
    if !(4096..=65_536).contains(&node_len) {
        return;
    }
    let first_sectors = image.pieces().map(|sector| u64::from(sector) * 512);
    let starts: Vec<_> = first_sectors
        .filter(|at| at % 4096 == 0 && *at != SUPERBLOCK_AT)
        .collect();
    for at in starts {
        let node = image.bytes(at, node_len);
        if let Some(node) = node.filter(|node| node[32..48] == *id) {
            put_checksum(image, at, &node);
        }
    }
}

fn put_checksum(image: &mut SparseImage, at: u64, block: &[u8]) {
    let checksum = crc32c(&[&block[CHECKSUM_LEN..]]);
    image.write(at, &checksum.to_le_bytes());
}

/// Makes the checksums of everything that looks like metadata of version 5 right again. A record of the
/// log is as good without one.
pub fn repair_xfs(image: &mut SparseImage) {
    let Some(superblock) = image.bytes(0, SECTOR_LEN) else {
        return;
    };
    let half = |at| u16_high_first(&superblock, at).map_or(0, usize::from);
    let block_len = half(6) | half(4) << 16;
    let folder_len = block_len << superblock[192].min(7);
    let starts: Vec<_> = image
        .pieces()
        .map(|sector| u64::from(sector) * 512)
        .collect();
    for at in starts {
        let head = image.bytes(at, SECTOR_LEN).unwrap_or_default();
        let (crc_at, len) = match head.as_slice() {
            [b'X', b'F', b'S', b'B', ..] => (224, half(102)),
            [b'I', b'N', ..] => (100, half(104)),
            [b'X', b'D', b'B' | b'D', b'3', ..] => (4, folder_len),
            [b'B', b'M', b'A', b'3', ..] => (64, block_len),
            [b'X', b'A', b'R', b'M', ..] | [b'X', b'S', b'L', b'M', ..] => (12, block_len),
            [_, _, _, _, _, _, _, _, 0x3b | 0x3e, 0xee | 0xbe, ..] => (12, block_len),
            [0xfe, 0xed, 0xba, 0xbe, ..] => {
                image.write(at + 32, &[0; 4]);
                continue;
            }
            _ => continue,
        };
        if !(crc_at + 4..=XFS_BLOCK_LEN_MAX).contains(&len) {
            continue;
        }
        if let Some(block) = image.bytes(at, len) {
            let checksum = crc32c(&[&block[..crc_at], &[0; 4], &block[crc_at + 4..]]);
            image.write(at + crc_at as u64, &checksum.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::seeds;

    #[test]
    fn seeds_are_file_systems_and_repairing_leaves_a_sound_one_as_it_is() {
        for (decoder, bytes) in seeds::images() {
            let mut image = SparseImage::decode(&bytes);
            assert!(exercise(Arc::new(image.clone())) >= 3, "{decoder}");
            let whole = image.clone();
            match decoder {
                "image_btrfs" => repair_btrfs(&mut image),
                "image_xfs" => repair_xfs(&mut image),
                _ => (),
            }
            assert!(image == whole, "{decoder}");
        }
    }
}
