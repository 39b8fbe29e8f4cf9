//! Disks as a machine has them: a partition table, and file systems with files in them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Seek;
use std::io::SeekFrom;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use crate::kit::generate::random_bytes;
use crate::kit::loops::Loop;
use crate::kit::mount::Mounted;
use crate::kit::tool::can_make;
use crate::kit::tool::output;
use crate::kit::workspace::Workspace;

const MIB: u64 = 1 << 20;
/// Read at once when bytes are compared.
const COMPARED_AT_ONCE: usize = 1 << 20;

/// Length of a disk, bytes.
pub const DISK_LEN: u64 = 384 * MIB;
/// Where the FAT lies.
pub const FAT: Range<u64> = MIB..41 * MIB;
/// Where the ext4 lies.
pub const EXT4: Range<u64> = 41 * MIB..141 * MIB;
/// Where the NTFS lies.
pub const NTFS: Range<u64> = 141 * MIB..205 * MIB;
/// Where the btrfs lies.
pub const BTRFS: Range<u64> = 205 * MIB..333 * MIB;

/// Programs that make a disk.
const MAKERS: [&str; 7] = [
    "sfdisk",
    "mkfs.vfat",
    "mcopy",
    "mkfs.ext4",
    "mkfs.ntfs",
    "ntfs-3g",
    "mkfs.btrfs",
];

/// What is in the file `hello` of each file system.
pub const HELLO: &str = "hello\n";

/// A new disk image with four file systems, in each the same files and some of its own; nothing,
/// and a line that says so, where it cannot be made.
pub fn disk(workspace: &Workspace, name: &str) -> Option<PathBuf> {
    if !can_make(&MAKERS) {
        return None;
    }
    let image = table(workspace, &format!("{name}.begun"), DISK_LEN);
    make_file_system(&image, &FAT, "mkfs.vfat", &["-F", "32", "-s", "1"])?;
    make_file_system(&image, &EXT4, "mkfs.ext4", &["-q"])?;
    make_file_system(&image, &NTFS, "mkfs.ntfs", &["-q", "-Q"])?;
    make_file_system(&image, &BTRFS, "mkfs.btrfs", &["-q"])?;
    let hello = workspace.file("hello", HELLO);
    output("mcopy", &[&"-i", &mtools(&image), &hello, &"::/hello"]);
    for (seed, partition) in [(2, EXT4), (3, NTFS), (4, BTRFS)] {
        let device = Loop::part(&image, &partition)?;
        let mounted = Mounted::device(workspace, &format!("{name}.mounted"), device.path())?;
        let file = |name: &str, bytes: Vec<u8>| std::fs::write(mounted.path().join(name), bytes);
        file("hello", HELLO.into()).expect("the file system has room");
        file("shared", random_bytes(1, "shared", 8 << 20)).expect("the file system has room");
        file("own", random_bytes(seed, "own", 4 << 20)).expect("the file system has room");
        mounted.unmount();
    }
    // File systems leave space that is reserved and not written. It counts as a hole until
    // somebody reads it, and as data after that; in a copy there are data and holes alone.
    let settled = workspace.join(name);
    output("cp", &[&"--sparse=always", &image, &settled]);
    std::fs::remove_file(&image).expect("it is ours");
    Some(settled)
}

/// Adds owners, modes, links, attributes, devices, and space that was reserved to the ext4 of a disk.
pub fn fill(workspace: &Workspace, image: &Path) {
    let Some(device) = Loop::part(image, &EXT4) else {
        return;
    };
    let Some(mounted) = Mounted::device(workspace, "filled", device.path()) else {
        return;
    };
    fill_folder(mounted.path());
    mounted.unmount();
}

/// The same, in any folder of root.
pub fn fill_folder(folder: &Path) {
    let script = "cd \"$1\"; mkdir -p a/b; echo x > a/b/x; ln a/b/x a/y; ln -s ../a/b a/link; \
                  chown 1234:70000 a/b/x; chmod 4751 a/b/x; mkfifo a/pipe; mknod a/null c 1 3; \
                  setfattr -n user.colour -v red a/b/x; setfacl -m u:1000:r a/b; \
                  fallocate -l 3M a/reserved; touch -d '1965-03-04 05:06:07.5 UTC' a/old; \
                  touch -d '2200-03-04 05:06:07.5 UTC' a/new; head -c 300000 /dev/zero > a/zeros";
    output("sh", &[&"-ec", &script, &"sh", &folder]);
}

/// How `mtools` are told where the FAT of a disk image is.
pub fn mtools(image: &Path) -> String {
    format!("{}@@{}", image.display(), FAT.start)
}

/// A disk image with a partition table and `len` random bytes from the second MiB on.
pub fn random_disk(workspace: &Workspace, name: &str, disk_len: u64, len: usize) -> PathBuf {
    let image = table(workspace, name, disk_len);
    let file = File::options().write(true).open(&image);
    file.and_then(|file| file.write_all_at(&random_bytes(1, name, len), 2 * MIB))
        .expect("the workspace can be written");
    image
}

/// An image of holes with a partition table, whose entries are those of a disk as far as they fit.
fn table(workspace: &Workspace, name: &str, len: u64) -> PathBuf {
    let image = workspace.join(name);
    let file = File::create(&image).and_then(|file| file.set_len(len));
    file.expect("the workspace can be written");
    let line = |name: &str, range: &Range<u64>, kind: &str| {
        let (start, size) = (range.start / 512, (range.end - range.start) / 512);
        if range.end < len - MIB {
            format!("start={start}, size={size}, type={kind}, name={name}\n")
        } else {
            String::new()
        }
    };
    let script = [
        "label: gpt\n".to_owned(),
        line("esp", &FAT, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"),
        line("root", &EXT4, "0FC63DAF-8483-4772-8E79-3D69D8477DE4"),
        line("windows", &NTFS, "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"),
        line("data", &BTRFS, "0FC63DAF-8483-4772-8E79-3D69D8477DE4"),
    ];
    let script = workspace.file(&format!("{name}.table"), script.concat());
    let words = "sfdisk --quiet --no-reread --no-tell-kernel \"$1\" < \"$2\"";
    output("sh", &[&"-c", &words, &"sh", &image, &script]);
    image
}

fn make_file_system(image: &Path, at: &Range<u64>, program: &str, words: &[&str]) -> Option<()> {
    let device = Loop::part(image, at)?;
    let mut all: Vec<&dyn AsRef<OsStr>> = Vec::new();
    all.extend(words.iter().map(|word| word as &dyn AsRef<_>));
    let path = device.path();
    all.push(&path);
    output(program, &all);
    Some(())
}

/// Bytes that a file takes up.
pub fn allocated(path: &Path) -> u64 {
    let metadata = path.metadata().expect("the file is there");
    metadata.blocks() * 512
}

/// Panics unless `target` is byte for byte what `source` is, lengths included. Either may be a
/// device.
#[track_caller]
pub fn assert_same_bytes(source: &Path, target: &Path) {
    let len = len_of(source);
    assert_eq!(len_of(target), len, "length of {}", target.display());
    assert_begins_with(source, 0..len, target);
}

/// Panics unless `target` begins with `range` of `source`.
#[track_caller]
pub fn assert_begins_with(source: &Path, range: Range<u64>, target: &Path) {
    let (source, target) = (opened(source), opened(target));
    let (mut left, mut right) = (vec![0; COMPARED_AT_ONCE], vec![0; COMPARED_AT_ONCE]);
    let mut at = range.start;
    while at < range.end {
        let len = ((range.end - at) as usize).min(COMPARED_AT_ONCE);
        let read = source.read_exact_at(&mut left[..len], at);
        read.expect("the source has these bytes");
        let read = target.read_exact_at(&mut right[..len], at - range.start);
        read.expect("the target has these bytes");
        if left[..len] != right[..len] {
            let differs = left
                .iter()
                .zip(&right)
                .position(|(left, right)| left != right);
            panic!(
                "differs at {} of the source",
                at + differs.unwrap_or(0) as u64
            );
        }
        at += len as u64;
    }
}

fn opened(path: &Path) -> File {
    File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Length of a file or a device.
pub fn len_of(path: &Path) -> u64 {
    opened(path).seek(SeekFrom::End(0)).expect("it has an end")
}

/// Overwrites a place in a file or a device, and waits until it is there.
pub fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let file = File::options().write(true).open(path);
    file.and_then(|file| {
        file.write_all_at(bytes, offset)?;
        file.sync_all()
    })
    .expect("the place can be written");
}
