//! The previous manifest of the same path, walked alongside the source.
//!
//! What of it cannot be read is as if it had never been there: those files are read again.

use std::cmp::Ordering;

use crate::error::Result;
use crate::format::entry::{Content, ExtentKind, FolderPath, Node, TreePath};
use crate::format::id::ChunkId;
use crate::format::scan::{ScanItem, Seen};
use crate::format::snapshot::{PageRoot, Root, RootType};
use crate::format::tree::TreeItem;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::content::{ExtentCursor, ExtentStep};
use crate::repository::manifest::cursor::{Cursor, Step};
use crate::repository::manifest::{MapShape, Scan, Tree};
use crate::sources::folder::{FileKind, Stat};

/// The previous tree and scan; must be asked in tree order.
pub(super) struct Previous<'r> {
    reader: &'r ChunkReader<'r>,
    pairs: Pairs<'r>,
    next: Option<KnownEntry>,
    /// Everything below the root is known to be stored.
    is_whole: bool,
}

/// What the previous snapshot knew of an entry.
pub(super) struct KnownEntry {
    pub item: TreeItem,
    pub seen: Seen,
}

/// Entries that are both in the tree and in the scan.
struct Pairs<'r> {
    tree: Cursor<'r, Tree>,
    scan: Cursor<'r, Scan>,
    tree_item: Option<TreeItem>,
    scan_item: Option<ScanItem>,
}

impl<'r> Previous<'r> {
    /// A walk of `root`, if it is one that can be compared.
    pub(super) fn open(reader: &'r ChunkReader<'r>, root: &Root, is_whole: bool) -> Option<Self> {
        let (RootType::Tree, Some(scan)) = (root.root_type, root.scan) else {
            return None;
        };
        let tree = PageRoot {
            page: root.page,
            level: root.level,
        };
        Some(Self {
            reader,
            pairs: Pairs::new(reader, tree, scan),
            next: None,
            is_whole,
        })
    }

    /// What is known of the entry `name` in `folder`.
    pub(super) fn at(&mut self, folder: &FolderPath, name: &[u8]) -> Result<Option<KnownEntry>> {
        loop {
            if self.next.is_none() {
                self.next = self.pairs.next()?;
            }
            let Some(next) = &self.next else {
                return Ok(None);
            };
            match Tree::key(&next.item).cmp(&(folder, name)) {
                Ordering::Less => self.next = None,
                Ordering::Equal => return Ok(self.next.take()),
                Ordering::Greater => return Ok(None),
            }
        }
    }

    /// True if every chunk and page of `content` is still stored: a file must not be taken over
    /// whose bytes are gone.
    pub(super) fn is_whole(
        &self,
        content: &Content,
        is_stored: impl Fn(&ChunkId) -> bool,
    ) -> Result<bool> {
        if self.is_whole {
            return Ok(true);
        }
        let mut extents = ExtentCursor::new(self.reader, content);
        while let Some(step) = extents.next()? {
            match step {
                ExtentStep::Extent(extent) => {
                    if let ExtentKind::Chunk(id) = extent.kind
                        && !is_stored(&id)
                    {
                        return Ok(false);
                    }
                }
                ExtentStep::Lost { .. } => return Ok(false),
            }
        }
        Ok(match content {
            Content::Inline(_) => true,
            Content::Tree(root) => is_stored(&root.page),
        })
    }
}

impl KnownEntry {
    /// Its content, if it was a regular file.
    pub(super) fn content(&self) -> Option<&Content> {
        match &self.item.entry.node {
            Node::File(content) => Some(content),
            _ => None,
        }
    }

    pub(super) fn into_content(self) -> Option<Content> {
        match self.item.entry.node {
            Node::File(content) => Some(content),
            _ => None,
        }
    }

    /// True if its ctime says that it is what it was, all of it.
    pub(super) fn is_same_inode(&self, stat: &Stat) -> bool {
        !matches!(self.item.entry.node, Node::HardLink(_))
            && self.seen.ctime == stat.ctime
            && self.seen.inode == stat.inode
            && !self.seen.racy
    }

    /// Its target, if it was a symbolic link and still is that very one.
    pub(super) fn link_target(&self, stat: &Stat) -> Option<&[u8]> {
        match &self.item.entry.node {
            Node::Symlink(target)
                if stat.kind == FileKind::Symlink
                    && stat.len == target.len() as u64
                    && self.is_same_inode(stat) =>
            {
                Some(target)
            }
            _ => None,
        }
    }
}

impl<'r> Pairs<'r> {
    fn new(reader: &'r ChunkReader<'r>, tree: PageRoot, scan: PageRoot) -> Self {
        let start = TreePath::default;
        Self {
            tree: Cursor::new(reader, tree.page, tree.level, start()),
            scan: Cursor::new(reader, scan.page, scan.level, start()),
            tree_item: None,
            scan_item: None,
        }
    }

    fn next(&mut self) -> Result<Option<KnownEntry>> {
        loop {
            fill(&mut self.tree_item, &mut self.tree)?;
            fill(&mut self.scan_item, &mut self.scan)?;
            let (Some(item), Some(seen)) = (&self.tree_item, &self.scan_item) else {
                return Ok(None);
            };
            match Tree::key(item).cmp(&Scan::key(seen)) {
                Ordering::Less => self.tree_item = None,
                Ordering::Greater => self.scan_item = None,
                Ordering::Equal => {
                    let pair = self.tree_item.take().zip(self.scan_item.take());
                    let known = |(item, ScanItem { seen, .. })| KnownEntry { item, seen };
                    return Ok(pair.map(known));
                }
            }
        }
    }
}

/// Takes the next item that can be read, unless there is one.
fn fill<S: MapShape>(item: &mut Option<S::Item>, cursor: &mut Cursor<'_, S>) -> Result<()> {
    while item.is_none() {
        match cursor.next()? {
            Some(Step::Item(next)) => *item = Some(next),
            Some(Step::Lost(_)) => {}
            None => return Ok(()),
        }
    }
    Ok(())
}
