//! A disk in memory with hard links, changed at random: what merges are compared with.

use std::collections::BTreeMap;

use crate::format::entry::{FolderPath, Metadata, Node, TreePath, Xattr};
use crate::testing::random::Random;
use crate::testing::sample_repository::{SampleNode, SampleTree};

/// Names that sort around each other in every way that matters.
const NAMES: [&str; 7] = ["a", "a.b", "a\u{1}", "b", "home", "x", "y"];

/// Everything on a disk, by absolute place.
#[derive(Clone, Default)]
pub(super) struct Disk(BTreeMap<TreePath, Thing>);

/// Which disk and root of it a file was seen on, and its number.
type Inode = ((usize, usize), u64);

/// What lies in a place.
#[derive(Clone, PartialEq)]
enum Thing {
    Folder(u16),
    /// A file: names with one of these are one file.
    File(Inode),
    Symlink(u64),
}

impl Disk {
    /// A disk with nothing but its root.
    pub(super) fn new() -> Self {
        Self(BTreeMap::from([(
            TreePath::default(),
            Thing::Folder(0o755),
        )]))
    }

    /// Makes, removes, replaces and links so many things.
    pub(super) fn change(&mut self, random: &mut Random, steps: usize) {
        for _ in 0..steps {
            let folders: Vec<_> = self.folders().collect();
            let folder = folders[random.below(folders.len())].clone();
            let path = TreePath::new(folder, NAMES[random.below(NAMES.len())]);
            let inode = random.number();
            match random.below(9) {
                0..=2 if !self.0.contains_key(&path) => self.put(path, Thing::Folder(0o755)),
                3 | 4 => self.put(path, Thing::File(((0, 0), inode))),
                5 => self.put(path, Thing::Symlink(inode % 100)),
                6 => self.link(path, random),
                7 => self.remove(&path),
                _ => {
                    if let Some(Thing::Folder(mode)) = self.0.get_mut(&path) {
                        *mode = 0o700 + (inode % 8) as u16;
                    }
                }
            }
        }
    }

    /// Puts many files into one folder, so that it takes several pages.
    pub(super) fn fill(&mut self, random: &mut Random, files: usize) {
        let folders: Vec<_> = self.folders().collect();
        let folder = folders[random.below(folders.len())].clone();
        for number in 0..files {
            let path = TreePath::new(folder.clone(), format!("file {number:04}"));
            self.put(path, Thing::File(((0, 0), random.number())));
        }
    }

    pub(super) fn folders(&self) -> impl Iterator<Item = FolderPath> {
        let is_folder = |(_, thing): &(&TreePath, &Thing)| matches!(thing, Thing::Folder(_));
        let folders = self.0.iter().filter(is_folder);
        folders.map(|(path, _)| path.as_folder())
    }

    fn link(&mut self, path: TreePath, random: &mut Random) {
        let is_file = |thing: &&Thing| matches!(thing, Thing::File(_));
        let files: Vec<_> = self.0.values().filter(is_file).cloned().collect();
        if !files.is_empty() {
            self.put(path, files[random.below(files.len())].clone());
        }
    }

    fn put(&mut self, path: TreePath, thing: Thing) {
        self.remove(&path);
        self.0.insert(path, thing);
    }

    /// Removes an entry, and all below it.
    fn remove(&mut self, path: &TreePath) {
        let folder = path.as_folder();
        self.0.retain(|at, _| !folder.contains(&at.as_folder()));
    }

    fn remove_below(&mut self, path: &TreePath) {
        let folder = path.as_folder();
        self.0
            .retain(|at, _| at == path || !folder.contains(&at.as_folder()));
    }

    /// Lays what `newer` has from `root` on over this one.
    pub(super) fn overlay(
        &mut self,
        newer: &Self,
        seen_on: (usize, usize),
        root: &FolderPath,
        keep: bool,
    ) {
        if !keep {
            self.remove(&root.as_entry());
        }
        for (path, thing) in &newer.0 {
            if !root.contains(&path.as_folder()) {
                continue;
            }
            let thing = match thing {
                Thing::File((_, inode)) => Thing::File((seen_on, *inode)),
                other => other.clone(),
            };
            if !matches!(thing, Thing::Folder(_)) {
                self.remove_below(path);
            }
            self.0.insert(path.clone(), thing);
        }
    }

    /// The tree from `root` on, as a walk finds it: what no folder leads to is not in it.
    pub(super) fn tree(&self, root: &FolderPath) -> SampleTree {
        let mut tree = SampleTree::new();
        let mut leaders = BTreeMap::new();
        for (path, thing) in &self.0 {
            let Some(own) = root.below(&path.as_folder()) else {
                continue;
            };
            let own = own.as_entry();
            if own != TreePath::default() && !self.is_reached(root, path) {
                continue;
            }
            let (metadata, node) = match thing {
                Thing::Folder(mode) => (with_mode(*mode), SampleNode::Other(Node::Folder)),
                Thing::Symlink(target) => {
                    let target = target.to_string().into_bytes();
                    (with_mode(0o777), SampleNode::Other(Node::Symlink(target)))
                }
                Thing::File(file) => match leaders.get(file) {
                    Some(leader) => {
                        let leader = TreePath::clone(leader);
                        (with_mode(0o644), SampleNode::Other(Node::HardLink(leader)))
                    }
                    None => {
                        leaders.insert(*file, own.clone());
                        file_of(file.1)
                    }
                },
            };
            tree.entry(own, metadata, node);
        }
        tree
    }

    /// True if every folder from `root` to `path` is one.
    fn is_reached(&self, root: &FolderPath, path: &TreePath) -> bool {
        let mut folder = path.folder.clone();
        loop {
            if !matches!(self.0.get(&folder.as_entry()), Some(Thing::Folder(_))) {
                return false;
            }
            if folder == *root {
                return true;
            }
            folder = folder.as_entry().folder;
        }
    }
}

fn with_mode(mode: u16) -> Metadata {
    Metadata {
        mode,
        ..Metadata::default()
    }
}

fn file_of(inode: u64) -> (Metadata, SampleNode) {
    let xattr = Xattr {
        name: b"user.inode".to_vec(),
        value: inode.to_le_bytes().to_vec(),
    };
    let metadata = Metadata {
        xattrs: vec![xattr],
        ..with_mode(0o644)
    };
    let content = inode.to_string().into_bytes();
    (metadata, SampleNode::File(content.into()))
}
