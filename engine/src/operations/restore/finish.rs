//! Everything that is not the content of a file: folders, special files, links, and the metadata
//! of folders once nothing will change in them any more.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::error::Result;
use crate::format::entry::{Entry, FolderPath, Metadata, Node, TreePath};
use crate::format::tree::TreeItem;
use crate::observe::ProblemKind;
use crate::operations::restore::place::{Reporter, Scope};
use crate::operations::select;
use crate::repository::chunks::ChunkReader;
use crate::targets::folder::{FolderTarget, NotApplied, OnConflict, Placed};

/// Places what has no content.
pub(super) struct Finisher<'r> {
    target: &'r FolderTarget,
    scope: &'r Scope<'r>,
    report: &'r Reporter<'r>,
    on_conflict: OnConflict,
    /// Folders that keep their own metadata: they were there, and the policy leaves them alone.
    untouched: HashSet<FolderPath>,
    /// The folders that lead to the one that is walked.
    open: Vec<OpenFolder>,
    /// Leaders outside of the scope: where the first of their names inside landed.
    stand_ins: HashMap<TreePath, (TreePath, Entry)>,
}

/// A folder whose subtree is being walked.
struct OpenFolder {
    /// In the tree.
    path: FolderPath,
    /// `None` for the folders above the scope.
    metadata: Option<Metadata>,
    /// Folders in it that were seen and not yet entered, in order.
    subfolders: VecDeque<(Vec<u8>, Metadata)>,
}

impl<'r> Finisher<'r> {
    pub(super) fn new(
        target: &'r FolderTarget,
        scope: &'r Scope<'r>,
        report: &'r Reporter<'r>,
        on_conflict: OnConflict,
    ) -> Self {
        let (untouched, open) = (HashSet::new(), Vec::new());
        Self {
            target,
            scope,
            report,
            on_conflict,
            untouched,
            open,
            stand_ins: HashMap::new(),
        }
    }

    /// Makes a folder, or takes the one that is there.
    pub(super) fn make_folder(&mut self, at: &TreePath) -> Result<()> {
        match self.target.make_folder(at) {
            Ok(Placed::Merged(())) => {
                if self.on_conflict == OnConflict::Skip {
                    self.untouched.insert(at.as_folder());
                    self.report.skipped();
                    return Ok(());
                }
                self.report.restored();
            }
            Ok(Placed::Skipped { .. }) => {
                self.untouched.insert(at.as_folder());
                self.report.skipped();
            }
            Ok(placed) => {
                self.report.collision(at, &placed);
                self.report.restored();
            }
            Err(error) => self.report.tolerate(at, error)?,
        }
        Ok(())
    }

    /// Makes a FIFO, socket or device.
    pub(super) fn make_special(&mut self, at: &TreePath, entry: &Entry) -> Result<()> {
        let placed = self.target.make_special(at, &entry.node, &entry.metadata);
        self.report.settled(at, placed)
    }

    /// Second walk: makes links, and settles folders that are left behind.
    pub(super) fn settle(&mut self, item: &TreeItem) -> Result<()> {
        self.enter(&item.folder)?;
        let at = self.scope.target_of(item);
        match &item.entry.node {
            Node::Folder => self.remember(item),
            Node::Symlink(target) => {
                let placed = self.target.make_symlink(&at, target, &item.entry.metadata);
                self.report.settled(&at, placed)?;
            }
            Node::HardLink(leader) => self.make_hard_link(&at, leader)?,
            _ => {}
        }
        Ok(())
    }

    /// Settles the folders that are still open.
    pub(super) fn finish(mut self) -> Result<()> {
        while let Some(folder) = self.open.pop() {
            self.leave(folder)?;
        }
        Ok(())
    }

    /// What stands in for the leader of a hard link that lies outside of what is restored: the
    /// first of its names inside gets what the leader is, the others are linked to that one.
    pub(super) fn stand_in(
        &mut self,
        reader: &ChunkReader<'_>,
        item: &TreeItem,
        leader: &TreePath,
    ) -> Result<Option<Entry>> {
        if self.is_inside(leader) || self.stand_ins.contains_key(leader) {
            return Ok(None);
        }
        let at = self.scope.target_of(item);
        let found = match select::find(reader, self.scope.root, leader) {
            Ok(found) => found,
            Err(error) => {
                self.report.tolerate(&at, error)?;
                None
            }
        };
        let Some(found) = found else { return Ok(None) };
        let (name, entry) = (item.entry.name.clone(), found.entry);
        let entry = Entry { name, ..entry };
        self.stand_ins.insert(leader.clone(), (at, entry.clone()));
        Ok(Some(entry))
    }

    fn make_hard_link(&mut self, at: &TreePath, leader: &TreePath) -> Result<()> {
        if self.is_inside(leader) {
            let folder = self.scope.target_folder(&leader.folder);
            let leader = TreePath::new(folder, leader.name.clone());
            let placed = self.target.make_hard_link(at, &leader);
            return self.report.settled(at, placed.map(with_losses));
        }
        match self.stand_ins.get(leader).cloned() {
            Some((first, entry)) if first == *at => self.make_stand_in(at, &entry),
            Some((first, _)) => {
                let placed = self.target.make_hard_link(at, &first);
                self.report.settled(at, placed.map(with_losses))
            }
            None => {
                let detail = "is a hard link to an entry that is not in the snapshot".to_owned();
                self.report.problem(ProblemKind::NotRestored, at, detail);
                Ok(())
            }
        }
    }

    /// Files were restored with all others.
    fn make_stand_in(&mut self, at: &TreePath, entry: &Entry) -> Result<()> {
        let placed = match &entry.node {
            Node::File(_) | Node::Folder | Node::HardLink(_) => return Ok(()),
            Node::Symlink(target) => self.target.make_symlink(at, target, &entry.metadata),
            _ => self.target.make_special(at, &entry.node, &entry.metadata),
        };
        self.report.settled(at, placed)
    }

    fn is_inside(&self, leader: &TreePath) -> bool {
        self.scope.top.as_folder().contains(&leader.folder) || *leader == self.scope.top
    }

    /// Leaves folders that do not hold `folder`, and enters it.
    fn enter(&mut self, folder: &FolderPath) -> Result<()> {
        while self
            .open
            .last()
            .is_some_and(|open| !open.path.contains(folder))
        {
            let left = self.open.pop().expect("it was looked at just now");
            self.leave(left)?;
        }
        if self.open.last().is_some_and(|open| open.path == *folder) {
            return Ok(());
        }
        let metadata = self.metadata_of(folder)?;
        let (path, subfolders) = (folder.clone(), VecDeque::new());
        self.open.push(OpenFolder {
            path,
            metadata,
            subfolders,
        });
        Ok(())
    }

    /// Metadata of a folder that is entered now; those before it had no entries.
    fn metadata_of(&mut self, folder: &FolderPath) -> Result<Option<Metadata>> {
        let entry = folder.as_entry();
        let Some(parent) = self
            .open
            .last_mut()
            .filter(|open| open.path == entry.folder)
        else {
            return Ok(None);
        };
        let mut empty = Vec::new();
        let mut found = None;
        while let Some((name, metadata)) = parent.subfolders.pop_front() {
            if name == entry.name {
                found = Some(metadata);
                break;
            }
            empty.push((TreePath::new(entry.folder.clone(), name), metadata));
        }
        for (path, metadata) in empty {
            self.apply(&path.as_folder(), &metadata)?;
        }
        Ok(found)
    }

    fn remember(&mut self, item: &TreeItem) {
        let Some(open) = self.open.last_mut() else {
            return;
        };
        let metadata = item.entry.metadata.clone();
        if item.path() == self.scope.top {
            // The top of the scope: its children follow in a group of their own.
            open.metadata = None;
            let (path, subfolders) = (self.scope.top.as_folder(), VecDeque::new());
            if open.path == path {
                open.metadata = Some(metadata);
            } else {
                self.open.push(OpenFolder {
                    path,
                    metadata: Some(metadata),
                    subfolders,
                });
            }
        } else {
            open.subfolders
                .push_back((item.entry.name.clone(), metadata));
        }
    }

    fn leave(&mut self, folder: OpenFolder) -> Result<()> {
        for (name, metadata) in folder.subfolders {
            self.apply(&folder.path.child(&name), &metadata)?;
        }
        match folder.metadata {
            Some(metadata) => self.apply(&folder.path, &metadata),
            None => Ok(()),
        }
    }

    fn apply(&mut self, folder: &FolderPath, metadata: &Metadata) -> Result<()> {
        let folder = self.scope.target_folder(folder);
        if self.untouched.contains(&folder) {
            return Ok(());
        }
        let at = folder.as_entry();
        match self.target.apply_folder_metadata(&folder, metadata) {
            Ok(losses) => {
                self.report.not_applied(&at, &losses);
                Ok(())
            }
            Err(error) => self.report.tolerate(&at, error),
        }
    }
}

/// A hard link has no metadata of its own to lose.
fn with_losses(placed: Placed<()>) -> Placed<Vec<NotApplied>> {
    placed.map(|()| Vec::new())
}
