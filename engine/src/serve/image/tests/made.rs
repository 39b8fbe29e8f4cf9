//! What `mkfs` was given is what is read.

use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::format::entry::Node;
use crate::testing::random::Random;

/// A folder with files of many lengths, holes, folders, links, modes and times.
pub(in crate::serve::image) fn samples(folder: &TempDir) -> PathBuf {
    let top = folder.path().join("files");
    let mut random = Random::new(5);
    for name in ["", "etc", "etc/deep", "etc/deep/er", "empty folder", "many"] {
        std::fs::create_dir_all(top.join(name)).unwrap();
    }
    for (name, len) in [
        ("empty", 0),
        ("etc/hosts", 17),
        ("etc/deep/er/last", 4096),
        ("long", 3_000_001),
        ("odd näme", 1025),
    ] {
        std::fs::write(top.join(name), random.bytes(len)).unwrap();
    }
    for number in 0..700 {
        let name = format!("many/file with quite a long name {number:05}");
        std::fs::write(top.join(name), number.to_string()).unwrap();
    }
    let holes = std::fs::File::create(top.join("holes")).unwrap();
    holes.set_len(5_000_000).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&holes, b"in the middle", 2_000_000).unwrap();
    std::os::unix::fs::symlink("../etc/hosts", top.join("etc/short")).unwrap();
    std::os::unix::fs::symlink("x".repeat(150), top.join("etc/far")).unwrap();
    std::fs::hard_link(top.join("etc/hosts"), top.join("etc/same")).unwrap();
    let mode = std::fs::Permissions::from_mode(0o751);
    std::fs::set_permissions(top.join("etc/deep"), mode).unwrap();
    let file = std::fs::File::open(top.join("long")).unwrap();
    let then = std::time::UNIX_EPOCH + std::time::Duration::new(1_234_567_890, 987_654_321);
    file.set_modified(then).unwrap();
    top
}

pub(in crate::serve::image) fn ext(folder: &TempDir, options: &[&str]) -> Vec<u8> {
    let top = text(&samples(folder));
    let image = blank(folder, 32 << 20);
    let mut words = vec!["-q", "-F", "-d", &top];
    words.extend(options);
    words.push(&image);
    run("mkfs.ext4", &words);
    std::fs::read(image).unwrap()
}

pub(in crate::serve::image) fn btrfs(folder: &TempDir) -> Vec<u8> {
    let top = text(&samples(folder));
    let image = blank(folder, 120 << 20);
    run("mkfs.btrfs", &["-q", "--rootdir", &top, &image]);
    std::fs::read(image).unwrap()
}

/// Compares names, kinds, modes, owners, times, link targets and contents. The makers keep whole
/// seconds alone.
#[track_caller]
fn assert_same(image: &mut Image, top: &Path) {
    let mut entries = listed(image);
    entries.remove("lost+found");
    let mut expected = Vec::new();
    collect(top, top, &mut expected);
    expected.sort();
    assert!(entries.keys().eq(expected.iter()), "{:?}", entries.keys());
    for (name, entry) in &entries {
        let source = top.join(name);
        let there = source.symlink_metadata().unwrap();
        let metadata = &entry.metadata;
        assert_eq!(metadata.mode, (there.mode() & 0o7777) as u16, "{name}");
        assert_eq!(
            (metadata.owner.uid, metadata.owner.gid),
            (there.uid(), there.gid())
        );
        assert_eq!(metadata.mtime.seconds, there.mtime(), "{name}");
        match &entry.node {
            Node::File(found) => {
                assert_eq!(found.len(), there.len(), "{name}");
                let is_same = content(image, name).unwrap() == std::fs::read(&source).unwrap();
                assert!(is_same, "content of {name}");
            }
            Node::Symlink(target) => {
                let expected = source.read_link().unwrap();
                assert_eq!(target, expected.as_os_str().as_encoded_bytes());
            }
            node => assert!(there.is_dir(), "{name}: {node:?}"),
        }
    }
}

fn collect(top: &Path, folder: &Path, paths: &mut Vec<String>) {
    for entry in folder.read_dir().unwrap() {
        let entry = entry.unwrap();
        paths.push(text(entry.path().strip_prefix(top).unwrap()));
        if entry.file_type().unwrap().is_dir() {
            collect(top, &entry.path(), paths);
        }
    }
}

#[test]
fn ext_of_all_versions_and_lengths_of_blocks_is_what_its_maker_was_given() {
    if !has_tool("mkfs.ext4") {
        return;
    }
    for options in [
        &["-b", "4096"][..],
        &["-b", "1024"],
        &["-t", "ext2", "-b", "1024"],
        &["-t", "ext3", "-I", "128"],
        &["-O", "^metadata_csum,^64bit,^flex_bg"],
        &["-O", "bigalloc", "-C", "16384"],
        &["-O", "meta_bg,^resize_inode", "-b", "1024"],
    ] {
        let folder = TempDir::new().unwrap();
        let mut image = opened(ext(&folder, options));
        assert!(image.kind().starts_with("ext"));
        assert_same(&mut image, &folder.path().join("files"));
    }
}

#[test]
fn space_that_was_reserved_and_never_written_is_zeros() {
    if !has_tool("mkfs.ext4") || !has_tool("debugfs") {
        return;
    }
    let folder = TempDir::new().unwrap();
    ext(&folder, &["-b", "1024"]);
    let image = text(&folder.path().join("image"));
    // What lies in the reserved blocks was written before, by a file that is gone.
    let stale = text(&folder.path().join("stale"));
    std::fs::write(&stale, vec![0xaa; 6 << 20]).unwrap();
    let script = folder.path().join("script");
    let commands = format!(
        "write {stale} stale\nrm stale\nwrite /dev/null reserved\nfallocate /reserved 0 3000\n\
         sif /reserved size 2500000\n"
    );
    std::fs::write(&script, commands).unwrap();
    run("debugfs", &["-w", "-f", &text(&script), &image]);
    let bytes = std::fs::read(&image).unwrap();
    let stale = bytes
        .chunks(1024)
        .filter(|block| block.iter().all(|byte| *byte == 0xaa));
    assert!(stale.count() > 4_000, "the image still has the old bytes");
    let found = content(&mut opened(bytes), "reserved").unwrap();
    assert_eq!(found.len(), 2_500_000);
    assert!(found.iter().all(|byte| *byte == 0));
}

#[test]
fn attributes_of_ext_are_carried() {
    if !has_tool("mkfs.ext4") || !has_tool("debugfs") {
        return;
    }
    let folder = TempDir::new().unwrap();
    ext(&folder, &[]);
    let image = text(&folder.path().join("image"));
    let value = text(&folder.path().join("value"));
    std::fs::write(&value, vec![b'v'; 500]).unwrap();
    for words in [
        "ea_set /etc/hosts user.small x".to_owned(),
        format!("ea_set -f {value} /etc/hosts user.large"),
        "ea_set /etc/hosts security.other abc".to_owned(),
    ] {
        run("debugfs", &["-w", "-R", &words, &image]);
    }
    let mut image = opened(std::fs::read(image).unwrap());
    let entry = image.entry(&path("etc/hosts")).unwrap();
    let xattrs = &entry.metadata().xattrs;
    let names: Vec<_> = xattrs
        .iter()
        .map(|one| one.name.escape_ascii().to_string())
        .collect();
    assert_eq!(names, ["security.other", "user.large", "user.small"]);
    assert_eq!(xattrs[1].value, vec![b'v'; 500]);
    assert_eq!(xattrs[2].value, b"x");
}

#[test]
fn btrfs_is_what_its_maker_was_given() {
    if !has_tool("mkfs.btrfs") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut image = opened(btrfs(&folder));
    assert_eq!(image.kind(), "btrfs");
    assert_same(&mut image, &folder.path().join("files"));
}

/// An NTFS with files that were written by `ntfscp`.
pub(in crate::serve::image) fn ntfs(folder: &TempDir, files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let image = blank(folder, 16 << 20);
    run("mkfs.ntfs", &["-q", "-Q", "-F", &image]);
    for (name, bytes) in files {
        let source = folder.path().join("source");
        std::fs::write(&source, bytes).unwrap();
        run("ntfscp", &["-q", &image, &text(&source), name]);
    }
    std::fs::read(image).unwrap()
}

#[test]
fn ntfs_is_what_was_written_and_its_own_files_are_hidden() {
    if !has_tool("mkfs.ntfs") || !has_tool("ntfscp") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut random = Random::new(9);
    let files = [
        ("hello.txt", b"hello\n".to_vec()),
        ("long", random.bytes(3_000_001)),
        ("Ünïcode", random.bytes(5_000)),
        ("empty", Vec::new()),
    ];
    let mut image = opened(ntfs(&folder, &files));
    assert_eq!(image.kind(), "ntfs");
    let names: Vec<_> = listed(&mut image).into_keys().collect();
    assert_eq!(names, ["empty", "hello.txt", "long", "Ünïcode"]);
    for (name, bytes) in files {
        assert!(content(&mut image, name).unwrap() == bytes, "{name}");
    }
}
