//! Claims about whole trees, on a real file system.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Timespec, Timestamps, XattrFlags};
use rustix::fs::{FileType, mkdirat, mknodat, setxattr, utimensat};
use tempfile::TempDir;

use super::*;
use crate::format::entry::{DeviceNumber, Node, Timestamp};
use crate::observe::ProblemKind;

fn tree() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(path: &Path) -> FolderSource {
    FolderSource::open(path, FolderOptions::default()).unwrap()
}

fn open_without(path: &Path, excludes: Excludes) -> FolderSource {
    FolderSource::open(
        path,
        FolderOptions {
            excludes,
            ..FolderOptions::default()
        },
    )
    .unwrap()
}

fn list_root(source: &FolderSource) -> Listing {
    source
        .list(&source.open_folder(None, b"").unwrap())
        .unwrap()
}

fn names(listing: &Listing) -> Vec<&[u8]> {
    listing
        .entries
        .iter()
        .map(|found| found.name.as_slice())
        .collect()
}

/// Makes a special file; false where that takes more rights than the tests have.
fn make_node(path: &Path, kind: FileType, device: u64) -> bool {
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), device).is_ok()
}

/// Runs `work` on another thread, and fails rather than hangs.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver
        .recv_timeout(Duration::from_secs(20))
        .expect("the call does not hang")
}

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
fn a_status_agrees_with_what_the_standard_library_says() {
    let tree = tree();
    let path = tree.path().join("file");
    fs::write(&path, vec![1; 10_000]).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4751)).unwrap();
    let expected = fs::metadata(&path).unwrap();
    let stat = list_root(&open(tree.path())).entries[0].stat;
    let time = |seconds, nanoseconds: i64| Timestamp {
        seconds,
        nanoseconds: u32::try_from(nanoseconds).unwrap(),
    };
    assert_eq!(stat.mode, 0o4751);
    assert_eq!((stat.uid, stat.gid), (expected.uid(), expected.gid()));
    assert_eq!((stat.len, stat.blocks), (10_000, expected.blocks()));
    assert_eq!(
        (stat.inode, u64::from(stat.link_count)),
        (expected.ino(), expected.nlink())
    );
    assert_eq!(stat.mtime, time(expected.mtime(), expected.mtime_nsec()));
    assert_eq!(stat.ctime, time(expected.ctime(), expected.ctime_nsec()));
}

#[test]
fn hard_links_share_inode_and_device() {
    let tree = tree();
    fs::write(tree.path().join("a"), "x").unwrap();
    fs::hard_link(tree.path().join("a"), tree.path().join("b")).unwrap();
    let listing = list_root(&open(tree.path()));
    let [a, b] = [listing.entries[0].stat, listing.entries[1].stat];
    assert_eq!((a.inode, a.device, a.link_count), (b.inode, b.device, 2));
}

#[test]
fn awkward_names_come_back_as_they_are_and_in_the_order_of_their_bytes() {
    let tree = tree();
    let long = [b'x'; 255];
    let mut awkward: Vec<&[u8]> = vec![
        b"-rf",
        b"a\nb",
        b"\xff\xfe",
        b"...",
        b" ",
        b"\\",
        b"*",
        b"a",
        b"a.b",
        b"a-b",
        &long,
    ];
    for name in &awkward {
        fs::write(tree.path().join(OsStr::from_bytes(name)), name).unwrap();
    }
    awkward.sort_unstable();
    let source = open(tree.path());
    let root = source.open_folder(None, b"").unwrap();
    let listing = source.list(&root).unwrap();
    assert_eq!(names(&listing), awkward);
    for name in awkward {
        let mut content = vec![0; 300];
        let file = source.open_file(Some(&root), name).unwrap();
        let len = file.read_at(0, &mut content).unwrap();
        assert_eq!(&content[..len], name);
    }
}

#[test]
fn a_large_folder_is_listed_whole_each_time_and_by_any_thread() {
    let tree = tree();
    for number in 0..3_000 {
        let name = format!("{number}-{}", "n".repeat(60));
        fs::write(tree.path().join(name), "").unwrap();
    }
    let source = open(tree.path());
    let root = source.open_folder(None, b"").unwrap();
    let first = source.list(&root).unwrap();
    assert_eq!(first.entries.len(), 3_000);
    assert!(first.entries.is_sorted_by(|a, b| a.name < b.name));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(source.list(&root).unwrap().entries, first.entries));
        }
    });
}

#[test]
fn a_single_object_of_any_kind_can_be_the_root() {
    let tree = tree();
    let file = tree.path().join("file");
    fs::write(&file, "content").unwrap();
    let source = open(&file);
    assert_eq!(source.root().unwrap().stat.kind, FileKind::File);
    assert_eq!(source.open_file(None, b"").unwrap().stat().len, 7);
    assert_eq!(
        source.open_folder(None, b"").unwrap_err().kind(),
        ErrorKind::NotFound
    );

    let (path, root) = (Path::new("/"), open(Path::new("/")));
    assert_eq!(
        (root.path(), root.root().unwrap().stat.kind),
        (path, FileKind::Folder)
    );
    assert!(names(&list_root(&root)).contains(&&b"proc"[..]));
}

#[test]
fn a_link_as_the_root_is_itself_unless_a_slash_follows() {
    let tree = tree();
    let real = tree.path().canonicalize().unwrap().join("real");
    let link = real.with_file_name("link");
    fs::create_dir(&real).unwrap();
    symlink("real", &link).unwrap();
    let source = open(&link);
    let root = source.root().unwrap();
    assert_eq!(
        (source.path(), root.stat.kind),
        (link.as_path(), FileKind::Symlink)
    );
    let node = source.read_node(None, &root.name, &root.stat).unwrap();
    assert_eq!(node, Node::Symlink(b"real".to_vec()));

    let source = open(&link.join(""));
    assert_eq!(
        (source.path(), source.root().unwrap().stat.kind),
        (&*real, FileKind::Folder)
    );
}

#[test]
fn the_path_is_cleaned_without_leading_elsewhere() {
    let tree = tree();
    let base = tree.path().canonicalize().unwrap();
    fs::create_dir_all(base.join("a/b")).unwrap();
    fs::create_dir(base.join("c")).unwrap();
    symlink("a/b", base.join("link")).unwrap();
    let table = [
        ("a//./b/", "a/b"),
        ("a/b/..", "a"),
        ("a/../c", "c"),
        ("link/../b", "a/b"),
    ];
    for (given, expected) in table {
        assert_eq!(
            open(&base.join(given)).path(),
            base.join(expected),
            "{given}"
        );
    }
}

#[test]
fn a_source_that_is_not_there_is_not_found_by_its_path() {
    let tree = tree();
    let path = tree.path().join("gone");
    let error = FolderSource::open(&path, FolderOptions::default()).unwrap_err();
    assert_eq!(
        (error.kind(), error.place()),
        (ErrorKind::NotFound, &Place::Path(path))
    );
}

#[test]
fn a_link_swapped_in_for_a_folder_is_refused() {
    let tree = tree();
    fs::create_dir(tree.path().join("folder")).unwrap();
    let source = open(tree.path());
    let root = source.open_folder(None, b"").unwrap();
    assert_eq!(names(&source.list(&root).unwrap()), [b"folder"]);
    fs::remove_dir(tree.path().join("folder")).unwrap();
    symlink("/", tree.path().join("folder")).unwrap();
    let error = source.open_folder(Some(&root), b"folder").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.place(), &Place::Path(tree.path().join("folder")));
    let problem = problem_of(&error);
    assert_eq!(
        (problem.kind, &*problem.detail),
        (ProblemKind::Vanished, "is no longer a folder")
    );
}

#[test]
fn whatever_is_swapped_in_for_a_file_is_refused_and_does_not_hang() {
    let tree = tree();
    let at = |name| tree.path().join(name);
    assert!(make_node(&at("fifo"), FileType::Fifo, 0));
    symlink("fifo", at("link")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    let source = open(tree.path());
    let kinds = in_time(move || {
        let root = source.open_folder(None, b"").unwrap();
        [&b"fifo"[..], b"link", b"folder", b"socket", b"gone"]
            .map(|name| source.open_file(Some(&root), name).unwrap_err().kind())
    });
    assert_eq!(kinds, [ErrorKind::NotFound; 5]);
}

#[test]
fn a_link_that_is_no_longer_one_is_refused() {
    let tree = tree();
    symlink("target", tree.path().join("link")).unwrap();
    let source = open(tree.path());
    let found = list_root(&source).entries.remove(0);
    fs::remove_file(tree.path().join("link")).unwrap();
    fs::write(tree.path().join("link"), "").unwrap();
    let root = source.open_folder(None, b"").unwrap();
    let error = source
        .read_node(Some(&root), b"link", &found.stat)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
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
        if file_system::FileSystem::of(file.fd())
            .unwrap()
            .reports_holes_truly()
        {
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
fn a_tree_deeper_than_any_path_is_walked_by_handles() {
    const DEPTH: usize = 500;
    let tree = tree();
    let name = [b'd'; 100];
    let mut at = openat(CWD, tree.path(), OFlags::PATH, Mode::empty()).unwrap();
    for _ in 0..DEPTH {
        mkdirat(&at, &name[..], Mode::RWXU).unwrap();
        at = openat(&at, &name[..], OFlags::PATH, Mode::empty()).unwrap();
    }
    let source = open(tree.path());
    let mut folder = source.open_folder(None, b"").unwrap();
    for _ in 0..DEPTH {
        let [child] = &source.list(&folder).unwrap().entries[..] else {
            panic!("one child")
        };
        folder = source.open_folder(Some(&folder), &child.name).unwrap();
    }
    assert_eq!(source.list(&folder).unwrap().entries, []);
    let again = source.open_folder_at(folder.path()).unwrap();
    assert_eq!(again.path().components().count(), DEPTH);
    let inode = |folder: &FolderHandle| stat::stat_at(folder.fd(), c"").unwrap().inode;
    assert_eq!(inode(&again), inode(&folder));
}

#[test]
fn a_folder_whose_path_no_tree_can_hold_is_refused() {
    let tree = tree();
    let name = [b'd'; 255];
    let levels = limits::PATH_LEN_LIMIT / 256 + 1;
    let mut at = openat(CWD, tree.path(), OFlags::PATH, Mode::empty()).unwrap();
    for _ in 0..levels {
        mkdirat(&at, &name[..], Mode::RWXU).unwrap();
        at = openat(&at, &name[..], OFlags::PATH, Mode::empty()).unwrap();
    }
    let source = open(tree.path());
    let mut path = FolderPath::root();
    for _ in 0..levels - 1 {
        path = path.child(&name);
    }
    let deepest = source.open_folder_at(&path).unwrap();
    let error = source.open_folder(Some(&deepest), &name).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
}

#[test]
fn another_file_system_is_an_empty_folder_only_on_request() {
    let is_mount_point = |one_file_system| {
        let options = FolderOptions {
            one_file_system,
            ..FolderOptions::default()
        };
        let listing = list_root(&FolderSource::open(Path::new("/"), options).unwrap());
        let proc = listing
            .entries
            .iter()
            .find(|found| found.name == b"proc")
            .unwrap();
        proc.is_mount_point
    };
    assert!(is_mount_point(true));
    assert!(!is_mount_point(false));
}

#[test]
fn excluded_objects_are_left_out_and_counted_in_every_folder() {
    let tree = tree();
    fs::create_dir(tree.path().join("sub")).unwrap();
    for name in ["a.o", "a.c", "top", "sub/top", "sub/b.o", "sub/keep.o"] {
        fs::write(tree.path().join(name), "x").unwrap();
    }
    fs::write(tree.path().join("sub/large"), [0; 101]).unwrap();
    let patterns = ["*.o", "!keep.o", "/top"].map(str::to_owned).to_vec();
    let excludes = Excludes {
        patterns,
        larger_than: Some(100),
        ..Excludes::default()
    };
    let source = open_without(tree.path(), excludes);
    let listing = list_root(&source);
    assert_eq!(
        (names(&listing), listing.excluded),
        (vec![&b"a.c"[..], b"sub"], 2)
    );
    let sub = source
        .open_folder_at(&FolderPath::root().child(b"sub"))
        .unwrap();
    let listing = source.list(&sub).unwrap();
    assert_eq!(
        (names(&listing), listing.excluded),
        (vec![&b"keep.o"[..], b"top"], 2)
    );
}

#[test]
fn a_tagged_folder_keeps_its_tag_and_nothing_else() {
    let tree = tree();
    fs::write(tree.path().join("CACHEDIR.TAG"), CACHE_TAG_SIGNATURE).unwrap();
    fs::write(tree.path().join(".nobackup"), "").unwrap();
    fs::create_dir(tree.path().join("folder")).unwrap();
    let caches = Excludes {
        caches: true,
        ..Excludes::default()
    };
    let if_present = vec![".nobackup".to_owned()];
    let table = [
        (
            Excludes::default(),
            vec![&b".nobackup"[..], b"CACHEDIR.TAG", b"folder"],
        ),
        (caches.clone(), vec![b"CACHEDIR.TAG"]),
        (
            Excludes {
                if_present,
                ..Excludes::default()
            },
            vec![b".nobackup"],
        ),
    ];
    for (excludes, expected) in table {
        let listing = list_root(&open_without(tree.path(), excludes));
        assert_eq!(names(&listing), expected);
        assert_eq!(listing.excluded + listing.entries.len() as u64, 3);
    }
    fs::write(
        tree.path().join("CACHEDIR.TAG"),
        "Signature: something else",
    )
    .unwrap();
    assert_eq!(
        list_root(&open_without(tree.path(), caches)).entries.len(),
        3
    );
}

#[test]
fn a_file_written_just_now_is_racy_and_one_from_before_is_not() {
    let tree = tree();
    fs::write(tree.path().join("file"), "x").unwrap();
    let source = open(tree.path());
    let stat = list_root(&source).entries[0].stat;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = |later: i64| Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap() + later,
        nanoseconds: since.subsec_nanos(),
    };
    assert!(source.begin_scan(now(-1)).is_racy(&stat));
    assert!(
        !source.begin_scan(now(61)).is_racy(&stat),
        "61 s are beyond any slack"
    );
}
