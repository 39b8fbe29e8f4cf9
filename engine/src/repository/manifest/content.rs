//! Walking the extents of one content in order.

use std::vec;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::DecodeError;
use crate::format::entry::{Content, Extent};
use crate::format::extents::{self, ExtentsChild};
use crate::format::id::PageId;
use crate::repository::chunks::ChunkReader;
use crate::repository::index::is_missing_or_damaged;

/// What a walk comes upon.
#[derive(Debug)]
pub enum ExtentStep {
    /// The next extent.
    Extent(Extent),
    /// Bytes whose page cannot be read.
    Lost {
        /// How many.
        len: u64,
        /// Why.
        error: Error,
    },
}

/// A walk over the extents of one content.
pub struct ExtentCursor<'r> {
    reader: &'r ChunkReader<'r>,
    stack: Vec<(u8, vec::IntoIter<ExtentsChild>)>,
    leaf: vec::IntoIter<Extent>,
    /// First byte that is wanted.
    from: u64,
    /// First byte behind all that was given or passed over.
    at: u64,
}

impl<'r> ExtentCursor<'r> {
    /// A walk from the first byte.
    pub fn new(reader: &'r ChunkReader<'r>, content: &Content) -> Self {
        Self::starting_at(reader, content, 0)
    }

    /// A walk from the extent that holds byte `from`; pages that lie before it are not read.
    pub fn starting_at(reader: &'r ChunkReader<'r>, content: &Content, from: u64) -> Self {
        let (stack, leaf) = match content {
            Content::Inline(extents) => (Vec::new(), extents.clone()),
            Content::Tree(root) => {
                let child = ExtentsChild {
                    len: root.len,
                    page: root.page,
                };
                (vec![(root.level, vec![child].into_iter())], Vec::new())
            }
        };
        Self {
            reader,
            stack,
            leaf: leaf.into_iter(),
            from,
            at: 0,
        }
    }

    /// First byte behind what was given last.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next extent or loss; nothing behind the last.
    #[expect(
        clippy::should_implement_trait,
        reason = "a step can fail as a whole, an iterator cannot"
    )]
    pub fn next(&mut self) -> Result<Option<ExtentStep>> {
        loop {
            if let Some(extent) = self.leaf.next() {
                if self.passes_over(extent.len) {
                    continue;
                }
                return Ok(Some(ExtentStep::Extent(extent)));
            }
            let Some((level, children)) = self.stack.last_mut() else {
                return Ok(None);
            };
            let level = *level;
            let Some(child) = children.next() else {
                self.stack.pop();
                continue;
            };
            if self.from > 0 && self.at.saturating_add(child.len) <= self.from {
                self.at += child.len;
                continue;
            }
            match self.open(child, level) {
                Ok(()) => {}
                Err(error) if is_missing_or_damaged(&error) => {
                    self.at = self.at.saturating_add(child.len);
                    return Ok(Some(ExtentStep::Lost {
                        len: child.len,
                        error,
                    }));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The page that must be read for the next extent, if one must be.
    pub fn page_ahead(&mut self) -> Option<PageId> {
        if !self.leaf.as_slice().is_empty() {
            return None;
        }
        while let Some((_, children)) = self.stack.last() {
            if let Some(child) = children.as_slice().first() {
                return Some(child.page);
            }
            self.stack.pop();
        }
        None
    }

    /// Passes over the page ahead and all below it, unread.
    pub fn skip_page(&mut self) {
        if self.page_ahead().is_some()
            && let Some((_, children)) = self.stack.last_mut()
            && let Some(child) = children.next()
        {
            self.at = self.at.saturating_add(child.len);
        }
    }

    /// Counts `len` bytes; true if they lie before what is wanted.
    fn passes_over(&mut self, len: u64) -> bool {
        self.at = self.at.saturating_add(len);
        self.at <= self.from
    }

    fn open(&mut self, child: ExtentsChild, level: u8) -> Result<()> {
        let page = self.reader.page(&child.page)?;
        let malformed = |error| damaged_page(child.page, error);
        if level == 0 {
            let list = extents::decode_leaf(&page).map_err(malformed)?;
            let len = list
                .iter()
                .map(|extent| extent.len)
                .fold(0, u64::saturating_add);
            expect_len(child, len)?;
            self.leaf = list.into_iter();
            return Ok(());
        }
        let (found_level, children) = extents::decode_inner(&page).map_err(malformed)?;
        if found_level != level {
            return Err(malformed(DecodeError::Malformed("page of another level")));
        }
        expect_len(
            child,
            children
                .iter()
                .map(|child| child.len)
                .fold(0, u64::saturating_add),
        )?;
        self.stack.push((level - 1, children.into_iter()));
        Ok(())
    }
}

fn expect_len(child: ExtentsChild, found: u64) -> Result<()> {
    if child.len == found {
        return Ok(());
    }
    Err(damaged_page(
        child.page,
        DecodeError::Malformed("page does not have the length it should"),
    ))
}

fn damaged_page(id: PageId, error: DecodeError) -> Error {
    Error::new(ErrorKind::Damaged, Place::Chunk(id), "page").with_source(error)
}
