//! Trees of images that their own tools made: what was put in is shown, and nothing else.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::*;
use crate::limits::{IMAGES_OPEN_MAX, MIB};
use crate::operations::map_volume::{MappedRange, RangeKind};
use crate::serve::image::tests::{Memory, blank, fat, has_tool, made, run, text, view};
use crate::serve::problems::Problems;
use crate::testing::random::Random;

/// What a kernel asks for at once.
const READ_LEN: usize = 128 << 10;
const ALONE: Viewers = Viewers {
    owner: (7, 8),
    others: false,
};

fn tree_of(view: Arc<dyn View>) -> (ImageTree, Arc<Problems>) {
    let problems = Arc::new(Problems::default());
    let images = Images::new(8 * MIB, Arc::clone(&problems));
    let open = Box::new(move || Ok(Arc::clone(&view)));
    let tree = ImageTree::open(&images, b"disk0/p1".to_vec(), open, ALONE);
    (tree.expect("it is sound"), problems)
}

fn tree(bytes: Vec<u8>) -> ImageTree {
    tree_of(view(bytes)).0
}

/// Names and numbers of all children, some at a time.
fn children(tree: &ImageTree, folder: u64) -> Vec<(String, u64)> {
    let (mut found, mut position) = (Vec::new(), 0);
    loop {
        let (begin, mut given) = (position, 0);
        let mut each = |child: &Child<'_>| {
            let name = String::from_utf8_lossy(child.name).into_owned();
            assert_eq!(
                child.attributes,
                tree.attributes(child.number).unwrap(),
                "{name}"
            );
            found.push((name, child.number));
            (position, given) = (child.next, given + 1);
            given < 100
        };
        tree.children(folder, begin, &mut each).unwrap();
        if given < 100 {
            return found;
        }
    }
}

/// Everything, by path.
fn all(tree: &ImageTree) -> Vec<(String, u64)> {
    let (mut found, mut folders) = (Vec::new(), vec![(String::new(), ROOT)]);
    while let Some((path, folder)) = folders.pop() {
        for (name, number) in children(tree, folder) {
            let below = format!("{path}{name}");
            assert_eq!(
                tree.child(folder, name.as_bytes()).unwrap(),
                Some(number),
                "{below}"
            );
            if tree.attributes(number).unwrap().kind == Kind::Folder {
                assert_eq!(tree.parent(number).unwrap(), folder, "{below}");
                folders.push((format!("{below}/"), number));
            }
            found.push((below, number));
        }
    }
    found.sort();
    found
}

fn at(tree: &ImageTree, path: &str) -> u64 {
    let names = path.split('/').filter(|name| !name.is_empty());
    names.fold(ROOT, |folder, name| {
        let found = tree.child(folder, name.as_bytes()).unwrap();
        found.unwrap_or_else(|| panic!("{path} is not there"))
    })
}

/// A content, read in order as a kernel does, in pairs that change places.
fn read(tree: &ImageTree, number: u64) -> Result<Vec<u8>> {
    let content = tree.content(number)?;
    let mut bytes = vec![0; content.len() as usize];
    let mut parts: Vec<_> = bytes.chunks_mut(READ_LEN).zip(0_u64..).collect();
    parts.chunks_mut(2).for_each(<[_]>::reverse);
    for (part, index) in parts {
        content.read_at(index * READ_LEN as u64, part)?;
    }
    Ok(bytes)
}

#[track_caller]
fn assert_same(tree: &ImageTree, top: &Path) {
    let found = all(tree);
    for (path, number) in &found {
        let source = top.join(path);
        let Ok(there) = source.symlink_metadata() else {
            assert!(path == "lost+found", "{path} was not put in");
            continue;
        };
        let attributes = tree.attributes(*number).unwrap();
        assert_eq!(u32::from(attributes.mode), there.mode() & 0o7777, "{path}");
        assert_eq!(
            (attributes.uid, attributes.gid),
            (there.uid(), there.gid()),
            "{path}"
        );
        assert_eq!(attributes.mtime.seconds, there.mtime(), "{path}");
        match attributes.kind {
            Kind::File => {
                assert!(
                    read(tree, *number).unwrap() == std::fs::read(&source).unwrap(),
                    "{path}"
                );
                assert_eq!(u64::from(attributes.links), there.nlink(), "{path}");
            }
            Kind::Symlink => {
                let target = tree.target(*number).unwrap();
                let expected = source.read_link().unwrap();
                assert_eq!(target, expected.as_os_str().as_encoded_bytes());
                assert!(tree.child(*number, b"x").is_err(), "links are not followed");
            }
            kind => assert!(kind == Kind::Folder && there.is_dir(), "{path}: {kind:?}"),
        }
        let told = format!("disk0/p1/{path}");
        let first_name = found.iter().find(|(_, other)| other == number).unwrap();
        assert!(
            tree.path(*number) == told.as_bytes() || first_name.0 != *path,
            "{path}"
        );
    }
    let number = |name: &str| found.iter().find(|(path, _)| path == name).unwrap().1;
    assert_eq!(number("etc/hosts"), number("etc/same"), "they are one file");
    assert!(found.len() > 700);
}

#[test]
fn ext_and_btrfs_are_shown_as_their_makers_were_given_them() {
    let folder = TempDir::new().unwrap();
    if has_tool("mkfs.ext4") {
        for options in [&["-b", "4096"][..], &["-t", "ext2", "-b", "1024"]] {
            assert_same(
                &tree(made::ext(&folder, options)),
                &folder.path().join("files"),
            );
            std::fs::remove_dir_all(folder.path().join("files")).unwrap();
        }
    }
    if has_tool("mkfs.btrfs") {
        assert_same(&tree(made::btrfs(&folder)), &folder.path().join("files"));
    }
}

#[test]
fn what_has_no_owners_belongs_to_one_user_and_to_nobody_else() {
    let mut random = Random::new(4);
    let long = random.bytes(3_000_001);
    let folder = TempDir::new().unwrap();
    let mut trees = Vec::new();
    if has_tool("mkfs.ntfs") && has_tool("ntfscp") {
        let files = [("hello", b"hello\n".to_vec()), ("long", long.clone())];
        trees.push(tree(made::ntfs(&folder, &files)));
    }
    if has_tool("mkfs.vfat") && has_tool("mcopy") {
        fat::fat(&folder, "32");
        let (image, source) = (folder.path().join("image"), folder.path().join("source"));
        std::fs::write(&source, &long).unwrap();
        run("mcopy", &["-i", &text(&image), &text(&source), "::/long"]);
        trees.push(tree(std::fs::read(image).unwrap()));
    }
    for tree in trees {
        for (path, number) in all(&tree) {
            let attributes = tree.attributes(number).unwrap();
            assert_eq!((attributes.uid, attributes.gid), ALONE.owner, "{path}");
            assert_eq!(attributes.mode & 0o077, 0, "{path}");
        }
        assert!(read(&tree, at(&tree, "long")).unwrap() == long);
        assert_eq!(read(&tree, at(&tree, "hello")).unwrap().len(), 6);
        let content = tree.content(at(&tree, "long")).unwrap();
        for _ in 0..40 {
            let start = random.below(long.len());
            let mut part = vec![0; random.below(200_000).min(long.len() - start)];
            content.read_at(start as u64, &mut part).unwrap();
            assert!(
                part == long[start..start + part.len()],
                "{} at {start}",
                part.len()
            );
        }
        let beyond = content.read_at(3_000_000, &mut [0; 2]).unwrap_err();
        assert_eq!(beyond.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_group_may_no_more_than_all_where_acls_are_not_known_and_others_look() {
    if !has_tool("mkfs.btrfs") {
        return;
    }
    let mut tree = tree(made::btrfs(&TempDir::new().unwrap()));
    let deep = at(&tree, "etc/deep");
    assert_eq!(tree.attributes(deep).unwrap().mode, 0o751);
    tree.viewers.others = true;
    assert_eq!(tree.attributes(deep).unwrap().mode, 0o711);
}

#[test]
fn holes_are_told_and_count_as_nothing() {
    if !has_tool("mkfs.ext4") {
        return;
    }
    let tree = tree(made::ext(&TempDir::new().unwrap(), &["-b", "1024"]));
    let holes = at(&tree, "holes");
    let view = tree.content(holes).unwrap();
    let pieces = view.map(0..5_000_000, 10).unwrap();
    let kinds: Vec<_> = pieces.iter().map(|piece| piece.kind).collect();
    assert_eq!(kinds, [RangeKind::Hole, RangeKind::Data, RangeKind::Hole]);
    assert_eq!(
        (pieces[0].range.end, pieces[2].range.end),
        (1_999_872, 5_000_000)
    );
    assert_eq!(files::seek(&*view, 0, false).unwrap(), Some(1_999_872));
    assert!(tree.attributes(holes).unwrap().blocks < 20);
    let long = tree.content(at(&tree, "long")).unwrap();
    let data = |piece: &MappedRange| piece.kind == RangeKind::Data;
    assert!(long.map(0..3_000_001, 9).unwrap().iter().all(data));
}

/// Replaces a name by another as long in all of an image.
fn renamed(mut bytes: Vec<u8>, name: &[u8], other: &[u8]) -> Vec<u8> {
    assert_eq!(name.len(), other.len());
    let mut places = Vec::new();
    for place in 0..bytes.len() - name.len() {
        if bytes[place..].starts_with(name) {
            places.push(place);
        }
    }
    assert!(!places.is_empty());
    for place in places {
        bytes[place..place + other.len()].copy_from_slice(other);
    }
    bytes
}

#[test]
fn names_that_lead_elsewhere_are_not_shown_and_told_once() {
    if !has_tool("mkfs.ext4") {
        return;
    }
    for (bad, shown) in [
        (&b"../../x"[..], "../../x"),
        (b"zero\0in", "zero"),
        (b"a/b/c/d", "a/b"),
    ] {
        let folder = TempDir::new().unwrap();
        let top = folder.path().join("files");
        std::fs::create_dir(&top).unwrap();
        std::fs::write(top.join("harmful"), "x").unwrap();
        std::fs::write(top.join("good"), "x").unwrap();
        let image = blank(&folder, 8 * MIB as u64);
        run("mkfs.ext4", &["-q", "-F", "-d", &text(&top), &image]);
        let bytes = renamed(std::fs::read(image).unwrap(), b"harmful", bad);
        let (tree, problems) = tree_of(view(bytes));
        for _ in 0..2 {
            let names: Vec<_> = children(&tree, ROOT)
                .into_iter()
                .map(|(name, _)| name)
                .collect();
            assert_eq!(names, ["good", "lost+found"], "{shown}");
        }
        assert!(
            tree.child(ROOT, bad).is_err(),
            "it is there, and cannot be had"
        );
        assert_eq!(tree.child(ROOT, b"none").unwrap(), None);
        assert_eq!(problems.pass_on(&()), 1, "{shown}");
    }
}

#[test]
fn a_folder_that_contains_itself_is_entered_once() {
    if !has_tool("mkfs.ext4") || !has_tool("debugfs") {
        return;
    }
    let folder = TempDir::new().unwrap();
    made::ext(&folder, &[]);
    let image = text(&folder.path().join("image"));
    run("debugfs", &["-w", "-R", "ln /etc /etc/deep/again", &image]);
    let tree = tree(std::fs::read(image).unwrap());
    assert_eq!(children(&tree, at(&tree, "etc/deep")).len(), 2);
    let again = at(&tree, "etc/deep/again");
    let error = tree.children(again, 0, &mut |_| true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(
        error.to_string().starts_with("disk0/p1/etc/deep/again: "),
        "{error}"
    );
}

#[test]
fn numbers_that_nobody_was_given_are_of_nothing() {
    if !has_tool("mkfs.ext4") {
        return;
    }
    let tree = tree(made::ext(&TempDir::new().unwrap(), &[]));
    for unknown in [1, 1 << 20 | 99_999, 5 << 20, u64::MAX] {
        assert_eq!(
            tree.attributes(unknown).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert!(tree.content(unknown).is_err() && tree.parent(unknown).is_err());
    }
    let hosts = at(&tree, "etc/hosts");
    for error in [
        tree.target(hosts).unwrap_err(),
        tree.child(hosts, b"x").unwrap_err(),
        tree.content(ROOT).err().expect("it is a folder"),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}

/// A view of which some bytes cannot be had, as of a repository with a damaged pack; it counts those
/// that are there.
struct Torn {
    whole: Arc<Memory>,
    lost: std::ops::Range<u64>,
    count: Arc<AtomicUsize>,
}

impl View for Torn {
    fn len(&self) -> u64 {
        self.whole.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let end = offset + out.len() as u64;
        if offset < self.lost.end && self.lost.start < end {
            let place = crate::error::Place::Argument("pack");
            return Err(Error::new(ErrorKind::NotFound, place, "is not there"));
        }
        self.whole.read_at(offset, out)
    }

    fn map(&self, range: std::ops::Range<u64>, pieces_max: usize) -> Result<Vec<MappedRange>> {
        self.whole.map(range, pieces_max)
    }
}

impl Drop for Torn {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn what_is_lost_costs_its_own_range_of_its_own_file() {
    if !has_tool("mkfs.ext4") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let whole = view(made::ext(&folder, &[]));
    let long = std::fs::read(folder.path().join("files/long")).unwrap();
    let place = whole
        .0
        .windows(64)
        .position(|part| part == &long[1_500_000..1_500_064]);
    let lost = place.expect("it lies in one piece") as u64;
    let torn = Torn {
        whole,
        lost: lost..lost + 1,
        count: Arc::new(AtomicUsize::new(1)),
    };
    let (tree, _) = tree_of(Arc::new(torn));
    let content = tree.content(at(&tree, "long")).unwrap();
    for (index, expected) in long.chunks(READ_LEN).enumerate() {
        let (start, mut part) = (index * READ_LEN, vec![0; expected.len()]);
        let is_lost = (start..start + READ_LEN).contains(&1_500_000);
        match content.read_at(start as u64, &mut part) {
            Ok(()) => assert!(!is_lost && part == expected, "{start}"),
            Err(error) => {
                assert!(is_lost, "{start}: {error}");
                let told = walk::with_causes(&error);
                assert_eq!(told, "disk0/p1/long: cannot be read: pack: is not there");
            }
        }
    }
    assert_eq!(read(&tree, at(&tree, "etc/hosts")).unwrap().len(), 17);
}

#[test]
fn of_many_images_few_are_open_and_all_are_shown() {
    if !has_tool("mkfs.ext4") {
        return;
    }
    let whole = view(made::ext(&TempDir::new().unwrap(), &[]));
    let images = Images::new(MIB, Arc::default());
    let open = Arc::new(AtomicUsize::new(0));
    let most = AtomicUsize::new(0);
    let trees = (0..3 * IMAGES_OPEN_MAX).map(|_| {
        let (whole, count) = (Arc::clone(&whole), Arc::clone(&open));
        let open = Box::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
            let (whole, count) = (Arc::clone(&whole), Arc::clone(&count));
            Ok(Arc::new(Torn {
                whole,
                lost: 0..0,
                count,
            }) as Arc<dyn View>)
        });
        ImageTree::open(&images, b"disk0".to_vec(), open, ALONE).unwrap()
    });
    let trees: Vec<_> = trees.collect();
    for _ in 0..2 {
        for tree in &trees {
            assert_eq!(read(tree, at(tree, "etc/hosts")).unwrap().len(), 17);
            most.fetch_max(open.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    }
    assert!(most.into_inner() <= IMAGES_OPEN_MAX);
    // Several threads at once, each with several images.
    let expected = all(&trees[0]).len();
    std::thread::scope(|scope| {
        for part in trees.chunks(4) {
            scope.spawn(move || {
                for tree in part {
                    assert_eq!(all(tree).len(), expected);
                }
            });
        }
    });
    drop((trees, images));
    assert_eq!(open.load(Ordering::SeqCst), 0, "their threads have ended");
}
