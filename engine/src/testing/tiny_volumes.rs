//! Volumes of some KiB that hold a partition table or a file system: what mutation and fuzzing of
//! `sources::volume::layout` begin with, made without tools.

use std::io;

use crate::pipeline::ReadAt;
use crate::sources::volume::layout::{crc32, lvm};

/// A volume in memory.
#[derive(Clone, Debug)]
pub struct TinyVolume(pub Vec<u8>);

impl ReadAt for TinyVolume {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.0.get(start..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

/// Every volume, the same on every run.
pub fn all() -> Vec<Vec<u8>> {
    vec![
        gpt(),
        mbr(),
        ext(false),
        ext(true),
        fat12(),
        ntfs(false),
        ntfs(true),
    ]
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

fn put_u16(image: &mut [u8], at: usize, number: u16) {
    put(image, at, &number.to_le_bytes());
}

fn put_u32(image: &mut [u8], at: usize, number: u32) {
    put(image, at, &number.to_le_bytes());
}

fn put_u64(image: &mut [u8], at: usize, number: u64) {
    put(image, at, &number.to_le_bytes());
}

fn put_boot_mark(image: &mut [u8], sector: usize) {
    put(image, sector * 512 + 510, &[0x55, 0xaa]);
}

fn put_mbr_entry(image: &mut [u8], sector: usize, index: usize, entry: (u8, u32, u32)) {
    let at = sector * 512 + 446 + 16 * index;
    image[at + 4] = entry.0;
    put_u32(image, at + 8, entry.1);
    put_u32(image, at + 12, entry.2);
    put_boot_mark(image, sector);
}

/// A GPT of four entries at both ends, and a file system in its second partition.
pub fn gpt() -> Vec<u8> {
    let inner = fat12();
    let sectors = 24 + inner.len() / 512;
    let mut image = vec![0; sectors * 512];
    put_mbr_entry(&mut image, 0, 0, (0xee, 1, u32::MAX));
    for (index, (first, count)) in [(8, 4), (12, inner.len() / 512)].into_iter().enumerate() {
        let entry = 2 * 512 + 128 * index;
        image[entry] = 0xaf;
        image[entry + 16] = index as u8 + 1;
        put_u64(&mut image, entry + 32, first);
        put_u64(&mut image, entry + 40, first + count as u64 - 1);
        put(&mut image, entry + 56, b"n\0a\0m\0e\0");
    }
    put(&mut image, 12 * 512, &inner);
    image.copy_within(2 * 512..3 * 512, (sectors - 2) * 512);
    for (sector, entries) in [(1, 2), (sectors - 1, sectors - 2)] {
        let header = sector * 512;
        put(&mut image, header, b"EFI PART");
        put_u32(&mut image, header + 8, 0x1_0000);
        put_u32(&mut image, header + 12, 92);
        put_u64(&mut image, header + 24, sector as u64);
        put(&mut image, header + 56, &[0x11; 16]);
        put_u64(&mut image, header + 72, entries as u64);
        put_u32(&mut image, header + 80, 4);
        put_u32(&mut image, header + 84, 128);
    }
    repair_gpt(&mut image);
    image
}

/// Makes the checksums of both headers right again, where there are headers.
pub fn repair_gpt(image: &mut [u8]) {
    let last = (image.len() / 512).saturating_sub(1);
    for sector in [1, last] {
        let header = sector * 512;
        let Some([at, count, len]) = gpt_array(image, header) else {
            continue;
        };
        if let Some(entries) = image
            .get(at..)
            .and_then(|rest| rest.get(..count.checked_mul(len)?))
        {
            let checksum = crc32(entries);
            put_u32(image, header + 88, checksum);
        }
        put_u32(image, header + 16, 0);
        let checksum = crc32(&image[header..header + 92]);
        put_u32(image, header + 16, checksum);
    }
}

/// Where the entries of a header lie, how many there are and how long one is.
fn gpt_array(image: &[u8], header: usize) -> Option<[usize; 3]> {
    let header = image.get(header..)?.get(..512)?;
    if !header.starts_with(b"EFI PART") {
        return None;
    }
    let word = |at: usize| {
        let bytes = header[at..at + 4].try_into();
        u32::from_le_bytes(bytes.unwrap_or_default()) as usize
    };
    Some([word(72).checked_mul(512)?, word(80), word(84)])
}

/// Two primary partitions and a chain of three logical ones, a file system in the last.
pub fn mbr() -> Vec<u8> {
    let inner = fat12();
    let mut image = vec![0; 64 * 512 + inner.len()];
    let inner_sectors = (inner.len() / 512) as u32;
    put_u32(&mut image, 440, 0x1234_5678);
    put_mbr_entry(&mut image, 0, 0, (0x83, 8, 8));
    put_mbr_entry(&mut image, 0, 1, (0x0f, 16, 48 + inner_sectors));
    for (link, len, next) in [(16, 4, 8), (24, 4, 16), (32, inner_sectors, 0)] {
        put_mbr_entry(&mut image, link, 0, (0x83, 4, len));
        if next > 0 {
            put_mbr_entry(&mut image, link, 1, (0x05, next, 8));
        }
    }
    put(&mut image, 36 * 512, &inner);
    image
}

/// 48 blocks of 1 KiB: an ext of one group, its files as extents or as maps of blocks.
pub fn ext(has_extents: bool) -> Vec<u8> {
    let mut image = vec![0; 48 * 1024];
    let superblock = 1024;
    for (at, number) in [
        (0x00, 16), // inodes
        (0x04, 48), // blocks
        (0x14, 1),  // first block
        (0x20, 8192),
        (0x28, 16), // inodes of a group
        (0x4c, 1),  // revision
        (0x54, 11), // first inode of a file
        (0x60, if has_extents { 0x42 } else { 0x2 }),
    ] {
        put_u32(&mut image, superblock + at, number);
    }
    put(&mut image, superblock + 0x38, &[0x53, 0xef]);
    put_u16(&mut image, superblock + 0x58, 128);
    put_u32(&mut image, 2048 + 0x08, 5); // table of inodes
    for index in 0..4 {
        let inode = 5 * 1024 + 128 * (11 + index);
        put_u16(&mut image, inode, 0x81a4);
        put_u16(&mut image, inode + 0x1a, 1);
        put_u32(&mut image, inode + 0x04, 4096 + 1000 * index as u32);
        let map = inode + 0x28;
        let first = 10 + 8 * index as u32;
        if has_extents {
            put_u32(&mut image, inode + 0x20, 0x8_0000);
            put_extents(&mut image, map, first, index);
        } else {
            put_map(&mut image, map, first, index);
        }
    }
    image
}

/// Two extents of 4 blocks, in the inode or in a leaf below it.
fn put_extents(image: &mut [u8], map: usize, first: u32, index: usize) {
    let is_deep = index % 2 == 1;
    let leaf = if is_deep {
        42 * 1024 + 1024 * index
    } else {
        map
    };
    for (index, place) in [first, first + 4].into_iter().enumerate() {
        let entry = leaf + 12 + 12 * index;
        put_u32(image, entry, 4 * index as u32);
        put_u16(image, entry + 4, 4);
        put_u32(image, entry + 8, place);
    }
    if is_deep {
        put(image, map, &[0x0a, 0xf3, 1, 0, 4, 0, 1, 0]);
        put_u32(image, map + 12 + 4, leaf as u32 / 1024);
    }
    put(image, leaf, &[0x0a, 0xf3, 2, 0, 4, 0, 0, 0]);
}

/// Some blocks in the inode, and some below it.
fn put_map(image: &mut [u8], map: usize, first: u32, index: usize) {
    for block in 0..4 {
        put_u32(image, map + 4 * block, first + block as u32);
    }
    let indirect = 42 + index as u32;
    put_u32(image, map + 4 * (12 + index % 3), indirect);
    for block in 0..4 {
        let number = if block < 2 { first + 4 } else { indirect };
        put_u32(image, indirect as usize * 1024 + 4 * block, number);
    }
}

/// 40 sectors: a FAT of 12 bits with two files and two folders.
pub fn fat12() -> Vec<u8> {
    let mut image = vec![0; 40 * 512];
    put(&mut image, 0, &[0xeb, 0x3c, 0x90]);
    put_u16(&mut image, 0x0b, 512);
    image[0x0d] = 1; // sectors of a cluster
    put_u16(&mut image, 0x0e, 1); // reserved
    image[0x10] = 1; // tables
    put_u16(&mut image, 0x11, 16); // entries of the root
    put_u16(&mut image, 0x13, 40);
    image[0x15] = 0xf8;
    put_u16(&mut image, 0x16, 1); // sectors of a table
    put_boot_mark(&mut image, 0);
    let chains: [&[u16]; 4] = [&[2, 3, 5], &[4], &[6], &[7, 8]];
    for chain in chains {
        for (index, cluster) in chain.iter().enumerate() {
            let next = chain.get(index + 1).copied().unwrap_or(0xfff);
            put_fat12(&mut image, usize::from(*cluster), next);
        }
    }
    let cluster = |number: usize| (3 + number - 2) * 512;
    put_entry(&mut image, 1024, b"FILE", (0x20, 2, 1300));
    put_entry(&mut image, 1024 + 32, b"FOLDER", (0x10, 4, 0));
    put_entry(&mut image, cluster(4), b"INNER", (0x10, 6, 0));
    put_entry(&mut image, cluster(6), b"LAST", (0x20, 7, 600));
    image
}

fn put_fat12(image: &mut [u8], cluster: usize, next: u16) {
    let at = 512 + cluster + cluster / 2;
    let [low, high] = next.to_le_bytes();
    if cluster.is_multiple_of(2) {
        image[at] = low;
        image[at + 1] |= high;
    } else {
        image[at] |= low << 4;
        image[at + 1] = low >> 4 | high << 4;
    }
}

fn put_entry(image: &mut [u8], at: usize, name: &[u8], (kind, cluster, len): (u8, u16, u32)) {
    put(image, at, b"           ");
    put(image, at, name);
    image[at + 11] = kind;
    put_u16(image, at + 26, cluster);
    put_u32(image, at + 28, len);
}

const NTFS_RECORD_LEN: usize = 1024;
/// Where the table of records begins: in the 4th cluster.
const NTFS_TABLE: usize = 4 * 512;
const NTFS_DATA: u32 = 0x80;
const NTFS_LIST: u32 = 0x20;
/// The record behind a piece of the table that lies elsewhere.
const NTFS_FAR_RECORD: usize = 26;

/// 100 clusters of 512 bytes: an NTFS whose last records are a file of two runs, one whose runs are
/// in a record of their own, and that one. If the table is in pieces, that one lies at its end.
pub fn ntfs(is_in_pieces: bool) -> Vec<u8> {
    let mut image = vec![0; 100 * 512];
    put(&mut image, 0, b"\xeb\x52\x90NTFS    ");
    put_u16(&mut image, 0x0b, 512);
    image[0x0d] = 1;
    put_u64(&mut image, 0x28, 99);
    put_u64(&mut image, 0x30, 4);
    image[0x40] = 0xf6; // records of 2 to the 10th bytes
    put_boot_mark(&mut image, 0);
    let len = (NTFS_FAR_RECORD + 1) * NTFS_RECORD_LEN;
    let whole = (len, 0, [0x11, 54, 4, 0].as_slice());
    if is_in_pieces {
        let list = list(&[(0, 0), (52, 23)]);
        let near = runs((len, 0, &[0x11, 52, 4, 0]));
        put_record(&mut image, 0, 0, &[list, near]);
        let far = runs((0, 52, &[0x11, 2, 90, 0]));
        put_record(&mut image, 23, 1 << 48, &[far]);
    } else {
        put_record(&mut image, 0, 0, &[runs(whole)]);
    }
    let near = (2500, 0, [0x11, 3, 60, 0x11, 2, 0xfc, 0].as_slice());
    put_record(&mut image, 24, 0, &[runs(near)]);
    put_record(&mut image, 25, 0, &[list(&[(0, NTFS_FAR_RECORD as u64)])]);
    let behind_a_hole = (1000, 0, [0x01, 1, 0x11, 2, 70, 0].as_slice());
    put_record(
        &mut image,
        NTFS_FAR_RECORD,
        1 << 48 | 25,
        &[runs(behind_a_hole)],
    );
    if is_in_pieces {
        let from = NTFS_TABLE + NTFS_FAR_RECORD * NTFS_RECORD_LEN;
        image.copy_within(from..from + NTFS_RECORD_LEN, 90 * 512);
        image[from..from + NTFS_RECORD_LEN].fill(0);
    }
    image
}

fn put_record(image: &mut [u8], number: usize, base: u64, attributes: &[Vec<u8>]) {
    let at = NTFS_TABLE + NTFS_RECORD_LEN * number;
    let record = &mut image[at..at + NTFS_RECORD_LEN];
    put(record, 0, b"FILE");
    put_u16(record, 4, 48); // the ends of its sectors
    put_u16(record, 6, 3);
    put_u16(record, 20, 56); // the first attribute
    put_u16(record, 22, 1); // in use
    put_u32(record, 24, 512);
    put_u64(record, 32, base);
    let attributes = attributes.concat();
    put(record, 56, &attributes);
    put_u32(record, 56 + attributes.len(), u32::MAX);
    // The mark of a whole write stands where the ends were.
    for end in [48, 510, 1022] {
        put_u16(record, end, 7);
    }
}

/// A data attribute outside of its record: length in bytes, first cluster, runs.
fn runs((len, first_cluster, runs): (usize, u64, &[u8])) -> Vec<u8> {
    let mut attribute = vec![0; 64 + 16];
    put_u32(&mut attribute, 0, NTFS_DATA);
    put_u32(&mut attribute, 4, 64 + 16);
    attribute[8] = 1; // not resident
    put_u64(&mut attribute, 16, first_cluster);
    put_u16(&mut attribute, 32, 64);
    put_u64(&mut attribute, 48, len as u64);
    put_u64(&mut attribute, 56, len as u64);
    put(&mut attribute, 64, runs);
    attribute
}

/// A list of data attributes: the first cluster and the record of each.
fn list(pieces: &[(u64, u64)]) -> Vec<u8> {
    let len = 24 + 24 * pieces.len();
    let mut attribute = vec![0; len];
    put_u32(&mut attribute, 0, NTFS_LIST);
    put_u32(&mut attribute, 4, len as u32);
    put_u32(&mut attribute, 16, len as u32 - 24);
    put_u16(&mut attribute, 20, 24);
    for (index, (first_cluster, record)) in pieces.iter().enumerate() {
        let at = 24 + 24 * index;
        put_u32(&mut attribute, at, NTFS_DATA);
        put_u16(&mut attribute, at + 4, 24);
        put_u64(&mut attribute, at + 8, *first_cluster);
        put_u64(&mut attribute, at + 16, *record | 1 << 48);
    }
    attribute
}

/// Where the area of metadata of [`lvm`] begins, and how long it is.
const LVM_AREA: (usize, usize) = (4096, 12 << 10);
/// Where the text of [`lvm`] begins in its area: near the end, so that it goes on at the beginning.
const LVM_TEXT_AT: usize = (12 << 10) - 100;

/// 32 extents of 2 KiB behind 16 KiB: a physical volume of LVM2 whose group has this metadata.
pub fn lvm(id: &str, text: &str) -> Vec<u8> {
    let mut image = vec![0; (16 << 10) + 32 * 2048];
    let (area, area_len) = LVM_AREA;
    put(&mut image, 512, b"LABELONE");
    put_u64(&mut image, 512 + 8, 1);
    put_u32(&mut image, 512 + 20, 32);
    put(&mut image, 512 + 24, b"LVM2 001");
    let len = image.len() as u64;
    let header = 512 + 32;
    let letters: Vec<u8> = id.bytes().filter(|byte| *byte != b'-').collect();
    put(&mut image, header, &letters);
    put_u64(&mut image, header + 32, len);
    put_u64(&mut image, header + 40, 16 << 10);
    put_u64(&mut image, header + 72, area as u64);
    put_u64(&mut image, header + 80, area_len as u64);
    put(&mut image, area + 4, b" LVM2 x[5A%r0N*>");
    put_u32(&mut image, area + 20, 1);
    put_u64(&mut image, area + 24, area as u64);
    put_u64(&mut image, area + 32, area_len as u64);
    put_u64(&mut image, area + 40, LVM_TEXT_AT as u64);
    put_u64(&mut image, area + 48, text.len() as u64);
    let (first, rest) = text
        .as_bytes()
        .split_at(text.len().min(area_len - LVM_TEXT_AT));
    put(&mut image, area + LVM_TEXT_AT, first);
    put(&mut image, area + 512, rest);
    repair_lvm(&mut image);
    image
}

/// Makes the checksums of what [`lvm`] made right again.
pub fn repair_lvm(image: &mut [u8]) {
    let (area, area_len) = LVM_AREA;
    if image.len() < area + area_len {
        return;
    }
    let sum = lvm::checksum(&image[512 + 20..1024]);
    put_u32(image, 512 + 16, sum);
    let word = |at: usize| {
        let bytes = image[area + at..area + at + 8].try_into();
        u64::from_le_bytes(bytes.unwrap_or_default()) as usize
    };
    let (at, len) = (word(40), word(48));
    if (512..area_len).contains(&at) && len <= area_len - 512 {
        let ring = &image[area..area + area_len];
        let first = len.min(area_len - at);
        let text = [&ring[at..at + first], &ring[512..512 + len - first]].concat();
        put_u32(image, area + 56, lvm::checksum(&text));
    }
    let sum = lvm::checksum(&image[area + 4..area + 512]);
    put_u32(image, area, sum);
}

/// Metadata of a group of two physical volumes: a logical volume in two pieces, one over both
/// members, and a few that are not linear.
pub fn lvm_text() -> String {
    let segment = |from: u32, count: u32, kind: &str, stripes: &str| {
        format!(
            "segment{from} {{ start_extent = {from} extent_count = {count} type = \"{kind}\" \
             stripe_count = 1 stripes = [ {stripes} ] }}\n"
        )
    };
    let volume = |name: &str, segments: &[String]| {
        let segments = segments.concat();
        format!("{name} {{\nstatus = [\"READ\", \"VISIBLE\"]\nflags = []\n{segments}}}\n")
    };
    let member =
        |name: &str, id: &str| format!("{name} {{ id = \"{id}\" pe_start = 32 pe_count = 32 }}\n");
    let volumes = [
        volume(
            "root",
            &[
                segment(0, 4, "striped", "\"pv0\", 0"),
                segment(4, 4, "striped", "\"pv0\", 20"),
            ],
        ),
        volume(
            "both",
            &[
                segment(0, 2, "striped", "\"pv0\", 30"),
                segment(2, 3, "striped", "\"pv1\", 0"),
            ],
        ),
        volume("thin", &[segment(0, 1, "thin", "")]),
        volume("safe", &[segment(0, 1, "raid1", "\"a\", 0, \"b\", 0")]),
        volume(
            "fast",
            &[segment(0, 2, "striped", "\"pv0\", 4, \"pv1\", 4")],
        ),
    ];
    format!(
        "# written by hand\nvg0 {{\nid = \"{LVM_GROUP}\"\nseqno = 7\nextent_size = 4\n\
         physical_volumes {{\n{}{}}}\nlogical_volumes {{\n{}}}\n}}\nversion = 1\n\0",
        member("pv0", LVM_MEMBERS[0]),
        member("pv1", LVM_MEMBERS[1]),
        volumes.concat(),
    )
}

/// Ids of the group of [`lvm_text`], and of its members.
pub const LVM_GROUP: &str = "gggggg-gggg-gggg-gggg-gggg-gggg-gggggg";
/// The same.
pub const LVM_MEMBERS: [&str; 2] = [
    "aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa",
    "bbbbbb-bbbb-bbbb-bbbb-bbbb-bbbb-bbbbbb",
];
