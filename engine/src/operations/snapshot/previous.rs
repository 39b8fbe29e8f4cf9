//! The previous manifest of the same path, walked alongside the source.
//!
//! What of it cannot be read is as if it had never been there: those files are read again.

use crate::error::Result;
use crate::format::entry::{Content, ExtentKind, FolderPath, Node, TreePath};
use crate::format::id::ChunkId;
use crate::format::scan::{ScanItem, Seen};
use crate::format::snapshot::{Root, RootType};
use crate::format::tree::TreeItem;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::content::{ExtentCursor, ExtentStep};
use crate::repository::manifest::cursor::{Cursor, Step};
use crate::repository::manifest::{Scan, Tree};

/// Walks the previous tree and scan; must be asked in tree order.
pub(super) struct Previous<'r> {
    reader: &'r ChunkReader<'r>,
    tree: Cursor<'r, Tree>,
    scan: Cursor<'r, Scan>,
    tree_item: Option<TreeItem>,
    scan_item: Option<ScanItem>,
    /// Everything below the root is known to be stored.
    is_whole: bool,
}

/// What the previous snapshot knew of an entry.
pub(super) struct KnownEntry {
    pub item: TreeItem,
    pub seen: Seen,
}

impl<'r> Previous<'r> {
    /// A walk of `root`, if it is one that can be compared.
    pub(super) fn open(
        reader: &'r ChunkReader<'r>,
        root: &Root,
        is_whole: bool,
    ) -> Result<Option<Self>> {
        let (RootType::Tree, Some(scan)) = (root.root_type, root.scan) else {
            return Ok(None);
        };
        let start = TreePath::default;
        Ok(Some(Self {
            reader,
            tree: Cursor::new(reader, root.page, root.level, start()),
            scan: Cursor::new(reader, scan.page, scan.level, start()),
            tree_item: None,
            scan_item: None,
            is_whole,
        }))
    }

    /// What is known of the entry `name` in `folder`.
    pub(super) fn at(&mut self, folder: &FolderPath, name: &[u8]) -> Result<Option<KnownEntry>> {
        let wanted = (folder, name);
        let item = self.tree_at(wanted)?;
        let seen = self.scan_at(wanted)?;
        Ok(item.zip(seen).map(|(item, seen)| KnownEntry { item, seen }))
    }

    fn tree_at(&mut self, wanted: (&FolderPath, &[u8])) -> Result<Option<TreeItem>> {
        loop {
            if self.tree_item.is_none() {
                self.tree_item = next_item(&mut self.tree)?;
            }
            let Some(item) = &self.tree_item else {
                return Ok(None);
            };
            match (&*item.folder, item.entry.name.as_slice()).cmp(&wanted) {
                std::cmp::Ordering::Less => self.tree_item = None,
                std::cmp::Ordering::Equal => return Ok(self.tree_item.take()),
                std::cmp::Ordering::Greater => return Ok(None),
            }
        }
    }

    fn scan_at(&mut self, wanted: (&FolderPath, &[u8])) -> Result<Option<Seen>> {
        loop {
            if self.scan_item.is_none() {
                self.scan_item = next_item(&mut self.scan)?;
            }
            let Some(item) = &self.scan_item else {
                return Ok(None);
            };
            match (&*item.folder, item.name.as_slice()).cmp(&wanted) {
                std::cmp::Ordering::Less => self.scan_item = None,
                std::cmp::Ordering::Equal => {
                    return Ok(self.scan_item.take().map(|item| item.seen));
                }
                std::cmp::Ordering::Greater => return Ok(None),
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
}

fn next_item<S: crate::repository::manifest::MapShape>(
    cursor: &mut Cursor<'_, S>,
) -> Result<Option<S::Item>> {
    loop {
        match cursor.next()? {
            Some(Step::Item(item)) => return Ok(Some(item)),
            Some(Step::Lost(_)) => {}
            None => return Ok(None),
        }
    }
}
