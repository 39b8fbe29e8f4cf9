//! All layers of a composition walked side by side: what is left of each, in tree order.
//!
//! A part of the tree that a newer layer hides is passed over unread, so damage in it harms
//! nobody.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Result;
use crate::format::entry::{FolderPath, Node, TreePath};
use crate::format::scan::{ScanItem, Seen};
use crate::format::tree::TreeItem;
use crate::limits::{PATH_DEPTH_LIMIT, PATH_LEN_LIMIT};
use crate::operations::merge::MergeMode;
use crate::operations::merge::layers::{Composition, Layer, Lookup};
use crate::operations::merge::refuse;
use crate::operations::walk;
use crate::repository::manifest::cursor::{Ahead, Cursor, Step};
use crate::repository::manifest::{Scan, Tree};

/// The walk over a composition.
pub(super) struct Overlay<'l> {
    walks: Vec<LayerWalk<'l>>,
    hidden: Hidden,
    has_scan: bool,
}

/// An entry of the composed tree.
pub(super) struct Placed {
    /// Number of its layer.
    pub layer: usize,
    /// The entry, where the composed tree has it.
    pub item: TreeItem,
    /// What the scan of its layer says of it.
    pub seen: Option<Seen>,
}

impl<'l> Overlay<'l> {
    /// A walk from the root on; `scans` says of each layer whether its scan may be believed.
    pub(super) fn new(lookup: Lookup<'l>, composition: &'l Composition, scans: &[bool]) -> Self {
        let layers = &composition.layers;
        let has_scan = scans.iter().all(|scan| *scan);
        let mut hidden = Hidden::default();
        if lookup.mode == MergeMode::Replace {
            for (number, layer) in layers.iter().enumerate().skip(1) {
                hidden.add(&layer.prefix, number);
            }
        }
        let walk = |layer| LayerWalk::new(lookup, layer, has_scan);
        Self {
            walks: layers.iter().map(walk).collect(),
            hidden,
            has_scan,
        }
    }

    /// True if every layer has a scan, and all of them could be read so far.
    pub(super) fn has_scan(&self) -> bool {
        self.has_scan
    }

    /// The next entry; nothing behind the last.
    pub(super) fn next(&mut self) -> Result<Option<Placed>> {
        loop {
            for (number, walk) in self.walks.iter_mut().enumerate() {
                walk.fill(number, &self.hidden)?;
            }
            let Some((number, item)) = self.take_first() else {
                return Ok(None);
            };
            let path = item.path();
            let walk = &mut self.walks[number];
            if let Some(region) = self.hidden.region(&path.folder, number) {
                walk.pass_over(&region);
                continue;
            }
            if self.hidden.region(&path.as_folder(), number).is_some() {
                continue;
            }
            let seen = match self.has_scan {
                true => walk.seen(&path)?,
                false => None,
            };
            self.has_scan &= !walk.lost_scan();
            self.hide_older(number, &path, &item);
            let layer = number;
            return Ok(Some(Placed { layer, item, seen }));
        }
    }

    /// The first of all entries ahead; of those in one place the newest.
    fn take_first(&mut self) -> Option<(usize, TreeItem)> {
        let ahead = self.walks.iter().enumerate();
        let ahead = ahead.filter_map(|(number, walk)| Some((number, walk.next.as_ref()?)));
        let (number, _) =
            ahead.min_by(|(a, one), (b, other)| key(one).cmp(&key(other)).then(b.cmp(a)))?;
        let item = self.walks[number].next.take();
        item.map(|item| (number, item))
    }

    /// Drops what older layers have in the place of `item`, and below it if it is no folder.
    fn hide_older(&mut self, number: usize, path: &TreePath, item: &TreeItem) {
        let mut had_folder = false;
        for older in &mut self.walks[..number] {
            if older
                .next
                .as_ref()
                .is_some_and(|older| key(older) == key(item))
            {
                let hidden = older.next.take();
                had_folder |= hidden.is_some_and(|hidden| hidden.entry.node == Node::Folder);
            }
        }
        if had_folder && item.entry.node != Node::Folder {
            self.hidden.add(&path.as_folder(), number);
        }
    }
}

fn key(item: &TreeItem) -> (&FolderPath, &[u8]) {
    (&item.folder, &item.entry.name)
}

/// Folders of which older layers count for nothing, with all below them.
#[derive(Default)]
struct Hidden(BTreeMap<Vec<u8>, usize>);

impl Hidden {
    /// Hides all layers below number `number` from `folder` on.
    fn add(&mut self, folder: &FolderPath, number: usize) {
        let hidden = self.0.entry(folder.0.clone()).or_default();
        *hidden = number.max(*hidden);
    }

    /// The outermost folder that hides `folder` of layer `number`.
    fn region(&self, folder: &FolderPath, number: usize) -> Option<FolderPath> {
        if self.0.is_empty() {
            return None;
        }
        let path = folder.0.as_slice();
        let zeros = path.iter().enumerate().filter(|(_, byte)| **byte == 0);
        let ends = std::iter::once(0)
            .chain(zeros.map(|(at, _)| at))
            .chain([path.len()]);
        let mut folders = ends.map(|end| &path[..end]);
        let found = folders.find(|folder| self.0.get(*folder).is_some_and(|by| *by > number));
        found.map(|folder| FolderPath(folder.to_vec()))
    }
}

/// The walk over one layer, in places of the composed tree.
struct LayerWalk<'l> {
    lookup: Lookup<'l>,
    layer: &'l Layer,
    cursor: Cursor<'l, Tree>,
    scan: Option<ScanWalk<'l>>,
    next: Option<TreeItem>,
    /// The folder of the last entry, as the layer and as the composed tree has it.
    folder: Option<(Arc<FolderPath>, Arc<FolderPath>)>,
    /// Where the walk was taken up again behind a hidden folder, in the layer's own tree.
    start: TreePath,
    is_done: bool,
}

impl<'l> LayerWalk<'l> {
    fn new(lookup: Lookup<'l>, layer: &'l Layer, has_scan: bool) -> Self {
        let (root, reader) = (&layer.root, lookup.reader);
        let scan = root.scan.filter(|_| has_scan).map(|scan| ScanWalk {
            cursor: Cursor::new(reader, scan.page, scan.level, TreePath::default()),
            next: None,
            is_lost: false,
        });
        Self {
            lookup,
            layer,
            cursor: Cursor::new(reader, root.page, root.level, TreePath::default()),
            scan,
            next: None,
            folder: None,
            start: TreePath::default(),
            is_done: false,
        }
    }

    /// Goes on to the next entry, unless there is one already.
    fn fill(&mut self, number: usize, hidden: &Hidden) -> Result<()> {
        while self.next.is_none() && !self.is_done {
            let page_folder = match self.cursor.ahead() {
                Ahead::End => {
                    self.is_done = true;
                    return Ok(());
                }
                Ahead::Item(_) => None,
                Ahead::Page(page) => Some(self.layer.prefix.join(&page.first.folder)),
            };
            let Some(folder) = page_folder else {
                let item = self.cursor.take_item();
                self.next = item.map(|item| self.placed(item)).transpose()?;
                continue;
            };
            match hidden.region(&folder, number) {
                // A page that begins before the start of the walk is needed for what is behind it.
                Some(region) if self.behind(&region).is_none_or(|end| end > self.start) => {
                    self.pass_over(&region);
                }
                _ => self.open_page()?,
            }
        }
        Ok(())
    }

    fn open_page(&mut self) -> Result<()> {
        let Some(lost) = self.cursor.open_page()? else {
            return Ok(());
        };
        let path = walk::absolute_path(&self.layer.root, &lost.first);
        let session = self.lookup.session(self.layer);
        Err(refuse::unreadable(session, &path, lost.error))
    }

    /// Takes the walk up again behind `region`, a hidden folder of the composed tree.
    fn pass_over(&mut self, region: &FolderPath) {
        self.next = None;
        match self.behind(region) {
            Some(start) => {
                let (root, reader) = (&self.layer.root, self.lookup.reader);
                self.cursor = Cursor::new(reader, root.page, root.level, start.clone());
                self.start = start;
            }
            None => self.is_done = true,
        }
    }

    /// The first place behind `region` in the layer's own tree; nothing if all of it is in there.
    fn behind(&self, region: &FolderPath) -> Option<TreePath> {
        let own = self.layer.prefix.below(region)?;
        // Behind the zero byte of all paths below it.
        let folder = FolderPath([own.0.as_slice(), &[1]].concat());
        (!own.0.is_empty()).then(|| TreePath::new(folder, Vec::new()))
    }

    /// The entry where the composed tree has it.
    fn placed(&mut self, mut item: TreeItem) -> Result<TreeItem> {
        let prefix = &self.layer.prefix;
        if prefix.0.is_empty() {
            return Ok(item);
        }
        if let Node::HardLink(leader) = &mut item.entry.node {
            *leader = prefix.join(&leader.as_folder()).as_entry();
        }
        if item.entry.name.is_empty() {
            let place = prefix.as_entry();
            (item.folder, item.entry.name) = (Arc::new(place.folder), place.name);
            return Ok(item);
        }
        let known = self.folder.as_ref();
        let known = known.filter(|(own, _)| Arc::ptr_eq(own, &item.folder));
        item.folder = match known {
            Some((_, placed)) => Arc::clone(placed),
            None => {
                let placed = Arc::new(prefix.join(&item.folder));
                self.expect_shallow(&placed)?;
                let own = std::mem::replace(&mut item.folder, Arc::clone(&placed));
                self.folder = Some((own, Arc::clone(&placed)));
                placed
            }
        };
        Ok(item)
    }

    /// What a page cannot say must not be written.
    fn expect_shallow(&self, folder: &FolderPath) -> Result<()> {
        let depth = folder.components().count();
        if folder.0.len() <= PATH_LEN_LIMIT && depth <= PATH_DEPTH_LIMIT {
            return Ok(());
        }
        let own = self.layer.prefix.below(folder).unwrap_or_default();
        let path = walk::absolute_path(&self.layer.root, &own.as_entry());
        Err(refuse::too_deep(&path))
    }

    /// What the scan says of the entry at `path` of the composed tree.
    fn seen(&mut self, path: &TreePath) -> Result<Option<Seen>> {
        match (&mut self.scan, self.layer.own_path(path)) {
            (Some(scan), Some(own)) => scan.at(&own),
            _ => Ok(None),
        }
    }

    fn lost_scan(&self) -> bool {
        self.scan.as_ref().is_none_or(|scan| scan.is_lost)
    }
}

/// A scan, asked in tree order.
struct ScanWalk<'l> {
    cursor: Cursor<'l, Scan>,
    next: Option<ScanItem>,
    is_lost: bool,
}

impl ScanWalk<'_> {
    fn at(&mut self, wanted: &TreePath) -> Result<Option<Seen>> {
        let wanted = (&wanted.folder, wanted.name.as_slice());
        loop {
            if self.next.is_none() {
                self.next = match self.cursor.next()? {
                    Some(Step::Item(item)) => Some(item),
                    Some(Step::Lost(_)) => {
                        self.is_lost = true;
                        continue;
                    }
                    None => return Ok(None),
                };
            }
            let item = self
                .next
                .take_if(|item| (&*item.folder, item.name.as_slice()) <= wanted);
            match item {
                None => return Ok(None),
                Some(item) if (&*item.folder, item.name.as_slice()) == wanted => {
                    return Ok(Some(item.seen));
                }
                Some(_) => {}
            }
        }
    }
}
