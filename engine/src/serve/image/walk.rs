//! All entries below a folder inside a volume, each folder once.
//!
//! A folder's entries come together, in order of their names; then its folders, one after the other.
//! Folders that contain themselves, or that lie in two places, exist only in images that somebody
//! made so: they are entered once, and told.

use std::collections::HashSet;

use crate::error::{Error, ErrorKind, Result};
use crate::format::entry::FolderPath;
use crate::limits::IMAGE_FOLDERS_MAX;
use crate::serve::image::item::ImageEntry;
use crate::serve::image::open::Image;

/// Entries that are taken from a folder at a time.
const PAGE_ENTRIES: usize = 1_024;
/// No file system needs fewer bytes for an entry. Who finds more entries than fit goes round in
/// circles.
const ENTRY_LEN_MIN: u64 = 12;

/// What is done on a walk.
pub(super) trait Visit {
    /// An entry of the folder at `folder`.
    fn entry(&mut self, image: &mut Image, folder: &FolderPath, entry: &ImageEntry) -> Result<()>;

    /// All below the folder at `path` was visited.
    fn leave(&mut self, _path: &FolderPath, _entry: &ImageEntry) -> Result<()> {
        Ok(())
    }

    /// Something could not be visited.
    fn lost(&mut self, error: &Error) -> Result<()>;
}

/// A folder on the way from the top to where the walk is.
struct Open {
    path: FolderPath,
    entry: ImageEntry,
    /// Folders in it that were not entered yet, last one first.
    waiting: Vec<ImageEntry>,
}

/// Visits what is below the folder at `top`, to any depth if `recursive`, and leaves it.
pub(super) fn walk(
    image: &mut Image,
    top: &FolderPath,
    entry: &ImageEntry,
    recursive: bool,
    visit: &mut dyn Visit,
) -> Result<()> {
    let mut walker = Walker::new(image, recursive);
    let mut open = Vec::from_iter(walker.enter(top.clone(), entry.clone(), visit)?);
    while let Some(folder) = open.last_mut() {
        let next = match folder.waiting.pop() {
            Some(entry) => walker.enter(folder.path.child(&entry.name), entry, visit)?,
            None => {
                visit.leave(&folder.path, &folder.entry)?;
                open.pop();
                continue;
            }
        };
        open.extend(next);
    }
    Ok(())
}

struct Walker<'i> {
    image: &'i mut Image,
    recursive: bool,
    seen: HashSet<u64>,
    folders: usize,
    entries: u64,
    entries_max: u64,
}

impl<'i> Walker<'i> {
    fn new(image: &'i mut Image, recursive: bool) -> Self {
        let entries_max = image.len() / ENTRY_LEN_MIN;
        Self {
            image,
            recursive,
            seen: HashSet::new(),
            folders: 0,
            entries: 0,
            entries_max,
        }
    }

    /// Visits the entries of a folder; gives it with those that are to be entered.
    fn enter(
        &mut self,
        path: FolderPath,
        entry: ImageEntry,
        visit: &mut dyn Visit,
    ) -> Result<Option<Open>> {
        if let Err(error) = self.admit(&path, &entry) {
            return self.tolerate(error, visit).map(|()| None);
        }
        let mut waiting = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self
                .image
                .page(&path, &entry, after.as_deref(), PAGE_ENTRIES);
            let page = match page {
                Ok(page) => page,
                Err(error) => return self.tolerate(error, visit).map(|()| None),
            };
            for error in &page.lost {
                visit.lost(error)?;
            }
            self.count(&path, page.entries.len())?;
            for entry in &page.entries {
                visit.entry(self.image, &path, entry)?;
            }
            after = page.entries.last().map(|last| last.name.clone());
            if self.recursive {
                waiting.extend(page.entries.into_iter().filter(ImageEntry::is_folder));
            }
            if page.is_last {
                break;
            }
        }
        waiting.reverse();
        Ok(Some(Open {
            path,
            entry,
            waiting,
        }))
    }

    /// Refuses a folder that was entered before, and one too many.
    fn admit(&mut self, path: &FolderPath, entry: &ImageEntry) -> Result<()> {
        let refused = |image: &Image, kind, detail: String| Err(image.error(path, kind, detail));
        self.image.check_depth(path)?;
        self.folders += 1;
        if self.folders > IMAGE_FOLDERS_MAX {
            let detail = format!("is one of more than {IMAGE_FOLDERS_MAX} folders");
            return refused(self.image, ErrorKind::LimitExceeded, detail);
        }
        let identity = self.image.identity(path, entry)?;
        if identity.is_some_and(|identity| !self.seen.insert(identity)) {
            let detail = "is a folder that is in another place too: it is not entered again";
            return refused(self.image, ErrorKind::Damaged, detail.to_owned());
        }
        Ok(())
    }

    fn count(&mut self, path: &FolderPath, entries: usize) -> Result<()> {
        self.entries += entries as u64;
        if self.entries <= self.entries_max {
            return Ok(());
        }
        let detail = "has more entries below it than fit the file system".to_owned();
        Err(self.image.error(path, ErrorKind::Damaged, detail))
    }

    /// A folder that cannot be read costs itself, unless the caller asked to stop.
    fn tolerate(&self, error: Error, visit: &mut dyn Visit) -> Result<()> {
        match error.kind() {
            ErrorKind::Cancelled => Err(error),
            _ => visit.lost(&error),
        }
    }
}
