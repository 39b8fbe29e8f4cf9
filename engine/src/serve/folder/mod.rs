//! A captured folder as it lies in the repository.
//!
//! The number of a node is its place in the order of the tree: pages above the leaves say how many
//! entries lie below them, so that a number is found as fast as a path, and nothing has to be
//! remembered of the nodes that were handed out. Another name of a file has the number of the file.
//!
//! A lost page is told by whoever needs what was in it: the listing of a folder fails at the place
//! where it may go on in that page, and no other does.

mod pages;
mod survey;
#[cfg(test)]
mod tests;

use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::entry::{Content, ExtentKind, FolderPath, Node, TreePath, Xattr};
use crate::format::snapshot::{Root, RootType};
use crate::format::tree::TreeItem;
use crate::operations::walk;
use crate::serve::files::{self, Attributes, Child, Files, Kind, NUMBER_LIMIT, ROOT};
use crate::serve::folder::pages::{Expected, Leaf, Page};
use crate::serve::folder::survey::Survey;
use crate::serve::library::Library;
use crate::serve::view::View;

pub use pages::TreePages;

/// Longest content of which a listing finds out what it takes: a few pages.
const LISTED_LEN_MAX: u64 = 64 << 20;

/// The files of one captured folder, or one captured file.
pub struct FolderView {
    library: Arc<Library>,
    pages: Arc<TreePages>,
    root: Root,
    survey: Survey,
}

/// The leaf about a number or path.
struct Found {
    leaf: Arc<Leaf>,
    /// The number of its first entry.
    start: u64,
    /// The first entry behind it, if there is one.
    next: Option<TreePath>,
}

/// A page that cannot be had.
struct Lost {
    /// Its entries.
    numbers: Range<u64>,
    error: Error,
}

/// An entry in its leaf.
struct Item {
    leaf: Arc<Leaf>,
    index: usize,
}

impl Deref for Item {
    type Target = TreeItem;

    fn deref(&self) -> &TreeItem {
        &self.leaf.items[self.index]
    }
}

impl FolderView {
    /// The tree of `root`, whose pages are kept in `pages`. Reads nothing.
    ///
    /// # Errors
    /// `InvalidInput` for a volume, `LimitExceeded` for a tree of more entries than there are numbers.
    pub fn new(library: &Arc<Library>, pages: &Arc<TreePages>, root: &Root) -> Result<Self> {
        if root.root_type == RootType::Extents {
            return Err(walk::is_a_volume(root));
        }
        if root.entries >= NUMBER_LIMIT {
            let detail = format!("has {} entries", root.entries);
            let place = walk::place(&root.name);
            return Err(Error::new(ErrorKind::LimitExceeded, place, detail));
        }
        Ok(Self {
            library: Arc::clone(library),
            pages: Arc::clone(pages),
            root: root.clone(),
            survey: Survey::default(),
        })
    }

    fn entries(&self) -> u64 {
        self.root.entries
    }

    /// The leaf that holds the entry `number`.
    fn leaf_of(&self, number: u64) -> Result<Found, Lost> {
        self.descend(|inner, start| inner.by_number(number.saturating_sub(start)))
    }

    /// The leaf that holds the entry at `path`, or would hold it.
    fn leaf_about(&self, path: &TreePath) -> Result<Found, Lost> {
        self.descend(|inner, _| inner.by_path(path))
    }

    /// Goes down from the root, at each inner page to the child that `choose` gives; it is told the
    /// number of the page's first entry.
    fn descend(&self, choose: impl Fn(&pages::Inner, u64) -> usize) -> Result<Found, Lost> {
        let (mut start, mut next) = (0_u64, None);
        let mut expected = Expected {
            id: self.root.page,
            level: self.root.level,
            first: TreePath::default(),
            entries: self.root.entries,
        };
        loop {
            let page = self.pages.page(self.library.reader(), &expected);
            let numbers = start..start.saturating_add(expected.entries);
            let inner = match page.map_err(|error| Lost { numbers, error })? {
                Page::Leaf(leaf) => return Ok(Found { leaf, start, next }),
                Page::Inner(inner) => inner,
            };
            let index = choose(&inner, start);
            let child = &inner.children[index];
            if let Some(right) = inner.children.get(index + 1) {
                next = Some(right.first.clone());
            }
            start = start.saturating_add(inner.before[index]);
            expected = Expected {
                id: child.page,
                level: expected.level.saturating_sub(1),
                first: child.first.clone(),
                entries: child.entries,
            };
        }
    }

    /// The entry `number`.
    fn item(&self, number: u64) -> Result<Item> {
        if number >= self.entries() {
            return Err(files::gone(&self.root.name));
        }
        let found = self.leaf_of(number).map_err(|lost| lost.error)?;
        let index = (number - found.start) as usize;
        let leaf = found.leaf;
        Ok(Item { leaf, index })
    }

    /// The entry at `path`, and its number.
    fn find(&self, path: &TreePath) -> Result<Option<(u64, Item)>> {
        let found = self.leaf_about(path).map_err(|lost| lost.error)?;
        let Found { leaf, start, .. } = found;
        let index = leaf.index_of(path);
        let is_there = leaf
            .items
            .get(index)
            .is_some_and(|item| item.path() == *path);
        Ok(is_there.then(|| (start + index as u64, Item { leaf, index })))
    }

    /// The file that the entry `number` names: itself, or what it is another name of.
    fn resolved(&self, number: u64) -> Result<(u64, Item)> {
        let item = self.item(number)?;
        match &item.entry.node {
            Node::HardLink(leader) => self.leader(&item, leader),
            _ => Ok((number, item)),
        }
    }

    fn leader(&self, item: &TreeItem, leader: &TreePath) -> Result<(u64, Item)> {
        let found = self.find(leader)?;
        let found =
            found.filter(|(_, item)| !matches!(item.entry.node, Node::HardLink(_) | Node::Folder));
        found.ok_or_else(|| {
            let path = walk::absolute_path(&self.root, &item.path());
            let detail = format!("is a hard link to {leader}, which is no file");
            Error::new(ErrorKind::Damaged, walk::place(&path), detail)
        })
    }

    /// The path of a folder, which `number` has to be.
    fn folder_path(&self, number: u64) -> Result<FolderPath> {
        let item = self.item(number)?;
        match item.entry.node {
            Node::Folder => Ok(item.path().as_folder()),
            _ => Err(self.other_kind(&item, "folder")),
        }
    }

    fn other_kind(&self, item: &TreeItem, expected: &str) -> Error {
        files::other_kind(&walk::absolute_path(&self.root, &item.path()), expected)
    }

    /// Tells a child of a folder: the entry `number` of a leaf.
    fn give(&self, number: u64, item: &TreeItem, each: &mut dyn FnMut(&Child<'_>) -> bool) -> bool {
        let mut child = Child {
            name: &item.entry.name,
            number,
            next: number + 1,
            attributes: described(item),
            is_final: false,
        };
        if let Node::HardLink(leader) = &item.entry.node {
            // Of one whose leader is lost the name is all there is: whoever asks further is told why.
            if let Ok((leader, item)) = self.leader(item, leader) {
                child.number = leader;
                child.attributes = described(&item);
                child.is_final = self.complete(leader, &item, &mut child.attributes);
            }
        } else {
            child.is_final = self.complete(number, item, &mut child.attributes);
        }
        each(&child)
    }

    /// Adds what is quickly found out; false if something is left.
    fn complete(&self, number: u64, item: &TreeItem, attributes: &mut Attributes) -> bool {
        if attributes.kind == Kind::Folder {
            return true;
        }
        let Some(links) = self.survey.known_links(number) else {
            return false;
        };
        attributes.links = links;
        match &item.entry.node {
            Node::File(content) if !self.is_quick(content) => false,
            Node::File(content) => self.allocate(content, attributes).is_ok(),
            _ => true,
        }
    }

    fn is_quick(&self, content: &Content) -> bool {
        matches!(content, Content::Inline(_)) || content.len() <= LISTED_LEN_MAX
    }

    fn allocate(&self, content: &Content, attributes: &mut Attributes) -> Result<()> {
        let bytes = match content {
            Content::Inline(extents) => {
                let is_allocated = |kind| kind != ExtentKind::Hole;
                let extents = extents.iter().filter(|one| is_allocated(one.kind));
                extents.map(|extent| extent.len).sum()
            }
            Content::Tree(_) => files::allocated(&self.library.content(content))?,
        };
        attributes.blocks = files::blocks_of(bytes);
        Ok(())
    }
}

impl Files for FolderView {
    fn attributes(&self, number: u64) -> Result<Attributes> {
        let (number, item) = self.resolved(number)?;
        let mut attributes = described(&item);
        if attributes.kind != Kind::Folder {
            attributes.links = self.survey.links(self, number)?;
        }
        if let Node::File(content) = &item.entry.node {
            // Where the manifest of the content is lost, reading says so.
            let _ = self.allocate(content, &mut attributes);
        }
        Ok(attributes)
    }

    fn child(&self, folder: u64, name: &[u8]) -> Result<Option<u64>> {
        let path = TreePath::new(self.folder_path(folder)?, name);
        if name.is_empty() {
            return Ok(None);
        }
        let Some((number, item)) = self.find(&path)? else {
            return Ok(None);
        };
        match &item.entry.node {
            Node::HardLink(leader) => self.leader(&item, leader).map(|(number, _)| Some(number)),
            _ => Ok(Some(number)),
        }
    }

    fn children(
        &self,
        folder: u64,
        position: u64,
        each: &mut dyn FnMut(&Child<'_>) -> bool,
    ) -> Result<()> {
        let path = self.folder_path(folder)?;
        let mut number = position;
        if position == 0 {
            let first = TreePath::new(path.clone(), Vec::new());
            let found = self.leaf_about(&first).map_err(|lost| lost.error)?;
            number = found.start + found.leaf.index_of(&first) as u64;
            // Between the leaf that could hold the first child and the next there is none.
            let ends = found.start + found.leaf.items.len() as u64;
            if number == ends && found.next.is_none_or(|next| next.folder != path) {
                return Ok(());
            }
        }
        while number < self.entries() {
            let found = self.leaf_of(number).map_err(|lost| lost.error)?;
            let items = &found.leaf.items[(number - found.start) as usize..];
            for item in items {
                if *item.folder != path {
                    return Ok(());
                }
                // The root of the tree lies in its own run.
                if !item.entry.name.is_empty() && !self.give(number, item, each) {
                    return Ok(());
                }
                number += 1;
            }
            if found.next.is_none_or(|next| next.folder != path) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn parent(&self, folder: u64) -> Result<u64> {
        let above = self.folder_path(folder)?.as_entry().folder.as_entry();
        let found = self.find(&above)?;
        Ok(found.map_or(ROOT, |(number, _)| number))
    }

    fn target(&self, number: u64) -> Result<Vec<u8>> {
        let (_, item) = self.resolved(number)?;
        match &item.entry.node {
            Node::Symlink(target) => Ok(target.clone()),
            _ => Err(self.other_kind(&item, "symbolic link")),
        }
    }

    fn xattrs(&self, number: u64) -> Result<Vec<Xattr>> {
        let (_, item) = self.resolved(number)?;
        Ok(item.entry.metadata.xattrs.clone())
    }

    fn content(&self, number: u64) -> Result<Arc<dyn View>> {
        let (_, item) = self.resolved(number)?;
        match &item.entry.node {
            Node::File(content) => Ok(Arc::new(self.library.content(content))),
            _ => Err(self.other_kind(&item, "file")),
        }
    }

    fn is_in_order(&self) -> bool {
        true
    }

    fn run(&self, number: u64) -> Option<Range<u64>> {
        let Found { leaf, start, .. } = self.leaf_of(number).ok()?;
        let index = number.checked_sub(start)? as usize;
        let folder = &*leaf.items.get(index)?.folder;
        let first = leaf.items.partition_point(|item| *item.folder < *folder);
        let end = leaf.items.partition_point(|item| *item.folder <= *folder);
        Some(start + first as u64..start + end as u64)
    }

    fn settle(&self, goes_on: &dyn Fn() -> bool) -> Result<()> {
        self.survey.make(self, goes_on)
    }

    fn is_without_xattrs(&self) -> bool {
        self.survey.is_without_xattrs()
    }

    fn path(&self, number: u64) -> Vec<u8> {
        match self.item(number) {
            Ok(item) => walk::absolute_path(&self.root, &item.path()),
            Err(_) => self.root.name.clone(),
        }
    }
}

impl Leaf {
    /// Where the entry at `path` is, or would be.
    fn index_of(&self, path: &TreePath) -> usize {
        let path = (&path.folder, path.name.as_slice());
        self.items
            .partition_point(|item| (&*item.folder, item.entry.name.as_slice()) < path)
    }
}

/// What an entry says of itself, as if it had one name and no holes.
fn described(item: &TreeItem) -> Attributes {
    let metadata = &item.entry.metadata;
    let (kind, len) = match &item.entry.node {
        Node::File(content) => (Kind::File, content.len()),
        Node::HardLink(_) => (Kind::File, 0),
        Node::Folder => (Kind::Folder, 0),
        Node::Symlink(target) => (Kind::Symlink, target.len() as u64),
        Node::Fifo => (Kind::Fifo, 0),
        Node::Socket => (Kind::Socket, 0),
        Node::CharDevice(number) => (Kind::CharDevice(*number), 0),
        Node::BlockDevice(number) => (Kind::BlockDevice(*number), 0),
    };
    let is_file = kind == Kind::File;
    Attributes {
        kind,
        mode: metadata.mode,
        uid: metadata.owner.uid,
        gid: metadata.owner.gid,
        mtime: metadata.mtime,
        len,
        blocks: if is_file { files::blocks_of(len) } else { 0 },
        links: 1,
    }
}
