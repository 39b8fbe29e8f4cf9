//! Walking a tree or scan in order, from any place on.
//!
//! A page that cannot be read is told as a loss of what lay below it, and the walk goes on behind
//! it: one damaged page costs its own entries.

use std::vec;

use crate::error::{Error, Result};
use crate::format::DecodeError;
use crate::format::entry::FolderPath;
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

/// What comes next in a walk, as far as that is known without reading a page.
#[derive(Debug)]
pub enum Ahead<'c, I> {
    /// An entry.
    Item(&'c I),
    /// A page that is not open yet.
    Page(PageAhead<'c>),
    /// Nothing: the walk is over.
    End,
}

/// A page that a walk comes to next: pages of one id hold the same entries.
#[derive(Clone, Copy, Debug)]
pub struct PageAhead<'c> {
    /// Its id.
    pub id: PageId,
    /// Its level.
    pub level: u8,
    /// The first entry below it.
    pub first: &'c TreePath,
}

/// A walk over the entries of one manifest.
pub struct Cursor<'r, S: MapShape> {
    reader: &'r ChunkReader<'r>,
    /// Children still to visit, outermost first, with the level of the pages they name.
    stack: Vec<(u8, vec::IntoIter<S::Child>)>,
    leaf: vec::IntoIter<S::Item>,
    /// The page to open next, once it is known.
    page_ahead: Option<UnopenedPage<S::Child>>,
    /// Where to begin; entries before it are passed over.
    start: TreePath,
    /// True until an entry was found that is not before the start.
    seeking: bool,
    /// The last entry given, to see that the next comes after it.
    last: Option<TreePath>,
}

/// A page that was not read yet.
struct UnopenedPage<C> {
    /// What the page above says of it; nothing of the root.
    child: Option<C>,
    id: PageId,
    level: u8,
}

/// Where every manifest begins.
static ROOT: TreePath = TreePath {
    folder: FolderPath(Vec::new()),
    name: Vec::new(),
};

impl<'r, S: MapShape> Cursor<'r, S> {
    /// A walk from the first entry at or after `start`.
    pub fn new(reader: &'r ChunkReader<'r>, page: PageId, level: u8, start: TreePath) -> Self {
        let (stack, leaf) = (Vec::new(), Vec::new().into_iter());
        let root = UnopenedPage {
            child: None,
            id: page,
            level,
        };
        Self {
            reader,
            stack,
            leaf,
            page_ahead: Some(root),
            start,
            seeking: true,
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
            match self.ahead() {
                Ahead::Item(_) => return Ok(self.leaf.next().map(Step::Item)),
                Ahead::End => return Ok(None),
                Ahead::Page(_) => {
                    if let Some(lost) = self.open_page()? {
                        return Ok(Some(Step::Lost(lost)));
                    }
                }
            }
        }
    }

    /// What comes next, without reading: so that a caller who knows the page can pass over it.
    pub fn ahead(&mut self) -> Ahead<'_, S::Item> {
        self.pass_over_items_before_start();
        if self.leaf.as_slice().is_empty() && self.page_ahead.is_none() {
            self.page_ahead = self.next_child();
        }
        match (self.leaf.as_slice().first(), &self.page_ahead) {
            (Some(item), _) => Ahead::Item(item),
            (None, None) => Ahead::End,
            (None, Some(page)) => Ahead::Page(PageAhead {
                id: page.id,
                level: page.level,
                first: page.child.as_ref().map_or(&ROOT, S::first),
            }),
        }
    }

    /// The entry ahead; nothing if a page must be opened first, or the walk is over.
    pub fn take_item(&mut self) -> Option<S::Item> {
        match self.ahead() {
            Ahead::Item(_) => self.leaf.next(),
            Ahead::Page(_) | Ahead::End => None,
        }
    }

    /// Passes over the page ahead and all below it, unread.
    pub fn skip_page(&mut self) {
        self.page_ahead = None;
    }

    /// Opens the page ahead, and tells if it is lost.
    pub fn open_page(&mut self) -> Result<Option<LostPage>> {
        let Some(UnopenedPage { child, id, level }) = self.page_ahead.take() else {
            return Ok(None);
        };
        match self.open(id, level, child.as_ref()) {
            Ok(()) => Ok(None),
            Err(error) if is_missing_or_damaged(&error) => Ok(Some(LostPage {
                first: child.as_ref().map_or(&ROOT, S::first).clone(),
                entries: child.as_ref().map_or(0, S::entries),
                error,
            })),
            Err(error) => Err(error),
        }
    }

    fn pass_over_items_before_start(&mut self) {
        let start = (&self.start.folder, self.start.name.as_slice());
        while self.seeking
            && let Some(item) = self.leaf.as_slice().first()
        {
            if S::key(item) < start {
                self.leaf.next();
            } else {
                self.seeking = false;
            }
        }
    }

    /// The next child that is not wholly before the start.
    fn next_child(&mut self) -> Option<UnopenedPage<S::Child>> {
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
            let (id, level) = (S::page(&child), *level);
            let child = Some(child);
            return Some(UnopenedPage { child, id, level });
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
