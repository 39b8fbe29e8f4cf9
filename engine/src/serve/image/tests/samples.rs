//! The small file systems that `testing::images` holds, made anew:
//! `cargo test -p blockstore --features testing --lib write_the_samples -- --ignored`.

use super::*;
use crate::testing::sparse_image::SparseImage;
use crate::transform::compress::Compressor;

/// A few of everything that a file system has a way of its own for.
fn files(folder: &TempDir) -> String {
    let top = folder.path().join("files");
    std::fs::create_dir_all(top.join("etc/deep")).unwrap();
    std::fs::write(top.join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
    std::fs::write(top.join("long"), lines()).unwrap();
    for number in 0..20 {
        let name = format!("etc/deep/quite a long name {number}");
        std::fs::write(top.join(name), "x").unwrap();
    }
    std::os::unix::fs::symlink("../etc/hosts", top.join("link")).unwrap();
    std::os::unix::fs::symlink("x".repeat(100), top.join("far")).unwrap();
    std::fs::hard_link(top.join("etc/hosts"), top.join("etc/same")).unwrap();
    let holes = std::fs::File::create(top.join("holes")).unwrap();
    holes.set_len(20_000).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&holes, b"in the middle", 9_000).unwrap();
    text(&top)
}

/// What the maker of XFS is told to put in.
fn xfs_lines(files: &str) -> String {
    let names = (0..30).map(|number| format!("quite_a_long_name_{number} p--644 0 0\n"));
    let names: String = names.collect();
    format!(
        "/none\n0 0\nd--755 0 0\nlong ---644 0 0 {files}/long\netc d--755 0 0\n\
         hosts ---644 0 0 {files}/etc/hosts\ndeep d--755 0 0\n{names}$\n$\n\
         link l--777 0 0 etc/hosts\nnull c--666 0 0 1 3\n$\n"
    )
}

/// Without what no reader looks at: space that is free, inodes that nobody has, and records of a round of
/// the log that was none.
fn without_xfs_ballast(mut bytes: Vec<u8>) -> Vec<u8> {
    const UNREAD: [&[u8]; 11] = [
        b"\xfe\xed\xba\xbe\0\0\0\0",
        b"XAGF",
        b"XAGI",
        b"XAFL",
        b"AB3B",
        b"AB3C",
        b"IAB3",
        b"FIB3",
        b"R3FC",
        b"RMB3",
        b"IN\0\0",
    ];
    for sector in bytes.as_chunks_mut::<512>().0 {
        if UNREAD.iter().any(|magic| sector.starts_with(magic)) {
            sector.fill(0);
        }
        // A record of the log is as good without a checksum.
        if sector.starts_with(b"\xfe\xed\xba\xbe") {
            sector[32..36].fill(0);
        }
    }
    bytes
}

fn lines() -> String {
    (0..600).map(|number| format!("line {number}\n")).collect()
}

fn keep(name: &str, image: &SparseImage) {
    let plain = image.encode();
    let (mut compressor, mut buffer) = (Compressor::new(19), Vec::new());
    let (_, coded) = compressor.compress(&plain, &mut buffer);
    let len = plain.len() as u32;
    let packed = [len.to_le_bytes().as_slice(), coded].concat();
    let path = format!("{}/src/testing/images/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::write(path, packed).unwrap();
}

/// Without what no reader looks at: a log of ones, and the table of upper case letters.
fn without_ballast(mut bytes: Vec<u8>) -> Vec<u8> {
    let letters: Vec<u8> = (0..0x60_u16).flat_map(u16::to_le_bytes).collect();
    let table = bytes
        .windows(letters.len())
        .position(|part| part == letters);
    if let Some(at) = table {
        bytes[at..at + 0x2_0000].fill(0);
    }
    let sectors = bytes.as_chunks_mut::<512>().0.iter_mut();
    let ones = sectors.filter(|sector| **sector == [0xff; 512]);
    ones.for_each(|sector| sector.fill(0));
    bytes
}

/// What these commands, a line each, make of an empty image and the files.
fn made(len: u64, commands: &str) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let files = files(&folder);
    let script = text(&folder.path().join("script"));
    let journal = "jo\njw -b 700,701 FILES/long\njc\n";
    let attribute = "ea_set /long user.name value\n";
    let words = [attribute, journal].concat().replace("FILES", &files);
    std::fs::write(&script, words).unwrap();
    let lines = text(&folder.path().join("lines"));
    std::fs::write(&lines, xfs_lines(&files)).unwrap();
    let image = blank(&folder, len);
    for line in commands.lines() {
        let words = line.split_whitespace().map(|word| {
            let word = word.replace("IMAGE", &image).replace("FILES", &files);
            word.replace("SCRIPT", &script).replace("LINES", &lines)
        });
        let words: Vec<_> = words.collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        if let [tool, arguments @ ..] = words.as_slice() {
            run(tool, arguments);
        }
    }
    std::fs::read(image).unwrap()
}

const EXT2: &str =
    "mkfs.ext4 -q -F -t ext2 -b 1024 -N 64 -O ^resize_inode,^dir_index -d FILES IMAGE";
const EXT4: &str = "
    mkfs.ext4 -q -F -b 1024 -N 64 -J size=1 -O ^metadata_csum,^resize_inode -d FILES IMAGE
    debugfs -w -f SCRIPT IMAGE";
const FAT12: &str = "
    mkfs.vfat -F 12 -s 1 -r 16 -f 1 IMAGE
    mmd -i IMAGE ::/folder ::/folder/below
    mcopy -i IMAGE FILES/long ::/folder/long
    mcopy -i IMAGE FILES/etc/hosts ::/folder/below/a-longer-name-than-it-had";
const FAT32: &str = "
    mkfs.vfat -F 32 -s 1 IMAGE
    mmd -i IMAGE ::/folder ::/folder/below
    mcopy -i IMAGE FILES/long ::/folder/long
    mcopy -i IMAGE FILES/etc/hosts ::/folder/below/a-longer-name-than-it-had";
const NTFS: &str = "
    mkfs.ntfs -q -Q -F -c 1024 IMAGE
    ntfscp -q IMAGE FILES/long long
    ntfscp -q IMAGE FILES/etc/hosts hosts
    ntfscp -q IMAGE FILES/holes holes";
const XFS: &str = "mkfs.xfs -q -f --unsupported -d agcount=1 -b size=1024 -p LINES IMAGE";
/// What is in the log of one that is mounted.
const XFS_CHANGES: &str = "
    mkdir etc; echo 127.0.0.1 > etc/hosts; ln -s etc/hosts link; ln etc/hosts same
    setfattr -n user.name -v value etc/hosts; setfacl -m u:7:r etc/hosts
    head -c 9000 /dev/zero > holes; fallocate --punch-hole -o 4096 -l 4096 holes
    for i in $(seq 9); do echo > etc/quite_a_long_name_$i; done";
const BTRFS: &str =
    "mkfs.btrfs -q --mixed -m single -d single -n 4096 -s 4096 --rootdir FILES IMAGE";

#[test]
#[ignore = "writes to the source: only where the samples are to change"]
fn write_the_samples() {
    for (name, len, commands) in [
        ("ext2", 256 << 10, EXT2),
        ("ext4", 4 << 20, EXT4),
        ("fat12", 64 << 10, FAT12),
        ("fat32", 33 << 20, FAT32),
        ("ntfs", 1200 << 10, NTFS),
        ("btrfs", 16 << 20, BTRFS),
    ] {
        let bytes = without_ballast(made(len, commands));
        keep(name, &SparseImage::of(&bytes));
    }
    let bytes = without_xfs_ballast(made(16 << 20, XFS));
    keep("xfs", &SparseImage::of(&bytes));
    let live = xfs::Live::new(&["-d", "agcount=1"]).expect("root can mount it");
    live.run(XFS_CHANGES);
    let bytes = without_xfs_ballast(live.bytes());
    keep("xfs_log", &SparseImage::of(&bytes));
}
