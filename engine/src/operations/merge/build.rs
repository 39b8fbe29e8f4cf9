//! The roots of the result: taken over as they are, or built anew from their layers.

use crate::error::Result;
use crate::format::entry::Node;
use crate::format::snapshot::{PageRoot, Root, Totals};
use crate::observe::Counter;
use crate::operations::merge::layers::{Composition, Layer, Links, Lookup};
use crate::operations::merge::overlay::Overlay;
use crate::operations::merge::stored::{Stored, Subject};
use crate::operations::walk;
use crate::repository::manifest::builder::{PageStore, ScanBuilder, TreeBuilder};

/// A root of the result.
pub(super) struct MadeRoot {
    pub root: Root,
    pub totals: Totals,
    /// True if it is an input's root as it is.
    pub is_taken_over: bool,
}

/// Makes roots, and sees that all they name is stored.
pub(super) struct RootMaker<'s> {
    pub lookup: Lookup<'s>,
    pub stored: Stored<'s>,
}

impl RootMaker<'_> {
    pub(super) fn make(
        &mut self,
        composition: &Composition,
        store: &mut PageStore<'_>,
    ) -> Result<MadeRoot> {
        match composition.unchanged() {
            Some(layer) => self.take_over(layer),
            None => self.build(composition, store),
        }
    }

    fn take_over(&mut self, layer: &Layer) -> Result<MadeRoot> {
        let mut root = layer.root.clone();
        self.stored.observer.expect(Counter::Entries, root.entries);
        let totals = self.stored.expect_root(self.lookup.session(layer), &root)?;
        if let Some(scan) = &root.scan
            && !(self.is_of_one_host(layer) && self.stored.has_scan(scan)?)
        {
            root.scan = None;
        }
        Ok(MadeRoot {
            root,
            totals,
            is_taken_over: true,
        })
    }

    fn build(&mut self, composition: &Composition, store: &mut PageStore<'_>) -> Result<MadeRoot> {
        let layers = &composition.layers;
        let scans = layers.iter();
        let scans = scans.map(|layer| layer.root.scan.is_some() && self.is_of_one_host(layer));
        let scans: Vec<_> = scans.collect();
        let whole = layers
            .iter()
            .map(|l| self.stored.session.is_known_whole(&l.root));
        let whole: Vec<_> = whole.collect();
        let entries = layers.iter().map(|layer| layer.root.entries).max();
        let expected = entries.unwrap_or_default();
        self.stored.observer.expect(Counter::Entries, expected);

        let mut overlay = Overlay::new(self.lookup, composition, &scans);
        let mut links = Links::new(self.lookup, composition);
        let (mut tree, mut scan) = (TreeBuilder::new(), ScanBuilder::new());
        let (mut totals, mut seen_entries) = (Totals::default(), 0_u64);
        while let Some(placed) = overlay.next()? {
            walk::stop_if_cancelled(self.stored.observer)?;
            let path = placed.item.path();
            let item = links.settle(placed.layer, &path, placed.item)?;
            if let (Node::File(content), false) = (&item.entry.node, whole[placed.layer]) {
                let subject = Subject {
                    snapshot: self.lookup.session(&layers[placed.layer]),
                    root: &composition.name,
                    path: &path,
                };
                self.stored.expect_content(subject, content)?;
            }
            self.stored.count(&mut totals, &item.entry.node);
            tree.push(&path.folder, &item.entry, store)?;
            if let (Some(seen), true) = (placed.seen, overlay.has_scan()) {
                scan.push(&path.folder, &path.name, &seen, store)?;
                seen_entries += 1;
            }
        }
        let tree = tree.finish(store)?;
        let scan = match overlay.has_scan() && seen_entries > 0 {
            true => Some(scan.finish(store)?),
            false => None,
        };
        let at = PageRoot {
            page: tree.child.page,
            level: tree.level,
        };
        let (name, totals_of) = (composition.name.clone(), &tree.child);
        let root = Root {
            scan: scan.map(|scan| PageRoot {
                page: scan.child.page,
                level: scan.level,
            }),
            ..Root::folder(name, at, totals_of.entries, totals_of.bytes)
        };
        Ok(MadeRoot {
            root,
            totals,
            is_taken_over: false,
        })
    }

    /// Inode numbers and times of change mean nothing on another machine than the result's, which
    /// is that of the newest input.
    fn is_of_one_host(&self, layer: &Layer) -> bool {
        let inputs = self.lookup.inputs;
        inputs
            .last()
            .is_some_and(|newest| newest.host == inputs[layer.age].host)
    }
}
