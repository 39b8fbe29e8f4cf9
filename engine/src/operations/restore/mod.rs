//! Brings a snapshot, or a part of it, back to a folder.
//!
//! ```text
//! first walk    folders, special files, and the plan of all contents (files)
//! contents      behind it: chunks in pack order, several packs at once, each file finished at its
//!               last chunk
//! second walk   symbolic links, hard links, then each folder's metadata once its subtree is done
//! ```
//! The plan is made in windows, so that memory is bounded whatever the size of the snapshot, and
//! the next window while one is restored. A file of which anything is lost is not left behind
//! half: it is named, and everything else restored.

mod contents;
mod files;
mod finish;
pub(crate) mod place;

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::{FolderPath, Node, TreePath};
use crate::format::snapshot::{Root, RootType, Snapshot};
use crate::format::tree::TreeItem;
use crate::observe::{Counter, Observer, ProblemKind};
use crate::operations::restore::contents::Contents;
use crate::operations::restore::files::FilePlanner;
use crate::operations::restore::finish::Finisher;
use crate::operations::restore::place::{Reporter, Scope};
use crate::operations::select::{Selected, select};
use crate::pipeline::behind;
use crate::pipeline::budget::Budget;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::Tree;
use crate::repository::manifest::cursor::{Cursor, Step};
use crate::targets::folder::{FolderTarget, FolderTargetOptions};

/// How a restore deals with the target.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    /// Threads and memory.
    pub budget: Budget,
    /// Say what would be written, write nothing.
    pub dry_run: bool,
    /// Read every restored file back and compare it with the manifest.
    pub verify: bool,
    /// Conflicts and privileges.
    pub target: FolderTargetOptions,
}

/// What a restore came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// Entries that are in place.
    pub entries: u64,
    /// Regular files among them.
    pub files: u64,
    /// Lengths of their contents, bytes.
    pub bytes: u64,
    /// Entries left as they were, by the conflict policy.
    pub skipped: u64,
    /// Files that were read back and found right.
    pub verified: u64,
    /// Problems, each told to the observer: what is lost, in conflict, or lacks metadata.
    pub problems: u64,
}

/// Restores `path` (see `select`) into `target`. Of a folder its children land in the target, of
/// anything else the entry itself; of several roots each lands under its absolute path.
///
/// # Errors
/// If nothing was restored: the path is not in the snapshot, or the target is refused.
pub fn restore(
    repository: &Repository,
    snapshot: &Snapshot,
    path: &[u8],
    target: &Path,
    options: &RestoreOptions,
    observer: &dyn Observer,
) -> Result<RestoreReport> {
    let reader = ChunkReader::new(repository, options.budget.cache_len)?;
    let scopes = scopes_of(&reader, snapshot, path)?;
    let report = Reporter::new(observer);
    if options.dry_run {
        for scope in &scopes {
            walk(&reader, scope, &report, |item| count_only(&report, item))?;
        }
        return Ok(report.finish());
    }
    let target = FolderTarget::open(target, options.target.clone())?;
    make_ways(&target, &scopes)?;
    for scope in &scopes {
        report.expect(scope);
        restore_scope(&reader, scope, &target, options, &report)?;
    }
    Ok(report.finish())
}

fn restore_scope(
    reader: &ChunkReader<'_>,
    scope: &Scope<'_>,
    target: &FolderTarget,
    options: &RestoreOptions,
    report: &Reporter<'_>,
) -> Result<()> {
    let mut finisher = Finisher::new(target, scope, report, options.target.on_conflict);
    let contents = Contents {
        reader,
        target,
        options,
        report,
    };
    let restore = |window| contents.restore(window);
    behind::run(restore, |behind| {
        let mut files = FilePlanner::new(&contents, behind);
        walk(reader, scope, report, |item| {
            let at = scope.target_of(&item);
            match &item.entry.node {
                Node::Folder => finisher.make_folder(&at),
                Node::File(_) => files.add(at, item.entry),
                Node::Symlink(_) => Ok(()),
                Node::HardLink(leader) => match finisher.stand_in(reader, &item, leader)? {
                    Some(entry) if matches!(entry.node, Node::File(_)) => files.add(at, entry),
                    _ => Ok(()),
                },
                _ => finisher.make_special(&at, &item.entry),
            }
        })?;
        files.finish()
    })?;
    walk(reader, scope, &report.silenced(), |item| {
        finisher.settle(&item)
    })?;
    finisher.finish()
}

/// Makes the folders above all landings, each once.
fn make_ways(target: &FolderTarget, scopes: &[Scope<'_>]) -> Result<()> {
    let ways: BTreeSet<TreePath> = scopes.iter().flat_map(Scope::way_there).collect();
    // In tree order a folder comes before those in it.
    ways.iter()
        .try_for_each(|at| target.make_folder(at).map(drop))
}

/// What is restored, and where to.
fn scopes_of<'s>(
    reader: &ChunkReader<'_>,
    snapshot: &'s Snapshot,
    path: &[u8],
) -> Result<Vec<Scope<'s>>> {
    let selected = select(reader, snapshot, path)?;
    let is_volume = |root: &&Root| root.root_type == RootType::Extents;
    if matches!(selected, Selected::Everything)
        && let Some(volume) = snapshot.roots.iter().find(is_volume)
    {
        let label = String::from_utf8_lossy(&volume.name);
        let detail = format!(
            "holds volumes, {label} for one: restore each to a file or a device, and its folders \
             by their labels"
        );
        return Err(Error::new(
            ErrorKind::InvalidInput,
            Place::Argument("snapshot"),
            detail,
        ));
    }
    match (selected, snapshot.roots.as_slice()) {
        (Selected::Everything, [root]) => Ok(vec![Scope::whole_root(root, FolderPath::root())]),
        (Selected::Everything, roots) => Ok(roots.iter().map(below_its_path).collect()),
        (Selected::Entry { root, item }, roots) => {
            let root = roots
                .get(root)
                .expect("select names a root of the snapshot");
            Ok(vec![Scope::entry(root, &item)])
        }
    }
}

/// Of several roots each goes where its absolute path says, below the target.
fn below_its_path(root: &Root) -> Scope<'_> {
    let names = root
        .name
        .split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty());
    let folder = names.fold(FolderPath::root(), |folder, name| folder.child(name));
    Scope::whole_root(root, folder)
}

/// Gives every entry of `scope`, in order; lost pages are reported.
fn walk(
    reader: &ChunkReader<'_>,
    scope: &Scope<'_>,
    report: &Reporter<'_>,
    mut each: impl FnMut(TreeItem) -> Result<()>,
) -> Result<()> {
    for (start, alone) in scope.starts() {
        let root = scope.root;
        let mut cursor: Cursor<'_, Tree> =
            Cursor::new(reader, root.page, root.level, start.clone());
        while let Some(step) = cursor.next()? {
            report.check_cancelled()?;
            match step {
                Step::Item(item) => {
                    if (alone && item.path() != start) || !scope.contains(&item) {
                        break;
                    }
                    each(item)?;
                    if alone {
                        break;
                    }
                }
                Step::Lost(page) if scope.may_contain(&page.first) => {
                    report.lost_page(scope, &page)
                }
                Step::Lost(_) => break,
            }
        }
    }
    Ok(())
}

fn count_only(report: &Reporter<'_>, item: TreeItem) -> Result<()> {
    match &item.entry.node {
        Node::File(content) => report.restored_file(content.len()),
        _ => report.restored(),
    }
    report.observer().count(Counter::Entries, 1);
    Ok(())
}

/// The kind of problem that an error of the target is.
fn problem_kind(error: &Error) -> ProblemKind {
    match error.kind() {
        ErrorKind::AlreadyExists => ProblemKind::Conflict,
        ErrorKind::Damaged => ProblemKind::Damaged,
        _ => ProblemKind::NotRestored,
    }
}

/// True for an error that the rest of the restore will meet as well.
pub(crate) fn is_fatal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NoSpace | ErrorKind::Cancelled)
}
