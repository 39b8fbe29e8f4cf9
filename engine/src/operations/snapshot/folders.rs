//! Folders of a source, listed on several threads ahead of the walk.

use crate::error::Result;
use crate::format::entry::FolderPath;
use crate::observe::Problem;
use crate::pipeline::explore::{self, Explored};
use crate::sources::folder::{FileKind, FolderHandle, FolderSource, Found, Listing};

/// Below this depth folders are reopened by their path instead of held open by their children.
const HELD_OPEN_DEPTH: usize = 256;

/// Entries that are listed ahead at most, but for the folders that are being listed.
const ENTRIES_AHEAD: usize = 16 * 1024;
/// Folders that are listed ahead at most: each is held open, and a process may open a thousand.
const FOLDERS_AHEAD: usize = 128;

/// A folder and what is in it.
pub(super) struct ListedFolder {
    pub path: FolderPath,
    /// Or why it could not be listed.
    pub listing: Result<(FolderHandle, PackedListing)>,
}

/// A listing whose names are one piece of memory: what one thread takes from the allocator and
/// another gives back makes both wait, and names are most of it.
pub(super) struct PackedListing {
    names: Vec<u8>,
    /// Without their names, and where those end.
    entries: Vec<(Found, usize)>,
    pub problems: Vec<Problem>,
}

/// A folder that was seen and not yet listed.
struct PendingFolder {
    /// `None` at the root, and where it would hold too many folders open.
    parent: Option<FolderHandle>,
    path: FolderPath,
    depth: usize,
}

/// Gives the root of `source`, a folder, and all folders below it to `visit`, in tree order, each
/// listed not long before by one of `threads` threads.
///
/// # Errors
/// The first that `visit` returns.
pub(super) fn in_order(
    source: &FolderSource,
    threads: usize,
    visit: impl FnMut(ListedFolder) -> Result<()>,
) -> Result<()> {
    let root = PendingFolder {
        parent: None,
        path: FolderPath::root(),
        depth: 0,
    };
    let list = |folder: PendingFolder| folder.list(source);
    explore::run(threads, ENTRIES_AHEAD, root, list, visit)
}

impl PendingFolder {
    fn list(self, source: &FolderSource) -> Explored<Self, ListedFolder> {
        let opened = if self.parent.is_none() && self.depth > 0 {
            source.open_folder_at(&self.path)
        } else {
            let name = self.path.0.rsplit(|&byte| byte == 0).next();
            source.open_folder(self.parent.as_ref(), name.unwrap_or_default())
        };
        let listing = opened.and_then(|handle| source.list(&handle).map(|list| (handle, list)));
        let (subtasks, weight) = match &listing {
            Ok((handle, listing)) => {
                let is_walked =
                    |found: &&Found| found.stat.kind == FileKind::Folder && !found.is_mount_point;
                let folders = listing.entries.iter().filter(is_walked);
                let subtasks = folders.map(|found| self.subfolder(handle, &found.name));
                let weight = listing.entries.len() + ENTRIES_AHEAD / FOLDERS_AHEAD;
                (subtasks.collect(), weight)
            }
            Err(_) => (Vec::new(), 1),
        };
        let path = self.path;
        let listing = listing.map(|(handle, listing)| (handle, PackedListing::new(listing)));
        Explored {
            result: ListedFolder { path, listing },
            subtasks,
            weight,
        }
    }

    fn subfolder(&self, handle: &FolderHandle, name: &[u8]) -> Self {
        let depth = self.depth + 1;
        Self {
            parent: (depth < HELD_OPEN_DEPTH).then(|| handle.clone()),
            path: self.path.child(name),
            depth,
        }
    }
}

impl PackedListing {
    fn new(listing: Listing) -> Self {
        let mut names = Vec::with_capacity(listing.entries.iter().map(|e| e.name.len()).sum());
        let entries = listing.entries.into_iter().map(|mut found| {
            names.extend_from_slice(&std::mem::take(&mut found.name));
            (found, names.len())
        });
        Self {
            entries: entries.collect(),
            names,
            problems: listing.problems,
        }
    }

    /// The entries as they were listed.
    pub(super) fn entries(&self) -> impl Iterator<Item = Found> + '_ {
        let mut start = 0;
        self.entries.iter().map(move |(found, end)| {
            let name = self.names[start..*end].to_vec();
            start = *end;
            Found {
                name,
                ..found.clone()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::error::{Error, ErrorKind, Place};
    use crate::sources::folder::{FolderOptions, problem_of};

    const NOBODY: u32 = 65_534;

    /// Of the entries of a folder, or why they are not known.
    type Names = Result<Vec<Vec<u8>>, String>;

    /// 300 folders with a file each, three levels deep, among names that sort differently with
    /// and without what lies below them.
    fn tree(root: &Path) -> Vec<PathBuf> {
        let names = ["a", "a.b", "a-b", "b", "ab"];
        let numbers = (0..300).map(|n| [n % 5, n / 5 % 5, n / 25]);
        let folders = numbers.map(|[a, b, c]| {
            let folder = root.join(names[a]).join(names[b]).join(format!("{c}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("file"), b"x").unwrap();
            folder
        });
        folders.collect()
    }

    /// The folders in the order in which they come: names in them, or the problem.
    fn walk(root: &Path, threads: usize) -> Vec<(FolderPath, Names)> {
        let source = FolderSource::open(root, FolderOptions::default()).unwrap();
        let mut seen = Vec::new();
        let visit = |folder: ListedFolder| {
            let names = match &folder.listing {
                Ok((_, listing)) => Ok(listing.entries().map(|found| found.name).collect()),
                Err(error) => Err(problem_of(error).detail),
            };
            seen.push((folder.path, names));
            Ok(())
        };
        in_order(&source, threads, visit).unwrap();
        seen
    }

    /// As somebody who may not open every folder.
    fn as_nobody<R: Send>(work: impl FnOnce() -> R + Send) -> R {
        let become_nobody = || {
            if rustix::process::geteuid().is_root() {
                let uid = rustix::process::Uid::from_raw(NOBODY);
                rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            }
            work()
        };
        std::thread::scope(|scope| scope.spawn(become_nobody).join().unwrap())
    }

    #[test]
    fn folders_and_their_problems_come_in_tree_order_for_any_number_of_threads() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
        mode(root, 0o755).unwrap();
        let locked: Vec<_> = tree(root).into_iter().step_by(7).collect();
        locked.iter().for_each(|path| mode(path, 0).unwrap());
        let walks = [1, 2, 3, 9].map(|threads| as_nobody(|| walk(root, threads)));
        locked.iter().for_each(|path| mode(path, 0o755).unwrap());
        let [one, others @ ..] = walks;
        assert_eq!(one.len(), 1 + 5 + 25 + 300);
        assert!(one.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(one.iter().filter(|folder| folder.1.is_err()).count(), 43);
        others.iter().for_each(|other| assert_eq!(*other, one));
    }

    #[test]
    fn a_visit_that_fails_is_the_last() {
        let root = tempfile::tempdir().unwrap();
        tree(root.path());
        let source = FolderSource::open(root.path(), FolderOptions::default()).unwrap();
        let mut visits = 0;
        let visit = |_| {
            visits += 1;
            let error = Error::new(ErrorKind::Cancelled, Place::Repository, "enough");
            if visits < 20 { Ok(()) } else { Err(error) }
        };
        let result = in_order(&source, 3, visit);
        assert_eq!(
            result.map_err(|error| error.kind()),
            Err(ErrorKind::Cancelled)
        );
        assert_eq!(visits, 20);
    }

    #[test]
    fn a_packed_listing_gives_back_what_was_listed() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b", "ccc", "dd"] {
            fs::write(root.path().join(name), name).unwrap();
        }
        let source = FolderSource::open(root.path(), FolderOptions::default()).unwrap();
        let listing = source
            .list(&source.open_folder(None, b"").unwrap())
            .unwrap();
        let packed = PackedListing::new(listing.clone());
        assert_eq!(packed.entries().collect::<Vec<_>>(), listing.entries);
    }
}
