//! Inode numbers: which tree, and the number of a node in it.
//!
//! ```text
//! 24 bits   number of the tree, in the order in which they were come upon
//! 40 bits   number of the node in it, and one more: the root of the first tree is inode 1
//! ```
//! So nothing is remembered of an inode, and there is nothing to forget; what is remembered is one
//! place for each tree that stands in another.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::serve::files::{self, Files, MountedTree, NUMBER_LIMIT, ROOT};

/// Bits of the number of a node.
const NUMBER_BITS: u32 = NUMBER_LIMIT.trailing_zeros();
/// Most trees of one mount.
const TREES_MAX: usize = 1 << (u64::BITS - NUMBER_BITS);

/// All trees of a mount.
pub(super) struct Inodes(RwLock<Trees>);

struct Trees {
    grafts: Vec<Arc<Graft>>,
    /// By tree and number of the node in whose place a tree stands.
    by_node: HashMap<(usize, u64), usize>,
}

/// A tree, and where it stands.
struct Graft {
    tree: Option<Arc<dyn MountedTree>>,
    files: OnceLock<Arc<dyn Files>>,
    /// The folder that it is in.
    parent: u64,
    /// What its listings leave open is being found out, or was.
    is_settling: AtomicBool,
}

/// A node of some tree.
pub(super) struct Node {
    pub(super) files: Arc<dyn Files>,
    pub(super) number: u64,
    tree: usize,
    parent: u64,
}

impl Inodes {
    /// Those of one tree, and of whatever stands in it.
    pub(super) fn new(files: Arc<dyn Files>) -> Self {
        let first = Graft {
            tree: None,
            files: OnceLock::from(files),
            parent: inode(0, ROOT),
            is_settling: AtomicBool::new(false),
        };
        Self(RwLock::new(Trees {
            grafts: vec![Arc::new(first)],
            by_node: HashMap::new(),
        }))
    }

    /// The node that an inode number means.
    pub(super) fn node(&self, inode: u64) -> Result<Node> {
        let tree = tree_of(inode);
        let number = (inode & (NUMBER_LIMIT - 1)).checked_sub(1);
        let graft = self.0.read().grafts.get(tree).cloned();
        let (Some(graft), Some(number)) = (graft, number) else {
            return Err(files::gone(b"inode"));
        };
        Ok(Node {
            files: graft.files()?,
            number,
            tree,
            parent: graft.parent,
        })
    }

    /// Offers to settle the tree of this inode, until that is taken once.
    pub(super) fn settle_once(&self, inode: u64, offer: impl FnOnce() -> bool) {
        let graft = self.0.read().grafts.get(tree_of(inode)).cloned();
        let graft = graft.filter(|graft| !graft.is_settling.load(Ordering::Relaxed));
        if let Some(graft) = graft.filter(|_| offer()) {
            graft.is_settling.store(true, Ordering::Relaxed);
        }
    }

    /// Inodes about this one that follow one another in the listing of its folder; nothing where they
    /// do not, or if that cannot be found out.
    pub(super) fn run(&self, inode: u64) -> Option<Range<u64>> {
        let node = self.node(inode).ok()?;
        let numbers = node.files.run(node.number)?;
        Some(node.inode_of(numbers.start)..node.inode_of(numbers.end))
    }

    /// The inode number of a node in the tree of `folder`, or of the tree that stands in its place.
    pub(super) fn inode_in(&self, folder: &Node, number: u64) -> Result<u64> {
        let Some(tree) = folder.files.mounted(number) else {
            return Ok(inode(folder.tree, number));
        };
        let place = (folder.tree, number);
        if let Some(&known) = self.0.read().by_node.get(&place) {
            return Ok(inode(known, ROOT));
        }
        let mut trees = self.0.write();
        let next = trees.grafts.len();
        let index = *trees.by_node.entry(place).or_insert(next);
        if index == next {
            if next == TREES_MAX {
                let detail = "this mount shows too many snapshots; mount it again";
                let error = Error::new(ErrorKind::LimitExceeded, Place::Repository, detail);
                trees.by_node.remove(&place);
                return Err(error);
            }
            trees.grafts.push(Arc::new(Graft {
                tree: Some(tree),
                files: OnceLock::new(),
                parent: folder.inode(),
                is_settling: AtomicBool::new(false),
            }));
        }
        Ok(inode(index, ROOT))
    }
}

impl Graft {
    fn files(&self) -> Result<Arc<dyn Files>> {
        if let Some(files) = self.files.get() {
            return Ok(Arc::clone(files));
        }
        let tree = self.tree.as_ref().ok_or_else(|| files::gone(b"tree"))?;
        let files = tree.open()?;
        Ok(Arc::clone(self.files.get_or_init(|| files)))
    }
}

impl Node {
    /// Its inode number.
    pub(super) fn inode(&self) -> u64 {
        inode(self.tree, self.number)
    }

    /// The inode number of another node of its tree.
    pub(super) fn inode_of(&self, number: u64) -> u64 {
        inode(self.tree, number)
    }

    /// The inode number of the folder that this folder is in.
    pub(super) fn parent(&self) -> Result<u64> {
        match self.number {
            ROOT => Ok(self.parent),
            number => Ok(inode(self.tree, self.files.parent(number)?)),
        }
    }
}

fn tree_of(inode: u64) -> usize {
    (inode >> NUMBER_BITS) as usize
}

fn inode(tree: usize, number: u64) -> u64 {
    ((tree as u64) << NUMBER_BITS) | (number + 1)
}
