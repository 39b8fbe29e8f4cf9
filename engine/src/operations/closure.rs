//! Everything that snapshots need, from their roots down: each page once, and what its leaves name.
//!
//! Of pages alone: no chunk is read here. The presence of a page is never taken as a sign that what
//! it names is there; a visitor that passes over a page says that it has seen all below it.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::{Content, Extent, ExtentKind, Node};
use crate::format::id::{ChunkId, PageId};
use crate::format::page::PageType;
use crate::format::snapshot::{Root, RootType, Snapshot};
use crate::format::{DecodeError, Decoded, cuts, extents, scan, tree};
use crate::repository::chunks::ChunkReader;
use crate::repository::index::is_missing_or_damaged;

/// What is told of a closure.
pub(crate) trait Visitor {
    /// A page that is needed; true to look into it, false if that was done before.
    fn page(&mut self, id: &PageId) -> Result<bool>;
    /// A chunk that is needed. The same one may come many times.
    fn chunk(&mut self, id: &ChunkId) -> Result<()>;
    /// A page that cannot be read, so that what it names is not known.
    fn lost(&mut self, page: LostPage) -> Result<()>;
}

/// A page that cannot be read.
#[derive(Debug)]
pub(crate) struct LostPage {
    /// Its id.
    pub id: PageId,
    /// True for scans and cuts: no restore needs them.
    pub is_helper: bool,
    /// Why.
    pub error: Error,
}

/// A page to be visited.
#[derive(Clone, Copy, Debug)]
struct Task {
    id: PageId,
    page_type: PageType,
    level: u8,
}

/// Visits what `snapshot` needs.
pub(crate) fn visit(
    reader: &ChunkReader<'_>,
    snapshot: &Snapshot,
    visitor: &mut dyn Visitor,
) -> Result<()> {
    for root in &snapshot.roots {
        for task in tasks_of(root) {
            visit_below(reader, task, visitor)?;
        }
    }
    Ok(())
}

fn tasks_of(root: &Root) -> impl Iterator<Item = Task> {
    let page_type = match root.root_type {
        RootType::Tree => PageType::Tree,
        RootType::Extents => PageType::Extents,
    };
    let own = Task {
        id: root.page,
        page_type,
        level: root.level,
    };
    let cuts = root.volume.as_ref().and_then(|volume| volume.cuts);
    let helpers = [(root.scan, PageType::Scan), (cuts, PageType::Cuts)];
    let helpers = helpers.into_iter().filter_map(|(helper, page_type)| {
        helper.map(|helper| Task {
            id: helper.page,
            page_type,
            level: helper.level,
        })
    });
    std::iter::once(own).chain(helpers)
}

fn visit_below(reader: &ChunkReader<'_>, first: Task, visitor: &mut dyn Visitor) -> Result<()> {
    let mut stack = vec![first];
    while let Some(task) = stack.pop() {
        let names_nothing = task.is_helper() && task.level == 0;
        if !visitor.page(&task.id)? || names_nothing {
            continue;
        }
        let opened = reader.page(&task.id).and_then(|page| {
            references(&page, task).map_err(|error| {
                let detail = "page of a manifest is damaged";
                Error::new(ErrorKind::Damaged, Place::Chunk(task.id), detail).with_source(error)
            })
        });
        match opened {
            Ok(found) => {
                found.chunks.iter().try_for_each(|id| visitor.chunk(id))?;
                // Pages lie in packs in the order of the tree: so they are read.
                stack.extend(found.pages.into_iter().rev());
            }
            Err(error) if is_missing_or_damaged(&error) => visitor.lost(LostPage {
                id: task.id,
                is_helper: task.is_helper(),
                error,
            })?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Task {
    fn is_helper(&self) -> bool {
        matches!(self.page_type, PageType::Scan | PageType::Cuts)
    }

    fn below(&self, level: u8) -> impl Fn(PageId) -> Self {
        let (page_type, below) = (self.page_type, level.saturating_sub(1));
        move |id| Self {
            id,
            page_type,
            level: below,
        }
    }
}

/// What a page names.
#[derive(Default)]
struct References {
    pages: Vec<Task>,
    chunks: Vec<ChunkId>,
}

fn references(page: &[u8], task: Task) -> Decoded<References> {
    let mut found = References::default();
    let inner = |level: u8| match level == task.level {
        true => Ok(task.below(level)),
        false => Err(DecodeError::Malformed(
            "page of another level than is said of it",
        )),
    };
    match (task.page_type, task.level) {
        (PageType::Tree, 0) => {
            for item in tree::decode_leaf(page)? {
                if let Node::File(content) = &item.entry.node {
                    found.content(content);
                }
            }
        }
        (PageType::Tree, _) => {
            let (level, children) = tree::decode_inner(page)?;
            let below = inner(level)?;
            found.pages = children.iter().map(|child| below(child.page)).collect();
        }
        (PageType::Extents, 0) => found.extents(&extents::decode_leaf(page)?),
        (PageType::Extents, _) => {
            let (level, children) = extents::decode_inner(page)?;
            let below = inner(level)?;
            found.pages = children.iter().map(|child| below(child.page)).collect();
        }
        (PageType::Scan, _) => {
            let (level, children) = scan::decode_inner(page)?;
            let below = inner(level)?;
            found.pages = children.iter().map(|child| below(child.page)).collect();
        }
        (PageType::Cuts, _) => {
            let (level, children) = cuts::decode_inner(page)?;
            let below = inner(level)?;
            found.pages = children.iter().map(|child| below(child.page)).collect();
        }
    }
    Ok(found)
}

impl References {
    fn content(&mut self, content: &Content) {
        match content {
            Content::Inline(extents) => self.extents(extents),
            Content::Tree(root) => self.pages.push(Task {
                id: root.page,
                page_type: PageType::Extents,
                level: root.level,
            }),
        }
    }

    fn extents(&mut self, extents: &[Extent]) {
        let chunks = extents.iter().filter_map(|extent| match extent.kind {
            ExtentKind::Chunk(id) => Some(id),
            _ => None,
        });
        self.chunks.extend(chunks);
    }
}
