//! Is everything there that the result will name? Asked of the index; no chunk is read.

use std::collections::HashSet;

use crate::error::Result;
use crate::format::entry::{Content, ExtentKind, ExtentsRoot, Node, TreePath};
use crate::format::id::{ChunkId, PageId, SessionId};
use crate::format::snapshot::{PageRoot, Root, RootType, Totals};
use crate::observe::{Counter, Observer};
use crate::operations::merge::refuse;
use crate::operations::walk;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::Scan;
use crate::repository::manifest::content::{ExtentCursor, ExtentStep};
use crate::repository::manifest::cursor::{Ahead, Cursor};
use crate::repository::session::Session;

/// Looks for what a result names, and refuses if it is not there.
pub(super) struct Stored<'s> {
    pub session: &'s Session<'s>,
    pub reader: &'s ChunkReader<'s>,
    pub observer: &'s dyn Observer,
    /// Long contents that were seen to be there: files share them.
    seen: HashSet<(PageId, u64, u8)>,
}

/// Something that is looked at, for the error that names it.
#[derive(Clone, Copy)]
pub(super) struct Subject<'p> {
    /// The snapshot it is of.
    pub snapshot: SessionId,
    /// Name of the root.
    pub root: &'p [u8],
    /// Where it is in the root.
    pub path: &'p TreePath,
}

impl<'s> Stored<'s> {
    pub(super) fn new(
        session: &'s Session<'s>,
        reader: &'s ChunkReader<'s>,
        observer: &'s dyn Observer,
    ) -> Self {
        let seen = HashSet::new();
        Self {
            session,
            reader,
            observer,
            seen,
        }
    }

    /// Every page and chunk of a root that is taken over as it is; gives its sums.
    pub(super) fn expect_root(&mut self, snapshot: SessionId, root: &Root) -> Result<Totals> {
        match root.root_type {
            RootType::Tree => self.expect_tree(snapshot, root),
            RootType::Extents => {
                let (level, page, len) = (root.level, root.page, root.bytes);
                let content = Content::Tree(ExtentsRoot { len, page, level });
                let top = TreePath::default();
                let subject = Subject {
                    snapshot,
                    root: &root.name,
                    path: &top,
                };
                self.expect_content(subject, &content)?;
                self.observer.count(Counter::Entries, root.entries);
                Ok(Totals {
                    entries: root.entries,
                    bytes: root.bytes,
                    ..Totals::default()
                })
            }
        }
    }

    fn expect_tree(&mut self, snapshot: SessionId, root: &Root) -> Result<Totals> {
        let is_whole = self.session.is_known_whole(root);
        let mut totals = Totals::default();
        let mut cursor = walk::cursor(self.reader, root, TreePath::default())?;
        loop {
            walk::stop_if_cancelled(self.observer)?;
            match cursor.ahead() {
                Ahead::End => return Ok(totals),
                Ahead::Page(page) => {
                    let (id, first) = (page.id, page.first.clone());
                    let subject = Subject {
                        snapshot,
                        root: &root.name,
                        path: &first,
                    };
                    self.expect_page(subject, &id)?;
                    if let Some(lost) = cursor.open_page()? {
                        return Err(subject.unreadable(lost.error));
                    }
                }
                Ahead::Item(_) => {
                    let Some(item) = cursor.take_item() else {
                        continue;
                    };
                    self.count(&mut totals, &item.entry.node);
                    if let (Node::File(content), false) = (&item.entry.node, is_whole) {
                        let subject = Subject {
                            snapshot,
                            root: &root.name,
                            path: &item.path(),
                        };
                        self.expect_content(subject, content)?;
                    }
                }
            }
        }
    }

    /// Counts one more entry of the result.
    pub(super) fn count(&self, totals: &mut Totals, node: &Node) {
        totals.entries += 1;
        self.observer.count(Counter::Entries, 1);
        match node {
            Node::File(content) => {
                totals.files += 1;
                totals.bytes = totals.bytes.saturating_add(content.len());
                self.observer.count(Counter::Bytes, content.len());
            }
            Node::Folder => totals.folders += 1,
            _ => {}
        }
    }

    /// Every page and chunk of one content.
    pub(super) fn expect_content(&mut self, subject: Subject<'_>, content: &Content) -> Result<()> {
        if let Content::Tree(root) = content
            && !self.seen.insert((root.page, root.len, root.level))
        {
            return Ok(());
        }
        let mut extents = ExtentCursor::new(self.reader, content);
        loop {
            let lost = match extents.page_ahead() {
                Some(page) => {
                    walk::stop_if_cancelled(self.observer)?;
                    self.expect_page(subject, &page)?;
                    extents.open_page()?.map(|(_, error)| error)
                }
                None => match extents.next()? {
                    None => return Ok(()),
                    Some(ExtentStep::Lost { error, .. }) => Some(error),
                    Some(ExtentStep::Extent(extent)) => {
                        if let ExtentKind::Chunk(id) = extent.kind
                            && !self.session.is_stored(&id)
                        {
                            return Err(subject.missing("chunk", &id));
                        }
                        None
                    }
                },
            };
            if let Some(error) = lost {
                return Err(subject.unreadable(error));
            }
        }
    }

    fn expect_page(&self, subject: Subject<'_>, id: &PageId) -> Result<()> {
        match self.session.is_stored(id) {
            true => Ok(()),
            false => Err(subject.missing("page", id)),
        }
    }

    /// True if every page of a scan is there. Without it the next snapshot reads everything, and
    /// nothing is lost.
    pub(super) fn has_scan(&self, scan: &PageRoot) -> Result<bool> {
        let start = TreePath::default();
        let mut cursor = Cursor::<Scan>::new(self.reader, scan.page, scan.level, start);
        loop {
            match cursor.ahead() {
                Ahead::End => return Ok(true),
                Ahead::Item(_) => drop(cursor.take_item()),
                Ahead::Page(page) if !self.session.is_stored(&page.id) => return Ok(false),
                Ahead::Page(page) if page.level == 0 => cursor.skip_page(),
                Ahead::Page(_) => {
                    if cursor.open_page()?.is_some() {
                        return Ok(false);
                    }
                }
            }
        }
    }
}

impl Subject<'_> {
    fn absolute(&self) -> Vec<u8> {
        walk::path_below(self.root, self.path)
    }

    fn missing(&self, what: &str, id: &ChunkId) -> crate::error::Error {
        refuse::missing(self.snapshot, &self.absolute(), what, id)
    }

    fn unreadable(&self, cause: crate::error::Error) -> crate::error::Error {
        refuse::unreadable(self.snapshot, &self.absolute(), cause)
    }
}
