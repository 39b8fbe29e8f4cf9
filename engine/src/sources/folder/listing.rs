//! What lies in one folder: its names from `getdents`, the status of each from `statx`.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::fs::{FileType, RawDir, SeekFrom, seek};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::is_valid_name;
use crate::observe::Problem;
use crate::sources::folder::FolderHandle;
use crate::sources::folder::FolderSource;
use crate::sources::folder::error::problem_of;
use crate::sources::folder::excludes::Selection;
use crate::sources::folder::stat::{FileKind, Stat, stat_at};

/// Bytes of names that one system call brings: most folders in one.
const BUFFER_LEN: usize = 32 * 1024;

/// The objects in one folder.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Ascending by name as raw bytes, each name once, without what is excluded.
    pub entries: Vec<Found>,
    /// Objects that are missing among the entries, although they should be there.
    pub problems: Vec<Problem>,
    /// Number of objects left out on request; what is below them is not counted.
    pub excluded: u64,
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// One path component, raw bytes; empty for the root only.
    pub name: Vec<u8>,
    /// Its status when it was listed.
    pub stat: Stat,
    /// A folder on another file system than the root, to be taken as an empty folder: never
    /// without `FolderOptions::one_file_system`.
    pub is_mount_point: bool,
}

impl FolderSource {
    /// Lists a folder. What cannot be examined is a problem of the listing, not a failure.
    pub fn list(&self, folder: &FolderHandle) -> Result<Listing> {
        let _one_at_a_time = folder.0.cursor.lock();
        let mut listing = Listing::default();
        if let Err(errno) = self.list_into(&mut listing, folder) {
            let error = self.error(Some(folder), b"", "listing the folder", errno.into());
            if listing.entries.is_empty() {
                return Err(error);
            }
            // Damage in the middle of a folder: what came before it is worth having.
            listing.problems.push(problem_of(&error));
        }
        listing.entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        // A rename during the listing may show one name twice.
        listing
            .entries
            .dedup_by(|later, earlier| later.name == earlier.name);
        Ok(listing)
    }

    fn list_into(&self, listing: &mut Listing, folder: &FolderHandle) -> rustix::io::Result<()> {
        let mut selection = self.matcher.in_folder(folder);
        // On the stack: to take and give back so much for every folder costs the allocator more
        // than the names do.
        let mut buffer = [const { MaybeUninit::uninit() }; BUFFER_LEN];
        seek(folder.fd(), SeekFrom::Start(0))?;
        let mut names = RawDir::new(folder.fd(), &mut buffer);
        while let Some(next) = names.next() {
            match next {
                Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
                Ok(entry) => {
                    let (name, kind) = (entry.file_name(), entry.file_type());
                    self.add(listing, folder, &mut selection, name, kind);
                }
                Err(Errno::INTR) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// Examines one name. `kind` may be unknown: not every file system tells it early, and only
    /// the early word spares us the status of something excluded, which may not even have one.
    fn add(
        &self,
        listing: &mut Listing,
        folder: &FolderHandle,
        selection: &mut Selection<'_>,
        name: &CStr,
        kind: FileType,
    ) {
        if kind != FileType::Unknown
            && selection.excludes(name.to_bytes(), kind == FileType::Directory)
        {
            listing.excluded += 1;
            return;
        }
        match self.examine(folder, name) {
            Ok(found) if selection.excludes_found(&found, kind == FileType::Unknown) => {
                listing.excluded += 1;
            }
            Ok(found) => listing.entries.push(found),
            Err(error) => listing.problems.push(problem_of(&error)),
        }
    }

    fn examine(&self, folder: &FolderHandle, name: &CStr) -> Result<Found> {
        let stat = stat_at(folder.0.fd.as_fd(), name).map_err(|cause| {
            self.error(Some(folder), name.to_bytes(), "reading its status", cause)
        })?;
        let name = name.to_bytes();
        if !is_valid_name(name) {
            let place = Place::Path(self.display_path(Some(folder), name));
            let detail = format!("its name is {} bytes long", name.len());
            return Err(Error::new(ErrorKind::LimitExceeded, place, detail));
        }
        let is_mount_point =
            self.one_file_system && stat.kind == FileKind::Folder && stat.device != self.device;
        Ok(Found {
            name: name.to_vec(),
            stat,
            is_mount_point,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::ProblemKind;
    use crate::sources::folder::FolderOptions;

    #[test]
    fn a_name_that_vanished_since_it_was_listed_is_a_problem() {
        let tree = tempfile::tempdir().unwrap();
        let source = FolderSource::open(tree.path(), FolderOptions::default()).unwrap();
        let folder = source.open_folder(None, b"").unwrap();
        let mut listing = Listing::default();
        let mut selection = source.matcher.in_folder(&folder);
        source.add(
            &mut listing,
            &folder,
            &mut selection,
            c"gone",
            FileType::RegularFile,
        );
        assert_eq!((listing.entries.len(), listing.excluded), (0, 0));
        let [problem] = &listing.problems[..] else {
            panic!("one problem")
        };
        assert_eq!(problem.kind, ProblemKind::Vanished);
        assert!(problem.subject.ends_with(b"/gone"), "{problem:?}");
    }

    #[test]
    fn a_folder_that_is_gone_cannot_be_listed() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir(tree.path().join("folder")).unwrap();
        let source = FolderSource::open(tree.path(), FolderOptions::default()).unwrap();
        let root = source.open_folder(None, b"").unwrap();
        let folder = source.open_folder(Some(&root), b"folder").unwrap();
        std::fs::remove_dir(tree.path().join("folder")).unwrap();
        let error = source.list(&folder).expect_err("the folder is gone");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn an_excluded_name_is_not_even_examined_if_its_kind_is_known() {
        let tree = tempfile::tempdir().unwrap();
        let mut options = FolderOptions::default();
        options.excludes.patterns.push("gone".to_owned());
        let source = FolderSource::open(tree.path(), options).unwrap();
        let folder = source.open_folder(None, b"").unwrap();
        let mut listing = Listing::default();
        let mut selection = source.matcher.in_folder(&folder);
        source.add(
            &mut listing,
            &folder,
            &mut selection,
            c"gone",
            FileType::RegularFile,
        );
        assert_eq!((listing.problems.len(), listing.excluded), (0, 1));
        std::fs::write(tree.path().join("gone"), "").unwrap();
        source.add(
            &mut listing,
            &folder,
            &mut selection,
            c"gone",
            FileType::Unknown,
        );
        assert_eq!((listing.entries.len(), listing.excluded), (0, 2));
    }
}
