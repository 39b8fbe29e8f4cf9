//! A captured folder is shown whole, by numbers that hold, and what is lost is told where it was.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::format::entry::{DeviceNumber, Metadata};
use crate::format::name::ObjectKind;
use crate::repository::Repository;
use crate::repository::session::SessionOptions;
use crate::serve::library::LibraryOptions;
use crate::storage::memory::MemoryBackend;
use crate::testing::recording_backend::{RecordingBackend, Subject, Verb};
use crate::testing::sample_repository::{
    self, SampleNode, SampleTree, flip_bit, leaf_pages, small_frames, tree_path,
};

const MIB: usize = 1 << 20;

fn library(repository: Repository) -> Arc<Library> {
    let options = LibraryOptions {
        memory: 64 * MIB,
        threads: 1,
    };
    Library::open(Arc::new(repository), options).unwrap()
}

fn view_with(tree: &SampleTree, pages_bytes: usize) -> FolderView {
    let repository = sample_repository::create(Arc::new(MemoryBackend::new()));
    let snapshot = sample_repository::commit(&repository, small_frames(), &[("/r", tree)]);
    let pages = Arc::new(TreePages::new(pages_bytes));
    FolderView::new(&library(repository), &pages, &snapshot.roots[0]).unwrap()
}

fn view(tree: &SampleTree) -> FolderView {
    view_with(tree, MIB)
}

/// Names, numbers and positions of a folder, asked for `step` at a time.
fn listed(view: &FolderView, folder: u64, step: usize) -> Result<Vec<(Vec<u8>, u64)>> {
    let (mut found, mut position) = (Vec::new(), 0);
    loop {
        let (before, from) = (found.len(), position);
        let mut each = |child: &Child<'_>| {
            if found.len() == before + step {
                return false;
            }
            found.push((child.name.to_vec(), child.number));
            position = child.next;
            true
        };
        view.children(folder, from, &mut each)?;
        if found.len() == before {
            return Ok(found);
        }
    }
}

/// Every path below a folder that can be reached by listings, and what cannot be listed.
fn walk_all(view: &FolderView) -> (BTreeMap<Vec<u8>, u64>, BTreeSet<Vec<u8>>) {
    let (mut found, mut lost) = (BTreeMap::new(), BTreeSet::new());
    let mut folders = vec![(Vec::new(), ROOT)];
    while let Some((path, folder)) = folders.pop() {
        let Ok(children) = listed(view, folder, usize::MAX) else {
            lost.insert(path);
            continue;
        };
        for (name, number) in children {
            let path = [path.clone(), name].join(&b'/');
            let path = path.strip_prefix(b"/").map_or(path.clone(), <[u8]>::to_vec);
            let is_folder = |one: Attributes| one.kind == Kind::Folder;
            if view.attributes(number).is_ok_and(is_folder) {
                folders.push((path.clone(), number));
            }
            found.insert(path, number);
        }
    }
    (found, lost)
}

fn expected(tree: &SampleTree) -> BTreeSet<Vec<u8>> {
    let paths = tree.paths().map(TreePath::to_bytes);
    paths.filter(|path| !path.is_empty()).collect()
}

fn number_of(view: &FolderView, path: &str) -> Option<u64> {
    path.split('/').try_fold(ROOT, |folder, name| {
        view.child(folder, name.as_bytes()).unwrap()
    })
}

#[test]
fn a_walk_by_listings_finds_every_entry_and_paths_lead_to_the_same_numbers() {
    let tree = SampleTree::random(11, 1_500);
    for pages_bytes in [MIB, 20_000] {
        let view = view_with(&tree, pages_bytes);
        let (found, lost) = walk_all(&view);
        assert!(lost.is_empty());
        assert_eq!(
            found.keys().cloned().collect::<BTreeSet<_>>(),
            expected(&tree)
        );
        let numbers: BTreeSet<_> = found.values().collect();
        assert_eq!(numbers.len(), found.len());
        for (path, &number) in found.iter().step_by(37) {
            let path = String::from_utf8(path.clone()).unwrap();
            assert_eq!(number_of(&view, &path), Some(number), "{path}");
            assert_eq!(view.path(number), format!("/r/{path}").into_bytes());
        }
        assert_eq!(view.child(ROOT, b"none").unwrap(), None);
        assert_eq!(view.child(ROOT, b"").unwrap(), None);
    }
}

#[test]
fn a_listing_may_stop_and_go_on_at_any_entry() {
    let tree = SampleTree::random(12, 300);
    let view = view(&tree);
    let (found, _) = walk_all(&view);
    let is_folder = |number: &u64| view.attributes(*number).unwrap().kind == Kind::Folder;
    for folder in found.into_values().filter(is_folder).chain([ROOT]) {
        let whole = listed(&view, folder, usize::MAX).unwrap();
        for step in [1, 2, 7] {
            assert_eq!(listed(&view, folder, step).unwrap(), whole);
        }
        let parent = view.parent(folder).unwrap();
        let names = listed(&view, parent, usize::MAX).unwrap();
        assert!(folder == ROOT || names.iter().any(|(_, number)| *number == folder));
    }
}

#[test]
fn every_kind_of_entry_is_shown_as_what_it_is() {
    let mut tree = SampleTree::new();
    let number = DeviceNumber {
        major: 8,
        minor: 300,
    };
    tree.file("folder/file", b"content".to_vec())
        .node("link", Node::Symlink(b"else/where".to_vec()))
        .node("disk", Node::BlockDevice(number))
        .node("pipe", Node::Fifo)
        .node("empty", Node::Folder)
        .set_mode("folder/file", 0o4751);
    let view = view(&tree);
    let attributes = |path: &str| {
        let number = number_of(&view, path).unwrap();
        view.attributes(number).unwrap()
    };
    let file = attributes("folder/file");
    assert_eq!(
        (file.kind, file.len, file.blocks, file.links),
        (Kind::File, 7, 1, 1)
    );
    assert_eq!(file.mode, 0o4751);
    assert_eq!(attributes("link").len, 10);
    assert_eq!(attributes("disk").kind, Kind::BlockDevice(number));
    assert_eq!(attributes("pipe").kind, Kind::Fifo);
    let number = |path: &str| number_of(&view, path).unwrap();
    assert_eq!(view.target(number("link")).unwrap(), b"else/where");
    assert!(listed(&view, number("empty"), 1).unwrap().is_empty());
    let mut bytes = [0; 7];
    let content = view.content(number("folder/file")).unwrap();
    content.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"content");
    for error in [
        view.content(number("link")).err(),
        view.target(number("pipe")).err(),
        view.child(number("disk"), b"x").err(),
        listed(&view, number("folder/file"), 1).err(),
    ] {
        assert_eq!(error.unwrap().kind(), ErrorKind::InvalidInput);
    }
    let behind = view.attributes(view.entries()).unwrap_err();
    assert_eq!(behind.kind(), ErrorKind::NotFound);
}

#[test]
fn names_of_one_file_have_one_number_and_are_counted_once_they_are_asked_for() {
    let mut tree = SampleTree::new();
    tree.file("a/leader", b"content".to_vec())
        .node("b/second", Node::HardLink(tree_path("a/leader")))
        .node("b/third", Node::HardLink(tree_path("a/leader")))
        .file("b/alone", b"x".to_vec());
    let view = view(&tree);
    let folder = number_of(&view, "b").unwrap();
    let finals = || {
        let mut finals = Vec::new();
        let mut each = |child: &Child<'_>| {
            assert_eq!(child.attributes.kind, Kind::File);
            finals.push((child.attributes.len, child.is_final, child.attributes.links));
            true
        };
        view.children(folder, 0, &mut each).unwrap();
        finals
    };
    assert_eq!(finals(), [(1, false, 1), (7, false, 1), (7, false, 1)]);
    let leader = number_of(&view, "a/leader").unwrap();
    assert_eq!(number_of(&view, "b/second"), Some(leader));
    assert_eq!(number_of(&view, "b/third"), Some(leader));
    assert_eq!(view.attributes(leader).unwrap().links, 3);
    let alone = number_of(&view, "b/alone").unwrap();
    assert_eq!(view.attributes(alone).unwrap().links, 1);
    assert_eq!(finals(), [(1, true, 1), (7, true, 3), (7, true, 3)]);
}

#[test]
fn a_tree_that_was_settled_leaves_nothing_open_in_listings() {
    let mut tree = SampleTree::new();
    tree.file("leader", b"content".to_vec())
        .node("other", Node::HardLink(tree_path("leader")));
    let view = view(&tree);
    let are_final = || {
        let mut finals = Vec::new();
        let mut each = |child: &Child<'_>| {
            finals.push((child.is_final, child.attributes.links));
            true
        };
        view.children(ROOT, 0, &mut each).unwrap();
        finals
    };
    assert_eq!(are_final(), [(false, 1), (false, 1)]);
    view.settle(&|| false).unwrap();
    assert_eq!(are_final(), [(false, 1), (false, 1)], "it was to end");
    view.settle(&|| true).unwrap();
    assert_eq!(are_final(), [(true, 2), (true, 2)]);
}

#[test]
fn the_run_of_a_file_is_what_lies_in_its_folder_as_far_as_the_page_goes() {
    let tree = SampleTree::random(7, 1_200);
    let view = view(&tree);
    let (mut whole, mut parts) = (0, 0);
    for number in 0..view.entries() {
        let run = view.run(number).unwrap();
        assert!(run.contains(&number), "{number}: {run:?}");
        let folder = |number| view.item(number).unwrap().path().folder;
        let own = folder(number);
        assert!(run.clone().all(|one| folder(one) == own));
        let before = run.start.checked_sub(1).map(folder);
        let behind = (run.end < view.entries()).then(|| folder(run.end));
        match [before, behind].contains(&Some(own)) {
            true => parts += 1,
            false => whole += 1,
        }
    }
    assert!(whole > 100 && parts > 0, "{whole} whole, {parts} parts");
    assert_eq!(view.run(view.entries()), None);
}

#[test]
fn that_nothing_has_attributes_is_said_once_it_is_known() {
    let mut tree = SampleTree::new();
    tree.file("alone", b"x".to_vec());
    let without = view(&tree);
    assert!(!without.is_without_xattrs(), "nobody has looked");
    without.settle(&|| true).unwrap();
    assert!(without.is_without_xattrs());
    let xattrs = vec![Xattr {
        name: b"user.note".to_vec(),
        value: Vec::new(),
    }];
    let metadata = Metadata {
        xattrs,
        ..Metadata::default()
    };
    tree.entry(tree_path("other"), metadata, SampleNode::Other(Node::Fifo));
    let with = view(&tree);
    with.settle(&|| true).unwrap();
    assert!(!with.is_without_xattrs());
}

#[test]
fn attributes_are_those_of_the_file_whatever_its_name() {
    let mut tree = SampleTree::new();
    let xattr = Xattr {
        name: b"user.note".to_vec(),
        value: b"value".to_vec(),
    };
    let metadata = Metadata {
        mode: 0o600,
        xattrs: vec![xattr.clone()],
        ..Metadata::default()
    };
    let node = SampleNode::File(Arc::new(b"x".to_vec()));
    tree.entry(tree_path("leader"), metadata, node)
        .node("other", Node::HardLink(tree_path("leader")));
    let view = view(&tree);
    let other = number_of(&view, "other").unwrap();
    assert_eq!(view.xattrs(other).unwrap(), [xattr]);
    assert_eq!(view.attributes(other).unwrap().mode, 0o600);
}

#[test]
fn a_lost_page_fails_the_listings_that_need_it_and_no_other() {
    let tree = SampleTree::random(13, 1_200);
    let all = expected(&tree);
    let below = |folder: &Vec<u8>| {
        let is_child = |path: &&Vec<u8>| {
            let cut = path.iter().rposition(|&byte| byte == b'/');
            path[..cut.unwrap_or(0)] == folder[..]
        };
        all.iter().filter(is_child).count()
    };
    let mut lost_listings = 0;
    for victim in [1, 4, 9] {
        let backend = Arc::new(MemoryBackend::new());
        let repository = sample_repository::create(backend.clone());
        let snapshot = sample_repository::commit(&repository, small_frames(), &[("/r", &tree)]);
        let root = &snapshot.roots[0];
        let repository = sample_repository::open(backend.clone());
        let page = leaf_pages(&repository, root)[victim];
        let copy = repository.index().unwrap().locate(&page).next().unwrap();
        flip_bit(&*backend, &copy.pack.name(), copy.frame.offset + 1);
        let pages = Arc::new(TreePages::new(MIB));
        let library = library(sample_repository::open(backend));
        let view = FolderView::new(&library, &pages, root).unwrap();
        let (found, lost) = walk_all(&view);
        assert!(!lost.is_empty());
        view.settle(&|| true).unwrap();
        assert!(!view.is_without_xattrs(), "those of the page are not known");
        lost_listings += lost.len();
        // Every folder that could be listed was listed whole.
        let mut children: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for path in found.keys() {
            let cut = path.iter().rposition(|&byte| byte == b'/');
            *children
                .entry(path[..cut.unwrap_or(0)].to_vec())
                .or_default() += 1;
        }
        for (folder, count) in children {
            assert_eq!(count, below(&folder), "{}", folder.escape_ascii());
        }
        // What is told is the damage, and names of files in whole pages are counted all the same.
        let file = found.values().copied().find(|number| {
            let attributes = view.attributes(*number);
            attributes.is_ok_and(|one| one.kind == Kind::File)
        });
        assert!(file.is_some());
    }
    assert!(lost_listings < 30, "{lost_listings} listings for 3 pages");
}

#[test]
fn a_walk_over_the_whole_tree_reads_each_page_once() {
    let backend = Arc::new(RecordingBackend::new(MemoryBackend::new()));
    let repository = sample_repository::create(backend.clone());
    let tree = SampleTree::random(14, 2_000);
    let snapshot = sample_repository::commit(&repository, small_frames(), &[("/r", &tree)]);
    let root = &snapshot.roots[0];
    let repository = sample_repository::open(backend.clone());
    let leaves = leaf_pages(&repository, root).len() as u64;
    let library = library(sample_repository::open(backend.clone()));
    let pages = Arc::new(TreePages::new(64 * MIB));
    let view = FolderView::new(&library, &pages, root).unwrap();
    backend.reset();
    walk_all(&view);
    let reads = backend.tally(Verb::GetRange, Subject::Kind(ObjectKind::Pack));
    let inner = leaves / 8 + u64::from(root.level);
    assert!(
        (leaves..=leaves + inner).contains(&reads.calls),
        "{} of {leaves}",
        reads.calls
    );
}

#[test]
fn a_root_that_says_what_its_pages_do_not_hold_is_damaged() {
    let tree = SampleTree::random(15, 100);
    let repository = sample_repository::create(Arc::new(MemoryBackend::new()));
    let options: SessionOptions = small_frames();
    let snapshot = sample_repository::commit(&repository, options, &[("/r", &tree)]);
    let (library, pages) = (library(repository), Arc::new(TreePages::new(MIB)));
    for change in [
        (|root: &mut Root| root.entries += 1) as fn(&mut Root),
        |root| root.entries -= 1,
        |root| root.level += 1,
    ] {
        let mut root = snapshot.roots[0].clone();
        change(&mut root);
        let view = FolderView::new(&library, &pages, &root).unwrap();
        let error = view.attributes(ROOT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
    }
    let mut root = snapshot.roots[0].clone();
    root.entries = NUMBER_LIMIT;
    let error = FolderView::new(&library, &pages, &root).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
}
