//! What a listing holds, whatever the folder.

use super::*;
use crate::pipeline::ReadAt;

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
