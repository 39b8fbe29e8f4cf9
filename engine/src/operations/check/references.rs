//! What the snapshots need: every page once, and a good copy for every chunk.

use std::collections::{BTreeMap, HashSet};

use crate::error::{Error, Result};
use crate::format::entry::{Content, Extent, ExtentKind, Node, TreePath};
use crate::format::id::{ChunkId, PageId};
use crate::format::name::{ObjectName, PackClass};
use crate::format::snapshot::{Root, RootType, Snapshot};
use crate::format::table::Table;
use crate::operations::check::FindingKind;
use crate::operations::check::findings::{Findings, Progress};
use crate::operations::check::packs::Packs;
use crate::operations::check::volumes;
use crate::operations::{walk, walk_volume};
use crate::repository::chunks::ChunkReader;
use crate::repository::index::Location;
use crate::repository::manifest::Scan;
use crate::repository::manifest::content::{ExtentCursor, ExtentStep};
use crate::repository::manifest::cursor::{Ahead, Cursor};

/// Ids that snapshots need, 32 bytes each, and which of them are lost.
#[derive(Default)]
pub(super) struct References {
    pages: HashSet<PageId>,
    chunks: HashSet<ChunkId>,
    /// What no copy gives, and why.
    pub(super) lost: BTreeMap<ChunkId, Lost>,
    /// Snapshots whose scan cannot be read: restores do not need it.
    scans: Vec<(ObjectName, Error)>,
    /// Volumes whose cuts cannot be read: restores do not need them.
    cuts: Vec<(String, Error)>,
}

/// A chunk or page that no copy gives.
#[derive(Debug)]
pub(super) struct Lost {
    /// Whether it is a chunk or a page.
    pub(super) class: PackClass,
    /// What went wrong with it.
    pub(super) detail: String,
}

struct Collector<'c> {
    reader: &'c ChunkReader<'c>,
    packs: &'c Packs,
    progress: &'c Progress<'c>,
    found: References,
}

impl References {
    /// Walks every snapshot; what was seen once is passed over.
    pub(super) fn collect(
        reader: &ChunkReader<'_>,
        packs: &Packs,
        snapshots: &[Snapshot],
        progress: &Progress<'_>,
    ) -> Result<Self> {
        let found = Self::default();
        let mut collector = Collector {
            reader,
            packs,
            progress,
            found,
        };
        for snapshot in snapshots {
            for root in &snapshot.roots {
                collector.root(root)?;
                collector.scan(snapshot, root)?;
                collector.cuts(snapshot, root)?;
            }
        }
        Ok(collector.found)
    }

    /// True if a snapshot needs this chunk or page.
    pub(super) fn need(&self, id: &ChunkId) -> bool {
        self.chunks.contains(id) || self.pages.contains(id)
    }

    /// True if a snapshot needs something of the pack with this table.
    pub(super) fn need_any(&self, table: &Table) -> bool {
        table.chunks.iter().any(|chunk| self.need(&chunk.id))
    }

    /// A lost scan, or lost cuts, cost time with the next snapshot, not data.
    pub(super) fn tell_helpers(&self, findings: &mut Findings) {
        for (name, error) in &self.scans {
            let cause = walk::with_causes(error);
            let detail = format!("what tells unchanged files next time cannot be read: {cause}");
            findings.add(FindingKind::Rebuildable, name, detail);
        }
        volumes::tell_cuts(&self.cuts, findings);
    }
}

impl Collector<'_> {
    fn root(&mut self, root: &Root) -> Result<()> {
        match root.root_type {
            RootType::Tree => self.tree(root),
            RootType::Extents => self.content(&walk_volume::content_of(root)),
        }
    }

    fn tree(&mut self, root: &Root) -> Result<()> {
        let mut cursor = walk::cursor(self.reader, root, TreePath::default())?;
        loop {
            match cursor.ahead() {
                Ahead::End => return Ok(()),
                Ahead::Page(page) => {
                    let id = page.id;
                    self.progress.go_on()?;
                    if !self.found.pages.insert(id) {
                        cursor.skip_page();
                    } else if let Some(lost) = cursor.open_page()? {
                        self.lose(id, PackClass::Meta, walk::with_causes(&lost.error));
                    }
                }
                Ahead::Item(_) => {
                    let item = cursor.take_item();
                    if let Some(Node::File(content)) = item.map(|item| item.entry.node) {
                        self.content(&content)?;
                    }
                }
            }
        }
    }

    fn content(&mut self, content: &Content) -> Result<()> {
        let mut cursor = ExtentCursor::new(self.reader, content);
        loop {
            let page = cursor.page_ahead();
            if let Some(id) = page
                && !self.found.pages.insert(id)
            {
                cursor.skip_page();
                continue;
            }
            match (cursor.next()?, page) {
                (None, _) => return Ok(()),
                (Some(ExtentStep::Extent(extent)), _) => self.extent(extent)?,
                (Some(ExtentStep::Lost { error, .. }), id) => {
                    let id = id.unwrap_or(ChunkId([0; ChunkId::LEN]));
                    self.lose(id, PackClass::Meta, walk::with_causes(&error));
                }
            }
        }
    }

    fn extent(&mut self, extent: Extent) -> Result<()> {
        let ExtentKind::Chunk(id) = extent.kind else {
            return Ok(());
        };
        if !self.found.chunks.insert(id) {
            return Ok(());
        }
        self.progress.go_on()?;
        if !self.has_good_copy(&id, extent.len, self.reader.locate(&id)?)
            && !self.has_good_copy(&id, extent.len, self.reader.locate_all(&id)?)
        {
            self.lose(
                id,
                PackClass::Data,
                format!("no good copy of {} bytes", extent.len),
            );
        }
        Ok(())
    }

    fn has_good_copy(&self, id: &ChunkId, len: u64, copies: Vec<Location>) -> bool {
        copies.iter().any(|copy| {
            copy.pack.class == PackClass::Data
                && u64::from(copy.len) == len
                && self.packs.is_good(id, copy)
        })
    }

    fn scan(&mut self, snapshot: &Snapshot, root: &Root) -> Result<()> {
        let Some(scan) = root.scan else {
            return Ok(());
        };
        let start = TreePath::default();
        let mut cursor = Cursor::<Scan>::new(self.reader, scan.page, scan.level, start);
        loop {
            match cursor.ahead() {
                Ahead::End => return Ok(()),
                Ahead::Item(_) => drop(cursor.take_item()),
                Ahead::Page(page) => {
                    self.progress.go_on()?;
                    if !self.found.pages.insert(page.id) {
                        cursor.skip_page();
                    } else if let Some(lost) = cursor.open_page()? {
                        let name = ObjectName::Snapshot(snapshot.session);
                        self.found.scans.push((name, lost.error));
                    }
                }
            }
        }
    }

    fn cuts(&mut self, snapshot: &Snapshot, root: &Root) -> Result<()> {
        let seen = &mut self.found.pages;
        if let Some(error) = volumes::lost_cuts(self.reader, root, seen, self.progress)? {
            let subject = format!("{}, its cuts", volumes::subject(snapshot, root));
            self.found.cuts.push((subject, error));
        }
        Ok(())
    }

    fn lose(&mut self, id: ChunkId, class: PackClass, detail: String) {
        self.found.lost.insert(id, Lost { class, detail });
    }
}
