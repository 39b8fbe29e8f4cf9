//! Which entries are restored, where each lands, and what is said of them.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::format::entry::{FolderPath, Node, TreePath};
use crate::format::snapshot::Root;
use crate::format::tree::TreeItem;
use crate::observe::{Counter, Observer, Problem, ProblemKind};
use crate::operations::restore::{RestoreReport, is_fatal};
use crate::operations::walk::absolute_path;
use crate::operations::walk::stop_if_cancelled;
use crate::operations::walk::with_causes;
use crate::repository::manifest::cursor::LostPage;
use crate::targets::folder::NotApplied;
use crate::targets::folder::Placed;

/// A part of one root, and where in the target it goes.
pub(super) struct Scope<'s> {
    pub root: &'s Root,
    /// The entry that is restored.
    pub top: TreePath,
    /// Where the top lands: a folder's children land in it, anything else under this path.
    pub landing: TreePath,
    /// False if the top is known to have no children.
    is_folder: bool,
}

impl<'s> Scope<'s> {
    /// All of `root`, its children landing in `folder`.
    pub(super) fn whole_root(root: &'s Root, folder: FolderPath) -> Self {
        let (top, landing) = (TreePath::default(), folder.as_entry());
        Self {
            root,
            top,
            landing,
            is_folder: true,
        }
    }

    /// One entry of `root`.
    pub(super) fn entry(root: &'s Root, item: &TreeItem) -> Self {
        let top = item.path();
        let is_folder = matches!(item.entry.node, Node::Folder);
        let landing = if is_folder {
            TreePath::default()
        } else {
            TreePath::new(FolderPath::root(), name_of(root, &top))
        };
        Self {
            root,
            top,
            landing,
            is_folder,
        }
    }

    /// Where walks begin: at the top itself, then at its children, if they lie elsewhere.
    pub(super) fn starts(&self) -> Vec<(TreePath, bool)> {
        if self.top.name.is_empty() {
            return vec![(TreePath::default(), false)];
        }
        let mut starts = vec![(self.top.clone(), true)];
        if self.is_folder {
            starts.push((TreePath::new(self.top.as_folder(), Vec::new()), false));
        }
        starts
    }

    /// True if `item` belongs to what is restored.
    pub(super) fn contains(&self, item: &TreeItem) -> bool {
        self.top.as_folder().contains(&item.folder) || item.path() == self.top
    }

    /// True if a page that begins with `first` may hold what is restored.
    pub(super) fn may_contain(&self, first: &TreePath) -> bool {
        let top = self.top.as_folder();
        first.folder <= top || top.contains(&first.folder)
    }

    /// Where `item` lands.
    pub(super) fn target_of(&self, item: &TreeItem) -> TreePath {
        let path = item.path();
        if path == self.top {
            return match (&item.entry.node, path.name.is_empty()) {
                (Node::Folder, _) | (_, false) => self.landing.clone(),
                // A single file as a root: it keeps the last name of where it was.
                (_, true) => {
                    TreePath::new(self.landing_folder_of_file(), name_of(self.root, &path))
                }
            };
        }
        TreePath::new(self.target_folder(&item.folder), path.name)
    }

    /// Where a folder of the tree lands.
    pub(super) fn target_folder(&self, folder: &FolderPath) -> FolderPath {
        let top = self.top.as_folder();
        let below = folder.0.strip_prefix(top.0.as_slice()).unwrap_or_default();
        let names = below
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty());
        names.fold(self.landing.as_folder(), |folder, name| folder.child(name))
    }

    /// The folders above the landing that the target must have.
    pub(super) fn way_there(&self) -> Vec<TreePath> {
        let mut way = Vec::new();
        let mut folder = FolderPath::root();
        for name in self.landing.folder.components() {
            way.push(TreePath::new(folder.clone(), name));
            folder = folder.child(name);
        }
        way
    }

    fn landing_folder_of_file(&self) -> FolderPath {
        // The landing of a whole root among several is its own path: a file's ends with its name.
        if self.landing.name.is_empty() {
            FolderPath::root()
        } else {
            self.landing.folder.clone()
        }
    }
}

/// Last name of an entry, or of where its root was.
fn name_of(root: &Root, path: &TreePath) -> Vec<u8> {
    if !path.name.is_empty() {
        return path.name.clone();
    }
    let mut names = root
        .name
        .split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty());
    names.next_back().unwrap_or(b"root").to_vec()
}

/// Counts and tells what happens to entries, from any thread.
pub(crate) struct Reporter<'o> {
    observer: &'o dyn Observer,
    silent: bool,
    entries: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
    skipped: AtomicU64,
    verified: AtomicU64,
    problems: AtomicU64,
}

impl<'o> Reporter<'o> {
    pub(crate) fn new(observer: &'o dyn Observer) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            observer,
            silent: false,
            entries: zero(),
            files: zero(),
            bytes: zero(),
            skipped: zero(),
            verified: zero(),
            problems: zero(),
        }
    }

    /// For a second walk over pages whose losses were told already.
    pub(crate) fn silenced(&self) -> Self {
        Self {
            silent: true,
            ..Self::new(self.observer)
        }
    }

    pub(crate) fn observer(&self) -> &'o dyn Observer {
        self.observer
    }

    pub(super) fn expect(&self, scope: &Scope<'_>) {
        if scope.top.name.is_empty() {
            self.observer.expect(Counter::Entries, scope.root.entries);
            self.observer.expect(Counter::Bytes, scope.root.bytes);
        }
    }

    pub(crate) fn check_cancelled(&self) -> Result<()> {
        stop_if_cancelled(self.observer)
    }

    pub(crate) fn restored(&self) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.observer.count(Counter::Entries, 1);
    }

    pub(crate) fn restored_file(&self, len: u64) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(len, Ordering::Relaxed);
        self.observer.count(Counter::Bytes, len);
        self.restored();
    }

    pub(crate) fn verified(&self) {
        self.verified.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn problem(&self, kind: ProblemKind, at: &TreePath, detail: String) {
        if self.silent {
            return;
        }
        self.problems.fetch_add(1, Ordering::Relaxed);
        self.observer.problem(&Problem {
            kind,
            subject: at.to_bytes(),
            detail,
        });
    }

    /// Tells of an entry that has another name than its own, because two are one to the target.
    pub(crate) fn collision<T>(&self, at: &TreePath, placed: &Placed<T>) {
        if let Placed::Renamed {
            name,
            collision: true,
            ..
        } = placed
        {
            let name = name.escape_ascii();
            let detail = format!("another entry has this name here; restored as {name}");
            self.problem(ProblemKind::Conflict, at, detail);
        }
    }

    /// An entry that could not be restored, for `error`.
    pub(crate) fn failed(&self, at: &TreePath, error: &Error) {
        self.problem(super::problem_kind(error), at, with_causes(error));
    }

    /// Metadata that could not be restored.
    pub(crate) fn not_applied(&self, at: &TreePath, losses: &[NotApplied]) {
        for loss in losses {
            self.problem(ProblemKind::MetadataNotApplied, at, loss.to_string());
        }
    }

    /// What became of an entry; of `len` bytes, if it is a file.
    pub(crate) fn placed(&self, at: &TreePath, placed: Placed<Vec<NotApplied>>, len: Option<u64>) {
        self.collision(at, &placed);
        let Some(losses) = placed.into_item() else {
            return self.skipped();
        };
        self.not_applied(at, &losses);
        match len {
            Some(len) => self.restored_file(len),
            None => self.restored(),
        }
    }

    /// The same of an entry without content, or of what it could not be placed for.
    pub(crate) fn settled(
        &self,
        at: &TreePath,
        placed: Result<Placed<Vec<NotApplied>>>,
    ) -> Result<()> {
        match placed {
            Ok(placed) => {
                self.placed(at, placed, None);
                Ok(())
            }
            Err(error) => self.tolerate(at, error),
        }
    }

    /// An error costs this entry; one that all would meet ends the restore.
    pub(crate) fn tolerate(&self, at: &TreePath, error: Error) -> Result<()> {
        if is_fatal(&error) {
            return Err(error);
        }
        self.failed(at, &error);
        Ok(())
    }

    pub(super) fn lost_page(&self, scope: &Scope<'_>, page: &LostPage) {
        let count = if page.entries == 0 {
            scope.root.entries
        } else {
            page.entries
        };
        let first = absolute_path(scope.root, &page.first);
        let detail = format!(
            "{count} entries from {} on are lost: {}",
            Path::new(std::ffi::OsStr::from_bytes(&first)).display(),
            with_causes(&page.error)
        );
        self.problem(ProblemKind::Damaged, &page.first, detail);
    }

    pub(crate) fn finish(self) -> RestoreReport {
        RestoreReport {
            entries: self.entries.into_inner(),
            files: self.files.into_inner(),
            bytes: self.bytes.into_inner(),
            skipped: self.skipped.into_inner(),
            verified: self.verified.into_inner(),
            problems: self.problems.into_inner(),
        }
    }
}
