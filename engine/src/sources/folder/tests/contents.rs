//! What is read of an object: content, metadata, layout.

use super::*;
use crate::pipeline::ReadAt;

#[test]
fn every_kind_of_object_is_listed_and_described() {
    let tree = tree();
    let at = |name| tree.path().join(name);
    fs::write(at("file"), "content").unwrap();
    fs::create_dir(at("folder")).unwrap();
    symlink("any\u{fffd}where/../x", at("link")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    assert!(make_node(&at("fifo"), FileType::Fifo, 0));
    let null = rustix::fs::makedev(1, 3);
    let loop0 = rustix::fs::makedev(7, 300);
    let devices = make_node(&at("char"), FileType::CharacterDevice, null)
        && make_node(&at("block"), FileType::BlockDevice, loop0);

    let source = open(tree.path());
    let root = source.open_folder(None, b"").unwrap();
    let node = |found: &Found| source.read_node(Some(&root), &found.name, &found.stat);
    let mut seen = 0;
    for found in source.list(&root).unwrap().entries {
        let expected = match found.name.as_slice() {
            b"folder" => Node::Folder,
            b"link" => Node::Symlink("any\u{fffd}where/../x".into()),
            b"socket" => Node::Socket,
            b"fifo" => Node::Fifo,
            b"char" => Node::CharDevice(DeviceNumber { major: 1, minor: 3 }),
            b"block" => Node::BlockDevice(DeviceNumber {
                major: 7,
                minor: 300,
            }),
            name => {
                assert_eq!((name, found.stat.len), (&b"file"[..], 7));
                assert_eq!(node(&found).unwrap_err().kind(), ErrorKind::InvalidInput);
                continue;
            }
        };
        assert_eq!(node(&found).unwrap(), expected);
        let (_, problems) = source.metadata(Some(&root), &found.name, &found.stat);
        assert_eq!(problems, []);
        seen += 1;
    }
    assert_eq!(seen, if devices { 6 } else { 4 });
}

#[test]
fn the_longest_link_target_is_read_whole() {
    let tree = tree();
    let target = "t/".repeat(2_000);
    symlink(&target, tree.path().join("link")).unwrap();
    let source = open(&tree.path().join("link"));
    let node = source
        .read_node(None, b"", &source.root().unwrap().stat)
        .unwrap();
    assert_eq!(node, Node::Symlink(target.into_bytes()));
}

#[test]
fn reading_goes_on_to_the_end_and_tells_of_changes() {
    let tree = tree();
    let path = tree.path().join("file");
    fs::write(&path, b"0123456789").unwrap();
    let source = open(tree.path());
    let root = source.open_folder(None, b"").unwrap();
    let file = source.open_file(Some(&root), b"file").unwrap();
    let mut buffer = [0; 8];
    assert_eq!(file.read_at(0, &mut buffer).unwrap(), 8);
    assert_eq!(file.read_at(4, &mut buffer).unwrap(), 6);
    assert_eq!(&buffer[..6], b"456789");
    assert_eq!(file.read_at(10, &mut buffer).unwrap(), 0);
    assert_eq!(file.stat_now().unwrap(), *file.stat());
    fs::write(&path, b"longer than before").unwrap();
    assert_ne!(file.stat_now().unwrap(), *file.stat());
}

#[test]
fn reading_leaves_the_access_time_alone() {
    let tree = tree();
    let path = tree.path().join("file");
    fs::write(&path, "content").unwrap();
    let old = Timespec {
        tv_sec: 1_000,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: old,
        last_modification: old,
    };
    for path in [path.as_path(), tree.path()] {
        utimensat(CWD, path, &times, AtFlags::empty()).unwrap();
    }
    let source = open(tree.path());
    let root = source.open_folder(None, b"").unwrap();
    assert_eq!(source.list(&root).unwrap().entries.len(), 1);
    let file = source.open_file(Some(&root), b"file").unwrap();
    assert_eq!(file.read_at(0, &mut [0; 7]).unwrap(), 7);
    assert_eq!(fs::metadata(&path).unwrap().atime(), 1_000);
    assert_eq!(fs::metadata(tree.path()).unwrap().atime(), 1_000);
}

#[test]
fn attributes_and_acls_are_raw_and_sorted_whichever_way_they_are_read() {
    let tree = tree();
    fs::create_dir(tree.path().join("folder")).unwrap();
    fs::write(tree.path().join("file"), "").unwrap();
    // Version 2, then (tag, permissions, id) each: owner, user 1000, group, mask, others.
    let entries = [
        (1, 7, !0),
        (2, 5, 1_000),
        (4, 5, !0),
        (16, 5, !0),
        (32, 0, !0),
    ];
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        acl.extend_from_slice(&u16::to_le_bytes(tag));
        acl.extend_from_slice(&u16::to_le_bytes(permissions));
        acl.extend_from_slice(&u32::to_le_bytes(id));
    }
    let long = vec![7; 2_000];
    let expected: [(&[u8], &[u8]); 4] = [
        (b"system.posix_acl_access", &acl),
        (b"user.\xffraw", b"\0\xff"),
        (b"user.a", b""),
        (b"user.b", &long),
    ];
    for path in [tree.path().join("folder"), tree.path().join("file")] {
        for (name, value) in expected {
            setxattr(&path, name, value, XattrFlags::empty()).unwrap();
        }
    }
    let mut expected = expected.map(|(name, value)| (name.to_vec(), value.to_vec()));
    expected.sort();

    let source = open(tree.path());
    let root = source.open_folder(None, b"").unwrap();
    let folder = source.open_folder(Some(&root), b"folder").unwrap();
    let file = source.open_file(Some(&root), b"file").unwrap();
    for (metadata, problems) in [
        source.metadata(Some(&root), b"file", file.stat()),
        source.metadata(Some(&root), b"folder", file.stat()),
        source.folder_metadata(&folder, file.stat()),
        source.file_metadata(&file),
    ] {
        let xattrs = metadata
            .xattrs
            .into_iter()
            .map(|xattr| (xattr.name, xattr.value));
        assert_eq!(xattrs.collect::<Vec<_>>(), expected);
        assert_eq!(problems, []);
        assert_eq!(metadata.mtime, file.stat().mtime);
        assert_eq!(metadata.owner.uid, file.stat().uid);
    }
}

#[test]
fn attributes_that_cannot_be_read_are_a_problem_and_the_rest_is_there() {
    let tree = tree();
    fs::write(tree.path().join("file"), "").unwrap();
    let source = open(tree.path());
    let root = source.open_folder(None, b"").unwrap();
    let stat = source.stat(Some(&root), b"file").unwrap();
    fs::remove_file(tree.path().join("file")).unwrap();
    let (metadata, problems) = source.metadata(Some(&root), b"file", &stat);
    assert_eq!(metadata, source.link_metadata(&stat));
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].kind, ProblemKind::Vanished);
    assert_eq!(
        problems[0].subject,
        tree.path().join("file").as_os_str().as_bytes()
    );
}

#[test]
fn data_runs_are_the_layout_that_was_written() {
    const UNIT: u64 = 64 * 1024;
    let tree = tree();
    for layout in [0b1011_0001_u64, 0b0110_0000, 0, 0b1111_1111, 0b1000_0000] {
        let path = tree.path().join(format!("{layout:b}"));
        let written = fs::File::create(&path).unwrap();
        written.set_len(8 * UNIT).unwrap();
        let mut expected: Vec<std::ops::Range<u64>> = Vec::new();
        for unit in (0..8).filter(|unit| layout >> unit & 1 == 1) {
            let data = vec![1; UNIT as usize];
            std::os::unix::fs::FileExt::write_all_at(&written, &data, unit * UNIT).unwrap();
            match expected.last_mut() {
                Some(last) if last.end == unit * UNIT => last.end += UNIT,
                _ => expected.push(unit * UNIT..(unit + 1) * UNIT),
            }
        }
        written.sync_all().unwrap();
        let file = open(&path).open_file(None, b"").unwrap();
        assert_eq!(
            file.stat().may_have_holes(),
            layout != 0b1111_1111,
            "{layout:b}"
        );
        let runs = |len| file.data_runs(len).collect::<Result<Vec<_>, _>>().unwrap();
        let holes = file_system::FileSystem::of(file.fd()).unwrap().holes();
        if holes != file_system::Holes::Unknown {
            assert_eq!(runs(8 * UNIT), expected, "{layout:b}");
            let cut: Vec<_> = expected
                .iter()
                .map(|run| run.start..run.end.min(5 * UNIT + 1))
                .filter(|run| !run.is_empty())
                .collect();
            assert_eq!(runs(5 * UNIT + 1), cut, "{layout:b}, the first part");
        } else {
            assert_eq!(runs(8 * UNIT), std::slice::from_ref(&(0..8 * UNIT)));
        }
        assert_eq!(runs(0), []);
    }
}

#[test]
fn i4_reading_what_was_reserved_and_never_written_does_not_make_it_data() {
    let tree = tree();
    let path = tree.path().join("reserved");
    let written = fs::File::create(&path).unwrap();
    let flags = rustix::fs::FallocateFlags::empty();
    if rustix::fs::fallocate(&written, flags, 0, 4 << 20).is_err() {
        return; // the temporary folder lies where nothing can be reserved
    }
    // Scattered over more extents than one answer of the file system holds.
    for unit in 0..200_u64 {
        let at = unit * 16_384;
        std::os::unix::fs::FileExt::write_all_at(&written, &[1; 4096], at).unwrap();
    }
    let file = open(&path).open_file(None, b"").unwrap();
    let runs = || {
        let runs = file.data_runs(4 << 20);
        runs.collect::<Result<Vec<_>, _>>().unwrap()
    };
    let before = runs();
    fs::read(&path).unwrap();
    if file_system::FileSystem::of(file.fd()).unwrap().holes() == file_system::Holes::Mapped {
        let expected = (0..200).map(|unit| unit * 16_384..unit * 16_384 + 4096);
        assert_eq!(before, expected.collect::<Vec<_>>());
        assert_eq!(runs(), before);
    }
}
