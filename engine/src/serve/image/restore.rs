//! Brings files inside a volume back to a folder.
//!
//! By the same target as folders: nothing outside of it is touched, whatever names and links an
//! image has. First folders and files, one file at a time; then, when nothing is left that could be
//! misled, symbolic links, and the metadata of folders.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::{FolderPath, Metadata, Owner, TreePath};
use crate::limits::KIB;
use crate::observe::Observer;
use crate::operations::restore::place::Reporter;
use crate::operations::restore::{RestoreOptions, RestoreReport};
use crate::pipeline::is_zero;
use crate::serve::image::cat::pieces;
use crate::serve::image::item::ImageEntry;
use crate::serve::image::open::Image;
use crate::serve::image::reader::ImageNode;
use crate::serve::image::walk::{Visit, walk};
use crate::targets::folder::{FolderTarget, NotApplied, OnConflict, Placed, TargetFile};

/// Zeros of at least this length are left as a hole.
pub(super) const HOLE_LEN: usize = 64 * KIB;
/// Files of several names that are remembered, so that the names are one file again. Further ones
/// become files of their own.
pub(super) const LINKED_FILES_MAX: usize = 1 << 20;

/// Restores the entry at `path` into the folder `target`. Of a folder its children land in the
/// target, of anything else the entry itself. Where the file system has no owners, files are those
/// of this process.
///
/// # Errors
/// If nothing was restored: there is no such entry, or the target is refused.
pub fn restore(
    image: &mut Image,
    path: &FolderPath,
    target: &Path,
    options: &RestoreOptions,
    observer: &dyn Observer,
) -> Result<RestoreReport> {
    let entry = image.entry(path)?;
    let report = Reporter::new(observer);
    if options.dry_run {
        visit(image, path, &entry, &mut Counting(&report))?;
        return Ok(report.finish());
    }
    let target = FolderTarget::open(target, options.target.clone())?;
    let top = match entry.is_folder() {
        true => path.clone(),
        false => path.as_entry().folder,
    };
    let mut restorer = Restorer {
        target: &target,
        options,
        report: &report,
        top,
        owner: (!image.has_owners()).then(owner_of_process),
        first_names: HashMap::new(),
        untouched: HashSet::new(),
    };
    visit(image, path, &entry, &mut Contents(&mut restorer))?;
    visit(image, path, &entry, &mut Finishing(&mut restorer))?;
    Ok(report.finish())
}

/// Visits the entry at `path` and all below it.
fn visit(
    image: &mut Image,
    path: &FolderPath,
    entry: &ImageEntry,
    visitor: &mut dyn Visit,
) -> Result<()> {
    if *path != FolderPath::root() || !entry.is_folder() {
        visitor.entry(image, &path.as_entry().folder, entry)?;
    }
    match entry.is_folder() {
        true => walk(image, path, entry, true, visitor),
        false => Ok(()),
    }
}

/// Says what would be restored.
struct Counting<'r>(&'r Reporter<'r>);

impl Visit for Counting<'_> {
    fn entry(&mut self, _: &mut Image, _: &FolderPath, entry: &ImageEntry) -> Result<()> {
        self.0.check_cancelled()?;
        match entry.node() {
            ImageNode::File { len } => self.0.restored_file(*len),
            _ => self.0.restored(),
        }
        Ok(())
    }

    fn lost(&mut self, error: &Error) -> Result<()> {
        tell_lost(self.0, error);
        Ok(())
    }
}

/// What both walks share.
struct Restorer<'r> {
    target: &'r FolderTarget,
    options: &'r RestoreOptions,
    report: &'r Reporter<'r>,
    /// The folder whose children land in the target.
    top: FolderPath,
    /// Whose the files are, where the file system does not say.
    owner: Option<Arc<Owner>>,
    /// Where the first of several names of a file landed.
    first_names: HashMap<u64, TreePath>,
    /// Folders that keep their own metadata: they were there, and the policy leaves them alone.
    untouched: HashSet<FolderPath>,
}

/// First walk: folders, files and special files.
struct Contents<'a, 'r>(&'a mut Restorer<'r>);

/// Second walk: links, and folders once nothing will change in them any more.
struct Finishing<'a, 'r>(&'a mut Restorer<'r>);

impl Visit for Contents<'_, '_> {
    fn entry(&mut self, image: &mut Image, folder: &FolderPath, entry: &ImageEntry) -> Result<()> {
        let restorer = &mut *self.0;
        restorer.report.check_cancelled()?;
        let at = restorer.target_of(&folder.child(&entry.name));
        match entry.node() {
            ImageNode::Folder => restorer.make_folder(&at),
            ImageNode::File { .. } => restorer.make_file(image, folder, entry, &at),
            ImageNode::Symlink(_) => Ok(()),
            _ => restorer.make_special(&at, entry),
        }
    }

    fn lost(&mut self, error: &Error) -> Result<()> {
        tell_lost(self.0.report, error);
        Ok(())
    }
}

impl Visit for Finishing<'_, '_> {
    fn entry(&mut self, _: &mut Image, folder: &FolderPath, entry: &ImageEntry) -> Result<()> {
        let ImageNode::Symlink(link_target) = entry.node() else {
            return Ok(());
        };
        let restorer = &mut *self.0;
        restorer.report.check_cancelled()?;
        let at = restorer.target_of(&folder.child(&entry.name));
        let metadata = restorer.metadata_of(entry);
        let placed = restorer.target.make_symlink(&at, link_target, &metadata);
        restorer.report.settled(&at, placed)
    }

    fn leave(&mut self, path: &FolderPath, entry: &ImageEntry) -> Result<()> {
        let restorer = &mut *self.0;
        let at = restorer.target_of(path);
        let folder = at.as_folder();
        if restorer.untouched.contains(&folder) {
            return Ok(());
        }
        let metadata = restorer.metadata_of(entry);
        match restorer.target.apply_folder_metadata(&folder, &metadata) {
            Ok(losses) => {
                restorer.report.not_applied(&at, &losses);
                Ok(())
            }
            Err(error) => restorer.report.tolerate(&at, error),
        }
    }

    /// The first walk told it.
    fn lost(&mut self, _: &Error) -> Result<()> {
        Ok(())
    }
}

impl Restorer<'_> {
    /// Where the entry at `path` lands.
    fn target_of(&self, path: &FolderPath) -> TreePath {
        let below = self.top.below(path);
        below.unwrap_or_default().as_entry()
    }

    fn metadata_of(&self, entry: &ImageEntry) -> Metadata {
        let mut metadata = entry.metadata().clone();
        if let Some(owner) = &self.owner {
            metadata.owner = Arc::clone(owner);
        }
        metadata
    }

    fn make_folder(&mut self, at: &TreePath) -> Result<()> {
        match self.target.make_folder(at) {
            Ok(Placed::Skipped { .. }) => self.leave_alone(at),
            Ok(Placed::Merged(())) if self.options.target.on_conflict == OnConflict::Skip => {
                self.leave_alone(at);
            }
            Ok(placed) => {
                self.report.collision(at, &placed);
                self.report.restored();
            }
            Err(error) => self.report.tolerate(at, error)?,
        }
        Ok(())
    }

    fn leave_alone(&mut self, at: &TreePath) {
        self.untouched.insert(at.as_folder());
        self.report.skipped();
    }

    fn make_special(&mut self, at: &TreePath, entry: &ImageEntry) -> Result<()> {
        let metadata = self.metadata_of(entry);
        let node = entry.shown().node;
        let placed = self.target.make_special(at, &node, &metadata);
        self.report.settled(at, placed)
    }

    fn make_file(
        &mut self,
        image: &mut Image,
        folder: &FolderPath,
        entry: &ImageEntry,
        at: &TreePath,
    ) -> Result<()> {
        if self.is_linked(entry, at)? {
            return Ok(());
        }
        match self.copy(image, &folder.child(&entry.name), entry, at) {
            Ok(placed) => {
                self.remember(entry, at);
                self.report.placed(at, placed, file_len(entry));
                Ok(())
            }
            Err(error) => self.report.tolerate(at, error),
        }
    }

    /// True if another name of the file was restored, and this one is now linked to it.
    fn is_linked(&mut self, entry: &ImageEntry, at: &TreePath) -> Result<bool> {
        let Some(first) = self.first_names.get(&entry.found.id) else {
            return Ok(false);
        };
        match self.target.make_hard_link(at, first) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => {
                Ok(false)
            }
            placed => {
                self.report
                    .settled(at, placed.map(|placed| placed.map(|()| Vec::new())))?;
                Ok(true)
            }
        }
    }

    fn remember(&mut self, entry: &ImageEntry, at: &TreePath) {
        if entry.found.links > 1 && self.first_names.len() < LINKED_FILES_MAX {
            self.first_names
                .entry(entry.found.id)
                .or_insert_with(|| at.clone());
        }
    }

    fn copy(
        &self,
        image: &mut Image,
        path: &FolderPath,
        entry: &ImageEntry,
        at: &TreePath,
    ) -> Result<Placed<Vec<NotApplied>>> {
        let ImageNode::File { len } = *entry.node() else {
            return Err(image.error(path, ErrorKind::InvalidInput, "is no file".to_owned()));
        };
        let metadata = self.metadata_of(entry);
        let placed = self.target.create_file(at, &metadata, len)?;
        placed.try_map(|file| {
            pieces(image, path, entry, &mut |offset, piece| {
                self.report.check_cancelled()?;
                write_data(&file, offset, piece)
            })?;
            if self.options.verify {
                file.settle()?;
                pieces(image, path, entry, &mut |offset, piece| {
                    compare(&file, offset, piece)
                })?;
                self.report.verified();
            }
            file.finish(&metadata)
        })
    }
}

fn file_len(entry: &ImageEntry) -> Option<u64> {
    match entry.node() {
        ImageNode::File { len } => Some(*len),
        _ => None,
    }
}

/// Writes what is not zeros: the file is one hole to begin with.
fn write_data(file: &TargetFile, offset: u64, bytes: &[u8]) -> Result<()> {
    for (block, index) in bytes.chunks(HOLE_LEN).zip(0_u64..) {
        if !is_zero(block) {
            file.write_at(offset + index * HOLE_LEN as u64, block)?;
        }
    }
    Ok(())
}

fn compare(file: &TargetFile, offset: u64, bytes: &[u8]) -> Result<()> {
    let mut written = vec![0; bytes.len()];
    file.read_at(offset, &mut written)?;
    if written == bytes {
        return Ok(());
    }
    let detail = format!("bytes {offset}+{} read back differently", bytes.len());
    Err(Error::new(
        ErrorKind::Damaged,
        Place::Argument("verify"),
        detail,
    ))
}

fn tell_lost(report: &Reporter<'_>, error: &Error) {
    let names = error.place().to_string();
    let at = TreePath::new(FolderPath::root(), names);
    report.failed(&at, error);
}

pub(super) fn owner_of_process() -> Arc<Owner> {
    Arc::new(Owner {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        ..Owner::default()
    })
}
