//! The way down: from the target folder to any folder below it, by descriptor.
//!
//! No system call gets a path that could lead elsewhere: names are checked, links are never
//! followed, and each step starts at a folder that is already open. `openat2` takes many names at
//! once; where the kernel or a sandbox refuses it, every name is one `openat`. The handles of
//! recently used folders are kept. Deliberately absent: creating anything.

use std::borrow::Cow;
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use parking_lot::RwLock;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::io::Errno;

use crate::format::entry::FolderPath;
use crate::format::entry::TreePath;
use crate::mutants;
use crate::mutants::Mutant;
use crate::targets::folder::metadata;

/// Open folders that are kept. A walk in tree order needs a handful; threads that write files in
/// any order need the folders of the files in flight.
const FOLDERS_KEPT: usize = 256;
/// Names that one call takes: however long they are, the kernel's limit of 4,096 bytes holds.
const STEP_NAMES: usize = 15;
/// The kernel asks to try again when a rename elsewhere disturbed its walk.
const STEP_ATTEMPTS: u32 = 16;

/// How a folder is opened on the way: neither readable nor writable, only a place to stand.
const STAND: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// How far a name may lead: below the folder it starts at, and through no link.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// An open folder of the target.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    /// It has a default ACL, which the kernel gives to all that is made in it.
    pub(super) gives_acl: bool,
}

/// The folders of a target, by their paths in the tree.
#[derive(Debug)]
pub(super) struct Folders {
    root: Arc<Folder>,
    kept: Mutex<Kept>,
    /// Entries that had to take another name; folders among them lead to their children.
    renamed: RwLock<HashMap<TreePath, Vec<u8>>>,
    /// `openat2` is not to be had.
    stepwise: AtomicBool,
}

/// The most recently used folders, by path.
#[derive(Debug, Default)]
struct Kept {
    folders: HashMap<Vec<u8>, (Arc<Folder>, u64)>,
    uses: u64,
}

impl Folder {
    fn new(fd: OwnedFd) -> Self {
        let gives_acl = metadata::has_default_acl(fd.as_fd());
        Self { fd, gives_acl }
    }

    /// Opens it for listing and for metadata.
    pub(super) fn open_readable(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, c".", flags, Mode::empty())
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Folders {
    pub(super) fn new(root: OwnedFd) -> Self {
        Self {
            root: Arc::new(Folder::new(root)),
            kept: Mutex::default(),
            renamed: RwLock::default(),
            stepwise: AtomicBool::new(false),
        }
    }

    /// The folder at `path`; an error if anything on the way is not a real folder.
    pub(super) fn open(&self, path: &FolderPath) -> Result<Arc<Folder>, Errno> {
        if path.0.is_empty() {
            return Ok(Arc::clone(&self.root));
        }
        if let Some(folder) = self.kept.lock().get(&path.0) {
            return Ok(folder);
        }
        let nearest = self.kept.lock().nearest(&path.0);
        let (mut here, mut from) = nearest.unwrap_or_else(|| (Arc::clone(&self.root), 0));
        while from < path.0.len() {
            let (next, end) = self.descend(&here, &path.0, from)?;
            here = Arc::new(next);
            self.kept
                .lock()
                .insert(path.0[..end].to_vec(), Arc::clone(&here));
            from = end + 1;
        }
        Ok(here)
    }

    /// Opens the folder `name` that was just made in `parent`, and frees it of an ACL that it
    /// got from there.
    pub(super) fn adopt(&self, at: &TreePath, parent: &Folder, name: &[u8]) -> Result<(), Errno> {
        let fd = rustix::fs::openat(parent, name, STAND, Mode::empty())?;
        let mut folder = Folder {
            fd,
            gives_acl: false,
        };
        if parent.gives_acl {
            metadata::drop_acls(&metadata::Object::Open(folder.open_readable()?.as_fd()))?;
            folder.gives_acl = metadata::has_default_acl(folder.as_fd());
        }
        self.kept.lock().insert(at.as_folder().0, Arc::new(folder));
        Ok(())
    }

    /// From now on the entry `at` is found under `name`.
    pub(super) fn rename(&self, at: &TreePath, name: Vec<u8>) {
        self.renamed.write().insert(at.clone(), name);
    }

    /// The name under which the entry `at` was placed.
    pub(super) fn name_of<'a>(&self, at: &'a TreePath) -> Cow<'a, [u8]> {
        let renamed = self.renamed.read();
        match renamed.get(at) {
            Some(name) => Cow::Owned(name.clone()),
            None => Cow::Borrowed(&at.name),
        }
    }

    /// One step down from `here`, towards `path`, whose names from `from` on are still to go.
    /// Returns the folder that was reached and where its path ends.
    fn descend(&self, here: &Folder, path: &[u8], from: usize) -> Result<(Folder, usize), Errno> {
        if !self.stepwise.load(Ordering::Relaxed) {
            let end = end_of_names(path, from, STEP_NAMES);
            match open_beneath(here, &self.real_names(path, from, end)) {
                Err(Errno::NOSYS | Errno::PERM) => self.stepwise.store(true, Ordering::Relaxed),
                reached => return Ok((Folder::new(reached?), end)),
            }
        }
        let end = end_of_names(path, from, 1);
        let name = self.real_names(path, from, end);
        let fd = rustix::fs::openat(here, name, STAND, Mode::empty())?;
        Ok((Folder::new(fd), end))
    }

    /// The names of `path` in `from..end` as they are in the target, with slashes.
    fn real_names(&self, path: &[u8], from: usize, end: usize) -> Vec<u8> {
        let names = &path[from..end];
        if self.renamed.read().is_empty() {
            return names
                .iter()
                .map(|&byte| if byte == 0 { b'/' } else { byte })
                .collect();
        }
        let mut folder = FolderPath(path[..from.saturating_sub(1)].to_vec());
        let mut real = Vec::with_capacity(names.len());
        for name in names.split(|&byte| byte == 0) {
            let at = TreePath::new(folder, name);
            real.extend_from_slice(&self.name_of(&at));
            real.push(b'/');
            folder = at.as_folder();
        }
        real.pop();
        real
    }

    /// As if the kernel had no `openat2`.
    #[cfg(test)]
    pub(super) fn refuse_openat2(&self) {
        self.stepwise.store(true, Ordering::Relaxed);
    }
}

/// Where the first `count` names of `path` from `from` on end.
fn end_of_names(path: &[u8], from: usize, count: usize) -> usize {
    let mut ends = (from..path.len()).filter(|&at| path[at] == 0);
    ends.nth(count - 1).unwrap_or(path.len())
}

fn open_beneath(here: &Folder, names: &[u8]) -> Result<OwnedFd, Errno> {
    let (mut flags, mut resolve) = (STAND, BENEATH);
    if mutants::is_on(Mutant::LinksFollowed) {
        (flags, resolve) = (STAND.difference(OFlags::NOFOLLOW), ResolveFlags::empty());
    }
    let mut outcome = Err(Errno::AGAIN);
    for _ in 0..STEP_ATTEMPTS {
        outcome = rustix::fs::openat2(here, names, flags, Mode::empty(), resolve);
        if !matches!(outcome, Err(Errno::AGAIN | Errno::INTR)) {
            break;
        }
    }
    outcome
}

impl Kept {
    fn get(&mut self, path: &[u8]) -> Option<Arc<Folder>> {
        self.uses += 1;
        let (folder, used) = self.folders.get_mut(path)?;
        *used = self.uses;
        Some(Arc::clone(folder))
    }

    /// The deepest folder above `path`, and where the names below it begin. A walk finds the
    /// parent at once; otherwise looking at all is cheaper than at every name of a long path.
    fn nearest(&mut self, path: &[u8]) -> Option<(Arc<Folder>, usize)> {
        let parent_len = path.iter().rposition(|&byte| byte == 0)?;
        if let Some(parent) = self.get(&path[..parent_len]) {
            return Some((parent, parent_len + 1));
        }
        let is_above = |kept: &[u8]| path.get(kept.len()) == Some(&0) && path.starts_with(kept);
        let above = self.folders.iter().filter(|(kept, _)| is_above(kept));
        let (path, (folder, _)) = above.max_by_key(|(kept, _)| kept.len())?;
        Some((Arc::clone(folder), path.len() + 1))
    }

    fn insert(&mut self, path: Vec<u8>, folder: Arc<Folder>) {
        if self.folders.len() >= FOLDERS_KEPT {
            let oldest = self.folders.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(path) = oldest.map(|(path, _)| path.clone()) {
                self.folders.remove(&path);
            }
        }
        self.uses += 1;
        self.folders.insert(path, (folder, self.uses));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_whole_names_and_fits_one_call() {
        assert_eq!(end_of_names(b"ab\0c\0d", 0, 1), 2);
        assert_eq!(end_of_names(b"ab\0c\0d", 3, 2), 6);
        assert_eq!(end_of_names(b"ab\0c\0d", 0, STEP_NAMES), 6);
        let longest = vec!["x".repeat(crate::limits::NAME_LEN_LIMIT); 99].join("\0");
        assert!(end_of_names(longest.as_bytes(), 0, STEP_NAMES) < 4096);
    }

    #[test]
    fn the_folder_used_longest_ago_is_let_go() {
        let fd = || rustix::fs::openat(rustix::fs::CWD, c"/", STAND, Mode::empty()).unwrap();
        let mut kept = Kept::default();
        for n in 0..=FOLDERS_KEPT {
            kept.insert(
                vec![b'0'; n + 1],
                Arc::new(Folder {
                    fd: fd(),
                    gives_acl: false,
                }),
            );
            assert!(kept.get(b"0").is_some(), "in use all the time");
        }
        assert_eq!(kept.folders.len(), FOLDERS_KEPT);
        assert!(kept.get(b"00").is_none());
    }
}
