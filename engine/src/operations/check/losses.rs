//! From lost chunks and pages to the paths that need them, by walking the manifests once more.
//!
//! Pages without a loss are remembered: snapshots that share them are walked quickly.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

use crate::error::Result;
use crate::format::entry::{Content, ExtentKind, Node, TreePath};
use crate::format::id::{ChunkId, PageId};
use crate::format::name::PackClass;
use crate::format::snapshot::{Root, RootType, Snapshot};
use crate::format::tree::TreeItem;
use crate::operations::check::FindingKind;
use crate::operations::check::findings::{FindingNumber, Findings, Progress};
use crate::operations::check::packs::Packs;
use crate::operations::check::references::{Lost, References};
use crate::operations::check::{LostRange, volumes};
use crate::operations::{walk, walk_volume};
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::content::{ExtentCursor, ExtentStep};
use crate::repository::manifest::cursor::Ahead;

/// Findings that a lost id goes back to.
pub(super) type Blamed = BTreeMap<ChunkId, Vec<FindingNumber>>;

/// Finds out which objects the losses go back to.
pub(super) fn blame(
    reader: &ChunkReader<'_>,
    packs: &Packs,
    references: &References,
    findings: &mut Findings,
) -> Result<Blamed> {
    let mut blamed = Blamed::new();
    for (id, lost) in &references.lost {
        let copies = reader.locate_all(id)?;
        let own = copies.iter().filter(|copy| copy.pack.class == lost.class);
        let names: BTreeSet<_> = own.map(|copy| copy.pack.name()).collect();
        // A page that reads back is not damaged by its pack: it was written wrong.
        let reads_back = lost.class == PackClass::Meta && reader.page(id).is_ok();
        let mut numbers = Vec::new();
        for name in names.iter().filter(|_| !reads_back) {
            let kind = match packs.is_missing(name) {
                true => FindingKind::Missing,
                false => FindingKind::Damaged,
            };
            numbers.push(findings.add(kind, name, &lost.detail));
        }
        if numbers.is_empty() {
            numbers.push(blame_itself(id, lost, reads_back, findings));
        }
        blamed.insert(*id, numbers);
    }
    Ok(blamed)
}

fn blame_itself(
    id: &ChunkId,
    lost: &Lost,
    reads_back: bool,
    findings: &mut Findings,
) -> FindingNumber {
    let subject = match lost.class {
        PackClass::Data => format!("chunk {id}"),
        PackClass::Meta => format!("page {id}"),
    };
    match reads_back {
        true => findings.add(FindingKind::Damaged, subject, &lost.detail),
        false => findings.add(FindingKind::Missing, subject, "no pack is known to hold it"),
    }
}

/// Tells every path that cannot be restored; gives the number of snapshots that have one.
pub(super) fn map(
    reader: &ChunkReader<'_>,
    blamed: Blamed,
    snapshots: &[Snapshot],
    progress: &Progress<'_>,
    findings: &mut Findings,
) -> Result<u64> {
    let clean = HashSet::new();
    let mut mapper = Mapper {
        reader,
        blamed,
        progress,
        findings,
        clean,
    };
    let mut damaged = 0;
    for snapshot in snapshots {
        let mut lost = false;
        for root in &snapshot.roots {
            lost |= mapper.root(snapshot, root)?;
        }
        damaged += u64::from(lost);
    }
    Ok(damaged)
}

struct Mapper<'m> {
    reader: &'m ChunkReader<'m>,
    blamed: Blamed,
    progress: &'m Progress<'m>,
    findings: &'m mut Findings,
    /// Leaves, and roots of contents, below which nothing is lost.
    clean: HashSet<PageId>,
}

/// One root while it is walked.
struct Walked<'w> {
    snapshot: &'w Snapshot,
    root: &'w Root,
    /// Files that are lost, for the hard links to them.
    lost_files: BTreeMap<TreePath, Vec<FindingNumber>>,
    /// The open leaf, until something in it is lost.
    leaf: Option<PageId>,
    damaged: bool,
}

impl Mapper<'_> {
    /// Maps one root; true if something of it is lost.
    fn root(&mut self, snapshot: &Snapshot, root: &Root) -> Result<bool> {
        let mut walked = Walked {
            snapshot,
            root,
            lost_files: BTreeMap::new(),
            leaf: None,
            damaged: false,
        };
        match root.root_type {
            RootType::Tree => self.tree(&mut walked)?,
            RootType::Extents => {
                let mut ranges = Vec::new();
                let content = walk_volume::content_of(root);
                let numbers = self.content(&content, &mut |number, range| {
                    ranges.push((number, range));
                })?;
                self.lose(&mut walked, &TreePath::default(), &numbers, 1);
                self.lose_ranges(&walked, ranges);
            }
        }
        Ok(walked.damaged)
    }

    fn tree(&mut self, walked: &mut Walked<'_>) -> Result<()> {
        let mut cursor = walk::cursor(self.reader, walked.root, TreePath::default())?;
        loop {
            match cursor.ahead() {
                Ahead::End => break,
                Ahead::Item(_) => {
                    if let Some(item) = cursor.take_item() {
                        self.item(walked, &item)?;
                    }
                }
                Ahead::Page(page) => {
                    self.progress.go_on()?;
                    self.clean.extend(walked.leaf.take());
                    let (id, is_leaf) = (page.id, page.level == 0);
                    if self.clean.contains(&id) {
                        cursor.skip_page();
                        continue;
                    }
                    match cursor.open_page()? {
                        None => walked.leaf = is_leaf.then_some(id),
                        Some(lost) => {
                            let entries = match lost.entries {
                                0 => walked.root.entries,
                                entries => entries,
                            };
                            let numbers = self.numbers_of_page(&id);
                            self.lose(walked, &lost.first, &numbers, entries);
                        }
                    }
                }
            }
        }
        self.clean.extend(walked.leaf.take());
        Ok(())
    }

    fn item(&mut self, walked: &mut Walked<'_>, item: &TreeItem) -> Result<()> {
        let numbers = match &item.entry.node {
            Node::File(content) => self.content(content, &mut |_, _| {})?,
            Node::HardLink(leader) => {
                // The same page may link to a lost file in another snapshot.
                walked.leaf = None;
                walked.lost_files.get(leader).cloned().unwrap_or_default()
            }
            _ => Vec::new(),
        };
        if !numbers.is_empty() {
            self.lose(walked, &item.path(), &numbers, 1);
            walked.lost_files.insert(item.path(), numbers);
        }
        Ok(())
    }

    /// The findings that a content is lost by; each range that one costs is given to `each`.
    fn content(
        &mut self,
        content: &Content,
        each: &mut dyn FnMut(FindingNumber, Range<u64>),
    ) -> Result<Vec<FindingNumber>> {
        let root = match content {
            Content::Tree(root) if self.clean.contains(&root.page) => return Ok(Vec::new()),
            Content::Tree(root) => Some(root.page),
            Content::Inline(_) => None,
        };
        let mut numbers = BTreeSet::new();
        let mut cursor = ExtentCursor::new(self.reader, content);
        loop {
            let Some(id) = cursor.page_ahead() else {
                let start = cursor.offset();
                let Some(step) = cursor.next()? else { break };
                if let ExtentStep::Extent(extent) = step
                    && let ExtentKind::Chunk(id) = extent.kind
                    && let Some(blamed) = self.blamed.get(&id)
                {
                    numbers.extend(blamed);
                    let range = || start..start + extent.len;
                    blamed.iter().for_each(|&number| each(number, range()));
                }
                continue;
            };
            let start = cursor.offset();
            if let Some((len, _)) = cursor.open_page()? {
                for number in self.numbers_of_page(&id) {
                    numbers.insert(number);
                    each(number, start..start + len);
                }
            }
        }
        if numbers.is_empty() {
            self.clean.extend(root);
        }
        Ok(numbers.into_iter().collect())
    }

    /// The findings of a lost page; one that could be read a moment ago has none yet.
    fn numbers_of_page(&mut self, id: &PageId) -> Vec<FindingNumber> {
        if let Some(numbers) = self.blamed.get(id) {
            return numbers.clone();
        }
        let detail = "could be read once, and then not again";
        let number = self
            .findings
            .add(FindingKind::Damaged, format!("page {id}"), detail);
        vec![number]
    }

    fn lose(
        &mut self,
        walked: &mut Walked<'_>,
        path: &TreePath,
        numbers: &[FindingNumber],
        entries: u64,
    ) {
        if numbers.is_empty() {
            return;
        }
        (walked.damaged, walked.leaf) = (true, None);
        let shown = walked.shown(path);
        for number in numbers {
            self.findings.lose(*number, shown.clone(), entries);
        }
    }

    fn lose_ranges(&mut self, walked: &Walked<'_>, ranges: Vec<(FindingNumber, Range<u64>)>) {
        let path = walked.shown(&TreePath::default());
        for (number, range) in ranges {
            let lost = LostRange {
                path: path.clone(),
                partition: volumes::partition_of(walked.root, &range),
                range,
            };
            self.findings.lose_range(number, lost);
        }
    }
}

impl Walked<'_> {
    /// A path of this root, with its snapshot's id before a colon.
    fn shown(&self, path: &TreePath) -> Vec<u8> {
        let mut shown = format!("{}:", self.snapshot.session).into_bytes();
        shown.extend(walk::absolute_path(self.root, path));
        shown
    }
}
