//! Walking a tree or scan in order, from any place on.
//!
//! A page that cannot be read is told as a loss of what lay below it, and the walk goes on behind
//! it: one damaged page costs its own entries.

use std::vec;

use crate::error::{Error, Result};
use crate::format::DecodeError;
use crate::format::entry::TreePath;
use crate::format::id::PageId;
use crate::repository::chunks::ChunkReader;
use crate::repository::index::is_missing_or_damaged;
use crate::repository::manifest::shape::MapShape;

/// What a walk comes upon.
#[derive(Debug)]
pub enum Step<I> {
    /// The next entry.
    Item(I),
    /// A page that cannot be read, and all below it.
    Lost(LostPage),
}

/// A page that cannot be read.
#[derive(Debug)]
pub struct LostPage {
    /// The first entry that it held.
    pub first: TreePath,
    /// How many entries it held; 0 where that is not known.
    pub entries: u64,
    /// Why.
    pub error: Error,
}

/// A walk over the entries of one manifest.
pub struct Cursor<'r, S: MapShape> {
    reader: &'r ChunkReader<'r>,
    /// Children still to visit, outermost first, with the level of the pages they name.
    stack: Vec<(u8, vec::IntoIter<S::Child>)>,
    leaf: vec::IntoIter<S::Item>,
    root: Option<(PageId, u8)>,
    /// Where to begin; entries before it are passed over.
    start: TreePath,
    /// The last entry given, to see that the next comes after it.
    last: Option<TreePath>,
}

impl<'r, S: MapShape> Cursor<'r, S> {
    /// A walk from the first entry at or after `start`.
    pub fn new(reader: &'r ChunkReader<'r>, page: PageId, level: u8, start: TreePath) -> Self {
        let (stack, leaf) = (Vec::new(), Vec::new().into_iter());
        Self {
            reader,
            stack,
            leaf,
            root: Some((page, level)),
            start,
            last: None,
        }
    }

    /// The next entry or loss; nothing behind the last.
    #[expect(
        clippy::should_implement_trait,
        reason = "a step can fail as a whole, an iterator cannot"
    )]
    pub fn next(&mut self) -> Result<Option<Step<S::Item>>> {
        loop {
            if let Some(item) = self.leaf.next() {
                let (folder, name) = S::key(&item);
                if (folder, name) < (&self.start.folder, self.start.name.as_slice()) {
                    continue;
                }
                return Ok(Some(Step::Item(item)));
            }
            let Some((child, page, level)) = self.next_page() else {
                return Ok(None);
            };
            let opened = self.open(page, level, child.as_ref());
            match opened {
                Ok(()) => {}
                Err(error) if is_missing_or_damaged(&error) => {
                    let first = child.as_ref().map(|child| S::first(child).clone());
                    let entries = child.as_ref().map_or(0, S::entries);
                    let first = first.unwrap_or_default();
                    return Ok(Some(Step::Lost(LostPage {
                        first,
                        entries,
                        error,
                    })));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The page to open next: the root, or a child that is not wholly before the start.
    fn next_page(&mut self) -> Option<(Option<S::Child>, PageId, u8)> {
        if let Some((page, level)) = self.root.take() {
            return Some((None, page, level));
        }
        loop {
            let (level, children) = self.stack.last_mut()?;
            let Some(child) = children.next() else {
                self.stack.pop();
                continue;
            };
            let ends_before = |next: &S::Child| *S::first(next) <= self.start;
            if children.as_slice().first().is_some_and(ends_before) {
                continue;
            }
            let (page, level) = (S::page(&child), *level);
            return Some((Some(child), page, level));
        }
    }

    fn open(&mut self, id: PageId, level: u8, child: Option<&S::Child>) -> Result<()> {
        let page = self.reader.page(&id)?;
        let malformed = |error: DecodeError| damaged_page(id, error);
        let first = if level == 0 {
            let items = S::decode_leaf(&page).map_err(malformed)?;
            let first = items.first().map(path_of::<S>);
            self.leaf = items.into_iter();
            first
        } else {
            let (found_level, children) = S::decode_inner(&page).map_err(malformed)?;
            if found_level != level {
                return Err(malformed(DecodeError::Malformed("page of another level")));
            }
            let first = children.first().map(|child| S::first(child).clone());
            self.stack.push((level - 1, children.into_iter()));
            first
        };
        let out_of_place = match (child, &first) {
            (Some(child), first) => first.as_ref() != Some(S::first(child)),
            (None, first) => *first != Some(TreePath::default()),
        };
        if out_of_place || (level == 0 && !self.follows(first.as_ref())) {
            self.leaf = Vec::new().into_iter();
            if level > 0 {
                self.stack.pop();
            }
            return Err(malformed(DecodeError::Malformed(
                "page does not begin where it should",
            )));
        }
        if level == 0 {
            self.last = self.leaf.as_slice().last().map(path_of::<S>);
        }
        Ok(())
    }

    fn follows(&self, first: Option<&TreePath>) -> bool {
        match (&self.last, first) {
            (Some(last), Some(first)) => last < first,
            _ => true,
        }
    }
}

fn path_of<S: MapShape>(item: &S::Item) -> TreePath {
    let (folder, name) = S::key(item);
    TreePath {
        folder: folder.clone(),
        name: name.to_vec(),
    }
}

fn damaged_page(id: PageId, error: DecodeError) -> Error {
    use crate::error::{ErrorKind, Place};
    Error::new(ErrorKind::Damaged, Place::Chunk(id), "page").with_source(error)
}
