//! Trees laid one above the other, and what each of them says of a path.
//!
//! Everything here looks up single entries; the walk over all of them is in `overlay`.

use std::collections::HashMap;

use crate::error::Result;
use crate::format::entry::{FolderPath, Node, TreePath};
use crate::format::id::SessionId;
use crate::format::snapshot::{Root, Snapshot};
use crate::format::tree::TreeItem;
use crate::operations::merge::MergeMode;
use crate::operations::merge::refuse;
use crate::operations::select;
use crate::operations::walk;
use crate::repository::chunks::ChunkReader;

/// A root of the result: what of which inputs it is made of.
#[derive(Clone, Debug)]
pub(super) struct Composition {
    /// Name of the root.
    pub name: Vec<u8>,
    /// What lies above each other, at least one layer: a later one hides what is below it.
    pub layers: Vec<Layer>,
}

/// A root of an input, and where it lies in a composition.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// Which input it is of.
    pub age: usize,
    /// The root, as the input has it.
    pub root: Root,
    /// The folder of the composed tree where its own root lies.
    pub prefix: FolderPath,
}

impl Composition {
    /// The only layer, if the root is one of an input as it is.
    pub(super) fn unchanged(&self) -> Option<&Layer> {
        match self.layers.as_slice() {
            [only] if only.prefix.0.is_empty() => Some(only),
            _ => None,
        }
    }

    /// Where an entry of the composed tree is on its machine.
    pub(super) fn absolute(&self, path: &TreePath) -> Vec<u8> {
        walk::path_below(&self.name, path)
    }
}

impl Layer {
    /// The whole of a root.
    pub(super) fn new(age: usize, root: &Root) -> Self {
        let (root, prefix) = (root.clone(), FolderPath::root());
        Self { age, root, prefix }
    }

    /// The same layer in a tree where its own lies at `prefix`.
    #[must_use]
    pub(super) fn moved_below(&self, prefix: &FolderPath) -> Self {
        Self {
            age: self.age,
            root: self.root.clone(),
            prefix: prefix.join(&self.prefix),
        }
    }

    /// A place of the composed tree in the layer's own tree; nothing if it is not below it.
    pub(super) fn own_path(&self, path: &TreePath) -> Option<TreePath> {
        let own = self.prefix.below(&path.as_folder())?;
        Some(own.as_entry())
    }
}

/// Looks up entries of layers.
#[derive(Clone, Copy)]
pub(super) struct Lookup<'r> {
    pub reader: &'r ChunkReader<'r>,
    pub inputs: &'r [Snapshot],
    pub mode: MergeMode,
}

impl Lookup<'_> {
    /// The snapshot that a layer is of.
    pub(super) fn session(&self, layer: &Layer) -> SessionId {
        self.inputs[layer.age].session
    }

    /// What the layer has at `path` of the composed tree; its place is that in its own tree.
    pub(super) fn entry(&self, layer: &Layer, path: &TreePath) -> Result<Option<TreeItem>> {
        match layer.own_path(path) {
            Some(own) => self.own_entry(layer, &own),
            None => Ok(None),
        }
    }

    fn own_entry(&self, layer: &Layer, own: &TreePath) -> Result<Option<TreeItem>> {
        select::find(self.reader, &layer.root, own).map_err(|error| {
            let path = walk::absolute_path(&layer.root, own);
            refuse::unreadable(self.session(layer), &path, error)
        })
    }

    /// True if what layer `number` has at `path`, or would have, is hidden by a newer one.
    pub(super) fn is_hidden(
        &self,
        composition: &Composition,
        number: usize,
        path: &TreePath,
    ) -> Result<bool> {
        for newer in composition.layers.iter().skip(number + 1) {
            if self.hides(newer, path)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// True if the layer hides what older ones have at `path`: all that it covers, or, where what
    /// was deleted is kept, its own entries and what would lie below a file of its own.
    fn hides(&self, layer: &Layer, path: &TreePath) -> Result<bool> {
        let Some(own) = layer.own_path(path) else {
            return Ok(false);
        };
        if self.mode == MergeMode::Replace || self.own_entry(layer, &own)?.is_some() {
            return Ok(true);
        }
        self.is_below_a_file(layer, &own)
    }

    /// True if something else than a folder is in the place of a folder on the way to `own`.
    fn is_below_a_file(&self, layer: &Layer, own: &TreePath) -> Result<bool> {
        let mut at = own.clone();
        while !at.as_folder().0.is_empty() {
            at = at.folder.as_entry();
            if let Some(item) = self.own_entry(layer, &at)? {
                return Ok(item.entry.node != Node::Folder);
            }
        }
        Ok(false)
    }

    /// What the composed tree has at `path`.
    pub(super) fn composed_entry(
        &self,
        composition: &Composition,
        path: &TreePath,
    ) -> Result<Option<TreeItem>> {
        for (number, layer) in composition.layers.iter().enumerate().rev() {
            if let Some(item) = self.entry(layer, path)? {
                let is_hidden = self.is_hidden(composition, number, path)?;
                return Ok((!is_hidden).then_some(item));
            }
        }
        Ok(None)
    }

    /// What a place below the root of `layer` can take.
    pub(super) fn place(&self, layer: &Layer, place: &FolderPath) -> Result<PlaceBelow> {
        let at = place.as_entry();
        match self.own_entry(layer, &at.folder.as_entry())? {
            Some(parent) if parent.entry.node == Node::Folder => Ok(PlaceBelow::InFolder),
            Some(_) => Ok(PlaceBelow::Taken),
            None if self.is_below_a_file(layer, &at)? => Ok(PlaceBelow::Taken),
            None => Ok(PlaceBelow::Nowhere),
        }
    }
}

/// What is where an older root would go below a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlaceBelow {
    /// The folder that it lies in is there.
    InFolder,
    /// Something else than a folder is in the place of a folder on the way.
    Taken,
    /// A folder on the way is not there.
    Nowhere,
}

/// Where the leader of a group of hard links went.
enum Fate {
    /// It is in the result.
    Stays,
    /// It is hidden: this is the first name of the group that is not.
    Moved(TreePath),
}

/// Groups of hard links: the first name that is left leads, with the content of the one that went.
pub(super) struct Links<'l> {
    lookup: Lookup<'l>,
    composition: &'l Composition,
    /// By layer, what became of each leader that a link named.
    fates: Vec<HashMap<TreePath, Fate>>,
}

impl<'l> Links<'l> {
    pub(super) fn new(lookup: Lookup<'l>, composition: &'l Composition) -> Self {
        let fates = composition.layers.iter().map(|_| HashMap::new()).collect();
        Self {
            lookup,
            composition,
            fates,
        }
    }

    /// The entry at `path` of layer `number`, which is not hidden, as the composed tree has it.
    pub(super) fn settle(
        &mut self,
        number: usize,
        path: &TreePath,
        mut item: TreeItem,
    ) -> Result<TreeItem> {
        let Node::HardLink(leader) = &item.entry.node else {
            return Ok(item);
        };
        match self.fates[number].get(leader) {
            Some(Fate::Stays) => {}
            Some(Fate::Moved(to)) => item.entry.node = Node::HardLink(to.clone()),
            None => {
                let leader = leader.clone();
                let is_hidden = self.lookup.is_hidden(self.composition, number, &leader)?;
                if is_hidden {
                    let layer = &self.composition.layers[number];
                    let found = self.leader(layer, path, &leader)?;
                    item.entry.metadata = found.entry.metadata;
                    item.entry.node = found.entry.node;
                }
                let fate = match is_hidden {
                    true => Fate::Moved(path.clone()),
                    false => Fate::Stays,
                };
                self.fates[number].insert(leader, fate);
            }
        }
        Ok(item)
    }

    fn leader(&self, layer: &Layer, path: &TreePath, leader: &TreePath) -> Result<TreeItem> {
        let found = self.lookup.entry(layer, leader)?;
        let is_leader =
            |item: &TreeItem| !matches!(item.entry.node, Node::Folder | Node::HardLink(_));
        found.filter(is_leader).ok_or_else(|| {
            let path = self.composition.absolute(path);
            refuse::malformed_link(self.lookup.session(layer), &path)
        })
    }
}
